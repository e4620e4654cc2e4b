"""Policy gradient in a model: against the closed form of LQR, its bound, and a change of the parameters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from scipy.linalg import solve_discrete_are, solve_discrete_lyapunov
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.mbrl.closed_loop import ClosedLoop, roll_out
from mbpl_control.mbrl.gradient import ESTIMATORS
from mbpl_control.mbrl.policy_gradient import DIRECTIONS, ModelPolicyGradient, PolicyGradientOptions, VisitedPolicy

A = torch.tensor([[0.95, 0.3], [-0.2, 0.9]], dtype=torch.float64)
B = torch.tensor([[0.1], [0.4]], dtype=torch.float64)
Q, R = torch.diag(torch.tensor([1.0, 0.5], dtype=torch.float64)), torch.tensor([[0.3]], dtype=torch.float64)
GAIN = torch.tensor([-0.3, -0.5], dtype=torch.float64)
STEPS = 8


def value_of(gain: Tensor) -> Tensor:
    """P_K = Q + KᵀRK + (A + BK)ᵀ P_K (A + BK), the cost to go of u = Kx."""
    closed = A + B @ gain[None]
    cost = Q + gain[:, None] @ R @ gain[None]
    return torch.tensor(solve_discrete_lyapunov(closed.T.numpy(), cost.numpy()))


def lqr(deviation: float, state_noise: float, final: Tensor) -> ClosedLoop:
    """θ = K, u ~ N(Kx, σ²); cost ½ (xᵀQx + uᵀRu), at the end ½ xᵀPx."""
    return ClosedLoop(
        lambda theta, x: ((theta @ x)[None], torch.full((1,), deviation, dtype=x.dtype)),
        lambda x, u: (A @ x + B @ u, state_noise * torch.ones_like(x)),
        lambda x, u: 0.5 * (x @ Q @ x + u @ R @ u),
        lambda x: 0.5 * x @ final @ x,
    )


def starts(count: int, seed: int) -> Tensor:
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def cosine(one: Tensor, other: Tensor) -> float:
    return float(one @ other / (one.norm() * other.norm()))


def test_a_natural_step_is_that_of_lqr_in_closed_form_whatever_the_starts_are() -> None:
    # with P_K at the end E_K = (R + BᵀP_K B) K + BᵀP_K A is the same at every step, so that ∇ = E_K Σ_t Σ_t, and with
    # F = Σ_t Σ_t / (T σ²) what is left is F⁻¹∇ = T σ² E_K: neither starts nor horizon are in its direction
    value = value_of(GAIN)
    expected = ((R + B.T @ value @ B) @ GAIN[None] + B.T @ value @ A)[0]
    deviation, bound = 1e-5, 0.02
    for seed, shape in ((0, (1.0, 1.0)), (1, (5.0, 0.1))):
        x = starts(50, seed) * torch.tensor(shape, dtype=torch.float64)
        options = PolicyGradientOptions(STEPS, bound, estimator="pathwise")
        learner = ModelPolicyGradient(lqr(deviation, 0.0, value), GAIN, seed, options)
        found = learner.step(x).step
        moved = learner.parameters - GAIN
        assert found.accepted
        assert cosine(-moved, expected) > 1.0 - 1e-8
        # of a mean alone KL is its second order: ½ Δᵀ F Δ, with the closed loop's own states
        visited, total = x.T @ x / 50, torch.zeros(2, 2, dtype=torch.float64)
        closed = A + B @ GAIN[None]
        for _ in range(STEPS):
            total, visited = total + visited, closed @ visited @ closed.T
        quadratic = float(moved @ total @ moved) / (2.0 * STEPS * deviation**2)
        assert quadratic == pytest.approx(found.kl, rel=1e-3)
        assert 0.9 * bound < found.kl <= bound


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_natural_step_is_that_of_lqr_with_noise_and_a_horizon_as_far_as_particles_tell(estimator: str) -> None:
    deviation, noise, count = 0.4, 0.2, 20_000
    final = 3.0 * torch.eye(2, dtype=torch.float64)
    closed = A + B @ GAIN[None]
    values = [final]
    for _ in range(STEPS):
        values.append(Q + GAIN[:, None] @ R @ GAIN[None] + closed.T @ values[-1] @ closed)
    values = values[::-1]
    covariance, gradient, total = torch.eye(2, dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64), 0.0
    for t in range(STEPS):
        next_value = values[t + 1]
        gradient = gradient + ((R + B.T @ next_value @ B) @ GAIN[None] + B.T @ next_value @ A) @ covariance
        total = total + covariance
        covariance = closed @ covariance @ closed.T + deviation**2 * B @ B.T + noise**2 * torch.eye(2)
    fisher = total / (STEPS * deviation**2)
    expected = torch.linalg.solve(fisher, gradient[0])
    options = PolicyGradientOptions(STEPS, 1e-3, estimator=estimator)
    learner = ModelPolicyGradient(lqr(deviation, noise, final), GAIN, 3, options)
    found = learner.step(starts(count, 4))
    # the estimate is the closed form's, to 5 standard errors of each number
    error = found.gradient.particles.std(dim=0) / count**0.5
    assert ((found.gradient.mean - gradient[0]).abs() < 5.0 * error).all()
    moved = GAIN - learner.parameters
    sideways = float(error.norm() / gradient.norm()) * float(torch.linalg.cond(fisher))
    assert cosine(moved, expected) > 1.0 - 0.5 * (5.0 * sideways) ** 2 - 1e-4


def bent(theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Nine parameters: two tanh units, and a noise that depends on the state."""
    mean = theta[4:6] @ torch.tanh(theta[:4].reshape(2, 2) @ x) + theta[6]
    return mean[None], torch.exp(theta[7] + 0.3 * torch.tanh(theta[8] * x[0]))[None]


