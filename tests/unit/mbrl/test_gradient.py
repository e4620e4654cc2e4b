"""Gradients of an expected cost: against closed forms, finite differences, and each other."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.mbrl.baseline import BASELINES, left_out
from mbpl_control.mbrl.closed_loop import ClosedLoop, Rollouts, roll_out
from mbpl_control.mbrl.gradient import ESTIMATORS, estimate

A = torch.tensor([[0.9, 0.3], [-0.2, 0.95]], dtype=torch.float64)
B = torch.tensor([[0.1], [0.4]], dtype=torch.float64)
Q, R, FINAL = torch.diag(torch.tensor([1.0, 0.5], dtype=torch.float64)), 0.3, 4.0
STATE_NOISE = torch.tensor([0.15, 0.25], dtype=torch.float64)
START = torch.tensor([1.0, -0.5], dtype=torch.float64)
STEPS = 6
#: K, k, log σ
THETA = torch.tensor([-0.3, -0.6, 0.2, -1.0], dtype=torch.float64)


def linear(action_noise: bool) -> ClosedLoop:
    """Linear-Gaussian dynamics and policy, quadratic cost."""

    def policy(theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        mean = (theta[:2] @ x + theta[2])[None]
        return mean, torch.exp(theta[3])[None] if action_noise else torch.zeros_like(mean)

    return ClosedLoop(
        policy,
        lambda x, u: (A @ x + B @ u, STATE_NOISE),
        lambda x, u: 0.5 * (x @ Q @ x + R * u @ u),
        lambda x: 0.5 * FINAL * x @ x,
    )


def closed_form(theta: Tensor, action_noise: bool) -> Tensor:
    """E[cost] from the mean and the covariance of the states, step by step."""
    gain, offset = theta[None, :2], theta[2]
    drawn = torch.exp(2.0 * theta[3]) if action_noise else torch.zeros(())
    mean, covariance, total = START, torch.zeros(2, 2, dtype=torch.float64), torch.zeros((), dtype=torch.float64)
    closed = A + B @ gain
    for _ in range(STEPS):
        u = gain @ mean + offset
        variance = gain @ covariance @ gain.T + drawn
        total = total + 0.5 * (mean @ Q @ mean + torch.trace(Q @ covariance) + R * (u @ u + variance[0, 0]))
        mean = A @ mean + B @ u
        covariance = closed @ covariance @ closed.T + drawn * B @ B.T + torch.diag(STATE_NOISE**2)
    return total + 0.5 * FINAL * (mean @ mean + torch.trace(covariance))


def rolled(loop: ClosedLoop, theta: Tensor, start: Tensor, steps: int, count: int, seed: int) -> Rollouts:
    generator = torch.Generator().manual_seed(seed)
    return roll_out(loop, theta, start.expand(count, -1), steps, generator)


@pytest.mark.parametrize("action_noise", [False, True], ids=["deterministic policy", "Gaussian policy"])
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_has_the_closed_form_gradient_where_all_is_linear_and_gaussian_as_its_mean(
    estimator: str, action_noise: bool
) -> None:
    loop = linear(action_noise)
    theta = THETA.clone().requires_grad_()
    (exact,) = torch.autograd.grad(closed_form(theta, action_noise), theta, allow_unused=True)
    rollouts = rolled(loop, THETA, START, STEPS, 20_000, seed=1)
    expected = float(closed_form(THETA, action_noise))
    assert abs(float(rollouts.totals.mean()) - expected) < 5.0 * float(rollouts.totals.std()) / 20_000**0.5
    found = estimate(loop, THETA, rollouts, estimator, baseline="quadratic")
    shares = {"pathwise": {0.0}, "likelihood_ratio": {1.0}}.get(estimator)
    assert shares is None or set(found.state_share.tolist()) == shares
    if not action_noise:
        # without noise there is one way
        assert not found.action_share.any()
    error = found.particles.std(dim=0) / 20_000**0.5
    # five standard errors; where no particle says anything, nothing is right
    assert ((found.mean - exact).abs() <= 5.0 * error + 1e-12).all(), (found.mean, exact, error)
    assert found.variance < 0.01 * float(exact.square().sum())


def test_the_pathwise_gradient_is_the_derivative_of_the_same_particles_by_finite_differences() -> None:
    def policy(theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.tanh(theta[:1] * x[:1] + theta[1]), 0.1 * torch.exp(theta[2] * x[1:])

    def model(x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        turned = torch.stack([x[0] + 0.3 * x[1], x[1] + 0.4 * torch.sin(x[0]) + u[0]])
        return turned, 0.05 * (1.0 + x.square())

    loop = ClosedLoop(policy, model, lambda x, u: x[0] ** 2 + 0.1 * u[0] ** 2 * x[1], lambda x: torch.cos(x[1]))
    theta = torch.tensor([0.4, -0.2, 0.3], dtype=torch.float64)
    start = torch.tensor([0.5, 0.2], dtype=torch.float64)
    found = estimate(loop, theta, rolled(loop, theta, start, 5, 50, seed=2), "pathwise").mean
    for i, step in enumerate(1e-6 * torch.eye(3, dtype=torch.float64)):
        above, below = (rolled(loop, theta + s, start, 5, 50, seed=2).totals.mean() for s in (step, -step))
        assert float(found[i]) == pytest.approx(float(above - below) / 2e-6, rel=1e-6)


def test_a_likelihood_ratio_on_actions_is_the_score_of_the_policy_times_the_cost_to_go() -> None:
    loop, theta = linear(action_noise=True), THETA
    rollouts = rolled(loop, theta, START, STEPS, 40, seed=3)
    deviation = torch.exp(theta[3])
    expected = torch.zeros(40, 4, dtype=torch.float64)
    for t in range(STEPS):
        # ∇ log N(u; Kx + k, σ²) by K, k and log σ, written out
        off = (rollouts.actions[t, :, 0] - rollouts.states[t] @ theta[:2] - theta[2]) / deviation
        score = torch.cat(
            [
                (off / deviation)[:, None] * rollouts.states[t],
                (off / deviation)[:, None],
                (off**2 - 1.0)[:, None],
            ],
            dim=1,
        )
        expected += score * rollouts.costs[t:].sum(dim=0)[:, None]
    found = estimate(loop, theta, rollouts, "likelihood_ratio", baseline="none")
    torch.testing.assert_close(found.particles, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("kind", BASELINES)
def test_a_baseline_is_what_the_other_particles_say_by_least_squares(kind: str) -> None:
    generator = torch.Generator().manual_seed(4)
    x = torch.randn(12, 2, generator=generator, dtype=torch.float64)
    y = torch.randn(12, generator=generator, dtype=torch.float64)
    columns = {
        "none": [],
        "mean": [torch.ones(12)],
        "linear": [torch.ones(12), x[:, 0], x[:, 1]],
        "quadratic": [torch.ones(12), x[:, 0], x[:, 1], x[:, 0] ** 2, x[:, 0] * x[:, 1], x[:, 1] ** 2],
    }[kind]
    found = left_out(x, y, kind)
    if not columns:
        assert not found.any()
        return
    phi = torch.stack([c.to(torch.float64) for c in columns], dim=1)
    for i in range(12):
        others = torch.arange(12) != i
        weights = torch.linalg.lstsq(phi[others], y[others, None]).solution[:, 0]
        assert float(found[i]) == pytest.approx(float(phi[i] @ weights), rel=1e-9)


def test_a_baseline_takes_away_variance_and_leaves_the_mean() -> None:
    loop = linear(action_noise=True)
    plain, less = (
        estimate(loop, THETA, rolled(loop, THETA, START, STEPS, 4000, seed=5), "likelihood_ratio", baseline)
        for baseline in ("none", "quadratic")
    )
    assert less.variance < 0.5 * plain.variance
    assert float((less.mean - plain.mean).norm()) < 5.0 * (less.variance + plain.variance) ** 0.5


def test_what_cannot_be_estimated_is_named() -> None:
    loop = linear(action_noise=False)
    rollouts = rolled(loop, THETA, START, STEPS, 1, seed=6)
    with pytest.raises(InvalidFieldError, match="particles: found 1; must be at least 2"):
        estimate(loop, THETA, rollouts)
    with pytest.raises(InvalidFieldError, match="estimator"):
        estimate(loop, THETA, rolled(loop, THETA, START, STEPS, 2, seed=6), "score")
    exploding = ClosedLoop(loop.policy, lambda x, u: (1e200 * x**2, STATE_NOISE), loop.cost, loop.final_cost)
    with pytest.raises(InvalidFieldError, match="not finite after step 2"):
        rolled(exploding, THETA, START, 4, 2, seed=7)
