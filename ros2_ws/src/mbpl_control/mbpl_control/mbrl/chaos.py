"""A map of one number that is as chaotic as one asks for: where gradients along a path stop being of use."""

from __future__ import annotations

import torch
from torch import Tensor

from mbpl_control.mbrl.closed_loop import ClosedLoop


def sine_map(sensitivity: float, noise: float) -> tuple[ClosedLoop, Tensor, Tensor]:
    r"""x_{t+1} = sin(g x_t) + u_t + s ε, u_t = θ_0 + θ_1 x_t, cost x_T².

    Each step stretches small differences by |g cos(g x) + θ_1|: below 1 they die out, above it they grow to the size of
    the map itself, and a derivative along the path with them.

    Args:
        sensitivity: g.
        noise: s.

    Returns:
        The loop, θ (2,) and the start (1,).
    """

    def policy(theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return theta[:1] + theta[1] * x, torch.zeros_like(x)

    def model(x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sin(sensitivity * x) + u, noise * torch.ones_like(x)

    loop = ClosedLoop(policy, model, lambda x, _: 0.0 * x[0], lambda x: x[0] ** 2)
    return loop, torch.tensor([0.1, 0.0], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)
