"""All that the graph says, with the time each message was published: what the judgement of a fault rests on."""

from __future__ import annotations

import threading
import time
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from mbpl_msgs.msg import JointCommand, ManagerStatus, RobotState
from rclpy.context import Context
from rclpy.executors import ShutdownException
from sensor_msgs.msg import JointState

from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.priority_executor import PriorityExecutor, node_priority
from mbpl_control.nodes.qos import EVENTS, LATCHED, RECORDER

#: s between two looks at how late this machine wakes those who sleep.
BEAT = 0.002


#: Positions and velocities by the number of the state.
States = dict[int, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Sent:
    """A command as it was published.

    Attributes:
        at: ns, time of day at which it was published.
        stamp: ns, of the state it answers.
        sequence: of the command.
        answers: sequence of the state; 0 when it answers none.
        controller: that decided.
        values: N·m (m,).
    """

    at: int
    stamp: int
    sequence: int
    answers: int
    controller: str
    values: np.ndarray


@dataclass(frozen=True)
class Felt:
    """What the robot measured, its own record of the efforts that acted among it."""

    at: int
    stamp: int
    velocity: np.ndarray
    effort: np.ndarray


@dataclass
class Record:
    """What was heard since a moment: `states` are positions and velocities as the manager gets them, by number."""

    commands: list[Sent] = field(default_factory=list)
    joints: list[Felt] = field(default_factory=list)
    statuses: list[tuple[int, ManagerStatus]] = field(default_factory=list)
    diagnostics: list[tuple[int, str, str]] = field(default_factory=list)
    beats: list[tuple[int, float]] = field(default_factory=list)
    states: States = field(default_factory=dict)

    def stamp_at(self, at: int) -> int:
        """The robot's clock at a time of day, ns: stamp of the last measurement published before."""
        i = bisect_right([j.at for j in self.joints], at)
        return self.joints[i - 1].stamp if i else 0

    def overslept(self, begin: int, end: int) -> float:
        """s by which a sleeper of this machine woke late at most, between two times of day."""
        return max((late for at, late in self.beats if begin <= at <= end), default=0.0)


class Observer:
    """Listens to the robot, the manager and the diagnostics in a thread of its own.

    Args:
        joint_states: topic on which the robot itself measures.
    """

    def __init__(self, joint_states: str = "joint_states") -> None:
        """Join the graph."""
        self.record = Record()
        self._changed = threading.Condition()
        self._context = Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node(
            "fault_observer",
            context=self._context,
            namespace="/mbpl",
            enable_rosout=False,
            start_parameter_services=False,
        )
        subscribe = self.node.create_subscription
        heard = [
            subscribe(JointCommand, "joint_commands", self._on_command, RECORDER),
            subscribe(JointState, joint_states, self._on_joints, RECORDER),
            subscribe(RobotState, "state", self._on_state, RECORDER),
            subscribe(ManagerStatus, "status", self._on_status, LATCHED),
            subscribe(DiagnosticArray, "/diagnostics", self._on_diagnostics, EVENTS),
        ]
        node_priority(self.node, *heard)
        self._executor = PriorityExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=f, daemon=True) for f in (self._spin, self._beat)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Leave the graph."""
        self._ended.set()
        for thread in self._threads:
            thread.join(5.0)
        self._executor.shutdown(timeout_sec=2.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self._context)

    def begin(self) -> None:
        """Forget what was heard, but for the last second, which tells what went before."""
        with self._changed:
            since = time.time_ns() - 10**9
            old = self.record
            self.record = Record(
                [c for c in old.commands if c.at > since],
                [j for j in old.joints if j.at > since],
                old.statuses[-1:],
                [],
                [],
            )

    def wait(self, condition: Callable[[Record], Any], deadline: float = 20.0, what: str = "") -> Any:
        """The first true result of `condition` on what was heard."""
        end = time.monotonic() + deadline
        with self._changed:
            while not (found := condition(self.record)):
                left = end - time.monotonic()
                if left <= 0.0:
                    raise TimeoutError(f"waited {deadline:g} s in vain for {what or 'a message'}")
                self._changed.wait(left)
            return found

    def robot_time(self) -> float:
        """s on the robot's clock now."""
        return 1e-9 * self.wait(lambda r: r.joints and r.joints[-1].stamp, what="a measurement")

    def wait_robot(self, seconds: float, deadline: float = 20.0) -> None:
        """Let time pass on the robot's clock."""
        end = self.robot_time() + seconds - 1e-9
        self.wait(lambda r: 1e-9 * r.joints[-1].stamp >= end, deadline, f"{seconds:g} s of the robot's time")

    def _spin(self) -> None:
        while not self._ended.is_set() and self._context.ok():
            try:
                self._executor.spin_once(timeout_sec=0.05)
            except ShutdownException:
                return

    def _beat(self) -> None:
        while not self._ended.is_set():
            begin = time.monotonic()
            time.sleep(BEAT)
            self.record.beats.append((time.time_ns(), time.monotonic() - begin - BEAT))

    def _keep(self, where: list[Any], what: Any) -> None:
        where.append(what)
        self._changed.notify_all()

    def _on_command(self, m: JointCommand, info: dict[str, Any]) -> None:
        sent = Sent(
            info["source_timestamp"],
            convert.time_to_ns(m.header.stamp),
            m.sequence,
            m.state_sequence,
            m.controller,
            np.array(m.values),
        )
        with self._changed:
            self._keep(self.record.commands, sent)

    def _on_joints(self, m: JointState, info: dict[str, Any]) -> None:
        stamp = convert.time_to_ns(m.header.stamp)
        felt = Felt(info["source_timestamp"], stamp, np.array(m.velocity), np.array(m.effort))
        with self._changed:
            self._keep(self.record.joints, felt)

    def _on_state(self, m: RobotState) -> None:
        self.record.states[m.sequence] = np.array(m.position), np.array(m.velocity)

    def _on_status(self, m: ManagerStatus, info: dict[str, Any]) -> None:
        with self._changed:
            self._keep(self.record.statuses, (info["source_timestamp"], m))

    def _on_diagnostics(self, m: DiagnosticArray, info: dict[str, Any]) -> None:
        with self._changed:
            for status in m.status:
                words = " | ".join([status.message, *(f"{v.key}: {v.value}" for v in status.values)])
                self._keep(self.record.diagnostics, (info["source_timestamp"], status.name, words))
