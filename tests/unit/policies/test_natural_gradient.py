"""Natural gradient steps, against dense matrices and under a change of the parameters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.func import jacrev

from mbpl_control.core import InvalidFieldError, SolverError
from mbpl_control.policies import GaussianPolicy
from mbpl_control.policies.natural_gradient import (
    FisherProduct,
    NaturalGradientOptions,
    NaturalStep,
    conjugate_gradient,
    natural_step,
)
from mbpl_control.policies.problem import PolicyProblem

EXACT = NaturalGradientOptions(cg_iterations=2000, cg_tolerance=1e-13)


@pytest.fixture(params=["constant", "state_dependent"])
def policy(request, make_policy) -> GaussianPolicy:
    """Few parameters, so that F is of full rank on the targets."""
    return make_policy(hidden=(3,), covariance=request.param)


@pytest.fixture
def problem(policy: GaussianPolicy, make_targets) -> PolicyProblem:
    return PolicyProblem(policy, make_targets(policy, count=200))


@pytest.fixture
def parameters(policy: GaussianPolicy) -> Tensor:
    return torch.tensor(policy.parameters)


def loss_of(problem: PolicyProblem) -> Callable[[Tensor], Tensor]:
    return lambda p: problem.loss(problem.network.layers(p))


def dense_fisher(problem: PolicyProblem, parameters: Tensor) -> Tensor:
    """Σ_i w_i J_iᵀ M_i J_i from Jacobians of autograd, M_i being KL's Hessian of autograd at each observation."""
    network = problem.network
    h = problem.heads(parameters)
    jacobian = jacrev(problem.heads)(parameters)
    out = torch.zeros(len(parameters), len(parameters), dtype=torch.float64)
    weights = problem._weights / problem.count
    for i in range(problem.count):
        here = h[i : i + 1]
        m = torch.autograd.functional.hessian(lambda q, here=here: network.kl(here, q[None])[0], h[i])
        out += weights[i] * jacobian[i].T @ m @ jacobian[i]
    return out


def step_from(
    problem: PolicyProblem,
    parameters: Tensor,
    bound: float,
    options: NaturalGradientOptions,
    scale: Tensor | float = 1.0,
) -> NaturalStep:
    """A step in parameters φ, of which the network's are `scale` ⊙ φ."""

    def network_parameters(p: Tensor) -> Tensor:
        return scale * p

    phi = parameters / scale
    before = problem.heads(parameters)
    loss = loss_of(problem)
    return natural_step(
        phi,
        lambda p: problem.heads(network_parameters(p)),
        torch.func.grad(lambda p: loss(network_parameters(p)))(phi),
        lambda p: problem.mean_kl(before, network_parameters(p)),
        lambda p: float(loss(network_parameters(p))),
        bound,
        metric=problem.metric(before, of_targets=False),
        options=options,
    )


def length_left(step: NaturalStep) -> float:
    """What makes up for one reduction of a step that missed its bound by next to nothing."""
    return 1.0 / 0.95**step.reductions


def test_fisher_products_equal_the_dense_fisher_matrix(problem: PolicyProblem, parameters: Tensor) -> None:
    dense = dense_fisher(problem, parameters)
    product = FisherProduct(parameters, problem.heads, problem.metric(problem.heads(parameters), of_targets=False))
    for v in torch.randn(4, len(parameters), dtype=torch.float64, generator=torch.Generator().manual_seed(1)):
        torch.testing.assert_close(product(v), dense @ v, rtol=1e-9, atol=1e-9 * float(dense.norm()))


def test_with_the_metric_of_the_targets_it_is_the_gauss_newton_matrix_of_the_loss(make_policy, make_targets) -> None:
    # of a network that is linear in its parameters the Gauss-Newton matrix is the Hessian
    policy = make_policy(hidden=())
    problem = PolicyProblem(policy, make_targets(policy), normalisation=1.0)
    parameters = torch.tensor(policy.parameters)
    hessian = torch.autograd.functional.hessian(loss_of(problem), parameters)
    product = FisherProduct(parameters, problem.heads, problem.metric(problem.heads(parameters), of_targets=True))
    dense = torch.stack([product(e) for e in torch.eye(len(parameters), dtype=torch.float64)])
    torch.testing.assert_close(dense, hessian, rtol=1e-10, atol=1e-10 * float(hessian.norm()))


def test_the_step_is_that_of_a_dense_solution(problem: PolicyProblem, parameters: Tensor) -> None:
    bound = 1e-6
    g = torch.func.grad(loss_of(problem))(parameters)
    dense = dense_fisher(problem, parameters)
    direction = torch.linalg.solve(dense, g)
    expected = -((2.0 * bound / (g @ direction)) ** 0.5) * direction
    step = step_from(problem, parameters, bound, EXACT)
    assert step.accepted
    # a little shorter when the exact KL of the whole step is a hair above the bound
    moved = (step.parameters - parameters) * length_left(step)
    assert step.reductions <= 1
    assert float((moved - expected) @ dense @ (moved - expected)) < 1e-5 * float(expected @ dense @ expected)


