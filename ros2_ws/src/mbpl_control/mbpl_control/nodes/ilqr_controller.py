"""Node `ilqr_controller`: plans on the model, once or again and again, and publishes the law."""

from __future__ import annotations

import threading
import time
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import PointStamped
from mbpl_msgs import msg, srv
from rclpy.lifecycle import LifecycleNode, State, TransitionCallbackReturn
from rclpy.serialization import deserialize_message

from mbpl_control.core import MbplError, RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import ERROR, Diagnostics
from mbpl_control.nodes.node_tools import autostart, declare, in_thread
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.nodes.priority_executor import node_priority
from mbpl_control.nodes.qos import LATCHED, LAWS, SENSOR
from mbpl_control.tasks import Task, load_task
from mbpl_control.trajopt import ILQRResult, RecedingHorizon
from mbpl_control.trajopt.planning import (
    first_guess,
    plan_task,
    task_controller,
    task_receding_horizon,
    warm_up,
)

#: The frame targets are given in.
WORLD = "world"


class ILQRController(LifecycleNode):
    """`mode: plan` plans the whole horizon when asked; `mode: mpc` also replans at a rate while active."""

    def __init__(self) -> None:
        """Declare parameters; the work begins with configuration."""
        super().__init__("ilqr_controller")
        self._task_name = declare(self, "task", "arm_reach", "Name of the task, or path of its YAML.")
        self._mode = declare(
            self,
            "mode",
            "plan",
            "plan (once, when asked) or mpc (again and again, while active).",
            choices=("plan", "mpc"),
        )
        self._seed = declare(self, "seed", 0, "Seed of the first actions.", 0, 2**62)
        self._wait = declare(self, "state_timeout", 0.5, "s of wall time a measured state may be old.", 1e-3, 60.0)
        self._timing_file = declare(
            self,
            "timing_file",
            "",
            "Where what each plan of mode mpc took is written at the end (.npy, rows of s: the plan, from its state to "
            "its law, the delay compensated); empty: nowhere.",
        )
        self._timings: list[tuple[float, float, float]] = []
        self._task: Task | None = None
        self._backend = self._slower = ""
        self._running = False
        self._lock = threading.Lock()
        #: held while a request is served: they come from the executor, but each is worked off in a thread
        self._planning = threading.Lock()
        self._sequence = 0
        #: the newest state, unparsed, and its arrival on the steady clock, ns
        self._state: tuple[bytes, int] | None = None
        #: arrival of the state that is planned from
        self._arrived = 0
        self._effort: Array | None = None
        self._commands = False
        self._fresh = threading.Event()
        self._planner: RecedingHorizon | None = None
        self._condition = 0
        self._begin_ns: int | None = None
        self._delay = 0.02
        self._worker: threading.Thread | None = None
        self._stop = threading.Event()
        self._plans = self._failures = self._pursued = self._late = 0
        self._spent = 0.0
        #: the last plan of mode mpc, of which reports tell; None after one that failed
        self._newest: ILQRResult | None = None
        self._diagnostics = Diagnostics(self, "planner", "nothing planned yet", self._figures)
        autostart(self)

    # --- lifecycle ---

    def on_configure(self, state: State) -> TransitionCallbackReturn:
        """Load the task, compile, open the graph."""
        try:
            self._task = load_task(self._task_name)
            warm_up(self._task)
        except MbplError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self._laws = self.create_publisher(msg.LinearGaussianController, "~/controller", LAWS)
        self._service = self.create_service(srv.PlanController, "~/plan", self._on_plan)
        self._subscription = self.create_subscription(msg.RobotState, "state", self._on_state, SENSOR, raw=True)
        self._targets = self.create_subscription(PointStamped, "~/target", self._on_target, SENSOR)
        node_priority(self, self._subscription, self._targets)
        self._status_subscription = self.create_subscription(msg.ManagerStatus, "status", self._on_manager, LATCHED)
        self._diagnostics.open()
        self._backend, self._slower = self._task.backend(), self._task.why_not_generated()
        self.get_logger().info(f"task {self._task.name}, backend {self._backend}")
        if self._slower:
            self.get_logger().warning(f"planning by Pinocchio's bindings, which is slower: {self._slower}")
        return TransitionCallbackReturn.SUCCESS

    def on_activate(self, state: State) -> TransitionCallbackReturn:
        """Begin to answer; in mode mpc, start the thread that replans."""
        self._running = True
        if self._mode == "mpc":
            self._stop.clear()
            self._worker = threading.Thread(target=self._replan, daemon=True)
            self._worker.start()
        return super().on_activate(state)

    def on_deactivate(self, state: State) -> TransitionCallbackReturn:
        """Stop planning; the last law stays published."""
        self._end_worker()
        self._running = False
        return super().on_deactivate(state)

    def on_cleanup(self, state: State) -> TransitionCallbackReturn:
        """Leave the graph and forget the task."""
        self._end_worker()
        self._diagnostics.close()
        self.destroy_subscription(self._subscription)
        self.destroy_subscription(self._targets)
        self.destroy_subscription(self._status_subscription)
        self.destroy_service(self._service)
        self.destroy_publisher(self._laws)
        self._task = self._planner = self._state = None
        return TransitionCallbackReturn.SUCCESS

    def on_shutdown(self, state: State) -> TransitionCallbackReturn:
        """Stop planning."""
        self._end_worker()
        return TransitionCallbackReturn.SUCCESS

    def destroy_node(self) -> None:
        """Stop planning and leave."""
        self._end_worker()
        if self._timing_file:
            np.save(self._timing_file, np.array(self._timings).reshape(-1, 3))
        super().destroy_node()

    def _end_worker(self) -> None:
        self._stop.set()
        self._fresh.set()
        if self._worker is not None:
            self._worker.join(timeout=10.0)
            self._worker = None

    # --- planning once ---

    def _on_state(self, data: bytes) -> None:
        # most states are never looked at: they are parsed when a plan begins
        self._state = (data, time.monotonic_ns())
        if not self._fresh.is_set():
            self._fresh.set()

    def _on_manager(self, message: msg.ManagerStatus) -> None:
        """Whether a controller that runs this planner's laws commands the robot."""
        self._commands = any(
            c.state == "active" and c.source and self.resolve_topic_name(c.source) == self._laws.topic_name
            for c in message.controllers
        )

    def _measured(self) -> tuple[Array, int]:
        """The newest state and its stamp.

        Raises:
            RefusedError: there is none, or it is too old.
        """
        if self._state is None:
            raise RefusedError("no state has arrived yet; is the state estimator running?")
        data, arrived = self._state
        self._arrived = arrived
        age = 1e-9 * (time.monotonic_ns() - arrived)
        if age > self._wait:
            raise RefusedError(f"the newest state is {age:.2f} s old; at most {self._wait:g} s is allowed")
        message = deserialize_message(data, msg.RobotState)
        assert self._task is not None  # noqa: S101 - configured
        n = self._task.robot.nv
        x = np.concatenate([np.array(message.position), np.array(message.velocity)])
        if len(message.position) != n or len(message.velocity) != n or not np.isfinite(x).all():
            raise RefusedError(f"the newest state does not hold {n} positions and {n} velocities that are finite")
        self._effort = np.array(message.effort) if len(message.effort) == n else None
        return x, convert.time_to_ns(message.header.stamp)

    async def _on_plan(self, request: srv.PlanController.Request, response: Any) -> Any:
        """Plan, publish, tell; in mode mpc, set the goal that replanning pursues from now on."""
        return await in_thread(self, lambda: self._answer(request, response))

    def _answer(self, request: srv.PlanController.Request, response: Any) -> Any:
        begin = time.perf_counter()
        try:
            if not self._running or self._task is None:
                raise RefusedError("the planner is not active; configure and activate it first")
            with self._planning:
                result = self._plan_mpc(request) if self._mode == "mpc" else self._plan_once(request)
            response.sequence = self._sequence
            response.ok, response.message = True, result.summary()
            response.converged, response.cost = result.converged, result.cost
            response.iterations = len(result.iterations)
            response.stop_reason = result.stop_reason
            self._plans += 1
            self._diagnostics.say(result.summary())
        except MbplError as error:
            response.message = str(error)
            self._failures += 1
            self._diagnostics.say(str(error), ERROR)
            self.get_logger().error(str(error))
        response.seconds = self._spent = time.perf_counter() - begin
        return response

    def _start_of(self, request: srv.PlanController.Request) -> Array:
        assert self._task is not None  # noqa: S101 - the callers check
        kinds = srv.PlanController.Request
        if request.start == kinds.FROM_CONDITION:
            return self._task.condition(request.condition).state
        if request.start == kinds.FROM_MEASURED:
            return self._measured()[0]
        if request.start != kinds.FROM_STATE:
            raise RefusedError(f"start {request.start}; must be 0 (condition), 1 (measured) or 2 (state)")
        x = np.array(request.state)
        if x.shape != (self._task.robot.state.size,):
            raise RefusedError(f"state has {len(x)} numbers; must have {self._task.robot.state.size}")
        return x

    def _plan_once(self, request: srv.PlanController.Request) -> ILQRResult:
        assert self._task is not None  # noqa: S101 - the caller checks
        condition = max(0, request.condition)
        result = plan_task(self._task, condition, self._start_of(request), self._seed)
        self._publish(task_controller(self._task, result, self.get_name()), 0, 0)
        return result

    # --- planning again and again ---

    def _plan_mpc(self, request: srv.PlanController.Request) -> ILQRResult:
        """A new goal: plan for it from where the robot is, or from the start asked for."""
        assert self._task is not None  # noqa: S101 - the caller checks
        start = self._start_of(request)
        with self._lock:
            condition = max(0, request.condition)
            planner = task_receding_horizon(self._task, condition)
            self._condition = condition
            result = planner.plan(start, 0.0, first_guess(self._task, condition, start))
            self._planner, self._begin_ns = planner, None
        self._fresh.set()
        return result

    def _on_target(self, message: PointStamped) -> None:
        """A target that moves: plans pursue it from the next one on."""
        task, planner = self._task, self._planner
        try:
            if task is None or planner is None:
                raise RefusedError("nothing is pursued yet: ~/plan sets the goal that it moves, in mode mpc")
            if message.header.frame_id not in ("", WORLD):
                raise RefusedError(f"a target in frame '{message.header.frame_id}'; must be in '{WORLD}'")
            point = np.array([message.point.x, message.point.y, message.point.z])
            planner.pursue(task.cost(self._condition, point))
            self._pursued += 1
        except MbplError as error:
            self._failures += 1
            self.get_logger().warning(f"target refused: {error}", throttle_duration_sec=1.0)

    def _replan(self) -> None:
        """The planning thread: newest state, predicted over the delay; plan; publish; again."""
        assert self._task is not None  # noqa: S101 - configured
        period = 1.0 / self._task.planner.mpc.rate
        due = time.monotonic()
        while not self._stop.is_set():
            left = due - time.monotonic()
            if left > 0.0:
                self._stop.wait(left)
                continue
            self._fresh.clear()
            planner = self._planner
            if planner is None or self._state is None:
                self._fresh.wait(0.1)
                continue
            due = max(due + period, time.monotonic())
            try:
                self._replan_once(planner)
            except MbplError as error:
                self._failures += 1
                self._newest = None
                self._diagnostics.say(str(error), ERROR)
                self.get_logger().warning(f"no new plan: {error}", throttle_duration_sec=1.0)

    def _replan_once(self, planner: RecedingHorizon) -> None:
        begin = time.perf_counter()
        x, stamp = self._measured()
        arrived = self._arrived
        with self._lock:
            if planner is not self._planner:
                return
            if self._begin_ns is None:
                self._begin_ns = stamp
            now = 1e-9 * (stamp - self._begin_ns)
            start = planner.predict(x, now, self._delay, None if self._commands else self._held())
            assert self._task is not None  # noqa: S101 - configured
            guess = partial(first_guess, self._task, self._condition, start)
            result = planner.plan(start, now + self._delay, guess)
            law = planner.law(result, self.get_name())
            valid_from = stamp + round(1e9 * self._delay)
            self._publish(law, stamp, valid_from)
        spent = time.perf_counter() - begin
        age = 1e-9 * (time.monotonic_ns() - arrived)
        # it counts from its stamp on: what has passed by then is left out, not made up for
        self._late += age > self._delay
        if self._timing_file:
            self._timings.append((spent, age, self._delay))
        # what planning takes is what must be compensated; the margin covers the way to the manager
        self._delay += 0.2 * (min(spent + 0.005, 0.2) - self._delay)
        self._plans += 1
        self._spent = spent
        self._newest = result

    def _held(self) -> Array | None:
        """The efforts (m,) that act now and stay while another controller commands; None when nobody measures them."""
        assert self._task is not None  # noqa: S101 - configured
        if self._effort is None or self._task.action.interface != "effort":
            return None
        return self._effort[self._task.robot.actuated]

    # --- out ---

    def _publish(self, law: Any, stamp_ns: int, valid_from_ns: int) -> None:
        message = convert.controller_to_msg(law)
        self._sequence += 1
        message.sequence = self._sequence
        message.header.stamp = convert.ns_to_time(stamp_ns)
        message.valid_from = convert.ns_to_time(valid_from_ns)
        if self.context.ok():
            self._laws.publish(message)

    def _figures(self) -> dict[str, object]:
        if self._newest is not None:
            # told of as often as reports are made, not as often as plans are
            self._diagnostics.say(f"{1e3 * self._spent:.1f} ms a plan; {self._newest.summary()}")
        return {
            "backend": self._backend,
            "why not by generated kernels": self._slower,
            "plans": self._plans,
            "failures": self._failures,
            "plans later than compensated": self._late,
            "targets pursued": self._pursued,
            "newest plan took [ms]": 1e3 * self._spent,
            "delay compensated [ms]": 1e3 * self._delay,
            "state age [s]": -1.0 if self._state is None else 1e-9 * (time.monotonic_ns() - self._state[1]),
        }


def main() -> None:
    """Run the node."""
    run_node(ILQRController)


if __name__ == "__main__":
    main()
