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
from sensor_msgs.msg import JointState

from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import RECORDER, SENSOR
from mbpl_control.tasks import load_task

TASK = "pendulum_swingup"
PERIOD = 0.005


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """Estimator and manager, without a robot."""
    nodes = [
        NodeAction(package="mbpl_control", executable=kind, name=kind, namespace="/mbpl", parameters=[{"task": TASK}])
        for kind in ("state_estimator", "controller_manager")
    ]
    return LaunchDescription([*nodes, ReadyToTest()])


class Robot:
    """A pendulum that hangs still, and a clock of its own."""

    def __init__(self, client: GraphClient) -> None:
        """Begin to measure at 100 s."""
        names = load_task(TASK).robot.joint_names
        self.stamp_ns = 100_000_000_000
        self.silent = False
        self._message = JointState(name=list(names), position=[0.0] * len(names), velocity=[0.0] * len(names))
        self._publisher = client.node.create_publisher(JointState, "joint_states", SENSOR)
        client.node.create_timer(PERIOD, self._measure)

    def _measure(self) -> None:
        self.stamp_ns += round(1e9 * PERIOD)
        if not self.silent:
            self._message.header.stamp = convert.ns_to_time(self.stamp_ns)
            self._publisher.publish(self._message)


@pytest.fixture(scope="module")
def robot(client: GraphClient) -> Iterator[Robot]:
    """The robot."""
    yield Robot(client)


@pytest.mark.launch(fixture=graph)
def test_after_a_clock_that_began_anew_the_robot_is_held_and_a_switch_is_all_it_takes(
    client: GraphClient, robot: Robot
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
