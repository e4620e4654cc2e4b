"""Messages of an episode whose every number is known."""

from __future__ import annotations

from array import array
from typing import Any

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from mbpl_msgs import msg
from sensor_msgs.msg import JointState

from mbpl_control.bags.types import typestore

SECOND = 1_000_000_000
#: Arrival of the first message, as a wall clock has it, and what every message comes after the one before it.
BEGIN, PERIOD = 1_700_000_000 * SECOND, 5_000_000


def cdr(message: Any) -> bytes:
    """A message as it is on the wire; rclpy's own serialisation leaves slack behind an empty sequence at the end."""
    return bytes(typestore().serialize_cdr(_for_bags(message), _kind(message)))


def _kind(message: Any) -> str:
    return f"{type(message).__module__.split('.')[0]}/msg/{type(message).__name__}"


def _for_bags(value: Any) -> Any:
    """The same message in the bag library's own type."""
    if isinstance(value, array):
        return np.array(value)
    if isinstance(value, list):
        return [_for_bags(v) for v in value]
    if not hasattr(value, "get_fields_and_field_types"):
        return value
    fields = {name: _for_bags(getattr(value, name)) for name in value.get_fields_and_field_types()}
    return typestore().types[_kind(value)](**fields)


def robot_state(k: int) -> msg.RobotState:
    """State number k, at k · 5 ms of simulated time."""
    message = msg.RobotState(joint_names=["a", "b"], sequence=k + 1, definition_hash="0123456789abcdef")
    message.header.stamp = Time(sec=k * PERIOD // SECOND, nanosec=k * PERIOD % SECOND)
    message.position, message.velocity = [0.1 * k, -k], [1.0, 1e-300 * k]
    message.state = [*message.position, *message.velocity]
    return message


def command(k: int) -> msg.JointCommand:
    """The command that answers state number k."""
    message = msg.JointCommand(joint_names=["a", "b"], interface="effort", sequence=k + 1, state_sequence=k + 1)
    message.header.stamp = robot_state(k).header.stamp
    message.values, message.controller, message.step = [np.pi * k, 1.0 / 3.0], "ilqr" if k % 2 else "hold", k
    return message


def serialized(topic: str, k: int) -> tuple[str, str, int, bytes]:
    """Topic, type, arrival and CDR of message k of a topic; commands arrive 2 ms after their state."""
    kind, message, later = {
        "/mbpl/joint_states": ("sensor_msgs/msg/JointState", JointState(name=["a", "b"], position=[1.0, k * 0.5]), 0),
        "/mbpl/state": ("mbpl_msgs/msg/RobotState", robot_state(k), 0),
        "/mbpl/joint_commands": ("mbpl_msgs/msg/JointCommand", command(k), 2_000_000),
        "/mbpl/status": ("mbpl_msgs/msg/ManagerStatus", msg.ManagerStatus(mode="active", ticks=k), 3_000_000),
    }[topic]
    return topic, kind, BEGIN + k * PERIOD + later, cdr(message)


TOPICS = ("/mbpl/joint_states", "/mbpl/state", "/mbpl/joint_commands", "/mbpl/status")


@pytest.fixture
def messages() -> list[tuple[Any, ...]]:
    """A hundred messages of each of four topics, in the order they arrive."""
    return [serialized(topic, k) for k in range(100) for topic in TOPICS]
