"""The bare echo that the control loop is measured against: `joint_states` there and back, rclpy as it comes."""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import JointState

QOS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
JOINTS = 7


class Answer(Node):
    """Sends back what comes."""

    def __init__(self) -> None:
        """Open the topics."""
        super().__init__("answer")
        back = self.create_publisher(JointState, "back", QOS)
        self.create_subscription(JointState, "there", back.publish, QOS)


class Ask(Node):
    """Sends at a rate, and keeps for each message how long its echo took, s; NaN for none."""

    def __init__(self, rate: float) -> None:
        """Open the topics."""
        super().__init__("ask")
        zeros = [0.0] * JOINTS
        self._message = JointState(
            name=[f"joint{i}" for i in range(JOINTS)], position=zeros, velocity=zeros, effort=zeros
        )
        self._sent: list[int] = []
        self.latencies: list[float] = []
        self._there = self.create_publisher(JointState, "there", QOS)
        self.create_subscription(JointState, "back", self._on_back, QOS)
        self.create_timer(1.0 / rate, self._on_period)

    def _on_period(self) -> None:
        stamp = self._message.header.stamp
        stamp.sec, stamp.nanosec = divmod(len(self._sent), 10**9)
        self._sent.append(time.monotonic_ns())
        self.latencies.append(math.nan)
        self._there.publish(self._message)

    def _on_back(self, message: JointState) -> None:
        number = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        self.latencies[number] = 1e-9 * (time.monotonic_ns() - self._sent[number])


def main() -> None:
    """Run one side until it is interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("side", choices=("ask", "answer"))
    parser.add_argument("--rate", type=float, default=500.0)
    parser.add_argument("--file", default="", help="where the latencies go, .npy")
    options = parser.parse_args()
    rclpy.init()
    node = Ask(options.rate) if options.side == "ask" else Answer()
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        if isinstance(node, Ask) and options.file:
            np.save(options.file, np.array(node.latencies))
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
