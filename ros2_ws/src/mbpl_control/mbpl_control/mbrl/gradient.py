"""The gradient of an expected cost by the parameters of a policy: three estimators of the same rollouts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.func import vjp, vmap

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_choice
from mbpl_control.mbrl.baseline import left_out
from mbpl_control.mbrl.closed_loop import ClosedLoop, Rollouts

ESTIMATORS = ("likelihood_ratio", "pathwise", "total_propagation")
#: Standard errors by which a share has to differ from 0 or 1.
SURE = 3.0


@dataclass(frozen=True, eq=False)
class GradientEstimate:
    """A gradient, and how sure it is.

    Attributes:
        mean: dE[cost]/dθ (P,).
        particles: what each particle says of it (N, P); `mean` is their mean.
        action_share: of the likelihood ratio at each action (T,); 0 is pathwise.
        state_share: of the likelihood ratio at each next state (T,).
    """

    mean: Tensor
    particles: Tensor
    action_share: Tensor
    state_share: Tensor

    @property
    def variance(self) -> float:
        """Trace of the covariance of `mean`, as its particles tell it."""
        return float(self.particles.var(dim=0).sum() / len(self.particles))


def estimate(
    loop: ClosedLoop,
    parameters: Tensor,
    rollouts: Rollouts,
    estimator: str = "total_propagation",
    baseline: str = "mean",
) -> GradientEstimate:
    r"""dE[cost]/dθ from rollouts.

    Backwards through the chain goes a_t, what a particle says of dE[G_t]/dx_t, with G_t the cost from t on. At a random
    number y = ν + ς ε, an action or a next state, whose ζ = (ν, ς) depend on what is before it, there are two ways from
    a = dG/dy to dG/dζ:

        pathwise           (a, a ε)                               through y itself
        likelihood ratio   (G − b) (ε / ς, (ε² − 1) / ς)          (G − b) ∇_ζ log p(y | ζ)

    and then dG/dζ goes on to x_t, u_t and θ by the chain rule. One estimator takes the same way everywhere. Total
    propagation takes both, with the share of the likelihood ratio that varies least in θ over the particles,

        k = (V_RP − C) / (V_RP + V_LR − 2 C),   held within 0 .. 1 (`best_share`),

    at each step anew, and hands on the sum: where derivatives grow along a chaotic path the likelihood ratio stops
    them, and after that the path is short again. V are traces of covariances over particles, C that of one way with the
    other: both see the same noise, and where C is above V_RP there is nothing to be won. Parmas et al. leave C out,
    which varies more where paths are tame. Numbers without noise (ς = 0) have one way, the path. The weights are
    those of the particles themselves, a bias of the order 1/N in total propagation; the other two have none.

    Args:
        loop: that was rolled out.
        parameters: θ (P,), with which it was.
        rollouts: N particles, at least 2.
        estimator: "likelihood_ratio", "pathwise" or "total_propagation".
        baseline: b; see `left_out`.

    Raises:
        InvalidFieldError: an unknown estimator or baseline, or too few particles.

    Source: Parmas, Rasmussen, Peters, Doya 2018, "PIPPS: flexible model-based policy search robust to the curse of
    chaos", algorithm 2; Williams 1992; Kingma and Welling 2014.
    """
    check_choice("gradient", "estimator", estimator, ESTIMATORS)
    steps, count = rollouts.actions.shape[:2]
    if count < 2:
        raise InvalidFieldError("gradient", "particles", str(count), "at least 2")
    back = _Backwards(loop, parameters, estimator)
    to_go = rollouts.to_go
    total = torch.zeros(count, len(parameters), dtype=parameters.dtype)
    state_share, action_share = torch.zeros(steps), torch.zeros(steps)
    (costate,) = back.through(vmap(loop.final_cost), (rollouts.states[-1],), torch.ones(count, dtype=total.dtype))
    for t in reversed(range(steps)):
        x, u = rollouts.states[t], rollouts.actions[t]
        by_x, by_u = back.through(vmap(loop.cost), (x, u), torch.ones(count, dtype=total.dtype))
        away = to_go[t + 1] - left_out(torch.cat([x, u], dim=1), to_go[t + 1], baseline)
        (next_x, next_u), state_share[t] = back.state(x, u, rollouts.state_noise[t], costate, away)
        by_x, by_u = by_x + next_x, by_u + next_u
        away = to_go[t] - left_out(x, to_go[t], baseline)
        (by_theta, through_u), action_share[t] = back.action(x, rollouts.action_noise[t], by_u, away)
        total += by_theta
        costate = by_x + through_u
    return GradientEstimate(total.mean(dim=0), total, action_share, state_share)


class _Backwards:
    """One step backwards; N particles at once.

    Args:
        loop: that was rolled out.
        parameters: θ.
        estimator: the way that is taken.
    """

    def __init__(self, loop: ClosedLoop, parameters: Tensor, estimator: str) -> None:
        """Keep them."""
        self._loop, self._theta, self._estimator = loop, parameters, estimator

    @staticmethod
    def through(function: Callable[..., Tensor], at: tuple[Tensor, ...], cotangent: Tensor) -> tuple[Tensor, ...]:
        """Cotangents of the arguments of a function whose results have one."""
        _, pull, *_ = vjp(function, *at)
        return tuple(pull(cotangent))

    def action(self, x: Tensor, noise: Tensor, by_u: Tensor, away: Tensor) -> tuple[tuple[Tensor, Tensor], float]:
        """dG/dθ (N, P) and dG/dx (N, n) through an action, and the share of the likelihood ratio."""
        _, deviation = vmap(self._loop.policy, in_dims=(None, 0))(self._theta, x)
        pathwise, ratio = ways(noise, deviation, by_u, away)

        def pull(cotangent: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return self._through_policy(x, cotangent)

        share = self._share(deviation, lambda: (pull(pathwise)[0], pull(ratio)[0]))
        return pull(mixed(pathwise, ratio, share)), share

    def state(
        self, x: Tensor, u: Tensor, noise: Tensor, by_next: Tensor, away: Tensor
    ) -> tuple[tuple[Tensor, Tensor], float]:
        """dG/dx (N, n) and dG/du (N, m) through the next state, and the share of the likelihood ratio."""
        (_, deviation), pull, *_ = vjp(vmap(self._loop.model), x, u)
        pathwise, ratio = ways(noise, deviation, by_next, away)

        def in_theta(cotangent: tuple[Tensor, Tensor]) -> Tensor:
            # as far as the action is a function of θ: its own noise comes in later
            by_u = pull(cotangent)[1]
            return self._through_policy(x, (by_u, torch.zeros_like(by_u)))[0]

        share = self._share(deviation, lambda: (in_theta(pathwise), in_theta(ratio)))
        return pull(mixed(pathwise, ratio, share)), share

    def _through_policy(self, x: Tensor, cotangent: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        def one(state: Tensor, by_mean: Tensor, by_deviation: Tensor) -> tuple[Tensor, Tensor]:
            _, pull, *_ = vjp(self._loop.policy, self._theta, state)
            return pull((by_mean, by_deviation))

        return vmap(one)(x, *cotangent)

    def _share(self, deviation: Tensor, both: Callable[[], tuple[Tensor, Tensor]]) -> float:
        """The share of the likelihood ratio."""
        if self._estimator == "pathwise" or not bool((deviation > 0.0).any()):
            return 0.0
        if self._estimator == "likelihood_ratio":
            return 1.0
        return best_share(*both())


def best_share(path: Tensor, ratio: Tensor) -> float:
    r"""k that makes k LR + (1 − k) RP vary least over particles: least squares of RP on RP − LR, held within 0 .. 1.

    A share that lies within `SURE` of its own standard errors of 0 or 1 is that: it would only bring in the noise of
    its estimate. The error allows for particles that vary differently (White's).

    Args:
        path: what each particle says along the path (N, P).
        ratio: what it says by the likelihood ratio (N, P).

    Source: White 1980, "A heteroskedasticity-consistent covariance matrix estimator".
    """
    path, ratio = path - path.mean(dim=0), ratio - ratio.mean(dim=0)
    apart = path - ratio
    square = float(apart.square().sum())
    if not square > 0.0:
        return 0.0
    share = float((path * apart).sum()) / square
    left = path - share * apart
    error = float((left * apart).sum(dim=1).square().sum().sqrt()) / square
    if share < SURE * error or 1.0 - share < SURE * error:
        return 0.0 if share < 0.5 else 1.0
    return min(max(share, 0.0), 1.0)


def ways(
    noise: Tensor, deviation: Tensor, by_value: Tensor, away: Tensor
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """dG/d(mean, deviation) of y = mean + deviation noise, pathwise and by the likelihood ratio, each (N, k).

    Args:
        noise: ε (N, k).
        deviation: ς (N, k); where it is zero both go along the path.
        by_value: dG/dy (N, k).
        away: G − b (N,).
    """
    noisy = deviation > 0.0
    scale = torch.where(noisy, deviation, torch.ones_like(deviation))
    pathwise = (by_value, torch.where(noisy, by_value * noise, torch.zeros_like(noise)))
    weight = away[:, None] / scale
    ratio = (
        torch.where(noisy, weight * noise, by_value),
        torch.where(noisy, weight * (noise.square() - 1.0), torch.zeros_like(noise)),
    )
    return pathwise, ratio


def mixed(pathwise: tuple[Tensor, Tensor], ratio: tuple[Tensor, Tensor], share: float) -> tuple[Tensor, Tensor]:
    """Both ways, weighted; one alone where the other has no weight, whatever it says."""
    if share in (0.0, 1.0):
        return ratio if share else pathwise
    mean, deviation = (share * lr + (1.0 - share) * rp for rp, lr in zip(pathwise, ratio, strict=True))
    return mean, deviation
