"""The graph with a robot that no reset can put at the start: it is led there."""

from __future__ import annotations

import launch_pytest
import numpy as np
import pytest
from bringup import bringup
from launch import LaunchDescription
from launch_ros.actions import Node
from listening import Listener
from mbpl_msgs.action import RunTrial
from sensor_msgs.msg import JointState
from trying import run_whole_trial

from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.conversions import time_to_ns, trial_from_msg
from mbpl_control.nodes.qos import RECORDER
from mbpl_control.tasks import load_task

#: The stand-in for the robot has another name than the simulation: nothing can find its reset.
ROBOT = "robot"


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """The graph told that the robot is real, and a simulation in the robot's place."""
    description = bringup(task="arm_reach", robot="hardware", mpc="false", record="false", log_level="warn")
    robot = Node(
        package="mbpl_sim",
        executable="mujoco_sim",
        name=ROBOT,
        namespace="mbpl",
        parameters=[{"task": "arm_reach", "rate": 200.0}],
        ros_arguments=["--log-level", "warn"],
    )
    return LaunchDescription([robot, *description.entities])


@pytest.mark.launch(fixture=graph)
def test_a_trial_leads_the_robot_to_the_start_within_a_third_of_its_speed_limits(client: GraphClient) -> None:
    client.wait_for_services(["ilqr_controller/plan", "controller_manager/switch_controller"], 90.0)
    client.wait_status(lambda s: s.state_age >= 0.0)
    task = load_task("arm_reach")
    condition = 3
    start = task.condition(condition).state[: task.robot.nq]
    # it is elsewhere: at the first start condition
    assert np.abs(task.condition(0).state[: task.robot.nq] - start).max() > 0.1
    with Listener(client.node, JointState, "joint_states", RECORDER) as heard:
        phases: list[str] = []
        result = run_whole_trial(
            client,
            RunTrial.Goal(controller="ilqr_feedback", condition=condition),
            on_feedback=lambda feedback: phases.append(feedback.phase),
            begin=heard.messages.clear,
        )
        approach = list(heard.messages)
    trial = trial_from_msg(result.trial)
    assert "settle" in phases
    assert np.abs(trial.states[0][: task.robot.nq] - start).max() < 0.05
    assert trial.success
    # the speeds on the way: those of the states before the law was in force
    begin = time_to_ns(result.trial.header.stamp)
    speeds = np.array([m.velocity for m in approach if time_to_ns(m.header.stamp) < begin])
    assert len(speeds) > 100
    limits = task.velocity_limits()
    assert np.isfinite(limits).all()
    # 0.3 of the limit is what the path uses; noise and tracking add a little
    assert (np.abs(speeds).max(axis=0) < 0.35 * limits).all()
