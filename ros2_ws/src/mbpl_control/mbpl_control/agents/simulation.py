"""A robot in MuJoCo as its users meet it: noisy sensors, late commands, pushes, a model that is a little wrong."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, fields

import mujoco
import numpy as np

from mbpl_control.core import InvalidFieldError, ModelError, Refusal, RefusedError
from mbpl_control.core.validation import Array, check_choice, float_array
from mbpl_control.models.mujoco_dynamics import diverged
from mbpl_control.tasks.task import Task

OWNER = "SimulationOptions"

#: Longest time, s, that a reset may lock the joints.
LONGEST_LOCK = 60.0


@dataclass(frozen=True)
class SimulationOptions:
    """What is wrong with the world.

    Attributes:
        rate: Hz of sensors and commands.
        timestep: s of a physics step at most; that of the robot's file when 0.
        position_noise: rad or m, standard deviation.
        velocity_noise: rad/s or m/s, standard deviation.
        command_delay: s from a command's arrival until it acts, rounded up to whole periods.
        drop_states: probability that a measurement is lost.
        drop_commands: probability that a command is lost.
        mass_scale: all masses and inertias times this.
        damping_scale: joint damping times this.
        payload: kg added to the last body.
        watchdog_timeout: s of simulated time without a command until the watchdog acts.
        watchdog: "brake" (joints locked) or "zero" (no effort, no velocity, or the position where the joint is).
        seed: of all noise.
    """

    rate: float = 200.0
    timestep: float = 0.0
    position_noise: float = 0.0
    velocity_noise: float = 0.0
    command_delay: float = 0.0
    drop_states: float = 0.0
    drop_commands: float = 0.0
    mass_scale: float = 1.0
    damping_scale: float = 1.0
    payload: float = 0.0
    watchdog_timeout: float = 0.1
    watchdog: str = "brake"
    seed: int = 0

    #: Allowed ranges, also declared with the node's parameters.
    RANGES = {  # noqa: RUF012 - read only
        "rate": (1.0, 10000.0),
        "timestep": (0.0, 0.1),
        "position_noise": (0.0, 1.0),
        "velocity_noise": (0.0, 10.0),
        "command_delay": (0.0, 1.0),
        "drop_states": (0.0, 0.99),
        "drop_commands": (0.0, 0.99),
        "mass_scale": (0.1, 10.0),
        "damping_scale": (0.0, 100.0),
        "payload": (0.0, 1000.0),
        "watchdog_timeout": (1e-3, 60.0),
        "seed": (0, 2**62),
    }

    def __post_init__(self) -> None:
        """Check each option against its range."""
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name not in self.RANGES:
                continue
            low, high = self.RANGES[field.name]
            number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
            if not (number and low <= value <= high):
                raise InvalidFieldError(OWNER, field.name, str(value), f"{low} to {high}")
        check_choice(OWNER, "watchdog", self.watchdog, ("brake", "zero"))


@dataclass(frozen=True)
class Measurement:
    """What the sensors say.

    Attributes:
        q: positions (n,).
        v: velocities (n,).
        effort: (n,) of the actuators at the joints over the last physics step; zero behind brakes.
        stamp_ns: simulated time.
    """

    q: Array
    v: Array
    effort: Array
    stamp_ns: int


@dataclass(frozen=True)
class Push:
    """A wrench on a body over a stretch of simulated time.

    Attributes:
        body: its number in the model.
        wrench: (6,) force N and torque N·m, world axes.
        begin_ns: simulated time.
        end_ns: simulated time.
    """

    body: int
    wrench: Array
    begin_ns: int
    end_ns: int


class Simulation:
    """The simulated robot. The clock only goes forward; a reset moves the robot, not the clock.

    Args:
        task: robot and start conditions.
        options: see `SimulationOptions`.
    """

    def __init__(self, task: Task, options: SimulationOptions | None = None) -> None:
        """Compile the model, put the robot at the first start condition."""
        self.task, self.robot = task, task.robot
        if not self.robot.is_one_number_per_joint:
            raise ModelError(
                f"{self.robot.path}: joint states hold one number a joint; this robot has a ball or free joint"
            )
        self.options = SimulationOptions() if options is None else options
        self.period_ns = round(1e9 / self.options.rate)
        longest = self.options.timestep or float(self.robot.mujoco_model().opt.timestep)
        self.substeps = max(1, int(np.ceil(1e-9 * self.period_ns / longest - 1e-9)))
        self.model = self.robot.mujoco_model(1e-9 * self.period_ns / self.substeps)
        # MuJoCo's own answer to a state that diverges is to start anew from the rest position
        self.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        self.data = mujoco.MjData(self.model)
        self._nominal = self.robot.mujoco_model()
        self._apply_model_error()
        self.now_ns = 0
        self.braked = True
        #: stamp until which the joints stay locked
        self.released_ns = 0
        self._rng = _generator(self.options.seed)
        self._queue: deque[tuple[int, Array]] = deque()
        self._pushes: list[Push] = []
        self._command_ns: int | None = None
        self._scale = 1.0 / self.robot.gears if self.robot.action.interface == "effort" else 1.0
        self.reset(task.conditions[0].state, bodies=task.conditions[0].bodies)

    @property
    def time(self) -> float:
        """Simulated time, s."""
        return 1e-9 * self.now_ns

    def change(self, options: SimulationOptions) -> None:
        """Take other options; rate and physics step stay what they were.

        Raises:
            RefusedError: rate or timestep differ.
        """
        if (options.rate, options.timestep) != (self.options.rate, self.options.timestep):
            raise RefusedError("rate and timestep cannot change while the simulation runs")
        reseed = options.seed != self.options.seed
        self.options = options
        if reseed:
            self._rng = _generator(options.seed)
        self._apply_model_error()

    def reset(
        self,
        state: Array,
        seed: int | None = None,
        locked: float = 0.0,
        bodies: Mapping[str, Array] | None = None,
    ) -> int:
        """Put the robot at `state` (positions, velocities), without pushes or pending commands; the stamp.

        Args:
            state: (nq + nv,).
            seed: of the noise from here on; the generator goes on when None.
            locked: s of simulated time, rounded up to periods, in which the joints stay locked whatever is commanded.
            bodies: positions (3,) m of bodies of the scene by name, as of a start condition: all others go where the
                robot's file has them. When None, the scene stays as it is.

        Raises:
            InvalidFieldError: the state has another size or is not finite, or the time is negative.
            ModelError: a body is none that may be placed.
        """
        if not 0.0 <= locked <= LONGEST_LOCK:
            raise InvalidFieldError("Simulation", "locked", f"{locked} s", f"0 to {LONGEST_LOCK:g} s")
        state = np.asarray(state, dtype=np.float64)
        size = self.robot.state.size
        if state.shape != (size,) or not np.isfinite(state).all():
            raise InvalidFieldError("Simulation", "state", f"shape {state.shape}", f"({size},), finite")
        scene = self.data.mocap_pos.copy()
        mujoco.mj_resetData(self.model, self.data)
        if bodies is None:
            self.data.mocap_pos[:] = scene
        else:
            self.robot.place(self.data, bodies)
        self.data.qpos[:], self.data.qvel[:] = self.robot.split(state)
        mujoco.mj_forward(self.model, self.data)
        self._queue.clear()
        self._pushes.clear()
        self._command_ns = None
        self.braked = True
        if seed is not None:
            self._rng = _generator(seed)
        self.now_ns += self.period_ns
        periods = int(np.ceil(1e9 * locked / self.period_ns - 1e-9))
        self.released_ns = self.now_ns + periods * self.period_ns
        return self.now_ns

    def command(self, values: Array) -> None:
        """A command (m,) arrives; it acts after the delay, unless it is lost.

        Raises:
            InvalidFieldError: another size, or a number is not finite.
        """
        values = np.asarray(values, dtype=np.float64)
        if values.shape != (self.robot.action.size,):
            wanted = f"{self.robot.action.size} numbers"
            raise InvalidFieldError("JointCommand", "values", f"{values.size} numbers", wanted, Refusal.SHAPE)
        if not np.isfinite(values).all():
            found = "a number that is not finite"
            raise InvalidFieldError("JointCommand", "values", found, "finite", Refusal.NOT_FINITE)
        if self.options.drop_commands and self._rng.random() < self.options.drop_commands:
            return
        self._command_ns = self.now_ns
        self._queue.append((self.now_ns + round(1e9 * self.options.command_delay), values))

    def disturb(self, body: str, wrench: Array, delay: float, duration: float) -> None:
        """Push a body at its centre of mass.

        Args:
            body: name.
            wrench: (6,) force N and torque N·m, world axes.
            delay: s of simulated time until it begins.
            duration: s.

        Raises:
            InvalidFieldError: no such body, or a number is wrong.
        """
        if body not in self.robot.body_names:
            known = "one of " + ", ".join(self.robot.body_names)
            raise InvalidFieldError("Disturb", "body", repr(body), known)
        wrench = float_array("Disturb", "wrench", wrench, (6,))
        if not (delay >= 0.0 and duration > 0.0):
            found = f"delay {delay} s, duration {duration} s"
            raise InvalidFieldError("Disturb", "duration", found, "delay from 0, duration above 0")
        begin = self.now_ns + round(1e9 * delay)
        end = begin + round(1e9 * duration)
        self._pushes.append(Push(self.model.body(body).id, wrench, begin, end))

    def step(self) -> None:
        """One period of the control rate: due commands act, then the physics runs.

        Raises:
            ModelError: a number is not finite, or huge, and physics has no answer any more.
        """
        while self._queue and self._queue[0][0] <= self.now_ns:
            self.data.ctrl[:] = self._queue.popleft()[1] * self._scale
            self.braked = self.now_ns < self.released_ns
        silent = self._command_ns is None or (self.now_ns - self._command_ns > 1e9 * self.options.watchdog_timeout)
        if silent and not self.braked:
            self.data.ctrl[:] = self.robot.rest_action(self.data.qpos)
            self.braked = self.options.watchdog == "brake"
        if self.braked:
            self.data.qvel[:] = 0.0
            self.data.qfrc_actuator[:] = 0.0
            self.now_ns += self.period_ns
            return
        step_ns = self.period_ns / self.substeps
        if self._pushes:
            for i in range(self.substeps):
                self._apply_pushes(self.now_ns + i * step_ns)
                mujoco.mj_step(self.model, self.data)
            self.data.xfrc_applied[:] = 0.0
        else:
            mujoco.mj_step(self.model, self.data, self.substeps)
        self.now_ns += self.period_ns
        if diverged(self.data):
            raise ModelError(f"the simulation diverged at {self.time:.3f} s")

    def measure(self) -> Measurement | None:
        """What the sensors say now; None when the measurement is lost."""
        options = self.options
        if options.drop_states and self._rng.random() < options.drop_states:
            return None
        q, v = self.data.qpos.copy(), self.data.qvel.copy()
        if options.position_noise:
            q += options.position_noise * self._rng.standard_normal(len(q))
        if options.velocity_noise:
            v += options.velocity_noise * self._rng.standard_normal(len(v))
        return Measurement(q, v, self.data.qfrc_actuator.copy(), self.now_ns)

    @property
    def state(self) -> Array:
        """The true state: positions, then velocities."""
        return np.concatenate([self.data.qpos, self.data.qvel])

    @property
    def pushes(self) -> tuple[Push, ...]:
        """What pushes the robot now."""
        now = self.now_ns
        return tuple(p for p in self._pushes if p.begin_ns <= now < p.end_ns)

    def _apply_pushes(self, now_ns: float) -> None:
        self.data.xfrc_applied[:] = 0.0
        for push in self._pushes:
            if push.begin_ns <= now_ns < push.end_ns:
                self.data.xfrc_applied[push.body] += push.wrench
        self._pushes = [p for p in self._pushes if p.end_ns > now_ns]

    def _apply_model_error(self) -> None:
        options, model, nominal = self.options, self.model, self._nominal
        model.body_mass[:] = nominal.body_mass * options.mass_scale
        model.body_inertia[:] = nominal.body_inertia * options.mass_scale
        model.body_mass[-1] += options.payload
        model.dof_damping[:] = nominal.dof_damping * options.damping_scale
        mujoco.mj_setConst(model, mujoco.MjData(model))


def _generator(seed: int) -> np.random.Generator:
    """A stream of its own: the laws draw from `default_rng(seed)`, and sensors must not repeat what they drew."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(1,)))
