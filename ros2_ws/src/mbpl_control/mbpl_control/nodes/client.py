"""A client of the running graph: what the command line, the demo and the ROS agent ask of the nodes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import rclpy
from action_msgs.msg import GoalStatus
from builtin_interfaces.msg import Duration
from mbpl_msgs.action import RunTrial
from mbpl_msgs.msg import ControllerState, ManagerStatus
from mbpl_msgs.srv import (
    Disturb,
    EmergencyStop,
    ListControllers,
    LoadController,
    PlanController,
    ResetEmergencyStop,
    ResetSim,
    SwitchController,
    UnloadController,
)
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.action import ActionClient
from rclpy.context import Context
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from mbpl_control.core import MbplError, RefusedError

NAMESPACE = "/mbpl"
MANAGER = "controller_manager"


def seconds_to_duration(seconds: float) -> Duration:
    """A duration message of `seconds`, rounded to the nanosecond."""
    nanoseconds = round(seconds * 1e9)
    return Duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


class GraphClient:
    """Calls services and actions of the graph, each with a deadline, from any thread.

    Use it as a context manager: it owns its rclpy context, its node and the thread that spins it. Every call raises
    `MbplError` when nobody answers in time, naming the service and what to check, and `RefusedError` with the node's own
    reason when the request was refused.

    Args:
        namespace: of the nodes.
        timeout: s of wall time to wait for a service to appear, and for an answer.
    """

    def __init__(self, namespace: str = NAMESPACE, timeout: float = 5.0) -> None:
        """Join the graph."""
        self.namespace = "/" + namespace.strip("/")
        self.timeout = timeout
        self.context = Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node(
            "mbpl_client", context=self.context, namespace=self.namespace, enable_rosout=False
        )
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)
        self._clients: dict[str, Any] = {}
        self._status: ManagerStatus | None = None
        self._status_changed = threading.Condition()
        latched = QoSProfile(
            depth=1,
            reliability=ReliabilityPolicy.RELIABLE,
            durability=DurabilityPolicy.TRANSIENT_LOCAL,
        )
        self.node.create_subscription(ManagerStatus, "status", self._on_status, latched)
        self._action = ActionClient(self.node, RunTrial, "trial_runner/run_trial")
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
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
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(timeout=2.0)
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    # --- the manager ---

    def controllers(self) -> list[ControllerState]:
        """The manager's controllers and their states."""
        answer = self._call(ListControllers, f"{MANAGER}/list_controllers", ListControllers.Request())
        return list(answer.controller)

    def switch(
        self,
        activate: Sequence[str],
        deactivate: Sequence[str] = (),
        strictness: int = SwitchController.Request.STRICT,
        timeout: float = 2.0,
    ) -> str:
        """Activate and deactivate controllers between two ticks; the manager's account of it."""
        request = SwitchController.Request(
            activate_controllers=list(activate),
            deactivate_controllers=list(deactivate),
            strictness=strictness,
            timeout=seconds_to_duration(timeout),
        )
        return self._checked(SwitchController, f"{MANAGER}/switch_controller", request).message

    def activate(self, name: str, timeout: float = 2.0) -> str:
        """Make `name` the one active controller, whatever was active before."""
        states = self.controllers()
        active = [c.name for c in states if c.state == "active" and c.name != name]
        return self.switch([name], active, timeout=timeout)

    def load(self, request: LoadController.Request) -> str:
        """Make a controller known to the manager."""
        return self._checked(LoadController, f"{MANAGER}/load_controller", request).message

    def unload(self, name: str) -> str:
        """Make the manager forget an inactive controller."""
        request = UnloadController.Request(name=name)
        return self._checked(UnloadController, f"{MANAGER}/unload_controller", request).message

    def emergency_stop(self, reason: str) -> str:
        """Stop now, latched."""
        request = EmergencyStop.Request(reason=reason)
        return self._checked(EmergencyStop, f"{MANAGER}/emergency_stop", request).message

    def reset_emergency_stop(self) -> str:
        """Lift the latch; the robot stays idle until a controller is activated."""
        request = ResetEmergencyStop.Request()
        return self._checked(ResetEmergencyStop, f"{MANAGER}/reset_emergency_stop", request).message

    def status(self, deadline: float | None = None) -> ManagerStatus:
        """The newest status of the manager."""
        return self.wait_status(lambda _: True, deadline)

    def wait_status(
        self, condition: Callable[[ManagerStatus], bool], deadline: float | None = None
    ) -> ManagerStatus:
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
                    raise MbplError(
                        f"no fitting status on {self.namespace}/status within {wait:g} s ({last}); {HINT}"
                    )
                self._status_changed.wait(left)
            return self._status

    # --- the robot, the planners, the trials ---

    def reset_sim(self, condition: int = 0, seed: int = 0) -> str:
        """Put the simulated robot at a start condition of the task."""
        request = ResetSim.Request(condition=condition, seed=seed)
        return self._checked(ResetSim, "mujoco_sim/reset", request).message

    def disturb(
        self, body: str, force: Sequence[float], delay: float = 0.0, duration: float = 0.1
    ) -> str:
        """Push `body` with a force, N in world axes, after `delay` s of sim time for `duration` s."""
        request = Disturb.Request(
            body=body, delay=seconds_to_duration(delay), duration=seconds_to_duration(duration)
        )
        push = request.wrench.force
        push.x, push.y, push.z = (float(f) for f in force)
        return self._checked(Disturb, "mujoco_sim/disturb", request).message

    def plan(self, planner: str, condition: int, timeout: float = 60.0) -> PlanController.Response:
        """Have a planner node plan from a start condition and publish the law."""
        request = PlanController.Request(
            start=PlanController.Request.FROM_CONDITION, condition=condition
        )
        return self._checked(PlanController, f"{planner}/plan", request, timeout)

    def set_parameters(self, node: str, values: Mapping[str, Any]) -> None:
        """Set parameters of a node, all or none."""
        request = SetParametersAtomically.Request(
            parameters=[
                Parameter(name, value=value).to_parameter_msg() for name, value in values.items()
            ]
        )
        service = f"{node}/set_parameters_atomically"
        answer = self._call(SetParametersAtomically, service, request)
        if not answer.result.successful:
            raise RefusedError(f"{node} refused {dict(values)}: {answer.result.reason}")

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
        if not self._action.wait_for_server(timeout_sec=self.timeout):
            raise MbplError(f"no trial runner answers on {self.namespace}/trial_runner; {HINT}")
        relay = None if on_feedback is None else lambda message: on_feedback(message.feedback)
        handle = self._wait(
            self._action.send_goal_async(goal, feedback_callback=relay), "run_trial", self.timeout
        )
        if not handle.accepted:
            raise RefusedError(
                f"the trial of '{goal.controller}' was rejected; a trial may be running already: "
                f"see the log of {self.namespace}/trial_runner"
            )
        try:
            answer = self._wait(handle.get_result_async(), "run_trial", deadline)
        except BaseException:
            handle.cancel_goal_async()
            raise
        if answer.status != GoalStatus.STATUS_SUCCEEDED or not answer.result.ok:
            raise RefusedError(f"the trial of '{goal.controller}': {answer.result.message}")
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
                    f"not offered below {self.namespace} within {deadline:g} s: "
                    f"{', '.join(sorted(missing))}; {HINT}"
                )
            if missing:
                changed.wait(0.05)  # the graph has no event to wait for from another thread

    # --- plumbing ---

    def _on_status(self, message: ManagerStatus) -> None:
        with self._status_changed:
            self._status = message
            self._status_changed.notify_all()

    def _call(self, kind: Any, name: str, request: Any, timeout: float | None = None) -> Any:
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(kind, name)
        if not client.wait_for_service(timeout_sec=self.timeout):
            raise MbplError(f"nobody offers {self.namespace}/{name}; {HINT}")
        wait = self.timeout if timeout is None else timeout
        return self._wait(client.call_async(request), name, wait)

    def _checked(self, kind: Any, name: str, request: Any, timeout: float | None = None) -> Any:
        answer = self._call(kind, name, request, timeout)
        if not answer.ok:
            raise RefusedError(answer.message)
        return answer

    def _wait(self, future: Any, name: str, timeout: float) -> Any:
        done = threading.Event()
        future.add_done_callback(lambda _: done.set())
        if not done.wait(timeout):
            future.cancel()
            raise MbplError(f"{self.namespace}/{name} gave no answer within {timeout:g} s; {HINT}")
        return future.result()


HINT = (
    "is the graph running (ros2 launch mbpl_bringup mbpl.launch.py), with the same ROS_DOMAIN_ID and namespace?"
)
