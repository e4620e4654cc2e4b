"""What becomes of a derivative along a path: it vanishes, or it explodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vjp, vmap

from mbpl_control.core.validation import check_choice
from mbpl_control.mbrl.closed_loop import ClosedLoop, Rollouts, roll_out
from mbpl_control.mbrl.gradient import ESTIMATORS, estimate


def path_sensitivities(loop: ClosedLoop, parameters: Tensor, rollouts: Rollouts) -> Tensor:
    r"""‖dc_T(x_T)/dx_t‖ along each particle's path, with the noise held as it was: the lecture's product of Jacobians.

        dc_T/dx_t = (dx_{t+1}/dx_t)ᵀ dc_T/dx_{t+1},   dx_{t+1}/dx_t = ∂x_{t+1}/∂x_t + ∂x_{t+1}/∂u_t ∂u_t/∂x_t

    Where the closed loop is linear with all singular values ρ, it is ‖dc_T/dx_T‖ ρ^{T−t}.

    Args:
        loop: that was rolled out.
        parameters: θ (P,), with which it was.
        rollouts: N particles.

    Returns:
        (T + 1, N), that of the last state last.
    """
    steps, count = rollouts.actions.shape[:2]

    def one(x: Tensor, action_noise: Tensor, state_noise: Tensor) -> Tensor:
        mean, deviation = loop.policy(parameters, x)
        mean, deviation = loop.model(x, mean + deviation * action_noise)
        return mean + deviation * state_noise

    def back(x: Tensor, action_noise: Tensor, state_noise: Tensor, cotangent: Tensor) -> Tensor:
        _, pull, *_ = vjp(lambda state: one(state, action_noise, state_noise), x)
        return pull(cotangent)[0]

    with torch.no_grad():
        costate = vmap(torch.func.grad(loop.final_cost))(rollouts.states[-1])
        norms = [costate.norm(dim=1)]
        for t in reversed(range(steps)):
            costate = vmap(back)(rollouts.states[t], rollouts.action_noise[t], rollouts.state_noise[t], costate)
            norms.append(costate.norm(dim=1))
    return torch.stack(norms[::-1])


@dataclass(frozen=True)
class GradientAtHorizon:
    """A gradient of the policy, over so many steps.

    Attributes:
        horizon: T.
        norm: of its mean.
        variance: of what one particle says: the trace of its covariance.
    """

    horizon: int
    norm: float
    variance: float


def gradients_by_horizon(
    loop: ClosedLoop, parameters: Tensor, starts: Tensor, horizons: Sequence[int], estimator: str, seed: int
) -> list[GradientAtHorizon]:
    """Norm and variance of dE[cost]/dθ as the horizon grows, each on the same first steps of the same noise.

    Args:
        loop: policy, model and cost.
        parameters: θ (P,).
        starts: x_0 (N, n).
        horizons: T of each.
        estimator: see `estimate`; a likelihood ratio has a "mean" baseline.
        seed: of the noise.
    """
    check_choice("gradients_by_horizon", "estimator", estimator, ESTIMATORS)
    found = []
    for horizon in horizons:
        rollouts = roll_out(loop, parameters, starts, horizon, torch.Generator().manual_seed(seed))
        gradient = estimate(loop, parameters, rollouts, estimator)
        variance = float(gradient.particles.var(dim=0).sum())
        found.append(GradientAtHorizon(horizon, float(gradient.mean.norm()), variance))
    return found
