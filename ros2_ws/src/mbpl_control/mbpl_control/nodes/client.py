"""A client of the running graph: what the command line, the demo and the ROS agent ask of the nodes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import rclpy
from action_msgs.msg import GoalStatus
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from mbpl_msgs.action import RunTrial, TrainPolicy
from mbpl_msgs.msg import ManagerStatus
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.exceptions import InvalidHandle
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor

from mbpl_control.core import MbplError, RefusedError
from mbpl_control.nodes.graph_calls import GUARD_PERIOD, HINT, GraphCalls
from mbpl_control.nodes.qos import EVENTS, LATCHED

NAMESPACE = "/mbpl"


class GraphClient(GraphCalls):
    """Joins the graph from any program: it owns its rclpy context, its node and the thread that spins it.

    Args:
        namespace: of the nodes.
        timeout: s of wall time to wait for a service to appear, and for an answer.
        guard: called now and then while waiting; raises to end the wait early.
    """

    def __init__(
        self, namespace: str = NAMESPACE, timeout: float = 5.0, guard: Callable[[], None] | None = None
    ) -> None:
        """Join the graph."""
        self.context = Context()
        rclpy.init(context=self.context)
        node = rclpy.create_node(
            "mbpl_client",
            context=self.context,
            namespace="/" + namespace.strip("/"),
            enable_rosout=False,
        )
        super().__init__(node, timeout, guard)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._status: ManagerStatus | None = None
        #: the newest goal of each action server
        self._goals: dict[str, Any] = {}
        #: what the nodes of the namespace said of themselves last, by name, with its arrival on the steady clock, s
        self._diagnostics: dict[str, tuple[float, DiagnosticStatus]] = {}
        self._status_changed = threading.Condition()
        self.node.create_subscription(ManagerStatus, "status", self._on_status, LATCHED)
        self.node.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, EVENTS)
        self._trials = ActionClient(self.node, RunTrial, "trial_runner/run_trial")
        self._training = ActionClient(self.node, TrainPolicy, "gps_trainer/train")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()

    def __enter__(self) -> GraphClient:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the graph."""
        self.close()

    def close(self) -> None:
        """Stop spinning and leave the graph; safe to call twice."""
        if not self.context.ok():
            return
        # an executor that is shut down while it spins takes away the guard its thread may be about to wait for
        self._ended.set()
        self._executor.create_task(lambda: None)
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            while not self._ended.is_set():
                # another thread may destroy what is about to be waited for; the next wait leaves it out
                with suppress(InvalidHandle):
                    self._executor.spin_once()

    @property
    def newest_status(self) -> ManagerStatus | None:
        """The newest status of the manager; None before the first."""
        return self._status

    def status(self, deadline: float | None = None) -> ManagerStatus:
        """The newest status of the manager."""
        return self.wait_status(lambda _: True, deadline)

    def wait_status(self, condition: Callable[[ManagerStatus], bool], deadline: float | None = None) -> ManagerStatus:
        """The first status, from the newest on, that meets `condition`.

        Args:
            condition: what to wait for.
            deadline: s of wall time; the client's timeout when None.

        Raises:
            MbplError: none came in time.
        """
        wait = self.timeout if deadline is None else deadline
        end = time.monotonic() + wait
        with self._status_changed:
            while self._status is None or not condition(self._status):
                left = end - time.monotonic()
                if left <= 0.0:
                    last = "none came" if self._status is None else f"last: {self._status.mode}"
                    raise MbplError(f"no fitting status on {self.namespace}/status within {wait:g} s ({last}); {HINT}")
                self._status_changed.wait(min(left, GUARD_PERIOD))
                if self._guard is not None:
                    self._guard()
            return self._status

    def diagnostics(self, newer: float = 5.0) -> list[DiagnosticStatus]:
        """What the nodes said of themselves in the last `newer` s, in the order of their names."""
        oldest = time.monotonic() - newer
        with self._status_changed:
            return [status for _, (came, status) in sorted(self._diagnostics.items()) if came >= oldest]

    def run_trial(
        self,
        goal: RunTrial.Goal,
        deadline: float = 120.0,
        on_feedback: Callable[[RunTrial.Feedback], None] | None = None,
    ) -> RunTrial.Result:
        """Run one trial and wait for it; an interrupted wait cancels the trial.

        Raises:
            RefusedError: the goal was rejected, or the trial was aborted, with the reason.
            MbplError: the trial runner does not answer in time.
        """
        what = f"the trial of '{goal.controller}'"
        return self._act(self._trials, "trial_runner", what, "a trial", goal, deadline, on_feedback)

    def train(
        self,
        goal: TrainPolicy.Goal,
        deadline: float,
        on_feedback: Callable[[TrainPolicy.Feedback], None] | None = None,
    ) -> TrainPolicy.Result:
        """Have the trainer of the graph learn, and wait for it; an interrupted wait cancels it after its trial.

        Raises:
            RefusedError: the goal was rejected, or the training was cancelled or failed, with the reason.
            MbplError: the trainer does not answer, or is not done in time.
        """
        what = f"the training of {goal.method}"
        return self._act(self._training, "gps_trainer", what, "a training", goal, deadline, on_feedback)

    def cancel_trial(self) -> None:
        """Ask for the end of the trial that runs; its `run_trial` raises with the reason."""
        self._cancel("trial_runner")

    def cancel_training(self) -> None:
        """Ask for the end of the training after the trial that runs; its `train` raises with the reason."""
        self._cancel("gps_trainer")

    def _cancel(self, server: str) -> None:
        goal = self._goals.get(server)
        if goal is not None:
            goal.cancel_goal_async()

    def _act(
        self,
        client: ActionClient,
        server: str,
        what: str,
        kind: str,
        goal: Any,
        deadline: float,
        on_feedback: Callable[[Any], None] | None,
    ) -> Any:
        """Send a goal to an action server and wait for its result; an interrupted wait cancels it."""
        if not client.wait_for_server(timeout_sec=self.timeout):
            raise MbplError(f"nobody answers on {self.namespace}/{server}; {HINT}")
        relay = None if on_feedback is None else lambda message: on_feedback(message.feedback)
        handle = self._in_executor(server, lambda: client.send_goal_async(goal, feedback_callback=relay), self.timeout)
        self._goals[server] = handle
        if not handle.accepted:
            raise RefusedError(
                f"{what} was rejected; {kind} may be running already: see the log of {self.namespace}/{server}"
            )
        try:
            answer = self._in_executor(server, handle.get_result_async, deadline)
        except BaseException:
            handle.cancel_goal_async()
            raise
        if answer.status != GoalStatus.STATUS_SUCCEEDED or not answer.result.ok:
            raise RefusedError(f"{what}: {answer.result.message}")
        return answer.result

    def wait_for_services(self, names: Sequence[str], deadline: float) -> None:
        """Wait until each service, relative to the namespace, is offered.

        Raises:
            MbplError: one is not there in time.
        """
        end = time.monotonic() + deadline
        missing = set(names)
        changed = threading.Event()
        while missing:
            offered = {name for name, _ in self.node.get_service_names_and_types()}
            missing = {n for n in missing if f"{self.namespace}/{n}" not in offered}
            if missing and time.monotonic() > end:
                raise MbplError(
                    f"not offered below {self.namespace} within {deadline:g} s: {', '.join(sorted(missing))}; {HINT}"
                )
            if missing:
                if self._guard is not None:
                    self._guard()
                changed.wait(0.05)  # the graph has no event to wait for from another thread

    def _in_executor(self, name: str, ask: Callable[[], Any], timeout: float) -> Any:
        """Ask the action server from the executor's thread, and wait for the answer in this one.

        An action client notes what it asked only after it has sent it, without a lock: an executor in another thread
        may meet the answer before that, and drops it.
        """
        asked = self._wait(self._executor.create_task(ask), name, timeout)
        return self._wait(asked, name, timeout)

    def _on_status(self, message: ManagerStatus) -> None:
        with self._status_changed:
            self._status = message
            self._status_changed.notify_all()

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        now = time.monotonic()
        with self._status_changed:
            for status in message.status:
                if status.name.startswith(f"{self.namespace}/"):
                    self._diagnostics[status.name] = now, status
