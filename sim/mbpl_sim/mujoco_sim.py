"""Node `mujoco_sim`: a MuJoCo robot on the ROS graph, in lockstep or in real time."""

from __future__ import annotations

import math
import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
from mbpl_msgs import msg, srv
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import SetBool

from mbpl_control.core import MbplError, Refusal
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import OK, WARN, Diagnostics, refusals
from mbpl_control.nodes.node_tools import declare, on_change
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.nodes.priority_executor import node_priority
from mbpl_control.nodes.qos import LATCHED, SENSOR
from mbpl_control.tasks import load_task
from mbpl_sim.simulation import Simulation, SimulationOptions

#: Options that may change while the node runs.
CHANGEABLE = (
    "position_noise",
    "velocity_noise",
    "command_delay",
    "drop_states",
    "drop_commands",
    "mass_scale",
    "damping_scale",
    "payload",
    "watchdog_timeout",
    "seed",
)
#: Periods a paused simulation advances at one request; more would keep it from answering anything else.
MOST_STEPS = 100_000
#: What can be wrong with a command.
COMMAND_REFUSALS = (Refusal.JOINTS, Refusal.DEFINITION, Refusal.SHAPE, Refusal.NOT_FINITE)
DESCRIPTIONS = {
    "rate": "Hz of joint states and commands.",
    "timestep": "s of a physics step at most; 0: that of the robot's file.",
    "position_noise": "rad or m, standard deviation of measured positions.",
    "velocity_noise": "rad/s or m/s, standard deviation of measured velocities.",
    "command_delay": "s from the arrival of a command until it acts.",
    "drop_states": "Probability that a measurement is lost.",
    "drop_commands": "Probability that a command is lost.",
    "mass_scale": "All masses and inertias times this.",
    "damping_scale": "Joint damping times this.",
    "payload": "kg added to the last body.",
    "watchdog_timeout": "s of simulated time without a command until the watchdog acts.",
    "seed": "Seed of all noise.",
}


