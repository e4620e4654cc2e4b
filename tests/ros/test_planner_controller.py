"""A planner on a learned model and on the task's own, on the running graph in lockstep."""

from __future__ import annotations

from pathlib import Path

import launch_pytest
import numpy as np
import pytest
from bringup import bringup
from launch import LaunchDescription
from mbpl_msgs.action import RunTrial

from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core import ExecutionMode, RefusedError
from mbpl_control.mbrl.keeping import load_model, save_model
from mbpl_control.mbrl.learned_dynamics import transitions_of
from mbpl_control.mbrl.learned_model import LearnedModel
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics
from mbpl_control.mbrl.planning.feedback import PlannerFeedback
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.policies import GaussianPolicy
from mbpl_control.tasks import load_task

TASK = "rotary_pendulum_balance"
RATE = 80.0
SERVICES = ("mujoco_sim/reset", "controller_manager/switch_controller", "planner_controller/plan")


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A linear model of what an untrained policy did with much noise."""
    task = load_task(TASK)
    agent = AgentRecipe.in_lockstep(task, RATE).build()
    policy = GaussianPolicy(task.observation, task.action, task.dt, seed=0, task=task.name)
    policy.assign(policy.parameters, 0.01 * np.eye(task.action.size))
    trials = [agent.run(policy, ExecutionMode.SAMPLED, 0, seed) for seed in range(4)]
    dynamics = MixtureDynamics(task.state.size, task.action.size, seed=0)
    dynamics.learn(transitions_of(trials))
    model = LearnedModel(dynamics, task.state, task.action, task.dt)
    return save_model(model, tmp_path_factory.mktemp("learned") / "model.npz")


@launch_pytest.fixture(scope="module")
def graph(domain: int, learned: Path) -> LaunchDescription:
    """The graph of a small task with a planner on the learned model."""
    return bringup(
        "mbpl.launch.py",
        task=TASK,
        mode="lockstep",
        rate=str(RATE),
        mpc="false",
        record="false",
        learned_model=str(learned),
        planner="mppi",
        seed="3",
        log_level="warn",
    )


@pytest.fixture(autouse=True)
def _everything_is_up(client: GraphClient) -> None:
    client.wait_for_services(SERVICES, 90.0)


@pytest.mark.launch(fixture=graph)
def test_a_trial_of_a_planner_does_at_each_state_what_the_planner_does_in_process_to_the_last_bit(
    client: GraphClient, learned: Path
) -> None:
    task = load_task(TASK)
    client.wait_status(lambda status: status.state_age >= 0.0, 60.0)
    for condition in (0, 1, 0):
        goal = RunTrial.Goal(controller="planner", condition=condition, seed=1)
        trial = convert.trial_from_msg(client.run_trial(goal).trial)
        assert trial.stop_reason == "completed" and trial.steps == task.horizon
        feedback = PlannerFeedback(load_model(learned), task, condition, "mppi", seed=3)
        expected = np.array([feedback.at(x, step).nominal_action for step, x in enumerate(trial.states[:-1])])
        # the limits of rate and speed lead a few commands elsewhere; a plan that went astray would all be another
        exact = (trial.actions == expected).all(axis=1)
        assert exact.mean() >= 0.9, trial.actions - expected


@pytest.mark.launch(fixture=graph)
def test_a_file_that_holds_no_model_of_the_robot_changes_nothing(
    client: GraphClient, learned: Path, tmp_path: Path
) -> None:
    before = client.set_checkpoint(learned, "planner_controller")
    assert before.startswith(str(learned))
    with pytest.raises(RefusedError, match="no such file"):
        client.set_checkpoint(tmp_path / "none.npz", "planner_controller")
    model = load_model(learned)
    slow = save_model(LearnedModel(model.learned, model.state, model.action, 2.0 * model.dt), tmp_path / "slow.npz")
    with pytest.raises(RefusedError, match="a step of the model lasts"):
        client.set_checkpoint(slow, "planner_controller")
    assert client.set_checkpoint(learned, "planner_controller") == before


@pytest.mark.launch(fixture=graph)
def test_on_the_tasks_own_model_a_trial_balances_the_rod_as_the_planner_does_in_process(
    client: GraphClient, learned: Path
) -> None:
    task = load_task(TASK)
    assert client.set_checkpoint(Path("task"), "planner_controller") == f"task {task.hash}"
    trial = convert.trial_from_msg(client.run_trial(RunTrial.Goal(controller="planner", condition=1, seed=1)).trial)
    assert trial.stop_reason == "completed" and trial.success
    feedback = PlannerFeedback(task.dynamics(condition=1), task, 1, "mppi", seed=3)
    expected = np.array([feedback.at(x, step).nominal_action for step, x in enumerate(trial.states[:-1])])
    assert (trial.actions == expected).all(axis=1).mean() >= 0.9, trial.actions - expected
    client.set_checkpoint(learned, "planner_controller")
