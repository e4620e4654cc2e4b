"""A policy on fitted dynamics, against the recursion written out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from mbpl_control.core import Trial
from mbpl_control.gps.imagined import LOST, imagined_trials
from mbpl_control.gps.learner import GuidedPolicySearch
from mbpl_control.learning.learner import TrialRequest
from mbpl_control.learning.local_model import LocalModel
from mbpl_control.policies import GaussianPolicy
from mbpl_control.tasks import Task
from mbpl_control.tasks.learning_schema import LearningSection

Run = Callable[[Sequence[TrialRequest]], list[Trial]]


@pytest.fixture(scope="module")
def taught(balance: Task, run: Run) -> tuple[GaussianPolicy, LocalModel]:
    """A policy, and the model of start condition 1 it was taught on."""
    options = {
        "samples": 3,
        "initial": {"kind": "pd", "bias": "zero", "std": 0.05, "stiffness": 0.2, "damping": 0.05},
        "gps": {"policy_iterations": 30, "hidden": [8], "neighbours": 2},
    }
    learner = GuidedPolicySearch(balance, 4, LearningSection.model_validate(options))
    learner.learn(run(learner.requests()))
    model = learner.states[1].model
    assert model is not None
    return learner.policy, model


def test_the_first_trajectory_obeys_the_fitted_dynamics_without_noise(
    taught: tuple[GaussianPolicy, LocalModel], balance: Task
) -> None:
    policy, model = taught
    visited = imagined_trials(policy, balance, 1, model, 3, 0)[0]
    d = model.dynamics
    np.testing.assert_array_equal(visited[0], model.states[0] + model.start_mean)
    for t in range(balance.horizon - 1):
        mean = policy.distribution(balance.observe(visited[None, t : t + 1], 1)[0])[0][0]
        action = np.minimum(np.maximum(mean, balance.action.lower), balance.action.upper)
        off = d.a[t] @ (visited[t] - model.states[t]) + d.b[t] @ (action - model.actions[t]) + d.c[t]
        np.testing.assert_allclose(visited[t + 1], model.states[t + 1] + off, rtol=1e-9, atol=1e-9)


def test_the_others_carry_the_noise_that_the_fit_left_over(
    taught: tuple[GaussianPolicy, LocalModel], balance: Task
) -> None:
    policy, model = taught
    visited = imagined_trials(policy, balance, 1, model, 20_001, 5)
    away = visited[1:, 1] - visited[0, 1]
    covariance, scale = away.T @ away / 20_000, np.sqrt(np.diagonal(model.dynamics.noise[0]))
    # a covariance of 20 000 draws has an error of at most 1 % of the product of its deviations
    assert (np.abs(covariance - model.dynamics.noise[0]) <= 0.05 * np.outer(scale, scale) + 1e-15).all()
    again = imagined_trials(policy, balance, 1, model, 20_001, 5)
    assert again.tobytes() == visited.tobytes()


def test_dynamics_that_blow_up_lead_no_further_than_a_stated_distance(
    taught: tuple[GaussianPolicy, LocalModel], balance: Task
) -> None:
    policy, model = taught
    wild = replace(model.dynamics, a=50.0 * model.dynamics.a)
    visited = imagined_trials(policy, balance, 1, replace(model, dynamics=wild), 4, 0)
    away = np.abs(visited - model.states[:-1])
    assert np.isfinite(visited).all()
    assert away.max() == pytest.approx(LOST)