class MujocoSim(Node):
    """Topics and services around `Simulation`."""

    def __init__(self) -> None:
        """Declare parameters, build the simulation, open the graph."""
        super().__init__("mujoco_sim")
        self._task = load_task(declare(self, "task", "arm_reach", "Name of the task, or path of its YAML."))
        options = self._declare_options()
        self._lockstep = (
            declare(
                self,
                "mode",
                "realtime",
                "realtime (paced by the wall clock) or lockstep (one command per step, as fast as possible).",
                choices=("realtime", "lockstep"),
            )
            == "lockstep"
        )
        factor = declare(self, "real_time_factor", 1.0, "Simulated seconds per second, in real time.", 0.01, 100.0)
        self._latency_file = declare(
            self,
            "latency_file",
            "",
            "Where the latency of each state's answer (.npy, s, NaN for none) is written at the end; empty: nowhere.",
        )
        view = declare(self, "view", False, "Serve a viewer to the browser.")
        self.simulation = Simulation(self._task, options)
        self._paused = False
        #: stamp at which the clock stops by itself
        self._pause_ns: int | None = None
        self._refused: Counter[Refusal] = Counter()
        self._overruns = 0
        self._answered = 0
        #: s from a state's sending to the arrival of its answer, one a period, NaN while there is none
        self._latencies: list[float] = []
        self._sent: list[int] = []
        self._names = list(self._task.robot.joint_names)
        self._driven = list(self._task.action.joint_names)
        self._joint_states = self.create_publisher(JointState, "joint_states", SENSOR)
        self._clock_out = self.create_publisher(ClockMessage, "/clock", SENSOR)
        self._clock_every = max(1, round(options.rate / 100.0))
        self._periods = 0
        self._diagnostics = Diagnostics(self, "simulation", hardware=self._task.robot.name)
        self._diagnostics.open(None)
        self._description = self.create_publisher(String, "robot_description", LATCHED)
        self._description.publish(String(data=self._task.robot.description))
        commands = self.create_subscription(msg.JointCommand, "joint_commands", self._on_command, SENSOR)
        self.create_service(srv.ResetSim, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/pause", self._on_pause)
        self.create_service(srv.StepSim, "~/step", self._on_step)
        self.create_service(srv.Disturb, "~/disturb", self._on_disturb)
        on_change(self, self._on_parameters)
        self._state = JointState(name=self._names)
        self._state.header.frame_id = "world"
        self._viewer = None
        if view:
            from mbpl_sim.viewer import Viewer

            self._viewer = Viewer(self.simulation, self.get_logger().info)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._begin_ns = time.monotonic_ns()
        self._period_wall_ns = self.simulation.period_ns / factor
        self._due = 1
        if self._lockstep:
            # a state is sent again and again until it is answered
            self.create_timer(0.02, self._send_state, clock=steady)
            node_priority(self, commands)
        else:
            period = self.create_timer(1e-9 * self._period_wall_ns, self._on_period, clock=steady)
            node_priority(self, commands, period)
        self.create_timer(1.0, self._report, clock=steady)
        self._publish()
        self.get_logger().info(
            f"task {self._task.name}: {self._task.robot.name} with {len(self._names)} joints, "
            f"{'lockstep' if self._lockstep else 'real time'} at {options.rate:g} Hz, "
            f"{self.simulation.substeps} physics steps a period"
        )

    def _declare_options(self) -> SimulationOptions:
        defaults = SimulationOptions(position_noise=self._task.noise.position, velocity_noise=self._task.noise.velocity)
        values = {}
        for name, text in DESCRIPTIONS.items():
            low, high = SimulationOptions.RANGES[name]
            values[name] = declare(
                self,
                name,
                getattr(defaults, name),
                text,
                low,
                high,
                read_only=name not in CHANGEABLE,
            )
        values["watchdog"] = declare(
            self,
            "watchdog",
            defaults.watchdog,
            "What happens without commands: brake (joints locked) or zero (no effort).",
            choices=("brake", "zero"),
        )
        return SimulationOptions(**values)

    def _on_parameters(self, values: dict[str, Any]) -> None:
        known = {name: value for name, value in values.items() if name in CHANGEABLE}
        if known:
            self.simulation.change(replace(self.simulation.options, **known))

    # --- time ---

    def _on_period(self) -> None:
        """One period of the wall clock."""
        if self._paused:
            # whoever watches the age of states sees that the robot is there, standing still
            self._begin_ns, self._due = time.monotonic_ns(), 1
            self._send_state()
            return
        late = (time.monotonic_ns() - self._begin_ns) / self._period_wall_ns - self._due
        if late > 1.0:
            # periods that were slept through are gone: simulated time falls behind, and that is told
            missed = int(late)
            self._overruns += missed
            self._due += missed
        self._due += 1
        self.simulation.step()
        self._publish()

    def _send_state(self) -> None:
        self._joint_states.publish(self._state)

    def _publish(self) -> None:
        measurement = self.simulation.measure()
        if self._pause_ns is not None and self.simulation.now_ns >= self._pause_ns:
            self._paused, self._pause_ns = True, None
            while measurement is None:
                # the state at which the clock stops is the one that everyone waits for
                measurement = self.simulation.measure()
        self._periods += 1
        stamp = convert.ns_to_time(self.simulation.now_ns)
        if measurement is not None:
            state = self._state
            state.header.stamp = stamp
            state.position = convert.flat(measurement.q)
            state.velocity = convert.flat(measurement.v)
            state.effort = convert.flat(measurement.effort)
            self._latencies.append(math.nan)
            self._sent.append(time.monotonic_ns())
            self._send_state()
        if self._periods % self._clock_every == 0:
            self._clock_out.publish(ClockMessage(clock=stamp))

    def _on_command(self, message: msg.JointCommand) -> None:
        arrived = time.monotonic_ns()
        if message.joint_names != self._driven:
            found = ", ".join(message.joint_names)
            self._refuse(f"joints are {found}; this robot's are {', '.join(self._driven)}", Refusal.JOINTS)
            return
        if message.interface != self._task.action.interface:
            found = f"interface is '{message.interface}'; must be '{self._task.action.interface}'"
            self._refuse(found, Refusal.DEFINITION)
            return
        stamp = convert.time_to_ns(message.header.stamp)
        current = stamp == self.simulation.now_ns
        if self._paused or (self._lockstep and not current):
            return
        age = 1e-9 * (self.simulation.now_ns - stamp)
        longest = self.simulation.options.watchdog_timeout
        if message.state_sequence and age > longest:
            # somebody answers an old state again and again: no sign that the robot is looked after
            found = f"it answers a state of {age:.3f} s ago; at most watchdog_timeout, {longest:g} s, is allowed"
            self._refuse(found, Refusal.AGE)
            return
        try:
            self.simulation.command(np.array(message.values))
        except MbplError as error:
            self._refuse(str(error), error.refusal)
            return
        if message.state_sequence:
            self._keep_latency(self.simulation.now_ns - stamp, arrived)
        if self._lockstep:
            self.simulation.step()
            self._publish()
            while (
                self.simulation.options.drop_states
                and convert.time_to_ns(self._state.header.stamp) != self.simulation.now_ns
            ):
                # the measurement of this step was lost: nobody can answer it, the last command goes on
                self.simulation.step()
                self._publish()

    def _keep_latency(self, age_ns: int, arrived_ns: int) -> None:
        """An answer came to the state that was sent `age_ns` of simulated time ago; the first one counts."""
        back = 1 + age_ns // self.simulation.period_ns
        if 0 < back <= len(self._sent) and math.isnan(self._latencies[-back]):
            self._answered += 1
            self._latencies[-back] = 1e-9 * (arrived_ns - self._sent[-back])

    def _refuse(self, reason: str, kind: Refusal) -> None:
        self._refused[kind] += 1
        self.get_logger().warning(f"command refused: {reason}", throttle_duration_sec=1.0)

    # --- services ---

    def _on_reset(self, request: srv.ResetSim.Request, response: srv.ResetSim.Response) -> Any:
        try:
            bodies = None
            if request.condition >= 0:
                start = self._task.condition(request.condition)
                state, bodies = start.state, start.bodies
            else:
                n = self._task.robot.nv
                velocity = np.array(request.velocity) if request.velocity else np.zeros(n)
                state = np.concatenate([np.array(request.position), velocity])
            locked = request.locked.sec + 1e-9 * request.locked.nanosec
            stamp = self.simulation.reset(state, int(request.seed), locked, bodies)
            self._pause_ns = self.simulation.released_ns if request.pause else None
            self._paused = False
            response.stamp = convert.ns_to_time(stamp)
            response.released = convert.ns_to_time(self.simulation.released_ns)
            response.ok, response.message = True, f"reset at {self.simulation.time:.3f} s"
            self._publish()
        except MbplError as error:
            response.message = str(error)
        return response

    def _on_pause(self, request: SetBool.Request, response: SetBool.Response) -> Any:
        self._paused = request.data
        response.success = True
        response.message = "paused" if request.data else "running"
        # whoever listens answers the state at which time stood still, and the motion goes on from there
        self._send_state()
        return response

    def _on_step(self, request: srv.StepSim.Request, response: srv.StepSim.Response) -> Any:
        if not self._paused:
            response.message = "the simulation runs; pause it first"
            return response
        if request.steps > MOST_STEPS:
            response.message = f"{request.steps} periods; must be at most {MOST_STEPS}"
            return response
        for _ in range(request.steps):
            self.simulation.step()
            self._publish()
        response.stamp = convert.ns_to_time(self.simulation.now_ns)
        response.ok, response.message = True, f"{request.steps} periods"
        return response

    def _on_disturb(self, request: srv.Disturb.Request, response: srv.Disturb.Response) -> Any:
        force, torque = request.wrench.force, request.wrench.torque
        wrench = np.array([force.x, force.y, force.z, torque.x, torque.y, torque.z])
        try:
            delay = 1e-9 * (request.delay.sec * 10**9 + request.delay.nanosec)
            duration = 1e-9 * (request.duration.sec * 10**9 + request.duration.nanosec)
            self.simulation.disturb(request.body, wrench, delay, duration)
            response.ok = True
            response.message = f"push on '{request.body}' in {delay:g} s for {duration:g} s"
        except MbplError as error:
            response.message = str(error)
        return response

    # --- reports ---

    def _report(self) -> None:
        recent = [1e3 * value for value in self._latencies[-1000:] if not math.isnan(value)]
        middle, high = np.percentile(recent, (50.0, 99.0)) if recent else (-1.0, -1.0)
        figures = {
            "simulated time [s]": f"{self.simulation.time:.3f}",
            "overruns": self._overruns,
            "states answered": self._answered,
            "round trip median [ms]": float(middle),
            "round trip 99 % [ms]": float(high),
            "brakes": "locked" if self.simulation.braked else "open",
            **refusals("commands", self._refused, COMMAND_REFUSALS),
        }
        level = WARN if self._refused else OK
        self._diagnostics.tell("paused" if self._paused else "running", level, figures)
        if not self._latency_file:
            del self._latencies[:-2000], self._sent[:-2000]

    def destroy_node(self) -> None:
        """Write the latencies, if asked to, and leave the graph."""
        if self._latency_file:
            np.save(self._latency_file, np.array(self._latencies))
        if self._viewer is not None:
            self._viewer.stop()
        super().destroy_node()


def main() -> None:
    """Run the node."""
    run_node(MujocoSim)


if __name__ == "__main__":
    main()
