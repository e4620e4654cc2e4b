"""A policy as a law around trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbpl_control.fitting.local_dynamics import fit_local_dynamics
from mbpl_control.fitting.prior import MixturePrior, PriorOptions
from mbpl_control.gps.linearisation import linearise, policy_at
from mbpl_control.learning.local_model import LocalModel, TrialSet, mean_expansion
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture
from mbpl_control.tasks import Task, load_task

RIDGE = 1e-8


@pytest.fixture(scope="module")
def push(task_files: Path) -> Task:
    """A task whose states are plain numbers, one of whose blocks a policy sees relative to the target."""
    return load_task(task_files / "puck_push.yaml")


def trials_of(task: Task, count: int, random: int) -> TrialSet:
    rng = np.random.default_rng(random)
    states = rng.normal(size=(count, task.horizon + 1, task.state.size))
    return TrialSet(states, rng.normal(size=(count, task.horizon, task.action.size)), np.zeros(count))


def model_of(task: Task, trials: TrialSet, condition: int) -> LocalModel:
    """A model whose reference is the trials' mean; its dynamics and cost do not matter here."""
    x, u = trials.mean_states, trials.mean_actions
    cost = mean_expansion(
        [task.learning_cost(condition).quadratize(x, u)], x, u, TrialSet(x[None], u[None], np.zeros(1))
    )
    n = x.shape[1]
    return LocalModel(x, u, fit_local_dynamics(trials.states, trials.actions), cost, np.zeros(n), np.eye(n))


def linear_policy(task: Task, covariance: np.ndarray) -> tuple[GaussianPolicy, np.ndarray, np.ndarray]:
    """A policy without hidden layers that looks at no angle, with W and b of its u = W o + b."""
    policy = GaussianPolicy(task.observation, task.action, task.dt, seed=1, architecture=PolicyArchitecture(hidden=()))
    lines = np.array([space == "euclidean" for space in task.observation.space.spaces])
    rng = np.random.default_rng(2)
    weights, bias = np.zeros((task.action.size, lines.size)), rng.normal(size=task.action.size)
    weights[:, lines] = rng.normal(size=(task.action.size, lines.sum()))
    # of the network's inputs plain numbers come first
    layer = np.zeros((task.action.size, policy.features.size))
    layer[:, : lines.sum()] = weights[:, lines]
    policy.assign(np.concatenate([layer.ravel(), bias]), covariance)
    return policy, weights, bias


def test_a_policy_that_is_linear_in_what_it_sees_has_its_own_gain_at_every_step(push: Task) -> None:
    m = push.action.size
    sigma = 0.1 * np.eye(m) + 0.02
    policy, weights, bias = linear_policy(push, sigma)
    # enough trials to determine a gain at each step, of two conditions with targets of their own
    trials = {c: trials_of(push, 30, c) for c in (0, 2)}
    models = {c: model_of(push, trials[c], c) for c in trials}
    at = {c: policy_at(policy, push, c, trials[c]) for c in trials}
    shifts = {c: np.zeros(push.state.size) for c in trials}
    # a prior that counts for next to nothing
    prior = MixturePrior(PriorOptions(clusters=4, window=60, strength=1e-9))
    laws = linearise(at, models, shifts, prior, RIDGE)
    # dπ/dx = W do/dx; the observation is affine in the state, so its columns are differences
    eye = np.eye(push.state.size)
    for c, law in laws.items():
        zero = push.observe(np.zeros((1, push.state.size)), c)
        gain = weights @ (push.observe(eye, c) - zero).T
        np.testing.assert_allclose(law.gains, np.tile(gain, (push.horizon, 1, 1)), atol=1e-5)
        # in deviations from the reference: k is what the policy does there beyond the reference's action
        there = push.observe(models[c].states[:-1], c) @ weights.T + bias
        np.testing.assert_allclose(law.feedforward, there - models[c].actions, atol=1e-5)
        # nothing is left over by the regression but what the ridge makes
        np.testing.assert_allclose(law.covariances, np.tile(sigma, (push.horizon, 1, 1)), atol=1e-5)


def test_what_the_prior_sees_shifted_does_not_move_the_law(push: Task) -> None:
    policy, _, _ = linear_policy(push, np.eye(push.action.size))
    trials = trials_of(push, 30, 5)
    models, at = {1: model_of(push, trials, 1)}, {1: policy_at(policy, push, 1, trials)}
    rng = np.random.default_rng(6)
    laws = []
    for shift in (np.zeros(push.state.size), rng.normal(size=push.state.size)):
        prior = MixturePrior(PriorOptions(clusters=2, window=30, strength=1e-9))
        laws.append(linearise(at, models, {1: shift}, prior, RIDGE)[1])
    np.testing.assert_allclose(laws[0].gains, laws[1].gains, atol=1e-5)
    np.testing.assert_allclose(laws[0].feedforward, laws[1].feedforward, atol=1e-5)


def test_what_a_nonlinear_policy_leaves_over_is_added_to_its_own_covariance(push: Task) -> None:
    policy = GaussianPolicy(
        push.observation, push.action, push.dt, seed=3, architecture=PolicyArchitecture(hidden=(16,))
    )
    trials = trials_of(push, 30, 7)
    at = policy_at(policy, push, 0, trials)
    prior = MixturePrior(PriorOptions(clusters=2, window=30, strength=1e-9))
    law = linearise({0: at}, {0: model_of(push, trials, 0)}, {0: np.zeros(push.state.size)}, prior, RIDGE)[0]
    for t in (0, 40):
        x = np.column_stack([at.states[:, t], np.ones(30)])
        left = at.means[:, t] - x @ np.linalg.lstsq(x, at.means[:, t], rcond=None)[0]
        np.testing.assert_allclose(law.covariances[t], np.eye(push.action.size) + left.T @ left / 30, atol=1e-4)


def test_a_blind_policy_sees_joints_alone_and_is_linearised_in_the_whole_state(task_files: Path) -> None:
    task = load_task(task_files / "arm_peg_blind.yaml")
    assert (task.state.size, task.observation.size) == (26, 14)
    policy, weights, _ = linear_policy(task, np.eye(7))
    trials = trials_of(task, 60, 9)
    at = policy_at(policy, task, 0, trials)
    assert at.observations.shape == (60, 100, 14)
    # the same joints, whatever the target: no difference between start conditions
    np.testing.assert_array_equal(at.means, policy_at(policy, task, 3, trials).means)
    prior = MixturePrior(PriorOptions(clusters=2, window=60, strength=1e-9))
    law = linearise({0: at}, {0: model_of(task, trials, 0)}, {0: np.zeros(26)}, prior, RIDGE)[0]
    # the joints come first in the state; what the policy does not see gets no gain
    np.testing.assert_allclose(law.gains, np.tile(np.hstack([weights, np.zeros((7, 12))]), (100, 1, 1)), atol=1e-5)
