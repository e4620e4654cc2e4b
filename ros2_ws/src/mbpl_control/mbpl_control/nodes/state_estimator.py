"""Node `state_estimator`: joint states, and the last command, to the robot's state."""

from __future__ import annotations

import copy
import time
from collections import Counter

import numpy as np
from mbpl_msgs import msg
from rclpy.node import Node
from sensor_msgs.msg import JointState

from mbpl_control.core import ModelError, Refusal
from mbpl_control.estimation import (
    ExtendedKalmanFilter,
    ModelFreeFilter,
    PassThrough,
    StateFilter,
)
from mbpl_control.models import Dynamics, MujocoDynamics, PinocchioDynamics
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import ERROR, OK, PERIOD, WARN, Diagnostics, refusals
from mbpl_control.nodes.node_tools import declare
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.nodes.priority_executor import add_priority, node_priority
from mbpl_control.nodes.qos import LATCHED, SENSOR
from mbpl_control.runtime.command import STATE_REFUSALS
from mbpl_control.safety.jumps import JumpCheck
from mbpl_control.tasks import load_task

#: s on the steady clock without a measurement after which one from the past tells of a clock that was set back, as by a
#: simulation that was started anew; before that it is a message that came late.
SET_BACK_AFTER = 0.1


class StateEstimator(Node):
    """Each `joint_states` gives one `state`, at once; while they stay away, predictions go on for a while."""

    def __init__(self) -> None:
        """Declare parameters, build the filter, open the graph."""
        super().__init__("state_estimator")
        task = load_task(declare(self, "task", "arm_reach", "Name of the task, or path of its YAML."))
        self._task, self._robot = task, task.robot
        if not self._robot.is_one_number_per_joint:
            raise ModelError(
                f"{self._robot.path}: joint states hold one number a joint; this robot has a ball or free joint"
            )
        self._filter = self._build_filter()
        self._gap = declare(
            self, "largest_gap", 0.1, "s without joint states that are bridged by predictions.", 0.0, 10.0
        )
        self._rate = declare(self, "prediction_rate", 100.0, "Hz of predictions in a gap; 0 for none.", 0.0, 10000.0)
        self._names = list(self._robot.joint_names)
        self._order: list[str] | None = None
        self._picks = np.arange(len(self._names))
        self._effort: np.ndarray | None = None
        self._stamp_ns: int | None = None
        self._arrived_ns = 0
        self._told_ns = -1
        self._ahead: StateFilter | None = None
        self._ahead_ns = 0
        self._jumps = JumpCheck(task)
        self._sequence = 0
        self._refused: Counter[Refusal] = Counter()
        self._measured = self._predicted = self._lost = 0
        self._refusal = ""
        #: of the last report: measurements and refusals so far, and when, on the steady clock
        self._reported = (0, 0, time.monotonic_ns())
        self._same_state = task.state == self._robot.state
        self._message = msg.RobotState(joint_names=self._names, definition_hash=task.state.hash)
        self._publisher = self.create_publisher(msg.RobotState, "state", SENSOR)
        self._definition = self.create_publisher(msg.StateDefinition, "state_definition", LATCHED)
        self._definition.publish(convert.state_definition_to_msg(task.state))
        measured = self.create_subscription(JointState, "joint_states", self._on_joint_states, SENSOR)
        node_priority(self, measured)
        if isinstance(self._filter, ExtendedKalmanFilter):
            commands = self.create_subscription(msg.JointCommand, "joint_commands", self._on_command, SENSOR)
            add_priority(self, commands)
        if self._rate > 0.0 and self._gap > 0.0 and not isinstance(self._filter, PassThrough):
            add_priority(self, self.create_timer(1.0 / self._rate, self._on_gap))
        self._diagnostics = Diagnostics(self, "estimate", "no joint states yet", self._figures, self._robot.name)
        self._diagnostics.open()

    def _build_filter(self) -> StateFilter:
        noise = self._task.noise
        kind = declare(
            self,
            "filter",
            "raw",
            "raw (as measured), model_free (Kalman filter per joint) or ekf (on the robot's model).",
            choices=("raw", "model_free", "ekf"),
        )
        position = declare(
            self,
            "position_noise",
            max(noise.position, 1e-5),
            "rad or m, standard deviation of the position sensors.",
            1e-12,
            10.0,
        )
        velocity = declare(
            self,
            "velocity_noise",
            max(noise.velocity, 1e-4),
            "rad/s or m/s, standard deviation of the velocity sensors.",
            1e-12,
            100.0,
        )
        acceleration = declare(self, "acceleration", 20.0, "rad/s², what the model-free filter expects.", 1e-6, 1e6)
        effort = declare(self, "effort_noise", 2.0, "N·m, unknown load the EKF expects.", 1e-9, 1e6)
        if kind == "raw":
            return PassThrough()
        if kind == "model_free":
            return ModelFreeFilter(self._robot.nv, acceleration, position, velocity, self._robot.position_space)
        return ExtendedKalmanFilter(self._dynamics, effort, position, velocity)

    def _dynamics(self, dt: float) -> Dynamics:
        if self._task.backend() != "mujoco":
            return PinocchioDynamics(self._robot, dt, 1, self._task.action)
        return MujocoDynamics(self._robot, dt, dt, self._task.action)

    def _on_command(self, message: msg.JointCommand) -> None:
        values = np.array(message.values)
        fits = message.joint_names == list(self._task.action.joint_names) and len(values) == self._task.action.size
        if fits and np.isfinite(values).all():
            # whoever sent it: no motor gives more than the robot's limits
            self._effort = np.clip(values, self._task.action.lower, self._task.action.upper)

    def _on_joint_states(self, message: JointState) -> None:
        measurement = self._read(message)
        if measurement is None:
            return
        self._measured += 1
        stamp = convert.time_to_ns(message.header.stamp)
        last, now = self._stamp_ns, time.monotonic_ns()
        if last is not None and stamp == last:
            # a simulation that stands still asks again: the same answer, not a second measurement
            self._arrived_ns = now
            self._publisher.publish(self._message)
            return
        dt = 1.0 if last is None else 1e-9 * (stamp - last)
        if dt <= 0.0:
            if now - self._arrived_ns <= 1e9 * max(self._gap, SET_BACK_AFTER):
                self._refuse(f"its stamp is {-dt:.6f} s before the last one's", Refusal.STAMP)
                return
            self.get_logger().warning(f"the robot's clock was set back by {-dt:.3f} s; the estimate begins anew")
            last, self._told_ns = None, -1
        self._arrived_ns = now
        jumped = last is not None and self._jumps.joint(
            self._filter.mean[: len(self._names)], measurement[: len(self._names)], dt
        )
        if last is None or dt > self._gap or jumped:
            self._filter.reset(measurement)
        else:
            self._filter.predict(dt, self._effort)
            self._filter.update(measurement)
            if not _is_finite(self._filter):
                self._lost += 1
                text = f"the estimate left the finite numbers; it begins anew as measured ({self._lost} so far)"
                self.get_logger().warning(text, throttle_duration_sec=1.0)
                self._filter.reset(measurement)
        self._stamp_ns = stamp
        self._ahead = None
        if len(message.effort) == len(message.name):
            self._message.effort = convert.flat(np.array(message.effort)[self._picks])
        if stamp <= self._told_ns:
            # this instant was predicted and told already; the measurement counts from the next state on
            self._publisher.publish(self._message)
            return
        self._publish(self._filter, message.header.stamp, stamp)

    def _read(self, message: JointState) -> np.ndarray | None:
        """Positions and velocities in the robot's order; None when the message does not hold them."""
        if message.name != self._order:
            missing = [n for n in self._names if n not in message.name]
            if missing:
                self._refuse(f"joints {', '.join(missing)} are missing", Refusal.JOINTS)
                return None
            self._picks = np.array([message.name.index(n) for n in self._names])
            self._order = message.name
        count = len(message.name)
        if len(message.position) != count or len(message.velocity) != count:
            self._refuse("positions or velocities are missing", Refusal.SHAPE)
            return None
        q, v = np.array(message.position)[self._picks], np.array(message.velocity)[self._picks]
        measurement = np.concatenate((q, v))
        if not np.isfinite(measurement).all():
            self._refuse("numbers are not finite", Refusal.NOT_FINITE)
            return None
        return measurement

    def _on_gap(self) -> None:
        """Predict while joint states stay away, up to the largest gap; then fall silent, so that others notice."""
        if self._stamp_ns is None:
            return
        waited = 1e-9 * (time.monotonic_ns() - self._arrived_ns)
        step = 1.0 / self._rate
        # one late measurement is no gap; predictions start when two in a row are missing
        if waited < 2.0 * step or waited > self._gap:
            return
        if self._ahead is None:
            # a copy: what was measured stays what the next measurement builds on
            self._ahead = copy.copy(self._filter)
            self._ahead_ns = self._stamp_ns
        self._ahead.predict(step, self._effort)
        self._predicted += 1
        self._ahead_ns += round(1e9 * step)
        if not _is_finite(self._ahead):
            # nothing to tell; the next measurement builds on what was measured
            self._lost += 1
            return
        if self._ahead_ns > self._told_ns:
            self._publish(self._ahead, convert.ns_to_time(self._ahead_ns), self._ahead_ns)

    def _publish(self, source: StateFilter, stamp: object, stamp_ns: int) -> None:
        message, mean = self._message, source.mean
        n = self._robot.nv
        self._sequence += 1
        self._told_ns = stamp_ns
        message.header.stamp = stamp
        message.sequence = self._sequence
        message.position = convert.flat(mean[:n])
        message.velocity = convert.flat(mean[n:])
        if self._same_state:
            message.state = convert.flat(mean)
            covariance = source.covariance
            if covariance is not None:
                message.covariance = convert.flat(covariance)
        else:
            message.state = convert.flat(self._task.task_state(mean[None])[0])
        self._publisher.publish(message)

    def _refuse(self, reason: str, kind: Refusal) -> None:
        self._refused[kind] += 1
        text = f"joint_states refused: {reason} ({self._refused.total()} so far)"
        self.get_logger().warning(text, throttle_duration_sec=1.0)
        self._refusal = reason

    def _figures(self) -> dict[str, object]:
        """Figures of the time since the last report, which also decide what is said of it."""
        now, refused = time.monotonic_ns(), self._refused.total()
        measured_before, refused_before, before = self._reported
        self._reported = (self._measured, refused, now)
        silent = 1e-9 * (now - self._arrived_ns) if self._arrived_ns else -1.0
        if refused > refused_before:
            self._diagnostics.say(f"{refused - refused_before} joint_states refused: {self._refusal}", WARN)
        elif silent > PERIOD:
            self._diagnostics.say(f"no joint states for {silent:.1f} s", ERROR)
        elif self._arrived_ns:
            self._diagnostics.say("states follow joint states", OK)
        return {
            "rate [Hz]": (self._measured - measured_before) / max(1e-9 * (now - before), 1e-9),
            "measurement age [s]": silent,
            "measurements": self._measured,
            "predictions": self._predicted,
            "estimates that left the finite numbers": self._lost,
            **refusals("joint states", self._refused, STATE_REFUSALS),
        }


def _is_finite(estimate: StateFilter) -> bool:
    covariance = estimate.covariance
    return bool(np.isfinite(estimate.mean).all() and (covariance is None or np.isfinite(covariance).all()))


def main() -> None:
    """Run the node."""
    run_node(StateEstimator)


if __name__ == "__main__":
    main()
