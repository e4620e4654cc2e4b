"""Natural policy gradient: advantages, its step, and what it learns where the best is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_are

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.evaluation import learn
from mbpl_control.multitask.batch_problem import BatchProblem, mean_return, run_batch
from mbpl_control.multitask.natural_policy_gradient import (
    NaturalPolicyGradient,
    PolicyGradientOptions,
    advantages,
    explore,
    first_policy,
    improve,
    log_densities,
    values_of,
)
from mbpl_control.multitask.pendulum import pendulum
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture
from mbpl_control.policies.network import PolicyNetwork, gaussian_kl

A = np.array([[1.0, 0.1], [0.0, 1.0]])
B = np.array([[0.005], [0.1]])
Q, R = np.diag([1.0, 0.1]), np.array([[0.1]])
LINEAR = PolicyArchitecture((), covariance="state_dependent")
SMALL = PolicyArchitecture((8,), activation="tanh", covariance="state_dependent")


def double_integrator() -> BatchProblem:
    """Linear dynamics and a quadratic cost: the best policy is known."""
    state = StateDefinition(
        (
            StateBlock("joint_positions", ("x",), ("euclidean",), ("m",)),
            StateBlock("joint_velocities", ("x",), ("euclidean",), ("m/s",)),
        )
    )
    action = ActionDefinition(("x",), ("x",), "effort", ("N",), np.array([-10.0]), np.array([10.0]))
    a, b, q, r = (torch.from_numpy(each) for each in (A, B, Q, R))
    return BatchProblem(
        "double integrator",
        state,
        action,
        0.1,
        60,
        lambda count, rng: rng.uniform(-1.0, 1.0, (count, 2)),
        lambda x, u: x @ a.T + u @ b.T,
        lambda x, u, _: -((x @ q) * x).sum(dim=1) - ((u @ r) * u).sum(dim=1),
    )


def test_advantages_are_td_errors_at_one_end_and_returns_at_the_other() -> None:
    rng = np.random.default_rng(0)
    rewards, values = rng.normal(size=(5, 3)), np.concatenate([rng.normal(size=(5, 3)), np.zeros((1, 3))])
    np.testing.assert_allclose(advantages(rewards, values, 0.9, 0.0), rewards + 0.9 * values[1:] - values[:-1])
    found = advantages(rewards, values, 0.9, 1.0)
    for t in range(5):
        to_go = sum(0.9 ** (k - t) * rewards[k] for k in range(t, 5))
        np.testing.assert_allclose(found[t], to_go - values[t])


def test_values_are_what_follows_where_that_is_a_function_of_the_state() -> None:
    rng = np.random.default_rng(1)
    states = rng.normal(size=(4, 30, 2))
    # the return from a step on is quadratic in its state
    to_go = np.concatenate([np.sum(states[:3] ** 2, axis=2) + 1.0, np.zeros((1, 30))])
    rewards = to_go[:-1] - 0.9 * to_go[1:]
    np.testing.assert_allclose(values_of(states, rewards, 0.9, "quadratic"), to_go, atol=1e-8)


def test_densities_are_those_of_the_policy() -> None:
    policy = first_policy(pendulum(1.0), SMALL, 0.3, seed=2)
    policy.assign(policy.parameters + 0.3 * np.random.default_rng(2).normal(size=policy.parameters.size), np.eye(1))
    x, u = np.random.default_rng(3).normal(size=(2, 5, 3))
    network = PolicyNetwork(policy)
    h = network.heads(network.layers(torch.tensor(policy.parameters)), torch.from_numpy(policy.standardise(x)))
    means, covariances = policy.distribution(x)
    expected = -0.5 * (u[:, 0] - means[:, 0]) ** 2 / covariances[:, 0, 0] - 0.5 * np.log(covariances[:, 0, 0])
    np.testing.assert_allclose(log_densities(network, h, torch.from_numpy(u[:, :1])).numpy(), expected, rtol=1e-9)


def mean_kl(before: GaussianPolicy, after: GaussianPolicy, states: Array) -> float:
    parts = [torch.from_numpy(part) for policy in (before, after) for part in policy.distribution(states)]
    factors = [torch.linalg.cholesky(part) for part in parts[1::2]]
    return float(gaussian_kl(parts[0], factors[0], parts[2], factors[1]).mean())


def test_a_step_keeps_its_bound_and_favours_what_was_better_than_expected() -> None:
    problem = double_integrator()
    policy = first_policy(problem, SMALL, 0.3, seed=4)
    rng = np.random.default_rng(4)
    batch = run_batch(problem, policy.distribution, problem.starts(200, rng), rng)
    before = GaussianPolicy.from_state(policy.to_state())
    step = improve(policy, batch, PolicyGradientOptions(kl_step=0.02))
    assert step.accepted
    moved = mean_kl(before, policy, batch.visited)
    assert moved == pytest.approx(step.kl)
    assert 0.01 < moved <= 0.02
    # it pushes towards the origin: that is what lowers the cost
    ahead = policy.means(np.array([[1.0, 0.0], [-1.0, 0.0]]))[:, 0]
    assert ahead[0] < ahead[1]


def test_a_penalty_is_part_of_what_a_step_lowers() -> None:
    problem = double_integrator()
    found = []
    for weight in (0.0, 1e3):
        policy = first_policy(problem, SMALL, 0.3, seed=5)
        rng = np.random.default_rng(5)
        batch = run_batch(problem, policy.distribution, problem.starts(40, rng), rng)
        old = torch.tensor(policy.parameters)
        improve(
            policy,
            batch,
            PolicyGradientOptions(),
            lambda _, parameters, old=old, weight=weight: weight * (parameters - old)[-4:].square().sum(),
        )
        found.append(np.abs(policy.parameters - old.numpy())[-4:].max())
    assert found[1] < 0.1 * found[0]


def test_it_comes_close_to_the_best_linear_feedback() -> None:
    problem = double_integrator()
    riccati = solve_discrete_are(A, B, Q, R)
    gain = np.linalg.solve(R + B.T @ riccati @ B, B.T @ riccati @ A)
    best = mean_return(problem, lambda x: (-x @ gain.T, np.ones((len(x), 1, 1))), 500, seed=0)
    for seed in (6, 7):
        learner = NaturalPolicyGradient(problem, seed, PolicyGradientOptions(kl_step=0.1), architecture=LINEAR)
        first = mean_return(problem, learner.policy.distribution, 500, seed=0)
        for _ in range(25):
            learner.advance()
        last = mean_return(problem, learner.policy.distribution, 500, seed=0)
        assert first < 3.0 * best
        assert 1.0 <= last / best < 1.05
        assert learner.steps == 25 * 64 * 60


def test_it_is_a_learner_by_steps_and_the_same_seed_gives_the_same_bits() -> None:
    runs = []
    for seed in (8, 8, 9):
        learner = NaturalPolicyGradient(
            double_integrator(), seed, PolicyGradientOptions(episodes=8), architecture=LINEAR
        )
        runs.append(learn(learner, budget=1000, episodes=2))
    assert [each.steps for each in runs[0]] == [480, 960, 1440]
    assert [each.returns for each in runs[0]] == [each.returns for each in runs[1]]
    assert runs[0][-1].returns != runs[2][-1].returns


def test_noise_to_explore_by_is_a_share_of_the_limits_and_leaves_the_means() -> None:
    policy = first_policy(pendulum(1.0), SMALL, 0.5, seed=10)
    policy.assign(policy.parameters + np.random.default_rng(0).normal(size=policy.parameters.size), np.eye(1))
    x = np.random.default_rng(1).normal(size=(4, 3))
    before = policy.means(x)
    explore(policy, 0.25)
    means, covariances = policy.distribution(x)
    np.testing.assert_array_equal(means, before)
    np.testing.assert_allclose(covariances, 3.75**2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"discount": 1.1}, "discount"), ({"kl_step": 0.0}, "kl_step"), ({"baseline": "cubic"}, "baseline")],
)
def test_options_out_of_range_are_named(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        PolicyGradientOptions(**arguments)
