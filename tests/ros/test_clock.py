"""A robot whose clock begins anew, as a simulation's does that is started again beside a graph that goes on."""

from __future__ import annotations

from collections.abc import Iterator

import launch_pytest
import pytest
from launch import LaunchDescription
from launch_pytest.actions import ReadyToTest
from launch_ros.actions import Node as NodeAction
from listening import Listener
from mbpl_msgs.msg import JointCommand
from still_robot import StillRobot

from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import RECORDER

TASK = "pendulum_swingup"


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """Estimator and manager, without a robot."""
    nodes = [
        NodeAction(package="mbpl_control", executable=kind, name=kind, namespace="/mbpl", parameters=[{"task": TASK}])
        for kind in ("state_estimator", "controller_manager")
    ]
    return LaunchDescription([*nodes, ReadyToTest()])


@pytest.fixture(scope="module")
def robot(client: GraphClient) -> Iterator[StillRobot]:
    """The robot."""
    yield StillRobot(client, TASK)


@pytest.mark.launch(fixture=graph)
def test_after_a_clock_that_began_anew_the_robot_is_held_and_a_switch_is_all_it_takes(
    client: GraphClient, robot: StillRobot
) -> None:
    client.wait_for_services(["controller_manager/switch_controller"], 60.0)
    client.activate("hold", 30.0)
    robot.silent = True
    assert "no state for" in client.wait_status(lambda s: s.mode in ("fallback", "zero"), 10.0).reason
    client.wait_status(lambda s: s.state_age > 0.2, 10.0)
    robot.stamp_ns, robot.silent = 2_000_000_000, False
    status = client.wait_status(lambda s: s.header.stamp.sec < 50, 10.0)
    assert status.mode == "fallback"
    assert "the robot's clock was set back by" in status.reason
    client.activate("hold")
    with Listener(client.node, JointCommand, "joint_commands", RECORDER) as heard:
        heard.wait(lambda m: m and m[-1].controller == "hold" and 2 <= m[-1].header.stamp.sec < 50)
