"""A robot that measures itself and does nothing."""

from __future__ import annotations

from sensor_msgs.msg import JointState

from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import SENSOR
from mbpl_control.tasks import load_task

PERIOD = 0.005


class StillRobot:
    """All joints at zero and at rest, and a clock of its own."""

    def __init__(self, client: GraphClient, task: str) -> None:
        """Begin to measure at 100 s."""
        names = load_task(task).robot.joint_names
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
