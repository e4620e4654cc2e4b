"""The estimator beside somebody who says on the topic of commands whatever he likes."""

from __future__ import annotations

from collections.abc import Iterator

import launch_pytest
import numpy as np
import pytest
from launch import LaunchDescription
from launch_pytest.actions import ReadyToTest
from launch_ros.actions import Node as NodeAction
from listening import Listener
from mbpl_msgs.msg import JointCommand, RobotState
from still_robot import StillRobot

from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import SENSOR
from mbpl_control.tasks import load_task

TASK = "reacher_2link"


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """An estimator that predicts by what is commanded, without a robot."""
    given = [{"task": TASK, "filter": "ekf"}]
    node = NodeAction(package="mbpl_control", executable="state_estimator", namespace="/mbpl", parameters=given)
    return LaunchDescription([node, ReadyToTest()])


@pytest.fixture(scope="module")
def robot(client: GraphClient) -> Iterator[StillRobot]:
    """The robot."""
    yield StillRobot(client, TASK)


@pytest.mark.launch(fixture=graph)
@pytest.mark.parametrize("value", [1e300, -1e300, 1e9])
def test_a_command_that_no_motor_can_follow_moves_the_estimate_no_further_than_a_motor_could(
    client: GraphClient, robot: StillRobot, value: float
) -> None:
    action = load_task(TASK).action
    names, size = list(action.joint_names), action.size
    rogue = JointCommand(joint_names=names, interface=action.interface, values=[value] * size)
    rest = JointCommand(joint_names=names, interface=action.interface, values=[0.0] * size)
    publisher = client.node.create_publisher(JointCommand, "joint_commands", SENSOR)
    try:
        with Listener(client.node, RobotState, "state", SENSOR) as heard:
            heard.wait(lambda m: m and np.isfinite(m[-1].state).all() and publisher.get_subscription_count(), 60.0)
            before = len(heard.messages)
            publisher.publish(rogue)
            heard.wait(lambda m: len(m) > before + 40)
            publisher.publish(rest)
            heard.wait(lambda m: len(m) > before + 400)
            told = [(*message.position, *message.velocity) for message in heard.messages]
            numbers = np.concatenate([np.concatenate([m.state, m.covariance]) for m in heard.messages])
        assert np.isfinite(numbers).all()
        # what is measured wins over what is commanded: the robot stands still
        assert np.abs(told)[:, : len(names)].max() < 0.2
        np.testing.assert_allclose(told[-1], 0.0, atol=1e-3)
    finally:
        client.node.destroy_publisher(publisher)
