"""Policies in trials, in process."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.agents import MujocoAgent, SimulationOptions
from mbpl_control.agents.pool import AgentRunner
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core import DefinitionMismatchError, ExecutionMode
from mbpl_control.learning.learner import TrialRequest
from mbpl_control.policies import GaussianPolicy
from mbpl_control.policies.feedback import PolicyFeedback
from mbpl_control.runtime import ManagerConfig
from mbpl_control.tasks import Task, load_task


@pytest.fixture(scope="module")
def task(task_files: Path) -> Task:
    return load_task(task_files / "reacher_2link.yaml")


@pytest.fixture(scope="module")
def policy(task: Task) -> GaussianPolicy:
    """A policy whose actions stay within the limits, with correlated noise."""
    made = GaussianPolicy(task.observation, task.action, task.dt, seed=2, task=task.name)
    made.assign(made.parameters, np.array([[0.09, 0.03], [0.03, 0.04]]))
    return made


def test_at_one_state_a_step_the_robot_gets_what_the_policy_says_there(task: Task, policy: GaussianPolicy) -> None:
    trial = AgentRecipe.in_lockstep(task).build().run(policy, ExecutionMode.MEAN, 1, seed=3)
    assert (trial.stop_reason, trial.steps, trial.controller) == ("completed", task.horizon, "policy")
    expected = policy.means(task.observe(trial.states[:-1], 1))
    assert np.abs(expected).max() < task.action.upper.min()
    np.testing.assert_allclose(trial.actions, expected, rtol=1e-12)


def test_a_sampled_policy_adds_draws_of_its_covariance_that_follow_from_the_seed(task: Task, policy) -> None:
    trial = AgentRecipe.in_lockstep(task).build().run(policy, ExecutionMode.SAMPLED, 0, seed=8)
    values, vectors = np.linalg.eigh(policy.covariance)
    root = vectors @ np.diag(np.sqrt(values)) @ vectors.T
    draws = np.random.default_rng(8).standard_normal((task.horizon, 2)) @ root
    noise = trial.actions - policy.means(task.observe(trial.states[:-1], 0))
    np.testing.assert_allclose(noise, draws, atol=1e-12)


def test_between_the_steps_the_jacobian_answers(task: Task, policy: GaussianPolicy) -> None:
    # two states a step and two actions: the mean over a step is that of both answers
    trial_at = {}
    for rate in (20.0, 40.0):
        config = ManagerConfig(rate=rate, state_timeout=0.2, blend_time=0.0, stream_blend_time=0.0)
        agent = MujocoAgent(task, SimulationOptions(rate=rate), config)
        trial_at[rate] = agent.run(policy, ExecutionMode.MEAN, 0, seed=0)
    first = policy.means(task.observe(trial_at[40.0].states[:1], 0))[0]
    assert not np.allclose(trial_at[40.0].actions[0], first, rtol=1e-6)
    np.testing.assert_allclose(trial_at[20.0].actions[0], first, rtol=1e-12)


def test_the_knot_holds_the_derivative_of_the_action_by_the_state(task: Task, policy: GaussianPolicy) -> None:
    x = 0.1 * np.random.default_rng(1).standard_normal(task.state.size)
    knot = PolicyFeedback(policy, task, 2).at(x)
    steps = 1e-6 * np.eye(task.state.size)
    columns = [policy.means(task.observe(np.array([x + s, x - s]), 2)) for s in steps]
    numeric = np.array([(c[0] - c[1]) / 2e-6 for c in columns]).T
    np.testing.assert_allclose(knot.gain, numeric, atol=1e-7)
    np.testing.assert_array_equal(knot.reference_state, x)
    np.testing.assert_array_equal(knot.covariance, policy.covariance)


def test_an_action_beyond_the_limits_is_planned_within_them(task: Task, policy: GaussianPolicy) -> None:
    strong = GaussianPolicy.from_state(policy.to_state())
    strong.assign(1e3 * policy.parameters, policy.covariance)
    x = np.full(task.state.size, 0.5)
    assert np.abs(strong.means(task.observe(x[None], 0))).max() > 2.0 * task.action.upper.max()
    action = PolicyFeedback(strong, task, 0).at(x).nominal_action
    assert (action <= task.action.upper).all() and (action >= task.action.lower).all()


def test_states_that_get_lost_leave_the_last_answer_in_force(task: Task, policy: GaussianPolicy) -> None:
    recipe = AgentRecipe.in_lockstep(task)
    lossy = replace(recipe, options=replace(recipe.options, drop_states=0.05))
    trial = lossy.build().run(policy, ExecutionMode.MEAN, 0, seed=1)
    assert trial.stop_reason == "completed"
    assert trial.metadata["interpolated_states"] > 0


def test_a_policy_of_another_task_is_refused_with_the_difference(task: Task, task_files: Path) -> None:
    other = load_task(task_files / "rotary_pendulum_balance.yaml")
    agent = AgentRecipe.in_lockstep(task).build()
    stranger = GaussianPolicy(other.observation, other.action, other.dt, seed=0, task=other.name)
    with pytest.raises(DefinitionMismatchError, match="for task 'rotary_pendulum_balance'; this is 'reacher_2link'"):
        agent.run(stranger, ExecutionMode.MEAN, 0, seed=0)
    unnamed = GaussianPolicy(task.observation, task.action, 0.5 * task.dt, seed=0)
    with pytest.raises(DefinitionMismatchError, match="asked every 0.025 s; a step of task 'reacher_2link' lasts 0.05"):
        agent.run(unnamed, ExecutionMode.MEAN, 0, seed=0)


def test_a_policy_that_asks_for_the_impossible_is_a_trial_that_ended_early(task: Task, policy) -> None:
    steep = GaussianPolicy.from_state(policy.to_state())
    steep.assign(1e8 * policy.parameters, policy.covariance)
    (trial,) = AgentRunner(AgentRecipe.in_lockstep(task).build()).run([TrialRequest(steep, ExecutionMode.MEAN, 0, 0)])
    assert trial.steps < task.horizon
    assert "above max_gain" in trial.stop_reason
