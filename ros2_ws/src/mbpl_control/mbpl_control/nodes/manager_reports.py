"""What the controller manager tells of itself: status, diagnostics, and the laws it applies."""

from __future__ import annotations

import time
from copy import copy
from typing import Any

from lifecycle_msgs.msg import State
from mbpl_msgs import msg
from rclpy.node import Node
from std_msgs.msg import Header

from mbpl_control.core import FeedbackLaw, LinearGaussianController, StateDefinition
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import ERROR, OK, WARN, Diagnostics, refusals
from mbpl_control.nodes.qos import EVENTS, LATCHED
from mbpl_control.runtime import ControllerEntry, ManagerCore
from mbpl_control.runtime.command import STATE_REFUSALS
from mbpl_control.runtime.law_in_force import LawInForce

_LEVELS = {
    "idle": OK,
    "active": OK,
    "fallback": WARN,
}
_STATES = {
    "unconfigured": State.PRIMARY_STATE_UNCONFIGURED,
    "inactive": State.PRIMARY_STATE_INACTIVE,
    "active": State.PRIMARY_STATE_ACTIVE,
    "finalized": State.PRIMARY_STATE_FINALIZED,
}


def claimed_joints(core: ManagerCore, entry: ControllerEntry) -> tuple[str, ...]:
    """Joints a controller drives while it is active; none before its first law has told."""
    claim = core.claims.of_entry(entry)
    return () if claim is None else claim.joints


def claimed_interfaces(core: ManagerCore, entry: ControllerEntry) -> list[str]:
    """The same as ros2_control names them, "joint/effort"."""
    return [f"{joint}/{core.action.interface}" for joint in claimed_joints(core, entry)]


def controller_states(core: ManagerCore) -> list[msg.ControllerState]:
    """The registry as messages."""
    now = time.monotonic_ns()
    return [
        msg.ControllerState(
            name=e.name,
            type=e.type,
            state=e.state,
            mode=e.mode,
            source=e.source,
            claimed_interfaces=claimed_interfaces(core, e),
            law_sequence=e.law.sequence if e.law is not None else 0,
            law_age=1e-9 * (now - e.law.arrived_ns) if e.law is not None else -1.0,
            reason=e.reason,
        )
        for e in core.registry
    ]


