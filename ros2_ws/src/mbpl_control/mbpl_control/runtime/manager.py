"""The controller manager without ROS: which law commands the robot, tick by tick."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from mbpl_control.core import ExecutionMode, FeedbackLaw, LinearGaussianController, StateDefinition
from mbpl_control.core.errors import MbplError, RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.runtime.blend import Blend
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.executors import (
    Executor,
    HorizonExecutor,
    KnotExecutor,
    LawEnded,
    RobotSample,
)
from mbpl_control.runtime.hold import HoldExecutor, HoldGains
from mbpl_control.runtime.registry import AcceptedLaw, ControllerEntry, Registry
from mbpl_control.runtime.switching import plan_switch
from mbpl_control.safety.law_checks import check_definitions, check_gains, check_order
from mbpl_control.safety.limiter import CommandLimiter, Limits
from mbpl_control.tasks.task import Task

FALLBACK = "fallback"


@dataclass(frozen=True)
class Command:
    """What the robot is told.

    Attributes:
        values: u (m,) after all limits.
        controller: name of the controller that decided; "fallback", "zero" or "emergency_stop" when none did.
        step: of its law, −1 when it has none.
        new_step: whether a step of the law began with this tick.
        switched: whether this is the first command after a switch.
    """

    values: Array
    controller: str
    step: int
    new_step: bool
    switched: bool


@dataclass
class Counters:
    """What has happened so far."""

    ticks: int = 0
    clamped: int = 0
    laws_accepted: int = 0
    laws_refused: int = 0
    states_refused: int = 0
    switches: int = 0
    fallbacks: int = 0
    errors: int = 0
    largest_switch_step: float = 0.0
    last_refusal: str = ""
    last_switch: str = ""


@dataclass
class _Active:
    """The law in force."""

    name: str
    executor: Executor
    law: AcceptedLaw | None = field(default=None)


class ManagerCore:
    """Decides the command at each tick. It has no clock: every entry point is told the time.

    Modes: `idle` (nothing was activated, nothing is commanded), `active`, `fallback` (a damped hold, after something went
    wrong or a horizon ended), `zero`, `emergency_stop`. All times named steady come from a clock that never jumps; stamps
    are the robot's own clock, in which laws count.

    Args:
        task: robot, action, limits.
        state: what x of the samples is; the task's own when None.
        config: see `ManagerConfig`.
    """

    def __init__(
        self, task: Task, config: ManagerConfig | None = None, state: StateDefinition | None = None
    ) -> None:
        """Start idle, with the built-in controller `hold`."""
        self.task, self.robot = task, task.robot
        self.config = ManagerConfig() if config is None else config
        self.state = task.state if state is None else state
        self.action = task.action
        self.limiter = CommandLimiter(Limits.of_task(task), task.robot)
        start = task.conditions[0].state[: task.robot.nq]
        self._gains = HoldGains(task.robot, start, self.config.hold_frequency)
        self.registry = Registry()
        self.registry.add(ControllerEntry("hold", "hold"))
        self.counters = Counters()
        self.mode, self.reason = "idle", "no controller was activated yet"
        self._active: _Active | None = None
        self._blend: Blend | None = None
        self._switched = False
        self._last = np.zeros(self.action.size)
        self._last_stamp_ns: int | None = None
        self._sample: RobotSample | None = None
        self._state_arrived_ns: int | None = None
        self._fallback_since_ns = 0
        self._activations = 0
        self._scale = np.where(np.isfinite(self.action.upper), self.action.upper, np.inf)
        #: seed of the next sampled activation; None counts on from the configured one
        self.next_seed: int | None = None

    @property
    def active_controller(self) -> str:
        """Name of the active controller; empty when none is."""
        return self._active.name if self._active is not None and self.mode == "active" else ""

    @property
    def step(self) -> int:
        """Step of the active law, −1 when it has none."""
        return self._active.executor.step if self._active is not None else -1

    @property
    def stamp_ns(self) -> int:
        """The robot's clock: stamp of the newest state."""
        return self._last_stamp_ns or 0

    def state_age(self, steady_ns: int) -> float:
        """Seconds since the newest state arrived; −1 when none did."""
        if self._state_arrived_ns is None:
            return -1.0
        return 1e-9 * (steady_ns - self._state_arrived_ns)

    # --- laws ---

    def on_law(
        self,
        name: str,
        law: LinearGaussianController | FeedbackLaw,
        sequence: int,
        steady_ns: int,
        stamp_ns: int = 0,
        valid_from_ns: int = 0,
        valid_until_ns: int = 0,
        step: int = -1,
    ) -> None:
        """Accept a law for controller `name`.

        Raises:
            RefusedError, DefinitionMismatchError: it fails a check; the controller keeps the law it had.
        """
        entry = self.registry.get(name)
        try:
            selection = check_definitions(law, self.state, self.action)
            last = entry.law.sequence if entry.law is not None else None
            slack = int(1e9 * self.config.future_slack)
            check_order(sequence, last, stamp_ns, self.stamp_ns or stamp_ns, slack)
            gains, plan = (
                (law.gain, law.nominal_action)
                if isinstance(law, FeedbackLaw)
                else (law.gains, law.planned_actions)
            )
            check_gains(gains, plan, self.config.max_gain, self.action)
        except MbplError as error:
            self.refuse(name, str(error))
            raise
        entry.law = AcceptedLaw(
            law, selection, sequence, steady_ns, valid_from_ns, valid_until_ns, step
        )
        entry.reason = ""
        if entry.state == "unconfigured":
            entry.state = "inactive"
        self.counters.laws_accepted += 1
        if entry.state == "active" and entry.streams and self._active is not None:
            self._active = _Active(name, self._executor(entry), entry.law)
            self._blend = Blend(self.config.stream_blend_time)

    def refuse(self, name: str, reason: str) -> None:
        """Count a law that was not accepted, and keep the reason."""
        self.counters.laws_refused += 1
        self.counters.last_refusal = f"{name}: {reason}"
        if name in self.registry:
            self.registry.get(name).reason = f"law refused: {reason}"

    # --- switching ---

    def switch(
        self,
        activate: Sequence[str],
        deactivate: Sequence[str],
        strict: bool,
        steady_ns: int,
    ) -> str:
        """Change the active controller; from the next tick on the new one commands.

        Returns:
            What was done, in words.

        Raises:
            RefusedError: it cannot happen; nothing has changed.
        """
        if self.mode == "emergency_stop":
            raise RefusedError(f"emergency stop is latched ({self.reason}); reset it first")
        plan = plan_switch(self.registry, activate, deactivate, strict)
        if plan.activate is not None:
            entry = self.registry.get(plan.activate)
            self._check_fresh(entry, steady_ns)
            executor = self._executor(entry)
        for name in plan.deactivate:
            self.registry.get(name).state = "inactive"
        if plan.activate is None:
            if plan.deactivate:
                self._fall_back("its controller was deactivated", steady_ns, count=False)
            return plan.account
        entry.state = "active"
        before = self._active.name if self._active is not None else "nothing"
        self._active = _Active(entry.name, executor, entry.law)
        self._begin("active", f"'{entry.name}' commands")
        self.counters.switches += 1
        self.counters.last_switch = f"{before} → {entry.name}"
        self._switched = True
        return plan.account

    def _check_fresh(self, entry: ControllerEntry, steady_ns: int) -> None:
        age = self.state_age(steady_ns)
        if age < 0.0:
            raise RefusedError(f"'{entry.name}' cannot start: no state of the robot has arrived yet")
        if age > self.config.state_timeout:
            raise RefusedError(
                f"'{entry.name}' cannot start: the newest state is {age:.3f} s old; at most "
                f"{self.config.state_timeout:.3f} s is allowed"
            )
        if entry.type == "hold":
            return
        if entry.law is None:
            where = f" on {entry.source}" if entry.source else ""
            why = f" ({entry.reason})" if entry.reason else ""
            raise RefusedError(f"'{entry.name}' has no law yet: none was accepted{where}{why}")
        if entry.streams:
            old = 1e-9 * (steady_ns - entry.law.arrived_ns)
            if old > self.config.law_timeout:
                raise RefusedError(
                    f"'{entry.name}' cannot start: its newest law is {old:.3f} s old; at most "
                    f"{self.config.law_timeout:.3f} s is allowed"
                )

    def _executor(self, entry: ControllerEntry) -> Executor:
        if entry.type == "hold":
            return HoldExecutor(self.robot, self._gains)
        law = entry.law
        assert law is not None  # noqa: S101 - checked by the caller
        mode = ExecutionMode(entry.mode)
        seed = self.config.seed + self._activations if self.next_seed is None else self.next_seed
        self.next_seed = None
        self._activations += 1
        if isinstance(law.law, FeedbackLaw):
            rng = np.random.default_rng(seed)
            return KnotExecutor(law.law, mode, law.selection, rng, law.valid_until_ns, law.step)
        start = law.valid_from_ns if law.law.anchor == "stamp" else None
        return HorizonExecutor(
            law.law, mode, law.selection, seed, start, law.valid_until_ns or None
        )

    # --- stopping ---

    def emergency_stop(self, reason: str) -> None:
        """Stop, latched: from the next tick on the robot is damped or without effort, whatever was active."""
        self._deactivate()
        self._begin("emergency_stop", reason or "no reason was given")
        self._active = _Active(
            "emergency_stop", HoldExecutor(self.robot, self._gains, soft=True)
        )
        self._blend = None

    def reset_emergency_stop(self) -> None:
        """Lift the latch; nothing is commanded until a controller is activated.

        Raises:
            RefusedError: it is not latched.
        """
        if self.mode != "emergency_stop":
            raise RefusedError(f"no emergency stop is latched; the mode is {self.mode}")
        self._active = None
        self._last = np.zeros(self.action.size)
        self._begin("idle", "emergency stop was reset; no controller was activated since")

    def _deactivate(self) -> None:
        for entry in self.registry:
            if entry.state == "active":
                entry.state = "inactive"

    def _fall_back(self, reason: str, steady_ns: int, count: bool = True) -> None:
        for entry in self.registry:
            if entry.state == "active":
                entry.state, entry.reason = "inactive", reason
        soft = self.config.fallback == "damp"
        self._active = _Active(FALLBACK, HoldExecutor(self.robot, self._gains, soft))
        self._begin("fallback", reason)
        self._fallback_since_ns = steady_ns
        self._switched = True
        self.counters.fallbacks += count

    def _begin(self, mode: str, reason: str) -> None:
        self.mode, self.reason = mode, reason
        self._blend = Blend(self.config.blend_time)

    # --- ticks ---

    def tick(self, sample: RobotSample, steady_ns: int) -> Command | None:
        """The command that answers a state; None while idle, or when the state is refused.

        A state is refused, and counted, when its stamp is not above the last one's or a number is not finite.
        """
        last = self._last_stamp_ns
        if last is not None and sample.stamp_ns <= last:
            return self._refuse_state(f"its stamp is not above the last, {1e-9 * last:.6f} s")
        total = float(sample.x.sum()) + float(sample.q.sum()) + float(sample.v.sum())
        if not np.isfinite(total):
            return self._refuse_state("it holds numbers that are not finite")
        dt = 1.0 / self.config.rate if last is None else 1e-9 * (sample.stamp_ns - last)
        self._last_stamp_ns, self._state_arrived_ns, self._sample = sample.stamp_ns, steady_ns, sample
        self.counters.ticks += 1
        if self.mode == "idle" or self._active is None:
            return None
        if self.mode == "zero":
            self._fall_back("states arrive again", steady_ns, count=False)
        self._check_law_age(steady_ns)
        return self._command(sample, dt, steady_ns)

    def watch(self, steady_ns: int) -> Command | None:
        """Called between states: the command for a robot whose states stay away, or None when all is well."""
        if self.mode == "idle" or self._sample is None or self._state_arrived_ns is None:
            return None
        age = 1e-9 * (steady_ns - self._state_arrived_ns)
        if age <= self.config.state_timeout:
            return None
        if self.mode == "active":
            self._fall_back(f"no state for {age:.3f} s", steady_ns)
        if self.mode == "fallback":
            waited = 1e-9 * (steady_ns - max(self._fallback_since_ns, self._state_arrived_ns))
            if waited > self.config.zero_timeout:
                self._begin("zero", f"no state for {age:.3f} s")
        if self.mode == "zero" or (
            self.mode == "emergency_stop" and self.config.emergency_stop == "zero"
        ):
            self._last = np.zeros(self.action.size)
            return Command(self._last, self.mode, -1, False, False)
        # blind damping would act on a speed that is long gone: only what holds the last good position still is left
        sample = self._sample
        at_rest = RobotSample(
            sample.x, sample.q, np.zeros_like(sample.v), sample.stamp_ns, sample.sequence
        )
        return self._command(at_rest, 1.0 / self.config.rate, steady_ns)

    def _check_law_age(self, steady_ns: int) -> None:
        active = self._active
        if self.mode != "active" or active is None or active.law is None:
            return
        entry = self.registry.get(active.name)
        if not entry.streams:
            return
        age = 1e-9 * (steady_ns - active.law.arrived_ns)
        if age > self.config.law_timeout:
            self._fall_back(f"no law of '{active.name}' for {age:.3f} s", steady_ns)

    def _command(self, sample: RobotSample, dt: float, steady_ns: int) -> Command:
        assert self._active is not None  # noqa: S101 - the callers see to it
        try:
            wanted = self._active.executor.evaluate(sample)
            if not np.isfinite(wanted).all():
                raise RefusedError(f"'{self._active.name}' asked for a number that is not finite")
        except LawEnded as end:
            self._fall_back(f"'{self._active.name}': {end}", steady_ns, count=end.rule == "fallback")
            wanted = self._active.executor.evaluate(sample)
        except Exception as error:  # noqa: BLE001 - whatever a law does, the robot is held and the reason told
            self.counters.errors += 1
            self._fall_back(f"'{self._active.name}' failed: {error}", steady_ns)
            wanted = self._active.executor.evaluate(sample)
        active = self._active
        if self.mode == "emergency_stop" and self.config.emergency_stop == "zero":
            applied, clamped = np.zeros_like(self._last), False
        else:
            if self._blend is not None:
                wanted = self._blend.apply(wanted, self._last, sample.stamp_ns)
                if self._blend.over:
                    self._blend = None
            applied, clamped = self.limiter.apply(wanted, self._last, sample.q, sample.v, dt)
        switched, self._switched = self._switched, False
        if switched:
            jump = float((np.abs(applied - self._last) / self._scale).max())
            self.counters.largest_switch_step = max(self.counters.largest_switch_step, jump)
        self.counters.clamped += clamped
        self._last = applied
        executor = active.executor
        return Command(applied, active.name, executor.step, executor.new_step, switched)

    def knot(self) -> tuple[Array, Array, Array, Array] | None:
        """Reference, action, gain and covariance of the law in force; None when it has no knots."""
        return self._active.executor.knot() if self._active is not None else None

    @property
    def law_state(self) -> StateDefinition | None:
        """What the reference of `knot` is; None when the law has no knots."""
        law = self._active.law if self._active is not None else None
        return law.law.state if law is not None else None

    def _refuse_state(self, reason: str) -> None:
        self.counters.states_refused += 1
        self.counters.last_refusal = f"state: {reason}"
