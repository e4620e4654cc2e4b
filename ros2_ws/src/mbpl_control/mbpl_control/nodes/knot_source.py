"""What nodes share that stream a law, knot after knot, from what a file holds: a policy, a model to plan on."""

from __future__ import annotations

import threading
import time
from abc import abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
from mbpl_msgs import msg, srv
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from std_msgs.msg import String

from mbpl_control.core import FeedbackLaw, MbplError, Refusal, RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import ERROR, WARN, Diagnostics, refusals
from mbpl_control.nodes.node_tools import autostart, declare, in_thread, on_change
from mbpl_control.nodes.priority_executor import node_priority
from mbpl_control.nodes.qos import LATCHED, LAWS, SENSOR
from mbpl_control.runtime.command import STATE_REFUSALS
from mbpl_control.tasks import Task, load_task


class Feedback(Protocol):
    """Makes knots."""

    def begin(self) -> None:
        """An episode begins."""

    def at(self, x: Array, step: int) -> FeedbackLaw:
        """The knot around a state (nx,) with which a step begins, or that came again in it."""


class Checkpoint(NamedTuple):
    """What a file holds.

    Attributes:
        content: what knots are made of.
        dt: s of its step.
        hash: of its content.
    """

    content: Any
    dt: float
    hash: str


