"""Calls to the services of the graph, each with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from builtin_interfaces.msg import Duration
from diagnostic_msgs.srv import SelfTest
from lifecycle_msgs.srv import GetState
from mbpl_msgs.msg import ControllerState
from mbpl_msgs.srv import (
    Disturb,
    EmergencyStop,
    ListControllers,
    LoadController,
    PlanController,
    ResetEmergencyStop,
    ResetSim,
    SetCheckpoint,
    StartRecording,
    StopRecording,
    SwitchController,
    UnloadController,
)
from rcl_interfaces.srv import SetParametersAtomically
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import SetBool, Trigger

from mbpl_control.core import MbplError, RefusedError
from mbpl_control.core.validation import Array

MANAGER = "controller_manager"
BRIDGE = "hardware_bridge"

#: s between two calls of a guard.
GUARD_PERIOD = 0.2

HINT = "is the graph running (ros2 launch mbpl_bringup mbpl.launch.py), with the same ROS_DOMAIN_ID and namespace?"


def seconds_to_duration(seconds: float) -> Duration:
    """A duration message of `seconds`, rounded to the nanosecond."""
    nanoseconds = round(seconds * 1e9)
    return Duration(sec=nanoseconds // 10**9, nanosec=nanoseconds % 10**9)


class GraphCalls:
    """Calls services of the graph on a node that another thread spins.

    Every call raises `MbplError` when nobody answers in time, naming the service and what to check, and `RefusedError`
    with the other node's own reason when the request was refused.

    Args:
        node: whose namespace the services are in.
        timeout: s of wall time to wait for a service to appear, and for an answer.
        guard: called now and then while waiting; raises to end the wait early.
    """

    def __init__(self, node: Node, timeout: float = 5.0, guard: Callable[[], None] | None = None) -> None:
        """Call from `node`."""
        self.node = node
        self._guard = guard
        self.namespace = node.get_namespace().rstrip("/")
        self.timeout = timeout
        self._clients: dict[str, Any] = {}
        self._group = ReentrantCallbackGroup()

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
        asap: bool = False,
    ) -> str:
        """Activate and deactivate controllers between two ticks; the manager's account of it.

        Args:
            activate: controllers that shall start.
            deactivate: controllers that shall end.
            strictness: as in the service.
            timeout: s the manager may wait for fresh states and laws.
            asap: whether each controller may start as soon as it is ready, before others are.
        """
        request = SwitchController.Request(
            activate_controllers=list(activate),
            deactivate_controllers=list(deactivate),
            strictness=strictness,
            activate_asap=asap,
            # to the manager 0 s are for ever
            timeout=seconds_to_duration(max(timeout, 1e-9)),
        )
        wait = self.timeout + timeout
        return self._checked(SwitchController, f"{MANAGER}/switch_controller", request, wait).message

    def activate(self, name: str, timeout: float = 2.0, restart: bool = False) -> str:
        """Have `name` drive the joints it claims, whoever drives them now; `restart` begins it anew if it does.

        Args:
            name: of the controller.
            timeout: s the manager may wait for a fresh state and a fresh law.
            restart: whether a controller that is active already begins anew, which is an error otherwise.
        """
        return self.switch([name], [name] if restart else [], SwitchController.Request.FORCE_AUTO, timeout)

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

    # --- the robot, the planners, the trials ---

    def reset_sim(self, condition: int = 0, seed: int = 0) -> str:
        """Put the simulated robot at a start condition of the task."""
        request = ResetSim.Request(condition=condition, seed=seed)
        return self._checked(ResetSim, "mujoco_sim/reset", request).message

    def reset_sim_to(self, state: Array, seed: int, locked: float) -> int:
        """Put the simulated robot at a state (nq + nv,), its joints locked for a while, the clock stopped after that.

        Args:
            state: rad or m, and their rates.
            seed: of the simulation's noise from here on.
            locked: s of simulated time.

        Returns:
            The stamp, ns, at which the clock stops.
        """
        half = len(state) // 2
        request = ResetSim.Request(
            condition=-1,
            position=state[:half].tolist(),
            velocity=state[half:].tolist(),
            seed=seed,
            locked=seconds_to_duration(locked),
            pause=True,
        )
        released = self._checked(ResetSim, "mujoco_sim/reset", request).released
        return released.sec * 10**9 + released.nanosec

    def pause_sim(self, paused: bool) -> None:
        """Stop the simulation's clock, or let it run again."""
        answer = self._call(SetBool, "mujoco_sim/pause", SetBool.Request(data=paused))
        if not answer.success:
            raise RefusedError(answer.message)

    def disturb(self, body: str, force: Sequence[float], delay: float = 0.0, duration: float = 0.1) -> str:
        """Push `body` with a force, N in world axes, after `delay` s of sim time for `duration` s."""
        request = Disturb.Request(body=body, delay=seconds_to_duration(delay), duration=seconds_to_duration(duration))
        push = request.wrench.force
        push.x, push.y, push.z = (float(f) for f in force)
        return self._checked(Disturb, "mujoco_sim/disturb", request).message

    def plan(
        self, planner: str, condition: int, start: Array | None = None, timeout: float = 60.0
    ) -> PlanController.Response:
        """Have a planner node plan and publish the law.

        Args:
            planner: name of the node.
            condition: whose target counts.
            start: x (nq + nv,) to plan from; the condition's own when None.
            timeout: s of wall time.
        """
        request = PlanController.Request(start=PlanController.Request.FROM_CONDITION, condition=condition)
        if start is not None:
            request.start = PlanController.Request.FROM_STATE
            request.state = start.tolist()
        return self._checked(PlanController, f"{planner}/plan", request, timeout)

    def set_checkpoint(self, path: Path, node: str = "neural_policy") -> str:
        """Have a policy node use the policy of a file that it can read; name and hash of what is in force."""
        request = SetCheckpoint.Request(path=str(path))
        return self._checked(SetCheckpoint, f"{node}/set_checkpoint", request).policy

    def offers(self, service: str) -> bool:
        """Whether a service, relative to the namespace, is offered now."""
        name = f"{self.namespace}/{service}"
        return any(name == found for found, _ in self.node.get_service_names_and_types())

    def lifecycle_state(self, node: str) -> str:
        """State of a lifecycle node: unconfigured, inactive, active or finalized, or that of a transition under way."""
        return self._call(GetState, f"{node}/get_state", GetState.Request()).current_state.label

    def set_parameters(self, node: str, values: Mapping[str, Any]) -> None:
        """Set parameters of a node, all or none."""
        request = SetParametersAtomically.Request(
            parameters=[Parameter(name, value=value).to_parameter_msg() for name, value in values.items()]
        )
        service = f"{node}/set_parameters_atomically"
        answer = self._call(SetParametersAtomically, service, request)
        if not answer.result.successful:
            raise RefusedError(f"{node} refused {dict(values)}: {answer.result.reason}")

    def start_recording(self, path: str, metadata: str) -> str:
        """Have the recorder open a bag; its absolute path."""
        request = StartRecording.Request(path=path, metadata=metadata)
        return self._checked(StartRecording, "bag_recorder/start", request).path

    def stop_recording(self, metadata: str, timeout: float = 30.0) -> str:
        """Have the recorder close its bag; its absolute path."""
        request = StopRecording.Request(metadata=metadata)
        return self._checked(StopRecording, "bag_recorder/stop", request, timeout).path

    def pause_recording(self, paused: bool) -> None:
        """Have the recorder leave out what comes, or go on.

        Raises:
            RefusedError: no bag is being recorded, or it is paused, or not, already.
        """
        answer = self._call(Trigger, f"bag_recorder/{'pause' if paused else 'resume'}", Trigger.Request())
        if not answer.success:
            raise RefusedError(answer.message)

    # --- the bridge to a real robot ---

    def check_joint(self, timeout: float) -> SelfTest.Response:
        """Have the bridge move the next joint of its check; what was seen.

        Args:
            timeout: s of wall time, movement included.

        Raises:
            RefusedError: nothing was moved.
        """
        answer = self._call(SelfTest, f"{BRIDGE}/check_joint", SelfTest.Request(), timeout)
        if not answer.status[0].values:
            raise RefusedError(answer.status[0].message)
        return answer

    def answer_check(self, yes: bool) -> str:
        """Tell the bridge whether a person saw what should be seen; what follows, in words."""
        answer = self._call(SetBool, f"{BRIDGE}/answer_check", SetBool.Request(data=yes))
        if not answer.success:
            raise RefusedError(answer.message)
        return answer.message

    # --- plumbing ---

    def _call(self, kind: Any, name: str, request: Any, timeout: float | None = None) -> Any:
        client = self._clients.get(name)
        if client is None:
            client = self._clients[name] = self.node.create_client(kind, name, callback_group=self._group)
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
        end = time.monotonic() + timeout
        while not done.wait(min(GUARD_PERIOD, max(end - time.monotonic(), 0.0))):
            if self._guard is not None:
                self._guard()
            if time.monotonic() >= end:
                future.cancel()
                raise MbplError(f"{self.namespace}/{name} gave no answer within {timeout:g} s; {HINT}")
        return future.result()
