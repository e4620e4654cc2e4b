"""Trials in process: the manager's own code on the simulated robot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.agents import Disturbance, MujocoAgent, SimulationOptions
from mbpl_control.core import ExecutionMode, InvalidFieldError, LinearGaussianController, TaskError, Trial
from mbpl_control.runtime import ManagerConfig
from mbpl_control.tasks import Task, load_task
from mbpl_control.trajopt.planning import plan_task, task_controller


@pytest.fixture(scope="module")
def task(task_files: Path) -> Task:
    return load_task(task_files / "arm_reach.yaml")


@pytest.fixture(scope="module")
def law(task: Task) -> LinearGaussianController:
    return task_controller(task, plan_task(task))


def content(trial: Trial) -> bytes:
    return b"".join(getattr(trial, name).tobytes() for name in ("states", "actions", "costs", "times"))


def test_the_plan_is_carried_out_and_judged_by_the_task(task: Task, law: LinearGaussianController) -> None:
    trial = MujocoAgent(task).run(law, ExecutionMode.MEAN, 0, seed=3)
    assert (trial.stop_reason, trial.success, trial.controller, trial.seed) == ("completed", True, law.name, 3)
    assert (trial.task, trial.task_hash, trial.condition) == (task.name, task.hash, 0)
    assert trial.steps == law.steps
    np.testing.assert_allclose(
        trial.costs, task.cost(0).evaluate(trial.states[:, : task.robot.state.size], trial.actions)
    )
    np.testing.assert_allclose(trial.times, task.dt * np.arange(law.steps + 1))
    assert task.distances(trial.states, 0)[-1] < 0.01
    # where it began it was put, up to the noise of the sensors
    start = task.conditions[0].state
    np.testing.assert_allclose(trial.states[0][: start.size], start, atol=0.02)


@pytest.mark.parametrize("mode", list(ExecutionMode))
def test_the_same_seed_gives_the_same_trial_to_the_last_bit(task: Task, law, mode: ExecutionMode) -> None:
    agent = MujocoAgent(task)
    first = agent.run(law, mode, 0, seed=11)
    other = agent.run(law, mode, 1, seed=12)
    again = agent.run(law, mode, 0, seed=11)
    fresh = MujocoAgent(task).run(law, mode, 0, seed=11)
    assert content(first) == content(again) == content(fresh)
    assert content(first) != content(agent.run(law, mode, 0, seed=12))
    assert content(first) != content(other)


def test_feedback_brings_a_pushed_arm_back_and_the_plan_alone_does_not(task: Task, law) -> None:
    push = Disturbance("forearm", np.array([0.0, 60.0, 0.0, 0.0, 0.0, 0.0]), 0.8, 0.2)
    options = SimulationOptions(mass_scale=1.2)
    agent = MujocoAgent(task, options, disturbances=[push])
    ends = {
        mode: task.distances(agent.run(law, mode, 0, seed=1).states, 0)[-1]
        for mode in (ExecutionMode.MEAN, ExecutionMode.OPEN_LOOP)
    }
    assert ends[ExecutionMode.MEAN] < 0.02
    assert ends[ExecutionMode.OPEN_LOOP] > 5.0 * ends[ExecutionMode.MEAN]


def test_noise_of_the_law_makes_trials_differ_by_its_size(task: Task, law) -> None:
    noise = np.tile(4.0 * np.eye(7), (3, 1, 1))
    loud = replace(law.truncated(0, 3), covariances=noise, execution="zero_order")
    agent = MujocoAgent(task, SimulationOptions(), ManagerConfig(blend_time=0.0))
    quiet = agent.run(replace(loud, covariances=np.zeros_like(loud.covariances)), ExecutionMode.SAMPLED, 0, 0)
    first = [agent.run(loud, ExecutionMode.SAMPLED, 0, seed).actions[0] - quiet.actions[0] for seed in range(60)]
    # step 0 begins at the same state in all of them; a standard deviation of N draws has relative spread 1 / √(2 N)
    np.testing.assert_allclose(np.std(first, axis=0)[:4], 2.0, rtol=4 / np.sqrt(120))


def test_a_trial_that_cannot_go_on_says_why_and_keeps_what_it_had(task: Task, law) -> None:
    options = SimulationOptions(drop_states=0.97)
    trial = MujocoAgent(task, options).run(law, ExecutionMode.MEAN, 0, seed=0)
    assert trial.stop_reason.startswith("aborted: no state for 0.1")
    assert 0 < trial.steps < law.steps
    assert not trial.success
    # a cost is one of a whole trajectory
    assert np.isnan(trial.cost)


def test_steps_that_do_not_fit_are_refused(task: Task, law) -> None:
    with pytest.raises(InvalidFieldError, match=r"rate: found 210 Hz; must be a whole multiple of 1 / dt = 50 Hz"):
        MujocoAgent(task, SimulationOptions(rate=210.0))
    with pytest.raises(InvalidFieldError, match=r"dt: found 0\.01 s; must be 0\.02 s, the step of the task"):
        MujocoAgent(task).run(replace(law, dt=0.01), ExecutionMode.MEAN, 0, 0)
    with pytest.raises(TaskError, match="no start condition 99"):
        MujocoAgent(task).run(law, ExecutionMode.MEAN, 99, 0)
