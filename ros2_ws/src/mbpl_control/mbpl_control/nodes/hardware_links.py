"""The two drivers the hardware bridge speaks to, each in its own message types."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from array import array
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.subscription import Subscription
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray, MultiArrayDimension, MultiArrayLayout

from mbpl_control.core import MbplError
from mbpl_control.core.validation import Array
from mbpl_control.hardware.bridge import Drive
from mbpl_control.hardware.linear_feedback import linear_feedback
from mbpl_control.hardware.robot_file import HardwareRobot, LinearFeedback, Ros2Control
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.qos import SENSOR

#: What forward_command_controller asks for: every command arrives, and the newest counts.
COMMANDS = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.RELIABLE)
LFC_MESSAGES = "linear_feedback_controller_msgs"
OnState = Callable[[JointState], None]


class Link(ABC):
    """A driver.

    Attributes:
        closes_loop: whether it evaluates a gain by itself, at its own rate.
        states: the subscription that brings joint states.
        problem: why it cannot be told anything, in words; empty when it can.
    """

    closes_loop = False
    problem = ""
    states: Subscription

    @abstractmethod
    def send(self, drive: Drive, stamp: Any) -> None:
        """Tell the robot."""


class Ros2ControlLink(Link):
    """`forward_command_controller` on efforts, and `joint_state_broadcaster`.

    Args:
        node: of the topics.
        robot: the robot's YAML.
        connection: the part of it that is about ros2_control.
        on_state: called with each joint state.
    """

    def __init__(self, node: Node, robot: HardwareRobot, connection: Ros2Control, on_state: OnState) -> None:
        """Open the topics."""
        self._robot, self._adds_gravity = robot, connection.adds_gravity
        self._commands = node.create_publisher(
            Float64MultiArray, _absolute(connection.controller, "commands"), COMMANDS
        )
        self.states = node.create_subscription(JointState, _absolute(connection.joint_states), on_state, SENSOR)
        self._message = Float64MultiArray()

    def send(self, drive: Drive, stamp: Any) -> None:
        """See `Link.send`."""
        effort = drive.effort
        if self._adds_gravity:
            effort = effort - self._robot.task.robot.gravity(drive.sample.q)
        self._message.data = array("d", self._robot.to_controller(effort).tobytes())
        self._commands.publish(self._message)


class LinearFeedbackLink(Link):
    """linear-feedback-controller: laws go out as `Control`, states come in as `Sensor`.

    Args:
        node: of the topics.
        robot: the robot's YAML.
        connection: the part of it that is about linear-feedback-controller.
        on_state: called with each joint state that is passed on.

    Raises:
        MbplError: its messages are not installed.
    """

    closes_loop = True

    def __init__(self, node: Node, robot: HardwareRobot, connection: LinearFeedback, on_state: OnState) -> None:
        """Open the topics."""
        if find_spec(LFC_MESSAGES) is None:
            raise MbplError(
                f"{robot.path.name}: connection.type is linear_feedback_controller, whose messages are not installed: "
                f"build https://github.com/loco-3d/linear-feedback-controller-msgs with colcon (or install "
                f"ros-$ROS_DISTRO-linear-feedback-controller-msgs) and source its setup file before this launch"
            )
        types = import_module(f"{LFC_MESSAGES}.msg")
        # as its own publisher and subscription have it
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=10, reliability=ReliabilityPolicy.BEST_EFFORT)
        self._sensor_type, self._robot, self._on_state = types.Sensor, robot, on_state
        # half a message less, so that one which comes a little early counts for the one it is
        messages = connection.decimation
        self._least_ns, self._passed_ns = round(1e9 * (messages - 0.5) / (messages * robot.file.rate)), 0
        self._message = types.Control()
        #: index, among the task's joints, of each joint of the driver; as its first message says
        self._order: np.ndarray | None = None
        self._names: list[str] = []
        self._controls = node.create_publisher(types.Control, _absolute(connection.controller, "control"), qos)
        self.states = node.create_subscription(
            types.Sensor, _absolute(connection.controller, "sensor"), self._on_sensor, qos, raw=True
        )

    def _on_sensor(self, data: bytes) -> None:
        """Pass on one a period of the graph: the others are for the driver's own loop, and are not even parsed.

        By time and not by number: when messages are lost, the graph must not lose as many times more.
        """
        now = time.monotonic_ns()
        if now - self._passed_ns < self._least_ns:
            return
        self._passed_ns = now
        message = deserialize_message(data, self._sensor_type)
        state = message.joint_state
        joints = self._robot.task.action.joint_names
        if state.name != self._names:
            self._names = list(state.name)
            same = set(self._names) == set(joints) and len(self._names) == len(joints)
            self._order = np.array([joints.index(n) for n in self._names], dtype=np.intp) if same else None
            # with other joints than ours, its matrices have another size
            self.problem = "" if same else f"joints are {', '.join(self._names)}; must be {', '.join(joints)}"
        state.header.stamp = message.header.stamp
        self._on_state(state)

    def send(self, drive: Drive, stamp: Any) -> None:
        """See `Link.send`."""
        if self._order is None:
            return
        actuated = self._robot.task.robot.actuated
        columns = np.concatenate((actuated, len(drive.sample.q) + actuated))
        q, v = drive.sample.q[actuated], drive.sample.v[actuated]
        law = linear_feedback(drive.effort, drive.gain[:, columns], q, v, self._order)
        message = self._message
        message.header.stamp = stamp
        message.feedforward = _matrix(law.feedforward[:, None])
        message.feedback_gain = _matrix(law.feedback_gain)
        start = message.initial_state
        start.header.stamp = start.joint_state.header.stamp = stamp
        start.joint_state.name = self._names
        start.joint_state.position = convert.flat(law.positions)
        start.joint_state.velocity = convert.flat(law.velocities)
        start.joint_state.effort = convert.flat(law.feedforward)
        self._controls.publish(message)


def link(node: Node, robot: HardwareRobot, on_state: OnState) -> Link:
    """The driver a robot's YAML asks for.

    Raises:
        MbplError: its messages are not installed.
    """
    connection = robot.file.connection
    if isinstance(connection, Ros2Control):
        return Ros2ControlLink(node, robot, connection, on_state)
    return LinearFeedbackLink(node, robot, connection, on_state)


def _matrix(values: Array) -> Float64MultiArray:
    """A matrix as linear-feedback-controller reads it: rows, columns, row by row."""
    rows, columns = values.shape
    dimensions = [
        MultiArrayDimension(label="rows", size=rows, stride=values.size),
        MultiArrayDimension(label="cols", size=columns, stride=columns),
    ]
    layout = MultiArrayLayout(dim=dimensions, data_offset=0)
    return Float64MultiArray(layout=layout, data=convert.flat(values))


def _absolute(*parts: str) -> str:
    """A full name: a driver has its own namespace, whatever ours is."""
    return "/" + "/".join(part.strip("/") for part in parts)