def test_damping_is_in_the_direction_and_not_in_the_length(problem: PolicyProblem, parameters: Tensor) -> None:
    bound, damping = 1e-6, 0.1
    g = torch.func.grad(loss_of(problem))(parameters)
    dense = dense_fisher(problem, parameters)
    shift = damping * float(g @ dense @ g) / float(g @ g)
    direction = torch.linalg.solve(dense + shift * torch.eye(len(g), dtype=torch.float64), g)
    expected = -((2.0 * bound / (direction @ dense @ direction)) ** 0.5) * direction
    options = NaturalGradientOptions(cg_iterations=2000, cg_tolerance=1e-13, damping=damping)
    step = step_from(problem, parameters, bound, options)
    moved = (step.parameters - parameters) * length_left(step)
    assert step.reductions <= 1
    torch.testing.assert_close(moved, expected, rtol=1e-2, atol=1e-2 * float(expected.norm()))


@pytest.mark.parametrize("place", ["an input", "a layer"])
def test_measuring_an_input_or_a_layer_in_other_units_changes_nothing(
    problem: PolicyProblem, parameters: Tensor, place: str
) -> None:
    scale = torch.ones_like(parameters)
    layers = problem.network.layers(scale)  # views
    if place == "an input":
        layers[0][:, 1] = 30.0
    else:
        layers[2][:] = 0.05
    ours, other = step_from(problem, parameters, 0.1, EXACT), step_from(problem, parameters, 0.1, EXACT, scale)
    assert ours.reductions == other.reductions
    moved = ours.parameters - parameters
    torch.testing.assert_close(scale * other.parameters - parameters, moved, rtol=1e-5, atol=1e-6 * float(moved.norm()))
    # which a damped step does not have
    damped = NaturalGradientOptions(cg_iterations=2000, cg_tolerance=1e-13, damping=0.1)
    ours, other = (step_from(problem, parameters, 0.1, damped, s) for s in (1.0, scale))
    difference = (scale * other.parameters - ours.parameters).norm()
    assert float(difference) > 0.05 * float((ours.parameters - parameters).norm())


def test_the_exact_kl_keeps_the_bound_that_the_bare_step_misses_several_times_over(make_policy, make_targets) -> None:
    policy = make_policy(hidden=(12, 12), covariance="state_dependent", size=3)
    problem = PolicyProblem(policy, make_targets(policy))
    parameters = torch.tensor(policy.parameters)
    before = problem.heads(parameters)
    g = torch.func.grad(loss_of(problem))(parameters)
    fisher = FisherProduct(parameters, problem.heads, problem.metric(before, of_targets=False))
    direction, _ = conjugate_gradient(fisher, g, 20, 1e-8)
    bare = parameters - (2.0 / float(direction @ fisher(direction))) ** 0.5 * direction
    assert problem.mean_kl(before, bare) > 5.0
    step = step_from(problem, parameters, 1.0, NaturalGradientOptions())
    assert step.accepted
    assert problem.mean_kl(before, step.parameters) == pytest.approx(step.kl)
    assert 0.0 < step.kl <= 1.0
    assert float(loss_of(problem)(step.parameters)) == pytest.approx(step.objective)
    assert step.objective < step.objective_before


def test_conjugate_gradient_solves_a_semidefinite_system_within_its_range() -> None:
    generator = torch.Generator().manual_seed(0)
    half = torch.randn(6, 9, dtype=torch.float64, generator=generator)
    a = half.T @ half
    b = a @ torch.randn(9, dtype=torch.float64, generator=generator)
    x, iterations = conjugate_gradient(lambda v: a @ v, b, 100, 1e-12)
    torch.testing.assert_close(a @ x, b, rtol=1e-8, atol=1e-8)
    # the rank is 6, and from zero the solution of least norm is found
    torch.testing.assert_close(x, torch.linalg.pinv(a) @ b, rtol=1e-6, atol=1e-8)
    assert iterations <= 9


def test_where_there_is_no_gradient_there_is_no_step(problem: PolicyProblem, parameters: Tensor) -> None:
    zero = torch.zeros_like(parameters)
    step = natural_step(parameters, problem.heads, zero, lambda p: 0.0, lambda p: 1.0, 1.0, metric=lambda v: v)
    assert not step.accepted
    assert step.parameters is parameters


def test_an_objective_that_does_not_fall_gives_no_step(problem: PolicyProblem, parameters: Tensor) -> None:
    g = torch.ones_like(parameters)
    step = natural_step(parameters, problem.heads, g, lambda p: 0.0, lambda p: 1.0, 1.0, metric=lambda v: v)
    assert not step.accepted
    assert step.parameters is parameters


def test_a_gradient_that_is_not_finite_and_a_bound_of_zero_are_refused(
    problem: PolicyProblem, parameters: Tensor
) -> None:
    bad = torch.full_like(parameters, float("nan"))
    with pytest.raises(SolverError, match="not finite"):
        natural_step(parameters, problem.heads, bad, lambda p: 0.0, lambda p: 1.0, 1.0, metric=lambda v: v)
    with pytest.raises(InvalidFieldError, match="bound"):
        natural_step(parameters, problem.heads, bad, lambda p: 0.0, lambda p: 1.0, 0.0, metric=lambda v: v)
    for option in ({"damping": -1.0}, {"acceptance": 1.0}, {"cg_iterations": 0}, {"cg_tolerance": 0.0}):
        with pytest.raises(InvalidFieldError, match=next(iter(option))):
            NaturalGradientOptions(**option)