class ManagerReports:
    """Keeps the books of the ticks and publishes them.

    Args:
        node: whose topics they go out on.
        core: what they are about.
    """

    def __init__(self, node: Node, core: ManagerCore) -> None:
        """Open the topics."""
        self._node, self._core = node, core
        self._applied = node.create_publisher(msg.FeedbackLaw, "applied_law", EVENTS)
        self._status = node.create_publisher(msg.ManagerStatus, "status", LATCHED)
        self._diagnostics = Diagnostics(node, "control", hardware=core.robot.name)
        self._diagnostics.open(None)
        self._activity = node.create_publisher(msg.ManagerActivity, "~/activity", LATCHED)
        self._told_activity: msg.ManagerActivity | None = None
        #: what a switch that waits lacks
        self.pending_switch = ""
        self._misses = 0
        self._tick_sum = self._tick_max = 0.0
        self._tick_count = 0
        self._last_tick_ns = 0
        self._last_status_ns = time.monotonic_ns()
        self._last_status_ticks = 0
        self._reported: tuple[Any, ...] = ()
        self._knot_messages: dict[str, tuple[StateDefinition, msg.FeedbackLaw]] = {}

    def ticked(self, begin_ns: int, end_ns: int) -> None:
        """A tick took from `begin_ns` to `end_ns` on the steady clock."""
        if self._last_tick_ns and begin_ns - self._last_tick_ns > 2e9 / self._core.config.rate:
            # not one state came for two periods: a tick is missing, whoever lost it
            self._misses += 1
        self._last_tick_ns = begin_ns
        spent = 1e-9 * (end_ns - begin_ns)
        self._tick_sum += spent
        self._tick_max = max(self._tick_max, spent)
        self._tick_count += 1

    def applied(self, stamp: Any, sequence: int) -> None:
        """Publish the knots behind a command: of each law a step of which begins with it."""
        for force in self._core.forces:
            if force.executor.new_step and force.law is not None:
                self._apply(force, force.law.law, stamp, sequence)

    def _apply(self, force: LawInForce, law: FeedbackLaw | LinearGaussianController, stamp: Any, sequence: int) -> None:
        knot = force.executor.knot()
        if knot is None or force.claim.action is None:
            return
        # the definitions are most of the message, and the same from step to step
        definition, message = self._knot_messages.get(force.name, (None, None))
        if message is None or definition is not law.state:
            message = msg.FeedbackLaw(
                joint_names=list(law.action.joint_names),
                state_definition=convert.state_definition_to_msg(law.state),
                action_definition=convert.action_definition_to_msg(force.claim.action),
            )
            self._knot_messages[force.name] = (law.state, message)
        reference, action, gain, covariance = knot
        message.header.stamp = stamp
        message.sequence = sequence
        message.controller = force.name
        message.reference_state = convert.flat(reference)
        message.action = convert.flat(action)
        message.gain = convert.flat(gain)
        message.covariance = convert.flat(covariance)
        message.step = force.executor.step
        self._applied.publish(message)

    def changes(self) -> None:
        """Publish the status at once when mode, reason or controller differ from what was last told."""
        core = self._core
        seen = (core.mode, core.reason, core.active_controllers)
        if seen != self._reported:
            self._reported = seen
            if core.mode in ("fallback", "zero", "emergency_stop"):
                self._node.get_logger().warning(f"{core.mode}: {core.reason}")
            self.publish()

    def publish(self) -> None:
        """Publish status and diagnostics; means and maxima are over the time since the last call."""
        core, counters = self._core, self._core.counters
        now = time.monotonic_ns()
        elapsed = 1e-9 * (now - self._last_status_ns)
        rate = (counters.ticks - self._last_status_ticks) / elapsed if elapsed > 0.0 else 0.0
        self._last_status_ns, self._last_status_ticks = now, counters.ticks
        message = msg.ManagerStatus(
            mode=core.mode,
            reason=core.reason,
            active_controller=core.active_controller,
            step=core.step,
            joint_names=list(core.action.joint_names),
            controllers=controller_states(core),
            rate=core.config.rate,
            measured_rate=rate,
            state_age=core.state_age(now),
            tick_time_mean=self._tick_sum / max(self._tick_count, 1),
            tick_time_max=self._tick_max,
            ticks=counters.ticks,
            deadline_misses=self._misses,
            clamped=counters.clamped,
            laws_accepted=counters.laws_accepted,
            laws_refused=counters.laws_refused.total(),
            switches=counters.switches,
            fallbacks=counters.fallbacks,
            largest_switch_step=counters.largest_switch_step,
            last_refusal=counters.last_refusal,
            last_switch=counters.last_switch,
        )
        self._tick_sum = self._tick_max = 0.0
        self._tick_count = 0
        message.header.stamp = convert.ns_to_time(core.stamp_ns)
        self._status.publish(message)
        self._publish_diagnostics(message)
        self._publish_activity()

    def _publish_activity(self) -> None:
        """Publish what the controllers do when it differs from what was last told."""
        core = self._core
        message = msg.ManagerActivity(
            controllers=[
                msg.ControllerActivity(
                    name=e.name, state=State(id=_STATES[e.state], label=e.state), joints=claimed_joints(core, e)
                )
                for e in core.registry
            ],
            held_joints=[j for f in core.forces if not f.is_controller for j in f.claim.joints],
            pending_switch=self.pending_switch,
        )
        if message == self._told_activity:
            return
        # the time of a change is no change
        self._told_activity = copy(message)
        message.header = Header(stamp=convert.ns_to_time(core.stamp_ns))
        self._activity.publish(message)

    def _publish_diagnostics(self, status: msg.ManagerStatus) -> None:
        core, counters = self._core, self._core.counters
        figures = {
            "active controllers": ", ".join(core.active_controllers),
            "pending switch": self.pending_switch,
            "state age [s]": status.state_age,
            **{f"law age of {c.name} [s]": c.law_age for c in status.controllers if c.law_age >= 0.0},
            "rate [Hz]": status.measured_rate,
            "tick mean [ms]": 1e3 * status.tick_time_mean,
            "tick largest [ms]": 1e3 * status.tick_time_max,
            "ticks": status.ticks,
            "deadline misses": status.deadline_misses,
            "switches": status.switches,
            "fallbacks": status.fallbacks,
            "errors": counters.errors,
            **refusals("laws", counters.laws_refused),
            **refusals("states", counters.states_refused, STATE_REFUSALS),
            "last refusal": status.last_refusal,
            **{f"clamped by {kind}": number for kind, number in core.limiter.counts.items()},
        }
        # a part of the robot that fell back while the rest goes on
        faulty = status.mode == "active" and any(force.reason for force in core.forces)
        level = WARN if faulty else _LEVELS.get(status.mode, ERROR)
        self._diagnostics.tell(f"{status.mode}: {status.reason}", level, figures)
