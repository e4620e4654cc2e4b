"""Trials through the action of the trial runner, on the graph in lockstep."""

from __future__ import annotations

import threading
from pathlib import Path

import launch_pytest
import numpy as np
import pytest
from bringup import SERVICES, bringup
from launch import LaunchDescription
from mbpl_msgs.action import RunTrial
from mbpl_msgs.srv import LoadController

from mbpl_control.agents import MujocoAgent
from mbpl_control.agents.ros import RosAgent
from mbpl_control.core import ExecutionMode, LinearGaussianController, RefusedError
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.conversions import controller_to_msg, trial_from_msg
from mbpl_control.runtime import ManagerConfig
from mbpl_control.tasks import load_task
from mbpl_control.trajopt.planning import plan_task, task_controller


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """The graph of arm_reach, waiting for each command."""
    return bringup(task="arm_reach", mode="lockstep", mpc="false", log_level="warn")


@pytest.fixture(autouse=True)
def _everything_is_up(client: GraphClient) -> None:
    client.wait_for_services(SERVICES, 90.0)


@pytest.mark.launch(fixture=graph)
@pytest.mark.parametrize("mode", list(ExecutionMode), ids=lambda mode: mode.value)
def test_a_trial_on_the_graph_equals_the_same_trial_in_process_to_the_last_bit(
    client: GraphClient, mode: ExecutionMode
) -> None:
    task = load_task("arm_reach")
    law = task_controller(task, plan_task(task, 1))
    # lockstep executes laws to the letter: its configuration blends nothing
    here = MujocoAgent(task, config=ManagerConfig(blend_time=0.0, stream_blend_time=0.0))
    there = RosAgent(task, client)
    expected = here.run(law, mode, condition=1, seed=5)
    found = there.run(law, mode, condition=1, seed=5)
    assert found.stop_reason == expected.stop_reason == "completed"
    np.testing.assert_array_equal(found.states, expected.states)
    np.testing.assert_array_equal(found.actions, expected.actions)
    assert found.cost == expected.cost


@pytest.mark.launch(fixture=graph)
def test_the_same_seed_gives_the_same_trial_and_another_seed_another(client: GraphClient) -> None:
    goals = [RunTrial.Goal(controller="ilqr_sampled", seed=seed) for seed in (7, 7, 8)]
    first, again, other = (trial_from_msg(client.run_trial(goal).trial) for goal in goals)
    np.testing.assert_array_equal(first.states, again.states)
    np.testing.assert_array_equal(first.actions, again.actions)
    assert np.abs(first.actions - other.actions).max() > 1e-3


@pytest.mark.launch(fixture=graph)
def test_the_planner_plans_for_the_start_condition_of_each_trial(client: GraphClient) -> None:
    task = load_task("arm_reach")
    for condition in (2, 5):
        result = client.run_trial(RunTrial.Goal(controller="ilqr_feedback", condition=condition, seed=1))
        assert result.trial.success
        # measured through the task's own kinematics, from the states of the trial
        states = trial_from_msg(result.trial).states
        target = task.condition(condition).target
        tip = task.robot.kinematics.positions("tip", states[-1:, : task.robot.nq])[0]
        assert np.linalg.norm(tip - target) < 0.01
        assert result.final_distance == pytest.approx(float(np.linalg.norm(tip - target)), abs=1e-9)


@pytest.mark.launch(fixture=graph)
def test_a_trial_while_another_runs_is_rejected_and_the_first_goes_on(client: GraphClient) -> None:
    running = threading.Event()
    results: list[RunTrial.Result] = []

    def first() -> None:
        results.append(client.run_trial(RunTrial.Goal(controller="ilqr_feedback"), on_feedback=lambda _: running.set()))

    thread = threading.Thread(target=first)
    thread.start()
    assert running.wait(30.0)
    with pytest.raises(RefusedError, match="rejected; a trial may be running"):
        client.run_trial(RunTrial.Goal(controller="hold"))
    thread.join(60.0)
    assert results and results[0].ok


@pytest.mark.launch(fixture=graph)
def test_an_unknown_controller_or_condition_is_named_and_nothing_moves(client: GraphClient) -> None:
    before = client.status()
    with pytest.raises(RefusedError, match="no controller 'ilqr_fedback'"):
        client.run_trial(RunTrial.Goal(controller="ilqr_fedback"))
    with pytest.raises(RefusedError, match="no start condition 99; there are 20"):
        client.run_trial(RunTrial.Goal(controller="ilqr_feedback", condition=99))
    after = client.status()
    assert (after.active_controller, after.switches) == (before.active_controller, before.switches)


@pytest.mark.launch(fixture=graph)
def test_a_bag_that_exists_is_not_touched_and_the_trial_does_not_begin(client: GraphClient, tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    bag.mkdir()
    (bag / "precious").write_text("data")
    switches = client.status().switches
    with pytest.raises(RefusedError, match=f"bag {bag} exists already"):
        client.run_trial(RunTrial.Goal(controller="ilqr_feedback", record=True, bag=str(bag)))
    assert [p.name for p in bag.iterdir()] == ["precious"]
    assert client.status().switches == switches


@pytest.mark.launch(fixture=graph)
def test_a_trial_whose_controller_is_replaced_before_its_first_command_ends_with_the_reason(
    client: GraphClient,
) -> None:
    task = load_task("arm_reach")
    law = LinearGaussianController(
        task.state,
        task.action,
        task.dt,
        nominal_states=np.full((2, task.state.size), np.finfo(float).max),
        nominal_actions=np.zeros((1, task.action.size)),
        gains=np.full((1, task.action.size, task.state.size), 2.0),  # what they give is infinite, though no field is
    )
    message = controller_to_msg(law)
    client.load(LoadController.Request(name="overflows", type="linear_gaussian", mode="mean", law=[message]))
    with pytest.raises(RefusedError, match="replaced before its first command: .*not finite"):
        client.run_trial(RunTrial.Goal(controller="overflows"))
    assert client.wait_status(lambda s: s.mode == "fallback", 5.0).active_controller != "overflows"
    client.unload("overflows")
    assert client.run_trial(RunTrial.Goal(controller="ilqr_feedback")).ok


@pytest.mark.launch(fixture=graph)
def test_a_cancelled_trial_leaves_the_robot_held(client: GraphClient) -> None:
    with pytest.raises(RefusedError, match="cancelled"):
        client.run_trial(
            RunTrial.Goal(controller="ilqr_feedback"),
            on_feedback=lambda feedback: client.cancel_trial() if feedback.phase == "run" else None,
        )
    status = client.wait_status(lambda s: s.active_controller == "hold", 5.0)
    assert status.mode == "active"
    # and the next trial runs as if nothing had been
    assert client.run_trial(RunTrial.Goal(controller="ilqr_feedback")).ok
