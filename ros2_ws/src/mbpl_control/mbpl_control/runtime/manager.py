"""The controller manager without ROS: what the robot is told, tick by tick."""

from __future__ import annotations

import numpy as np

from mbpl_control.core import StateDefinition
from mbpl_control.core.errors import MbplError, RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.runtime.arbiter import Arbiter
from mbpl_control.runtime.command import Command
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.executors import LawEnded, RobotSample
from mbpl_control.runtime.law_in_force import LawInForce
from mbpl_control.runtime.registry import EMERGENCY_STOP, FALLBACK, HELD, ZERO, ControllerEntry
from mbpl_control.safety.limiter import CommandLimiter
from mbpl_control.safety.limits import Limits
from mbpl_control.tasks.task import Task


class ManagerCore(Arbiter):
    """Decides the command at each tick: the laws in force, one after the other, then blending, then limits.

    Args:
        task: robot, action, limits.
        config: see `ManagerConfig`.
        state: what x of the samples is; the task's own when None.

    Attributes:
        limiter: the last word on commands.
    """

    def __init__(self, task: Task, config: ManagerConfig | None = None, state: StateDefinition | None = None) -> None:
        """Start idle, with the built-in controller `hold`."""
        super().__init__(task, config, state)
        self.limiter = CommandLimiter(Limits.of_task(task), task.robot, 1.0 / self.config.rate)
        self._last: Array | None = None
        self._watched_ns: int | None = None
        #: whether an error outside the laws took away even the fallback
        self._broken = False
        self._scale = np.maximum(np.abs(self.action.lower), np.abs(self.action.upper))

    @property
    def waits(self) -> bool:
        """Whether the newest state is not answered yet because the law that is made for it has not come."""
        return self._wait.since_ns is not None

    def reset_emergency_stop(self) -> None:
        """See `Arbiter.reset_emergency_stop`; the next command goes over from rest."""
        super().reset_emergency_stop()
        self._last = None

    def tick(self, sample: RobotSample, steady_ns: int) -> Command | None:
        """The command that answers a state; None while idle, or when it is refused, was answered already, or `waits`.

        A state is refused, and counted, when its stamp is before the last one's or a number is not finite. Whatever
        fails on the way to a command, the robot is held, or gets no effort, and the reason is told.
        """
        try:
            return self._tick(sample, steady_ns)
        except Exception as error:  # noqa: BLE001 - an error of the manager must not leave the robot to itself
            return self._after_error(error, steady_ns)

    def watch(self, steady_ns: int) -> Command | None:
        """Called between states: the command for a robot whose states stay away, or None when all is well."""
        try:
            return self._watch(steady_ns)
        except Exception as error:  # noqa: BLE001 - as above
            return self._after_error(error, steady_ns)

    def _tick(self, sample: RobotSample, steady_ns: int) -> Command | None:
        if self._states.repeats(sample, steady_ns) and self._answered:
            return None
        if self._wait.timeout > 0.0 and self._law_awaited(sample, steady_ns):
            return None
        silent = self.state_age(steady_ns)
        try:
            elapsed = self._states.take(sample, steady_ns)
        except RefusedError as error:
            self.refuse_state(error)
            return None
        self.counters.ticks += 1
        self._answered = False
        if self._states.set_back > 0.0:
            self._on_clock_set_back(steady_ns)
        if not self._forces:
            return None
        if self.active_controllers:
            self._check_gap(silent, elapsed, steady_ns)
        if self._states.jumped:
            self._on_jump(self._states.jumped, steady_ns)
        if self.mode == ZERO:
            if self._broken:
                return self._rest(sample)
            self._fall_back("states arrive again", steady_ns, count=False)
        for force in self._forces:
            if force.law is not None and force.law.streams:
                self._check_law_age(force, steady_ns)
        dt = elapsed or 1.0 / self.config.rate
        if self._watched_ns is not None:
            # commands went out while states stayed away: the limits count from the last of them
            dt = max(min(dt, 1e-9 * (steady_ns - self._watched_ns)), 1e-9)
            self._watched_ns = None
        self._answered = True
        return self._command(sample, elapsed, dt, steady_ns)

    def _watch(self, steady_ns: int) -> Command | None:
        sample, age = self._states.sample, self.state_age(steady_ns)
        if not self._forces or sample is None or age <= self.config.state_timeout:
            return None
        if self.active_controllers:
            self._fall_back(f"no state for {age:.3f} s", steady_ns)
        waited = min(age, 1e-9 * (steady_ns - self._fallback_since_ns))
        if self.mode == FALLBACK and waited > self.config.zero_timeout:
            self.mode, self.reason = ZERO, f"no state for {age:.3f} s"
        dt = 1.0 / self.config.rate if self._watched_ns is None else 1e-9 * (steady_ns - self._watched_ns)
        self._watched_ns = steady_ns
        if self.mode == ZERO or (self.mode == EMERGENCY_STOP and age > self.config.zero_timeout):
            return self._rest(sample)
        # blind damping would act on a speed that is long gone: only what holds the last good position still is left
        still = np.zeros_like(sample.v)
        at_rest = RobotSample(sample.x, sample.q, still, sample.stamp_ns, sample.sequence)
        return self._command(at_rest, dt, dt, steady_ns)

    def _law_awaited(self, sample: RobotSample, steady_ns: int) -> bool:
        """Whether a state has to wait for a law; those that came are in force from here on."""
        wait = self._wait
        late: list[ControllerEntry] = []
        for force in self._forces if sample.stamp_ns >= self.stamp_ns else ():
            if not wait.due(force, sample):
                continue
            entry = self.registry.get(force.name)
            assert entry.law is not None and force.rng is not None  # noqa: S101 - it is active
            if entry.law.stamp_ns == sample.stamp_ns:
                self._replace(force, [force.successor(self.laws.executor(entry, force.rng), entry.law)])
            else:
                late.append(entry)
        if not late:
            wait.since_ns = None
            return False
        if wait.goes_on(steady_ns):
            return True
        stamp = 1e-9 * sample.stamp_ns
        for entry in late:
            force_of = self._force_of(entry.name)
            assert force_of is not None  # noqa: S101 - it is active
            reason = f"no law of '{entry.name}' for the state at {stamp:.3f} s within {wait.timeout:g} s"
            self._fall_back_from(force_of, reason + (f" ({entry.reason})" if entry.reason else ""), steady_ns)
        return False

    def _command(self, sample: RobotSample, elapsed: float, dt: float, steady_ns: int) -> Command:
        """Laws, then blending, then limits.

        Args:
            sample: the state that is answered.
            elapsed: s since the last command, for what is being blended.
            dt: s since the last command, for the limits; above zero.
            steady_ns: now.
        """
        self._blend.advance(elapsed)
        parts = self._evaluate(sample, steady_ns)
        last = self.robot.rest_action(sample.q) if self._last is None else self._last
        switched, self._switched = self._switched, False
        if switched:
            handed_over = [force.claim.pick for force, _ in parts if not force.begun]
        if self.mode == EMERGENCY_STOP and self.config.emergency_stop == "zero":
            applied, clamped = self.robot.rest_action(sample.q), False
        else:
            durations = (self.config.blend_time, self.config.stream_blend_time)
            for force, part in parts:
                force.blend(self._blend, part, last, sample, durations)
            wanted = parts[0][1]
            if len(parts) > 1:
                wanted = np.empty(self.action.size)
                for force, part in parts:
                    wanted[force.claim.pick] = part
            applied, clamped = self.limiter.apply(self._blend.apply(wanted), last, sample.q, sample.v, dt)
            if not np.isfinite(applied).all():
                raise RefusedError("blending and limits made a number that is not finite")
        if switched:
            change = np.abs(applied - last) / self._scale
            steps = [float(change[pick].max()) for pick in handed_over]
            self.counters.largest_switch_step = max(self.counters.largest_switch_step, *steps, 0.0)
        self.counters.clamped += clamped
        self._last = applied
        new_step = any(force.executor.new_step for force, _ in parts)
        return Command(applied, self._signature, self.step, new_step, switched)

    def _evaluate(self, sample: RobotSample, steady_ns: int) -> list[tuple[LawInForce, Array]]:
        """What each law in force wants for its joints; others take over from a law that ended or failed."""
        parts: list[tuple[LawInForce, Array]] = []
        todo = list(self._forces)
        while todo:
            force = todo.pop()
            try:
                wanted = force.executor.evaluate(sample)
                if np.isfinite(wanted).all():
                    parts.append((force, wanted))
                    continue
                raise RefusedError("it asked for a number that is not finite")
            except LawEnded as end:
                # a plan that ends in a hold is held stiffly, however soft the fallback is
                held = end.rule == "hold"
                soft = False if held else None
                todo += self._fall_back_from(force, f"'{force.name}': {end}", steady_ns, count=not held, soft=soft)
            except Exception as error:  # noqa: BLE001 - whatever a law does, the robot is held and the reason told
                self.counters.errors += 1
                if not force.is_controller:
                    # the hold itself: there is nothing left to fall back to but no effort
                    parts.append((force, self.robot.rest_action(sample.q)[force.claim.pick]))
                    continue
                todo += self._fall_back_from(force, f"'{force.name}' failed: {error}", steady_ns)
        return parts

    def _rest(self, sample: RobotSample) -> Command:
        """What asks for nothing: no effort, no velocity, or the position where the joint is."""
        self._last = self.robot.rest_action(sample.q)
        return Command(self._last, self.mode, -1, False, False)

    def _after_error(self, error: Exception, steady_ns: int) -> Command | None:
        """What the robot is told when something other than a law failed: a hold, and if that fails as well, no effort.

        No effort stays until a switch: a fallback that failed is not tried again by itself.
        """
        self.counters.errors += 1
        reason = f"error of the manager: {error if isinstance(error, MbplError) else repr(error)}"
        self.counters.last_refusal = reason
        sample = self._states.sample
        if not self._forces or sample is None:
            return None
        self._answered = True
        still = RobotSample(sample.x, sample.q, np.zeros_like(sample.v), sample.stamp_ns, sample.sequence)
        fresh = self.state_age(steady_ns) <= self.config.state_timeout
        period = 1.0 / self.config.rate
        if self.active_controllers and self.mode != EMERGENCY_STOP:
            try:
                self._fall_back(reason, steady_ns)
                return self._command(sample if fresh else still, period, period, steady_ns)
            except Exception as again:  # noqa: BLE001 - there is nothing left but no effort
                reason = f"{reason}; and in the fallback: {again!r}"
                self.counters.errors += 1
        if self.mode != EMERGENCY_STOP:
            self.mode, self.reason, self._broken = ZERO, reason, True
        return self._rest(sample)

    def _put(self, forces: list[LawInForce]) -> None:
        super()._put(forces)
        self._broken = False

    # --- what is wrong with the robot, or with a law ---

    def _check_gap(self, silent: float, elapsed: float, steady_ns: int) -> None:
        """Fall back when the robot went on without an answer for too long, whoever slept, or its clock jumped ahead.

        A plan would go on at a step the robot is far from, and the limit of the rate would allow any change.

        Args:
            silent: s on the steady clock between the arrivals of the last two states.
            elapsed: s between their stamps.
            steady_ns: now.
        """
        limit = self.config.state_timeout
        if silent > limit:
            self._fall_back(f"no state for {silent:.3f} s", steady_ns)
        elif elapsed > limit:
            self._fall_back(f"no state for {elapsed:.3f} s of the robot's clock", steady_ns)

    def _on_jump(self, joint: str, steady_ns: int) -> None:
        """Hold where the robot is now: anything else would pull it back to where it is no more."""
        if self.mode == EMERGENCY_STOP:
            return
        holds = [f.name == HELD or (f.is_controller and f.law is None) for f in self._forces]
        if all(holds):
            soft = [None if f.name == HELD else False for f in self._forces]
            self._put([self.laws.hold(f.name, f.claim, s) for f, s in zip(self._forces, soft, strict=True)])
            return
        self._fall_back(f"position of '{joint}' jumped", steady_ns)

    def _on_clock_set_back(self, steady_ns: int) -> None:
        """Forget what was dated on a clock that is gone: the laws of streams, and where the robot was."""
        reason = f"the robot's clock was set back by {self._states.set_back:.3f} s"
        for entry in self.registry:
            if entry.law is not None and entry.streams:
                entry.law, entry.reason = None, reason
                entry.state = "unconfigured"
        if self._forces and self.mode != EMERGENCY_STOP:
            self._fall_back(reason, steady_ns, count=self.mode == "active")

    def _check_law_age(self, force: LawInForce, steady_ns: int) -> None:
        assert force.law is not None  # noqa: S101 - the caller sees to it
        try:
            self._acceptance.check_age(force.name, force.law, steady_ns, self.stamp_ns)
        except RefusedError as error:
            self._fall_back_from(force, str(error), steady_ns)
