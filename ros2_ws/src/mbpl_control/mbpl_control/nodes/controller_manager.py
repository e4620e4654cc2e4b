"""Node `controller_manager`: evaluates the active law and is the only one that commands the robot."""

from __future__ import annotations

import gc
import time
from array import array
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from mbpl_msgs import msg, srv
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from sensor_msgs.msg import JointState

from mbpl_control.core import MbplError, Refusal, RefusedError
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.control_services import ControlServices
from mbpl_control.nodes.manager_parameters import DescribedControllers, manager_config
from mbpl_control.nodes.manager_reports import ManagerReports, controller_states
from mbpl_control.nodes.manager_sources import LawSources
from mbpl_control.nodes.manager_switches import Switches, switch_request
from mbpl_control.nodes.node_tools import declare, on_change
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.nodes.priority_executor import node_priority
from mbpl_control.nodes.qos import LATCHED, SENSOR
from mbpl_control.runtime import Command, ControllerEntry, ManagerCore, RobotSample
from mbpl_control.tasks import load_task


class ControllerManager(Node):
    """Parameters, topics and services around `runtime.ManagerCore`."""

    def __init__(self) -> None:
        """Declare parameters, build the core, open the graph."""
        super().__init__("controller_manager")
        self._core = self._build_core()
        robot, action = self._core.robot, self._core.action
        self._joint_names = list(robot.joint_names)
        self._rate = self._core.config.rate
        self._order: list[str] | None = None
        self._picks: np.ndarray | None = None
        self._state_hash = self._core.state.hash
        self._state_sequence = 0
        #: the newest state, while it waits for its law
        self._waiting: tuple[RobotSample, Any] | None = None
        self._command = msg.JointCommand(joint_names=list(action.joint_names), interface=action.interface)
        self._sequence = 0
        self._commands = self.create_publisher(msg.JointCommand, "joint_commands", SENSOR)
        self._reports = ManagerReports(self, self._core)
        self._switches = Switches(self, self._core, self._on_pending)
        self._sources = LawSources(self, self._core, self._on_offered)
        self._described = DescribedControllers(self)
        for entry in self._described.entries():
            if entry.joints:
                # joints this robot lacks end the node now, not at the first switch
                self._core.claims.of(entry.joints)
            self._core.registry.add(entry)
            self._sources.listen(entry)
        for kind, name, handler in (
            (srv.ListControllers, "list_controllers", self._on_list),
            (srv.LoadController, "load_controller", self._on_load),
            (srv.UnloadController, "unload_controller", self._on_unload),
            (srv.EmergencyStop, "emergency_stop", self._on_emergency_stop),
            (srv.ResetEmergencyStop, "reset_emergency_stop", self._on_reset),
        ):
            self.create_service(kind, f"~/{name}", handler)
        # a switch that waits must hold up nothing, not even another switch
        beside = ReentrantCallbackGroup()
        self.create_service(srv.SwitchController, "~/switch_controller", self._on_switch, callback_group=beside)
        ControlServices(self, self._core, self._on_load, self._on_unload, self._on_switch, beside)
        if self._from_joint_states:
            ticks = self.create_subscription(JointState, "joint_states", self._on_joint_states, SENSOR)
        else:
            self.create_subscription(msg.StateDefinition, "state_definition", self._on_definition, LATCHED)
            ticks = self.create_subscription(msg.RobotState, "state", self._on_state, SENSOR)
        watch = self.create_timer(min(0.25 * self._core.config.state_timeout, 0.02), self._on_watch)
        node_priority(self, ticks, watch, *self._sources.subscriptions)
        self.create_timer(1.0 / self._status_rate, lambda: self._keep_books(self._reports.publish))
        if not self._collect:
            # a collection in the middle of a tick is a deadline missed; what ticks leave behind is freed by counting
            gc.disable()
        on_change(self, self._on_parameters)
        self._reports.publish()
        self.get_logger().info(
            f"task {self._core.task.name}: {len(self._joint_names)} joints, {self._rate:g} Hz, controllers "
            + ", ".join(e.name for e in self._core.registry)
        )

    # --- parameters ---

    def _build_core(self) -> ManagerCore:
        task = declare(self, "task", "arm_reach", "Name of the task, or path of its YAML.")
        self._from_joint_states = (
            declare(
                self,
                "state_source",
                "state",
                "Topic that triggers a tick: the estimator's state, or the robot's joint_states directly.",
                choices=("state", "joint_states"),
            )
            == "joint_states"
        )
        self._status_rate = declare(self, "status_rate", 10.0, "Hz of the status.", 0.1, 1000.0)
        self._collect = declare(self, "collect_garbage", False, "Whether Python's collector may run.")
        return ManagerCore(load_task(task), manager_config(self))

    def _on_parameters(self, values: dict[str, Any]) -> None:
        if "seed" in values:
            self._core.laws.next_seed = values["seed"]

    # --- ticks ---

    def _on_definition(self, message: msg.StateDefinition) -> None:
        try:
            definition = convert.state_definition_from_msg(message)
        except MbplError as error:
            self.get_logger().error(f"state_definition refused: {error}")
            return
        if definition != self._core.state:
            self.get_logger().error(
                f"the estimator's state is {definition.hash}, this task's is {self._core.state.hash}; is it "
                "running another task?"
            )

    def _on_state(self, message: msg.RobotState) -> None:
        begin = time.monotonic_ns()
        if message.definition_hash != self._state_hash:
            found = message.definition_hash or "missing"
            self._refuse_state(f"its definition is {found}, this task's is {self._state_hash}", Refusal.DEFINITION)
            return
        x = np.frombuffer(message.state, dtype=np.float64)
        n = self._core.robot.nv
        q = np.frombuffer(message.position, dtype=np.float64)
        v = np.frombuffer(message.velocity, dtype=np.float64)
        if len(x) != self._core.state.size or len(q) != n or len(v) != n:
            self._refuse_state(
                f"{len(x)} numbers, {len(q)} positions, {len(v)} velocities; must be {self._core.state.size}, {n}, {n}",
                Refusal.SHAPE,
            )
            return
        stamp = message.header.stamp
        self._answer(RobotSample(x, q, v, convert.time_to_ns(stamp), message.sequence), stamp, begin)

    def _on_joint_states(self, message: JointState) -> None:
        begin = time.monotonic_ns()
        if message.name != self._order:
            try:
                self._picks = np.array([message.name.index(n) for n in self._joint_names])
            except ValueError:
                found = ", ".join(message.name)
                self._refuse_state(f"joints are {found}; needed are {', '.join(self._joint_names)}", Refusal.JOINTS)
                return
            self._order = message.name
            in_order = (self._picks == np.arange(len(message.name))).all()
            if in_order and len(message.name) == len(self._joint_names):
                self._picks = None
        q = np.frombuffer(message.position, dtype=np.float64)
        v = np.frombuffer(message.velocity, dtype=np.float64)
        if len(q) != len(message.name) or len(v) != len(message.name):
            self._refuse_state("positions or velocities are missing", Refusal.SHAPE)
            return
        if self._picks is not None:
            q, v = q[self._picks], v[self._picks]
        x = np.concatenate((q, v))
        if self._core.state.size != len(x):
            x = self._core.task.task_state(x[None])[0]
        self._state_sequence += 1
        stamp = message.header.stamp
        sample = RobotSample(x, q, v, convert.time_to_ns(stamp), self._state_sequence)
        self._answer(sample, stamp, begin)

    def _refuse_state(self, reason: str, kind: Refusal) -> None:
        self._core.refuse_state(RefusedError(reason, refusal=kind))

    def _answer(self, sample: RobotSample, stamp: Any, begin_ns: int) -> None:
        """Tick, publish, then keep the books: the command leaves before anything else happens."""
        command = self._core.tick(sample, begin_ns)
        self._waiting = (sample, stamp) if self._core.waits else None
        if self._waiting is not None:
            return
        if command is not None:
            self._send(command, stamp, sample.sequence)
        elif self._command.header.stamp == stamp and self._command.state_sequence:
            # asked again for a state that was answered: the answer was lost. What was sent blindly is no answer
            self._commands.publish(self._command)
        self._keep_books(partial(self._after_tick, command, stamp, begin_ns, time.monotonic_ns()))

    def _after_tick(self, command: Command | None, stamp: Any, begin_ns: int, end_ns: int) -> None:
        self._reports.ticked(begin_ns, end_ns)
        if command is not None and command.new_step:
            self._reports.applied(stamp, self._sequence)
        self._changes()

    def _changes(self) -> None:
        self._reports.changes()
        self._switches.advance()

    def _keep_books(self, keep: Callable[[], None]) -> None:
        """Do what follows a command; an error there is told, and takes nobody's robot away."""
        try:
            keep()
        except Exception as error:  # noqa: BLE001 - reports must not end what commands the robot
            self._core.counters.errors += 1
            self._core.counters.last_refusal = f"error of the manager: {error!r}"
            self.get_logger().error(f"error of the manager: {error!r}", throttle_duration_sec=1.0)

    def _send(self, command: Command, stamp: Any, state_sequence: int) -> None:
        message = self._command
        self._sequence += 1
        message.header.stamp = stamp
        message.sequence = self._sequence
        message.state_sequence = state_sequence
        message.values = array("d", command.values.tobytes())
        message.controller = command.controller
        message.step = command.step
        self._commands.publish(message)

    def _on_watch(self) -> None:
        command = self._core.watch(time.monotonic_ns())
        if command is not None:
            self._send(command, convert.ns_to_time(self._core.stamp_ns), 0)
        self._keep_books(self._changes)

    def _on_offered(self) -> None:
        """A law came, or a publisher of laws came or went: whoever waited for that goes on."""
        if self._waiting is not None:
            self._answer(*self._waiting, time.monotonic_ns())
        self._switches.advance()

    def _on_pending(self) -> None:
        """A switch began to wait, or ended."""
        self._reports.pending_switch = self._switches.waits_for
        self._reports.publish()

    # --- services ---

    def _on_list(self, _: Any, response: srv.ListControllers.Response) -> Any:
        response.controller = controller_states(self._core)
        return response

    def _on_load(self, request: srv.LoadController.Request, response: Any) -> Any:
        def act() -> str:
            entry = self._requested(request)
            law = convert.controller_from_msg(request.law[0]) if request.law else None
            if law is not None and entry.type != "linear_gaussian":
                raise RefusedError(f"a whole horizon cannot be loaded as type '{entry.type}'")
            old = self._core.registry.get(entry.name) if entry.name in self._core.registry else None
            self._core.registry.add(entry, replace=request.replace)
            if law is not None:
                try:
                    self._core.on_law(entry.name, law, request.law[0].sequence, time.monotonic_ns())
                except MbplError:
                    # a law that is refused must not leave its controller behind
                    self._core.registry.remove(entry.name)
                    if old is not None:
                        self._core.registry.add(old)
                    raise
            self._sources.listen(entry)
            return f"'{entry.name}' is {entry.state}"

        return self._do(response, act)

    def _requested(self, request: srv.LoadController.Request) -> ControllerEntry:
        """The controller a request is about: described in it, or by its name alone in the parameters."""
        if request.type or request.source or request.law:
            return ControllerEntry(
                request.name,
                request.type or "linear_gaussian",
                request.mode or "mean",
                request.source,
            )
        if request.name not in self._described:
            raise RefusedError(
                f"'{request.name}' is described neither in the request (type, source or law) nor in the parameter "
                "'controllers'"
            )
        return self._described.entry(request.name)

    def _on_unload(self, request: srv.UnloadController.Request, response: Any) -> Any:
        def act() -> str:
            source = self._core.registry.get(request.name).source
            self._core.registry.remove(request.name)
            self._sources.forget(source)
            return f"'{request.name}' is unloaded"

        return self._do(response, act)

    async def _on_switch(self, request: srv.SwitchController.Request, response: Any) -> Any:
        """Carry out a switch, when it has to wait beside everything else the node does."""
        try:
            response.message = await self._switches.carry_out(switch_request(request))
            response.ok = True
        except Exception as error:  # noqa: BLE001 - a request must not end what commands the robot
            self._refused(response, error)
        self._reports.publish()
        return response

    def _on_emergency_stop(self, request: srv.EmergencyStop.Request, response: Any) -> Any:
        def act() -> str:
            self._core.emergency_stop(request.reason)
            return f"emergency stop is latched: {self._core.reason}"

        return self._do(response, act)

    def _on_reset(self, _: Any, response: Any) -> Any:
        def act() -> str:
            self._core.reset_emergency_stop()
            return "emergency stop is reset; activate a controller to move again"

        return self._do(response, act)

    def _do(self, response: Any, act: Callable[[], str]) -> Any:
        """Carry out a request; a refusal is an answer, with its reason."""
        try:
            response.message = act()
            response.ok = True
        except Exception as error:  # noqa: BLE001 - a request must not end what commands the robot
            self._refused(response, error)
        self._reports.publish()
        return response

    def _refused(self, response: Any, error: Exception) -> None:
        reason = str(error)
        if not isinstance(error, MbplError):
            self._core.counters.errors += 1
            reason = f"error of the manager: {error!r}"
        response.ok, response.message = False, reason
        self._core.counters.last_refusal = reason
        self.get_logger().warning(reason)


def main() -> None:
    """Run the node."""
    run_node(ControllerManager)


if __name__ == "__main__":
    main()
