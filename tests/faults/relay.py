"""A process between robot and estimator that does to joint states what bad drivers, cables and clocks do."""

from __future__ import annotations

import copy
import random
from collections import deque
from typing import Any

from rclpy.node import Node
from sensor_msgs.msg import JointState

from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.node_tools import declare, on_change, run
from mbpl_control.nodes.priority_executor import node_priority
from mbpl_control.nodes.qos import SENSOR

FAULTS = ("none", "silent", "repeat", "stuck", "nan", "duplicate", "swap")


class Relay(Node):
    """Passes `robot/joint_states` on to `joint_states`, with the faults its parameters ask for."""

    def __init__(self) -> None:
        """Begin without a fault."""
        super().__init__("relay", namespace="/mbpl")
        change = {"read_only": False}
        self._fault = declare(self, "fault", "none", "What is done to each measurement.", choices=FAULTS, **change)
        self._drop = declare(self, "drop", 0.0, "Probability that one is lost.", 0.0, 1.0, **change)
        self._delay = declare(self, "delay", 0, "Measurements by which each comes late.", 0, 1000, **change)
        self._offset = declare(self, "offset", 0.0, "s added to its stamp.", -1e6, 1e6, **change)
        self._random = random.Random(7)
        self._kept: JointState | None = None
        self._queue: deque[JointState] = deque()
        self._out = self.create_publisher(JointState, "joint_states", SENSOR)
        node_priority(self, self.create_subscription(JointState, "robot/joint_states", self._pass, SENSOR))
        on_change(self, self._change)

    def _change(self, values: dict[str, Any]) -> None:
        for name, value in values.items():
            setattr(self, f"_{name}", value)
        self._kept = None

    def _pass(self, message: JointState) -> None:
        if self._random.random() < self._drop:
            return
        if self._offset:
            stamp = convert.time_to_ns(message.header.stamp) + round(1e9 * self._offset)
            message.header.stamp = convert.ns_to_time(stamp)
        self._queue.append(message)
        while len(self._queue) > self._delay:
            self._spoil(self._queue.popleft())

    def _spoil(self, message: JointState) -> None:
        kept, fault = self._kept, self._fault
        if fault == "silent":
            return
        if fault == "repeat":
            self._kept = message = message if kept is None else kept
        elif fault == "stuck":
            self._kept = message if kept is None else kept
            stamp, message = message.header.stamp, copy.deepcopy(self._kept)
            message.header.stamp = stamp
        elif fault == "nan":
            message.position[3] = float("nan")
        elif fault == "duplicate":
            self._out.publish(message)
        elif fault == "swap":
            # every second one overtakes the one before
            if kept is None:
                self._kept = message
                return
            self._out.publish(message)
            self._kept, message = None, kept
        self._out.publish(message)


if __name__ == "__main__":
    raise SystemExit(run(Relay))
