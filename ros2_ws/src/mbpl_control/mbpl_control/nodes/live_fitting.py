"""What `dynamics_fitter` does during a trial: dynamics that follow the robot, step by step."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
from mbpl_msgs import msg
from rclpy.node import Node

from mbpl_control.agents.collector import TrialCollector
from mbpl_control.core import MbplError
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.fitting.online import OnlineOptions
from mbpl_control.learning.live_fit import FittedTrials, LiveFit
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import OK, WARN, Diagnostics
from mbpl_control.nodes.priority_executor import node_priority
from mbpl_control.nodes.qos import EVENTS, RECORDER
from mbpl_control.tasks import Task

#: The last states that are kept. A trial begins with one that is heard before the command that answers it; where many
#: are waiting to be heard, long before it, while the trial before is still being followed.
EARLIER = RECORDER.depth


class LiveFitting:
    """Listens to states and commands; publishes the corrected dynamics of each step, and a verdict after each trial.

    A trial begins with the first command of a controller that was fitted, and ends with its horizon, with another
    controller, or when its steps begin anew.

    Args:
        node: that publishes.
        task: what is being tried.
        controllers: whose trials are followed, once they have a fit.
        options: how to forget.
        diagnostics: where the verdict goes.
    """

    def __init__(
        self, node: Node, task: Task, controllers: Sequence[str], options: OnlineOptions, diagnostics: Diagnostics
    ) -> None:
        """Check the options; open the topics."""
        if options.forgetting >= 1.0:
            raise InvalidFieldError("dynamics_fitter", "forgetting", str(options.forgetting), "below 1")
        self._node, self._task, self._options, self._diagnostics = node, task, options, diagnostics
        self._controllers = controllers
        self._fits: dict[str, dict[int, FittedTrials]] = {}
        self._earlier: deque[tuple[int, Array, Array]] = deque(maxlen=EARLIER)
        self._collector: TrialCollector | None = None
        self._live: LiveFit | None = None
        self._next = 0
        self._last_step = -1
        self._dynamics = node.create_publisher(msg.LinearGaussianDynamics, "online_dynamics", EVENTS)
        states = node.create_subscription(msg.RobotState, "state", self._on_state, RECORDER)
        commands = node.create_subscription(msg.JointCommand, "joint_commands", self._on_command, RECORDER)
        node_priority(node, states, commands)

    def take(self, controller: str, fit: FittedTrials) -> None:
        """A new fit; it counts from the next trial on."""
        self._fits.setdefault(controller, {})[fit.condition] = fit

    def _on_state(self, message: msg.RobotState) -> None:
        if message.definition_hash != self._task.state.hash:
            return
        robot = np.concatenate([np.array(message.position), np.array(message.velocity)])
        heard = (convert.time_to_ns(message.header.stamp), np.array(message.state), robot)
        self._earlier.append(heard)
        if self._collector is not None:
            self._collector.on_state(*heard)
            self._follow()

    def _on_command(self, message: msg.JointCommand) -> None:
        collector = self._collector
        followed = message.controller in self._controllers
        if followed and (
            collector is None or collector.controller != message.controller or message.step < self._last_step
        ):
            self._end()
            self._begin(message.controller, convert.time_to_ns(message.header.stamp))
        if self._collector is None:
            return
        if followed:
            self._last_step = message.step
        stamp = convert.time_to_ns(message.header.stamp)
        self._collector.on_command(stamp, message.controller, np.array(message.values))
        self._follow()
        if self._collector is not None and self._collector.interrupted_by:
            self._end()

    def _begin(self, controller: str, stamp_ns: int) -> None:
        fits = self._fits.get(controller)
        if fits:
            self._collector = TrialCollector(self._task, controller, -1, 0)
            self._live = LiveFit(list(fits.values()), self._options)
            # a simulation that was started anew may have begun its time anew: what is far from now is of before
            near = 1e9 * self._task.horizon * self._task.dt
            for heard in self._earlier:
                if abs(heard[0] - stamp_ns) <= near:
                    self._collector.on_state(*heard)

    def _follow(self) -> None:
        """Learn from every step that is told by now."""
        collector, live = self._collector, self._live
        if collector is None or live is None:
            return
        while collector.told(self._next):
            try:
                step = live.update(self._next, *collector.transition(self._next))
            except MbplError as error:
                text = f"step {self._next} of '{collector.controller}' is not learned: {error}"
                self._node.get_logger().warning(text)
            else:
                message = convert.dynamics_to_msg(step.dynamics)
                message.header.stamp = convert.ns_to_time(collector.end_of(self._next))
                self._dynamics.publish(message)
            self._next += 1
        if self._next >= collector.steps:
            self._end()

    def _end(self) -> None:
        """Say how the trial compares with what was fitted, and forget it."""
        if self._collector is not None and self._live is not None and self._live.learned:
            report = self._live.report()
            text = f"'{self._collector.controller}': errors {report.ratio:.2g} times those the fit expects"
            if report.changed:
                text += "; the robot is another than the one that was fitted"
            log = self._node.get_logger().warning if report.changed else self._node.get_logger().info
            log(text)
            self._diagnostics.tell(text, WARN if report.changed else OK, asdict(report), "online")
        self._collector = self._live = None
        self._next, self._last_step = 0, -1