BENT = torch.tensor([0.5, -0.4, 0.3, 0.8, -0.6, -0.5, 0.1, -0.8, 0.4], dtype=torch.float64)


def bent_loop(through: Callable[[Tensor], Tensor] = lambda theta: theta) -> ClosedLoop:
    linear = lqr(1.0, 0.1, torch.eye(2, dtype=torch.float64))
    return ClosedLoop(lambda phi, x: bent(through(phi), x), linear.model, linear.cost, linear.final_cost)


@pytest.mark.parametrize("direction", DIRECTIONS)
def test_a_step_keeps_its_bound_by_the_exact_kl_and_lowers_the_cost(direction: str) -> None:
    bound, x = 0.05, starts(400, 5)
    loop = bent_loop()
    learner = ModelPolicyGradient(loop, BENT, 6, PolicyGradientOptions(STEPS, bound, direction))
    step = learner.step(x).step
    assert step.accepted
    assert step.objective < step.objective_before
    states = roll_out(loop, BENT, x, STEPS, torch.Generator().manual_seed(6)).states[:-1].flatten(0, 1)
    before, after = (
        Normal(*torch.func.vmap(bent, in_dims=(None, 0))(theta, states)) for theta in (BENT, learner.parameters)
    )
    kl = float(kl_divergence(before, after).mean())
    assert kl == pytest.approx(step.kl, rel=1e-9)
    assert 0.0 < kl <= 1.05 * bound


def test_the_fisher_information_is_the_second_derivative_of_the_kl() -> None:
    states = starts(30, 7)
    visited = VisitedPolicy(bent, BENT, states)
    mean, deviation = torch.func.vmap(bent, in_dims=(None, 0))(BENT, states)

    def kl(theta: Tensor) -> Tensor:
        new_mean, new_deviation = torch.func.vmap(bent, in_dims=(None, 0))(theta, states)
        ratio = (deviation.square() + (mean - new_mean).square()) / new_deviation.square()
        return (0.5 * ratio + torch.log(new_deviation / deviation) - 0.5).mean()

    hessian = torch.func.hessian(kl)(BENT)
    jacobian = torch.func.jacrev(visited.heads)(BENT)
    fisher = torch.stack([torch.einsum("bk,bkp->p", visited.metric(jacobian[:, :, i]), jacobian) for i in range(9)])
    torch.testing.assert_close(fisher, hessian, rtol=1e-9, atol=1e-12)


def test_a_natural_step_is_the_same_in_other_parameters_and_a_plain_one_is_not() -> None:
    generator = torch.Generator().manual_seed(8)
    mixing = torch.eye(9, dtype=torch.float64) + 0.5 * torch.randn(9, 9, generator=generator, dtype=torch.float64)
    mixing = mixing * torch.logspace(-1.0, 1.0, 9, dtype=torch.float64)
    phi = torch.linalg.solve(mixing, BENT)
    moved: dict[str, list[Tensor]] = {name: [] for name in DIRECTIONS}
    for name in DIRECTIONS:
        options = PolicyGradientOptions(STEPS, 1e-3, name)
        for loop, begin, back in (
            (bent_loop(), BENT, torch.eye(9, dtype=torch.float64)),
            (bent_loop(lambda p: mixing @ p), phi, mixing),
        ):
            learner = ModelPolicyGradient(loop, begin, 9, options)
            assert learner.step(starts(300, 10)).step.accepted
            moved[name].append(back @ (learner.parameters - begin))
    assert cosine(*moved["natural"]) > 1.0 - 1e-6
    assert cosine(*moved["plain"]) < 0.9


def test_natural_steps_find_the_gain_of_lqr() -> None:
    value = torch.tensor(solve_discrete_are(A.numpy(), B.numpy(), Q.numpy(), R.numpy()))
    best = -torch.linalg.solve(R + B.T @ value @ B, B.T @ value @ A)[0]
    learner = ModelPolicyGradient(
        lqr(0.1, 0.0, value), torch.zeros(2, dtype=torch.float64), 11, PolicyGradientOptions(STEPS, 2.0)
    )
    for _ in range(10):
        learner.step(starts(50, 12))
    assert float((learner.parameters - best).norm()) < 0.02 * float(best.norm())


def test_a_policy_without_noise_and_options_out_of_range_are_refused() -> None:
    learner = ModelPolicyGradient(lqr(0.0, 0.1, Q), GAIN, 0, PolicyGradientOptions(STEPS))
    with pytest.raises(InvalidFieldError, match="an action without noise; must be noise on each action"):
        learner.step(starts(10, 0))
    for wrong in ({"bound": 0.0}, {"direction": "steepest"}, {"estimator": "score"}, {"baseline": "critic"}):
        with pytest.raises(InvalidFieldError, match=next(iter(wrong))):
            PolicyGradientOptions(**wrong)
