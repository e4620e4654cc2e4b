"""The loss of distillation, and its last layer in closed form."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.distributions import MultivariateNormal, kl_divergence

from mbpl_control.core import InvalidFieldError
from mbpl_control.policies import PolicyTargets
from mbpl_control.policies.problem import PolicyProblem


def loss(problem: PolicyProblem, parameters: torch.Tensor) -> float:
    return float(problem.loss(problem.network.layers(parameters)))


def test_errors_count_by_precision_in_units_in_which_the_mean_precision_is_one(make_policy, make_targets) -> None:
    policy = make_policy()
    targets = make_targets(policy)
    weights = targets.weights / targets.weights.sum()
    error = policy.means(targets.observations) - targets.means
    plain = 0.5 * np.einsum("i,ij,ijk,ik->", weights, error, targets.precisions, error)
    s = policy.action_scale
    traces = np.einsum("i,ijj,j->", weights, targets.precisions, s**2)
    problem = PolicyProblem(policy, targets)
    assert loss(problem, torch.tensor(policy.parameters)) == pytest.approx(2.0 * plain / traces, rel=1e-12)


def test_other_units_of_the_actions_and_surer_targets_leave_the_loss_as_it_is(make_policy, make_targets) -> None:
    policy = make_policy()
    targets = make_targets(policy)
    here = loss(PolicyProblem(policy, targets), torch.tensor(policy.parameters))
    policy.action_scale = 1000.0 * policy.action_scale
    other = PolicyTargets(
        targets.observations, 1000.0 * targets.means, 0.03 * targets.precisions, 7.0 * targets.weights
    )
    assert loss(PolicyProblem(policy, other), torch.tensor(policy.parameters)) == pytest.approx(here, rel=1e-12)


def test_the_loss_of_a_state_dependent_covariance_is_the_kl_divergence_to_the_targets(
    make_policy, make_targets
) -> None:
    policy = make_policy(covariance="state_dependent", size=3)
    targets = make_targets(policy)
    means, covariances = (torch.tensor(a) for a in policy.distribution(targets.observations))
    theirs = MultivariateNormal(torch.tensor(targets.means), precision_matrix=torch.tensor(targets.precisions))
    kl = kl_divergence(MultivariateNormal(means, covariances), theirs).numpy()
    expected = np.average(kl, weights=targets.weights)
    assert loss(PolicyProblem(policy, targets), torch.tensor(policy.parameters)) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("covariance", ["constant", "state_dependent"])
def test_the_last_layer_of_a_linear_policy_is_weighted_least_squares(
    make_policy, make_targets, covariance: str
) -> None:
    policy = make_policy(hidden=(), covariance=covariance)
    targets = make_targets(policy)
    solved = PolicyProblem(policy, targets).solve_last_layer(torch.tensor(policy.parameters), 1e-13)
    policy.assign(solved.numpy(), policy.covariance)
    # whiten each target's row by the Cholesky factor of its precision: an ordinary least squares problem
    inputs = np.hstack([policy.standardise(targets.observations), np.ones((targets.count, 1))])
    roots = np.sqrt(targets.weights)[:, None, None] * np.linalg.cholesky(targets.precisions).transpose(0, 2, 1)
    design = np.einsum("ijk,il->ijkl", roots, inputs).reshape(2 * targets.count, -1)
    right = np.einsum("ijk,ik->ij", roots, targets.means).ravel()
    solution = np.linalg.lstsq(design, right)[0].reshape(2, -1)
    np.testing.assert_allclose(policy.means(targets.observations), inputs @ solution.T, rtol=1e-8, atol=1e-8)


def test_the_last_layer_never_gets_worse_and_stays_where_no_target_says_otherwise(make_policy, make_targets) -> None:
    policy = make_policy(hidden=(30,))
    targets = make_targets(policy, count=6)  # fewer than the units
    problem = PolicyProblem(policy, targets)
    old = torch.tensor(policy.parameters)
    losses = [loss(problem, problem.solve_last_layer(old, ridge)) for ridge in (1e-9, 1e-3, 1.0, 1e6)]
    assert losses[0] < 1e-9
    assert sorted(losses) == losses
    assert losses[-1] <= loss(problem, old)
    change = problem.network.layers(problem.solve_last_layer(old, 1e-6) - old)
    hidden = problem.network.hidden(problem.network.layers(old), problem.inputs)
    seen = torch.cat([hidden, torch.ones(6, 1, dtype=torch.float64)], dim=1)
    # what changed lies in the span of what the six targets' hidden units were
    across = torch.cat([change[-2], change[-1][:, None]], dim=1).T
    rest = across - seen.T @ torch.linalg.lstsq(seen.T, across).solution
    assert float(rest.norm()) < 1e-6 * float(across.norm())
    assert all(float(part.abs().max()) == 0.0 for part in change[:-2])


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("observations", lambda t: {"observations": np.zeros((0, 4))}),
        ("means", lambda t: {"means": t.means[1:]}),
        ("precisions", lambda t: {"precisions": -t.precisions}),
        ("weights", lambda t: {"weights": -t.weights}),
        ("weights", lambda t: {"weights": 0.0 * t.weights}),
        ("means", lambda t: {"means": np.nan * t.means}),
    ],
)
def test_targets_that_are_none_are_refused(make_policy, make_targets, field: str, change) -> None:
    targets = make_targets(make_policy())
    fields = {name: getattr(targets, name) for name in ("observations", "means", "precisions", "weights")}
    with pytest.raises(InvalidFieldError, match=field):
        PolicyTargets(**{**fields, **change(targets)})


def test_a_target_sure_about_nothing_is_refused_for_a_state_dependent_covariance(make_policy, make_targets) -> None:
    policy = make_policy(covariance="state_dependent")
    targets = make_targets(policy)
    precisions = np.array(targets.precisions)
    precisions[3] = 0.0
    with pytest.raises(InvalidFieldError, match="singular"):
        PolicyProblem(policy, PolicyTargets(targets.observations, targets.means, precisions))
