"""Node `hardware_bridge`: a real robot in the graph's place of the simulated one."""

from __future__ import annotations

import signal
import time
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from diagnostic_msgs.srv import SelfTest
from mbpl_msgs import msg
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.signals import uninstall_signal_handlers
from rclpy.task import Future
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool

from mbpl_control.core import MbplError, RefusedError
from mbpl_control.hardware import BridgeCore, Confirmation, Drive, Movement, load_robot_file
from mbpl_control.hardware.expected_motion import expected_motion
from mbpl_control.hardware.joint_reading import JointReading
from mbpl_control.hardware.linear_feedback import joint_gain
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.hardware_links import link
from mbpl_control.nodes.node_tools import declare
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.nodes.priority_executor import node_priority
from mbpl_control.nodes.qos import EVENTS, LATCHED, SENSOR
from mbpl_control.runtime.executors import RobotSample
from mbpl_control.tasks import load_task

#: s between looks at whether states stay away.
WATCH = 0.01
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
_LEVELS = {"idle": OK, "commanded": OK, "checking": WARN, "held": WARN, "zero": WARN, "unconfirmed": WARN}


class HardwareBridge(Node):
    """Topics and services around `BridgeCore` and the link to the robot's driver."""

    def __init__(self) -> None:
        """Declare parameters, read the robot's YAML, open the graph."""
        super().__init__("hardware_bridge")
        self._task = load_task(declare(self, "task", "arm_reach", "Name of the task, or path of its YAML."))
        path = declare(self, "robot_file", "", "Path of the robot's YAML.")
        given = declare(
            self, "confirmed", "", "Hash of a robot whose joints somebody vouches for; empty: the file beside its YAML."
        )
        self.robot = load_robot_file(path, self._task)
        self._confirmation = Confirmation(self.robot.path, self.robot.hash, given)
        model, action = self._task.robot, self._task.action
        self._reading = JointReading(model.joint_names)
        self._names, self._driven = list(model.joint_names), list(action.joint_names)
        self._state = JointState(name=self._names)
        self._states_heard = self._states_refused = self._commands_heard = 0
        self._last_state_refusal = ""
        self._reported = (time.monotonic_ns(), 0, 0)
        self._stamp: Any = self._state.header.stamp
        self._stamp_lag = 0.0
        self._moved: Future | None = None
        self._leaving = False
        # once now: what it needs is loaded when it is first asked for
        start = self._task.condition(0).state[: model.nq]
        self._expecting = ("", expected_motion(self._task, self._driven[0], self.robot.file.check.motion, start))
        self._link = link(self, self.robot, self._on_joint_state)
        self.core = BridgeCore(self.robot, self._confirmation, self._link.closes_loop)
        self._joint_states = self.create_publisher(JointState, "joint_states", SENSOR)
        self._description = self.create_publisher(String, "robot_description", LATCHED)
        self._description.publish(String(data=model.description))
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", EVENTS)
        self._check = self.create_publisher(DiagnosticStatus, "~/check", LATCHED)
        self._told: DiagnosticStatus | None = None
        commands = self.create_subscription(msg.JointCommand, "joint_commands", self._on_command, SENSOR)
        if self._link.closes_loop:
            self.create_subscription(msg.FeedbackLaw, "applied_law", self._on_law, EVENTS)
        beside = ReentrantCallbackGroup()
        self.create_service(SelfTest, "~/check_joint", self._on_check_joint, callback_group=beside)
        self.create_service(SetBool, "~/answer_check", self._on_answer)
        node_priority(self, self._link.states, commands)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(WATCH, self._on_watch, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)
        self._tell()
        self.get_logger().info(
            f"{self.robot.path.name}: {self.robot.file.connection.type}, {len(self._driven)} joints at "
            f"{self.robot.file.rate:g} Hz; hash {self.robot.hash}"
        )
        if not self._confirmation.counts:
            self.get_logger().warning(f"commands are refused: {self._confirmation.reason}; run `mbpl check-joints`")

    # --- the robot ---

    def _on_joint_state(self, message: JointState) -> None:
        now = time.monotonic_ns()
        if self._link.problem:
            self._refuse_state(self._link.problem)
            return
        try:
            q, v, effort = self._reading.read(message.name, message.position, message.velocity, message.effort)
        except RefusedError as error:
            self._refuse_state(str(error))
            return
        stamp = message.header.stamp
        stamp_ns = convert.time_to_ns(stamp)
        self._stamp_lag = 1e-9 * (self.get_clock().now().nanoseconds - stamp_ns)
        state = self._state
        state.header.stamp, state.header.frame_id = stamp, message.header.frame_id
        state.position, state.velocity = convert.flat(q), convert.flat(v)
        state.effort = [] if effort is None else convert.flat(effort)
        # first the graph, whose answer counts; then what the bridge itself has to say
        self._joint_states.publish(state)
        self._states_heard += 1
        self._stamp = stamp
        sample = RobotSample(np.concatenate((q, v)), q, v, stamp_ns, self._states_heard)
        self._send(self.core.on_state(sample, now))
        self._movement_over()

    def _refuse_state(self, reason: str) -> None:
        self._states_refused += 1
        self._last_state_refusal = reason
        self.get_logger().warning(f"joint state refused: {reason}", throttle_duration_sec=1.0)

    def _send(self, drive: Drive | None) -> None:
        if drive is not None:
            self._link.send(drive, self._stamp)

    def _on_watch(self) -> None:
        if self._leaving:
            self._leave()
            return
        self._send(self.core.watch(time.monotonic_ns()))
        self._movement_over()
        self._tell()

    # --- the graph ---

    def _on_command(self, message: msg.JointCommand) -> None:
        self._commands_heard += 1
        try:
            drive = self.core.on_command(
                message.joint_names,
                message.interface,
                np.array(message.values),
                message.controller,
                convert.time_to_ns(message.header.stamp),
                time.monotonic_ns(),
                bool(message.state_sequence),
            )
        except RefusedError as error:
            self.get_logger().warning(f"command refused: {error}", throttle_duration_sec=1.0)
            return
        self._send(drive)

    def _on_law(self, message: msg.FeedbackLaw) -> None:
        """The gain of a law that the manager applies, for a driver that closes the loop itself."""
        try:
            law = convert.feedback_law_from_msg(message)
            rows = np.array([self._driven.index(name) for name in law.action.joint_names])
            n = len(self._names)
            q, v = np.array(self._state.position), np.array(self._state.velocity)
            if len(q) != n:
                return
            gain = joint_gain(self._task, law.state, law.gain, q, v)
        except (MbplError, ValueError) as error:
            self.get_logger().warning(f"applied law not used: {error}", throttle_duration_sec=1.0)
            return
        self._send(self.core.on_law(message.controller, rows, gain))

    # --- the check ---

    async def _on_check_joint(self, _: SelfTest.Request, response: SelfTest.Response) -> SelfTest.Response:
        """Move the next joint; the answer comes when it has moved and is back."""
        response.id = self.robot.hash
        try:
            self.core.move_joint(time.monotonic_ns())
        except RefusedError as error:
            response.status = [DiagnosticStatus(level=ERROR, name="check refused", message=str(error))]
            return response
        self._moved = Future(executor=self.executor)
        movement = await self._moved
        response.passed = bytes([movement.ok])
        response.status = [_movement_status(movement)]
        return response

    def _movement_over(self) -> None:
        """Answer whoever asked for a movement, once it is over."""
        if self._moved is None or (self.core.check is not None and self.core.check.moving):
            return
        movement = self.core.movement or Movement("", False, self.core.reason)
        waiting, self._moved = self._moved, None
        waiting.set_result(movement)
        self.get_logger().info(f"check: {movement.message}")
        if self.executor is not None:
            self.executor.wake()

    def _on_answer(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        try:
            response.message = self.core.answer_check(request.data)
            response.success = True
            self.get_logger().info(f"check: {response.message}")
        except RefusedError as error:
            response.message = str(error)
        self._tell()
        return response

    # --- reports ---

    def _tell(self) -> None:
        """Say what became of the check, and what the bridge does, when that has changed."""
        core, check = self.core, self.core.check
        options = self.robot.file.check
        joint = self._driven[0] if check is None else check.joint
        index = 0 if check is None else check.index
        values = {
            "robot": str(self.robot.path),
            "hash": self.robot.hash,
            "mode": core.mode,
            "reason": core.reason,
            "joint": joint,
            "last": core.last_answered,
            "expected": self._expected(joint),
            "number": f"{min(index + 1, len(self._driven))} of {len(self._driven)}",
            "motion": f"{options.motion:g}",
            "effort": f"{100 * options.effort:g} % of the limit",
        }
        confirmed = self._confirmation.counts
        status = DiagnosticStatus(
            level=OK if confirmed else WARN,
            name=f"{self.get_fully_qualified_name()}: joints",
            message="confirmed" if confirmed else self._confirmation.reason,
            hardware_id=self._task.robot.name,
            values=[KeyValue(key=k, value=v) for k, v in values.items()],
        )
        if status != self._told:
            self._told = status
            self._check.publish(status)

    def _expected(self, joint: str) -> str:
        """What a person should see when a joint moves; from where the robot was when it became that joint's turn."""
        if joint != self._expecting[0] and len(self._state.position):
            q = np.array(self._state.position)
            self._expecting = joint, expected_motion(self._task, joint, self.robot.file.check.motion, q)
        return self._expecting[1]

    def _report(self) -> None:
        core, now = self.core, time.monotonic_ns()
        since, states, commands = self._reported
        self._reported = (now, self._states_heard, self._commands_heard)
        elapsed = 1e-9 * (now - since)
        rate = (self._states_heard - states) / elapsed
        values = {
            "robot": str(self.robot.path),
            "joints": "confirmed" if self._confirmation.counts else self._confirmation.reason,
            "mode": core.mode,
            "state rate [Hz]": f"{rate:.1f}",
            "expected rate [Hz]": f"{self.robot.file.rate:g}",
            "command rate [Hz]": f"{(self._commands_heard - commands) / elapsed:.1f}",
            "stamp before arrival [ms]": f"{1e3 * self._stamp_lag:.1f}",
            "states refused": str(self._states_refused),
            "last state refusal": self._last_state_refusal,
            "commands refused": str(core.refused),
            "last refusal": core.last_refusal,
        }
        level = _LEVELS[core.mode]
        text = f"{core.mode}: {core.reason}"
        if self._states_heard == states:
            level, text = ERROR, f"no joint state from the robot; {self._last_state_refusal or text}"
        report = DiagnosticArray()
        report.header.stamp = self.get_clock().now().to_msg()
        report.status = [
            DiagnosticStatus(
                level=level,
                name=f"{self.get_fully_qualified_name()}: bridge",
                message=text,
                hardware_id=self._task.robot.name,
                values=[KeyValue(key=k, value=v) for k, v in values.items()],
            )
        ]
        self._diagnostics.publish(report)

    # --- the end ---

    def leave_on_signals(self) -> None:
        """Take over Ctrl-C and SIGTERM: rclpy's own answer to them leaves no time for a last word to the robot."""
        uninstall_signal_handlers()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, frame: object) -> None:
        self._leaving = True

    def _leave(self) -> None:
        """Say the last word to the robot, which keeps to it, and end."""
        self._send(self.core.final())
        self.get_logger().info("the bridge leaves")
        rclpy.try_shutdown()


def _movement_status(movement: Movement) -> DiagnosticStatus:
    values = {
        "joint": movement.joint,
        "effort": f"{movement.effort:.3f}",
        "moved": f"{movement.moved:.4f}",
        "other": movement.other,
        "other moved": f"{movement.other_moved:.4f}",
    }
    return DiagnosticStatus(
        level=OK if movement.ok else ERROR,
        name=movement.joint,
        message=movement.message,
        values=[KeyValue(key=k, value=v) for k, v in values.items()],
    )


def main() -> None:
    """Run the node."""

    def build() -> HardwareBridge:
        node = HardwareBridge()
        node.leave_on_signals()
        return node

    run_node(build)


if __name__ == "__main__":
    main()