class KnotSource(LifecycleNode):
    """At each step one knot: action, Jacobian by the state, covariance. Subclasses say what makes it.

    Args:
        name: of the node.
        what: a file holds, in a word or two.
        besides: what may be named in place of a file, and what it means.
    """

    def __init__(self, name: str, what: str, besides: str = "") -> None:
        """Declare parameters; the work begins with configuration."""
        super().__init__(name)
        self._what = what
        self._task_name = declare(self, "task", "arm_reach", "Name of the task, or path of its YAML.")
        self._path = declare(
            self, "checkpoint", "", f"File of the {what} (.npz){besides}; empty: none until one is set."
        )
        self._condition = declare(
            self, "condition", 0, f"Start condition whose target the {what} is told.", 0, 10**6, read_only=False
        )
        self._period = declare(
            self,
            "period",
            0.0,
            f"s of the robot's clock between knots; 0: the step of the {what}.",
            0.0,
            10.0,
        )
        self._periods_valid = declare(self, "periods_valid", 4.0, "Periods over which a knot counts.", 1.0, 1000.0)
        self._wait = declare(self, "state_timeout", 1.0, "s of wall time to wait for a state.", 1e-3, 60.0)
        self._task: Task | None = None
        #: guards what follows, which services change while states come
        self._lock = threading.Lock()
        self._checkpoint: Checkpoint | None = None
        self._feedback: Feedback | None = None
        self._running = False
        #: stamp from which steps are counted; None: from the next state on
        self._begin_ns: int | None = None
        self._step = -1
        self._stamp_ns = 0
        #: the state of the newest knot: its stamp, and when the knot was made on the steady clock
        self._told_ns = self._told_at_ns = -1
        self._sequence = 0
        self._begun = threading.Event()
        self._knots = 0
        self._refused: Counter[Refusal] = Counter()
        self._diagnostics = Diagnostics(self, what, "no checkpoint yet", self._figures)
        on_change(self, self._on_parameters)
        autostart(self)

    # --- what a subclass says ---

    @abstractmethod
    def read(self, path: Path, task: Task) -> Checkpoint:
        """What a file holds.

        Raises:
            MbplError: it is none, or not for this task.
        """

    @abstractmethod
    def feedback(self, content: Any, task: Task, condition: int) -> Feedback:
        """What makes knots towards the target of a start condition.

        Raises:
            TaskError: there is none of that number.
        """

    # --- lifecycle ---

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Load the task and the checkpoint, if one is named; open the graph."""
        try:
            self._task = load_task(self._task_name)
            self._task.condition(self._condition)
            if self._path:
                self._use(Path(self._path))
        except MbplError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self._laws = self.create_publisher(msg.FeedbackLaw, "~/feedback_law", LAWS)
        self._in_force = self.create_publisher(String, "~/checkpoint", LATCHED)
        self._offered = [
            self.create_service(srv.SetCheckpoint, "~/set_checkpoint", self._on_set_checkpoint),
            self.create_service(srv.PlanController, "~/plan", self._on_plan),
        ]
        self._subscription = self.create_subscription(msg.RobotState, "state", self._on_state, SENSOR)
        node_priority(self, self._subscription)
        self._diagnostics.open()
        self._in_force.publish(String(data=self._name()))
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Begin to answer states."""
        with self._lock:
            self._running, self._begin_ns = True, None
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Fall silent; the manager's law time-out sees to the robot."""
        with self._lock:
            self._running = False
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Leave the graph and forget the policy."""
        self._diagnostics.close()
        self.destroy_subscription(self._subscription)
        for service in self._offered:
            self.destroy_service(service)
        for publisher in (self._laws, self._in_force):
            self.destroy_publisher(publisher)
        self._task = self._checkpoint = self._feedback = None
        return TransitionCallbackReturn.SUCCESS

    # --- which file, which target ---

    def _use(self, path: Path) -> None:
        """Let what a file holds answer from the next knot on.

        Raises:
            MbplError: it is none, or not for this task; nothing has changed.
        """
        task = self._task
        if task is None:
            raise RefusedError("the node is not configured; configure it first")
        checkpoint = self.read(path, task)
        with self._lock:
            self._feedback = self.feedback(checkpoint.content, task, self._condition)
            self._checkpoint, self._path = checkpoint, str(path)
        self._diagnostics.say(f"{self._name()} in force")

    def _name(self) -> str:
        """File and hash of what is in force; empty when there is nothing."""
        return "" if self._checkpoint is None else f"{self._path} {self._checkpoint.hash}"

    def _on_parameters(self, values: dict[str, Any]) -> None:
        if "condition" in values:
            self._aim(values["condition"])

    def _aim(self, condition: int) -> None:
        """Take the target of another start condition.

        Raises:
            TaskError: there is none of that number.
        """
        with self._lock:
            if self._task is not None and self._checkpoint is not None:
                self._feedback = self.feedback(self._checkpoint.content, self._task, condition)
            self._condition = condition

    async def _on_set_checkpoint(self, request: srv.SetCheckpoint.Request, response: Any) -> Any:
        """Swap what is in force; the old one answers while the new one is read."""
        return await in_thread(self, lambda: self._set_checkpoint(request, response))

    def _set_checkpoint(self, request: srv.SetCheckpoint.Request, response: Any) -> Any:
        try:
            self._use(Path(request.path))
            response.ok, response.message = True, "in force from the next step on"
            self._in_force.publish(String(data=self._name()))
            self.get_logger().info(f"checkpoint {self._name()}")
        except MbplError as error:
            response.message = str(error)
            self._diagnostics.say(str(error), WARN)
            self.get_logger().warning(f"checkpoint refused: {error}")
        response.policy = self._name()
        return response

    async def _on_plan(self, request: srv.PlanController.Request, response: Any) -> Any:
        """Begin anew: the condition's target, steps counted from the next state that comes."""
        return await in_thread(self, lambda: self._begin(request, response))

    def _begin(self, request: srv.PlanController.Request, response: Any) -> Any:
        try:
            if not self._running:
                raise RefusedError(f"the {self._what} is not active; configure and activate it first")
            if self._checkpoint is None:
                raise RefusedError(f"there is no {self._what} yet; ~/set_checkpoint gives one")
            if request.condition >= 0:
                self._aim(request.condition)
            with self._lock:
                self._begin_ns = None
                self._begun.clear()
            if not self._begun.wait(self._wait):
                raise RefusedError(f"no state came within {self._wait:g} s; is the state estimator running?")
            response.ok, response.message = True, f"steps count from {1e-9 * self._stamp_ns:.3f} s"
            response.sequence = self._sequence
        except MbplError as error:
            response.message = str(error)
            self.get_logger().warning(str(error))
        return response

    # --- knots ---

    def _on_state(self, message: msg.RobotState) -> None:
        """A knot, if a step begins at this state, or if it is asked again: somebody may wait for one."""
        with self._lock:
            feedback, checkpoint = self._feedback, self._checkpoint
            if not self._running or feedback is None or checkpoint is None or self._task is None:
                return
            if message.definition_hash != self._task.state.hash:
                found = message.definition_hash or "missing"
                self._refuse(f"its definition is {found}, this task's is {self._task.state.hash}", Refusal.DEFINITION)
                return
            if len(message.state) != self._task.state.size:
                text = f"{len(message.state)} numbers; must be {self._task.state.size}"
                self._refuse(text, Refusal.SHAPE)
                return
            stamp = convert.time_to_ns(message.header.stamp)
            again, self._stamp_ns = stamp == self._stamp_ns, stamp
            if self._begin_ns is None or stamp < self._begin_ns:
                self._begin_ns, self._step = stamp, -1
                feedback.begin()
            period = self._period or checkpoint.dt
            # a stamp within a microsecond of a step belongs to it
            step = int((stamp - self._begin_ns + 1000) // (1e9 * period))
            if step <= self._step and not (again and self._worth_repeating(stamp, period)):
                return
            self._step = max(step, self._step)
            try:
                self._tell(feedback, message, stamp, period)
            except MbplError as error:
                self._refuse(str(error), error.refusal)

    def _refuse(self, reason: str, kind: Refusal) -> None:
        self._refused[kind] += 1
        self._diagnostics.say(f"state refused: {reason}", ERROR)

    def _worth_repeating(self, stamp_ns: int, period: float) -> bool:
        """Whether a state that comes again is worth a knot: it had none, or its knot grows old."""
        return stamp_ns != self._told_ns or time.monotonic_ns() - self._told_at_ns >= 1e9 * period

    def _tell(self, feedback: Feedback, state: msg.RobotState, stamp_ns: int, period: float) -> None:
        """Publish the knot around a state."""
        message = convert.feedback_law_to_msg(feedback.at(np.array(state.state), self._step))
        self._sequence += 1
        self._told_ns, self._told_at_ns = stamp_ns, time.monotonic_ns()
        message.sequence = self._sequence
        message.controller = self.get_name()
        message.header.stamp = message.valid_from = state.header.stamp
        message.valid_until = convert.ns_to_time(stamp_ns + round(1e9 * self._periods_valid * period))
        message.step = self._step
        if self.context.ok():
            self._laws.publish(message)
        self._knots += 1
        self._begun.set()

    def _figures(self) -> dict[str, object]:
        return {
            "checkpoint": self._name(),
            "start condition": self._condition,
            "knots": self._knots,
            **refusals("states", self._refused, STATE_REFUSALS),
        }
