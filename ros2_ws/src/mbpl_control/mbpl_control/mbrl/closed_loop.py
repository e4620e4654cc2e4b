"""A policy in a differentiable model: the chain of random numbers whose return is to be improved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_whole

#: A Gaussian with independent numbers: its mean and its standard deviation, which may be zero.
Gaussian = tuple[Tensor, Tensor]


@dataclass(frozen=True)
class ClosedLoop:
    r"""A policy and a model, step by step.

        u_t = π_θ(x_t) + σ_θ(x_t) ε^u_t,   x_{t+1} = μ(x_t, u_t) + s(x_t, u_t) ε^x_t,   ε ~ N(0, I)

    with the return J(θ) = −E[ Σ_{t<T} c(x_t, u_t) + c_T(x_T) ]; below, all is said of the cost, which is to fall. Each
    function is of one particle; torch maps it over many (`torch.func.vmap`), so it must not branch on values.

    Attributes:
        policy: θ (P,), x (n,) → mean (m,) and standard deviation (m,); zeros for a policy without noise.
        model: x (n,), u (m,) → mean (n,) and standard deviation (n,); zeros for a model without noise.
        cost: x (n,), u (m,) → c, a number.
        final_cost: x (n,) → c_T, a number.
    """

    policy: Callable[[Tensor, Tensor], Gaussian]
    model: Callable[[Tensor, Tensor], Gaussian]
    cost: Callable[[Tensor, Tensor], Tensor]
    final_cost: Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Rollouts:
    """N particles over T steps, and the noise that made them.

    Attributes:
        states: x (T+1, N, n).
        actions: u (T, N, m).
        action_noise: ε^u (T, N, m).
        state_noise: ε^x (T, N, n).
        costs: (T+1, N), that of the end last.
    """

    states: Tensor
    actions: Tensor
    action_noise: Tensor
    state_noise: Tensor
    costs: Tensor

    @property
    def totals(self) -> Tensor:
        """Cost of each particle (N,)."""
        return self.costs.sum(dim=0)

    @property
    def to_go(self) -> Tensor:
        """G_t, the cost from step t on, the end included (T+1, N)."""
        return self.costs.flip(0).cumsum(0).flip(0)


def roll_out(loop: ClosedLoop, parameters: Tensor, starts: Tensor, steps: int, generator: torch.Generator) -> Rollouts:
    """Let particles run.

    Args:
        loop: what they follow.
        parameters: θ (P,).
        starts: x_0 (N, n).
        steps: T.
        generator: of the noise; the same state of it gives the same particles to the last bit.

    Raises:
        InvalidFieldError: no step or no particle, or a state that is not finite.
    """
    check_whole("roll_out", "steps", steps, 1, 10**6)
    if starts.ndim != 2 or not len(starts):
        raise InvalidFieldError("roll_out", "starts", f"shape {tuple(starts.shape)}", "(N, n), N at least 1")
    policy = torch.func.vmap(loop.policy, in_dims=(None, 0))
    model, cost = torch.func.vmap(loop.model), torch.func.vmap(loop.cost)
    states, actions, action_noise, state_noise, costs = [starts], [], [], [], []
    with torch.no_grad():
        for step in range(steps):
            x = states[-1]
            mean, deviation = policy(parameters, x)
            noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype)
            u = mean + deviation * noise
            action_noise.append(noise)
            actions.append(u)
            costs.append(cost(x, u))
            mean, deviation = model(x, u)
            noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype)
            state_noise.append(noise)
            states.append(mean + deviation * noise)
            if not torch.isfinite(states[-1]).all():
                raise InvalidFieldError("roll_out", "states", f"not finite after step {step + 1}", "finite")
        costs.append(torch.func.vmap(loop.final_cost)(states[-1]))
    parts = (states, actions, action_noise, state_noise, costs)
    return Rollouts(*(torch.stack(part) for part in parts))
