"""What a fault may do to the robot, and whether that is all it did: judged in one place, from what was applied."""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from graph import Pace
from observer import Record, Sent, States

from mbpl_control.nodes import conversions as convert
from mbpl_control.safety.limiter import CommandLimiter
from mbpl_control.safety.limits import Limits
from mbpl_control.tasks.task import Task

#: What is added to bounds that are measured on the time of day, s: a period of the watch, and the way of a message.
WATCH = 0.02
#: Processes that have to wake up one after the other: robot, relay, estimator, manager, and the manager's watch.
WAKE_UPS = 5.0
BRAKE = "brake"


@dataclass(frozen=True)
class Expected:
    """What a fault may lead to.

    Attributes:
        safe: what signs the commands that make the robot safe, or "brake" for the robot's own; nobody when the
            controller shall go on; None when either is right.
        after: what must pass first: names of time-outs of the `Pace`.
        within: s more, from the fault to the first safe command; two ticks always come on top.
        clock: "robot" measures that between stamps, "wall" between the times at which messages were published, for
            faults that take the stamps away.
        reason: pattern that must be found in the status and in /diagnostics of the manager, or of `reporter`.
        reporter: node whose diagnostics tell it; the manager's status then need not.
        then: others that may sign commands afterwards.
        step: largest change of the command at a hand-over, fraction of the limit.
        still: whether the robot must have come to rest at the end.
        latched: whether the first safe command must come within 2 ticks of the state at which the status told it.
    """

    safe: str | None = ""
    after: tuple[str, ...] = ()
    within: float = 0.0
    clock: str = "robot"
    reason: str = ""
    reporter: str = "controller_manager"
    then: tuple[str, ...] = ()
    step: float = 0.05
    still: bool = True
    latched: bool = False

    def bound(self, pace: Pace) -> float:
        """s from the fault to the first safe command."""
        return sum(getattr(pace, name) for name in self.after) + self.within + 2.0 * pace.tick


@dataclass
class Judgement:
    """What became of one fault.

    Attributes:
        time_to_safe: s; NaN when the controller went on.
        step: largest change of the command at a hand-over, fraction of the limit.
        owed: s of the bound for the way of a request to the manager and back.
        late: s of the bound that this machine was late.
        recovered: whether the controller commanded again in the end.
        grave: what the robot must never be told, however busy the machine is, in words.
        violations: what else was not as promised.
    """

    time_to_safe: float = float("nan")
    step: float = 0.0
    owed: float = 0.0
    late: float = 0.0
    recovered: bool = False
    grave: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[str]:
        """Grave violations and others."""
        return self.grave + self.violations


class Judge:
    """Holds a record against limits and expectations.

    Args:
        task: whose robot and limits are meant.
        pace: of the graph.
    """

    #: rad/s below which a joint counts as at rest
    REST = 0.2

    def __init__(self, task: Task, pace: Pace) -> None:
        """Keep what to hold records against."""
        self.pace = pace
        self._tick = pace.tick
        self._limits = limits = Limits.of_task(task)
        self._limiter = CommandLimiter(limits, task.robot, pace.tick)
        self._scale = np.maximum(np.abs(limits.lower), np.abs(limits.upper))

    def judge(self, record: Record, controller: str, expected: Expected, injected: int, owed: float = 0.0) -> Judgement:
        """Judge what was heard around a fault.

        Args:
            record: what was heard, from before the fault until before the recovery.
            controller: that commanded.
            expected: what the fault may lead to.
            injected: ns, time of day of the fault.
            owed: s that a request took to the manager and back.
        """
        result = Judgement(owed=owed)
        commands = sorted({c.sequence: c for c in record.commands}.values(), key=lambda c: c.at)
        self._check_efforts(record, commands, result)
        recent = [c for c in commands if c.at > injected - 10**8]
        self._check_steps(recent, record, expected, result)
        if expected.safe == "":
            self._check_goes_on(record, commands, controller, injected, result)
        elif expected.safe is not None:
            self._check_safe(record, commands, expected, injected, result)
        result.violations += self.untold(record, expected, injected)
        return result

    @staticmethod
    def speed(record: Record) -> float:
        """rad/s of the fastest joint now, noise left out."""
        return float(np.abs(np.median([j.velocity for j in record.joints[-10:]], axis=0)).max())

    def _check_efforts(self, record: Record, commands: list[Sent], result: Judgement) -> None:
        for what, values in (
            ("command", [c.values for c in commands]),
            ("effort that acted", [j.effort for j in record.joints]),
        ):
            if not values:
                continue
            block = np.array(values)
            share = np.abs(block) / self._scale
            if not (share <= 1.0 + 1e-9).all():
                result.grave.append(f"a {what} of {share.max():.3f} of its limit, or not finite")

    def _check_steps(self, commands: list[Sent], record: Record, expected: Expected, result: Judgement) -> None:
        states = record.states
        for before, after in pairwise(commands):
            if after.sequence != before.sequence + 1 or after.controller == "zero":
                continue
            change = np.abs(after.values - before.values)
            passed = 1e-9 * max(after.stamp - before.stamp, after.at - before.at)
            # what is sent between states counts its time when it is made, a moment before it is published
            blind = not (before.answers and after.answers)
            slack = 2.0 * self._tick + record.overslept(before.at - 10**8, after.at + 10**8) if blind else 0.0
            allowed = self._limits.rate * (max(passed, self._tick) + slack)
            beyond = change > allowed + 1e-9
            if beyond.any():
                # limits of speed and position come after that of the rate: where they act, they have the last word
                beyond &= ~self._bounded(after, before, states)
            if beyond.any():
                i = int(np.where(beyond, change / allowed, 0.0).argmax())
                result.grave.append(
                    f"{before.controller} → {after.controller}: a step {change[i] / allowed[i]:.2f} of what the rate "
                    f"allows: joint {i} from {before.values[i]:.4g} to {after.values[i]:.4g} within {passed:.4f} s, "
                    f"at {states.get(after.answers)}"
                )
            if after.controller != before.controller:
                # what the limits would have made of the last command is no step of the hand-over
                kept = self._limited(before.values, before, after, states)
                step = float((np.abs(after.values - kept) / self._scale).max())
                result.step = max(result.step, step)
                if step > expected.step:
                    result.grave.append(f"{before.controller} → {after.controller}: a step of {step:.3f} of the limit")

    def _bounded(self, after: Sent, before: Sent, states: States) -> np.ndarray:
        """Which efforts are just what the limits of speed and position leave, whichever joints came near them.

        The range of the effort comes last. A two-hundredth of the limit is left to the rounding of states.
        """
        found = np.zeros(len(self._scale), dtype=bool)
        state = states.get(after.answers or before.answers)
        if state is None:
            return found
        q, v = state if after.answers else (state[0], np.zeros_like(state[1]))
        for near in itertools.product((False, True), repeat=len(found)):
            for bound in self._limiter.effort_range(q, v, np.array(near)):
                bound = np.clip(bound, self._limits.lower, self._limits.upper)
                found |= np.array(near) & (np.abs(after.values - bound) <= 0.005 * self._scale)
        return found

    def _limited(self, wanted: np.ndarray, before: Sent, after: Sent, states: States) -> np.ndarray:
        """What the limits make of a command at the state that `after` answers, as far as that was heard."""
        state = states.get(after.answers or before.answers)
        if state is None:
            return before.values
        # what is sent blindly takes the robot to stand where it was last seen
        q, v = state if after.answers else (state[0], np.zeros_like(state[1]))
        passed = 1e-9 * max(after.stamp - before.stamp, after.at - before.at)
        return self._limiter.apply(wanted, before.values, q, v, max(passed, self._tick))[0]

    def _check_goes_on(
        self, record: Record, commands: list[Sent], controller: str, injected: int, result: Judgement
    ) -> None:
        after = [c for c in commands if c.at > injected]
        others = {c.controller for c in after} - {controller}
        if others:
            why = {s.reason for at, s in record.statuses if at > injected and s.mode != "active"}
            result.violations.append(f"{', '.join(sorted(others))} took over: {'; '.join(sorted(why))}")
        if not after:
            result.violations.append("no command came any more")

    def _check_safe(
        self, record: Record, commands: list[Sent], expected: Expected, injected: int, result: Judgement
    ) -> None:
        braked = expected.safe == BRAKE
        if braked:
            candidates = [(j.at, j.stamp) for j in record.joints if j.at > injected and not j.effort.any()]
        else:
            candidates = [(c.at, c.stamp) for c in commands if c.at > injected and c.controller == expected.safe]
        if not candidates:
            result.violations.append(f"no {expected.safe} came")
            return
        at, stamp = candidates[0]
        wall = expected.clock == "wall"
        result.time_to_safe = 1e-9 * (at - injected if wall else stamp - record.stamp_at(injected))
        if wall:
            result.late = WAKE_UPS * record.overslept(injected, at)
        else:
            # states the manager did not answer in time are the machine's: as many ticks as lay between two commands
            stamps = [c.stamp for c in commands if injected - 10**7 <= c.at <= at]
            gaps = [b - a for a, b in pairwise(stamps)]
            result.late = max(1e-9 * max(gaps, default=0) - self._tick, 0.0)
            if braked:
                # no commands to tell by
                result.late = WAKE_UPS * record.overslept(injected, at)
        bound = expected.bound(self.pace)
        if not wall:
            # the robot's time goes by in ticks
            result.owed = self._tick * math.ceil(result.owed / self._tick)
        if result.time_to_safe > bound + result.owed + result.late + 1e-6:
            result.violations.append(
                f"{expected.safe} after {result.time_to_safe:.4f} s; at most {bound:.4f} s, {result.owed:.4f} "
                f"s for the request and {result.late:.4f} s that the machine was late are allowed"
            )
        if expected.latched:
            told = [s.header.stamp for t, s in record.statuses if t > injected and s.mode == expected.safe]
            passed = 1e-9 * (stamp - convert.time_to_ns(told[0])) if told else math.inf
            if passed > 2.0 * self._tick + result.late + 1e-6:
                result.violations.append(f"{expected.safe} only {passed:.4f} s of the robot's time after its status")
        signed = {c.controller for c in commands if c.at > at} if not braked else set()
        if others := signed - {expected.safe, *expected.then}:
            result.violations.append(f"{', '.join(sorted(others))} commanded after {expected.safe}")
        if expected.still:
            if (speed := self.speed(record)) > self.REST:
                result.violations.append(f"the robot still moves at {speed:.2f} rad/s")

    def untold(self, record: Record, expected: Expected, injected: int) -> list[str]:
        """Where the reason is not told that should be."""
        if not expected.reason:
            return []
        pattern, missing = re.compile(expected.reason), []
        if expected.reporter == "controller_manager":
            told = [
                " | ".join([s.mode, s.reason, s.last_refusal, *(c.reason for c in s.controllers)])
                for at, s in record.statuses
                if at > injected
            ]
            if not any(pattern.search(words) for words in told):
                missing.append(f"the status does not tell '{expected.reason}'; last: {told[-1:]}")
        told = [words for at, name, words in record.diagnostics if at > injected and expected.reporter in name]
        if not any(pattern.search(words) for words in told):
            missing.append(f"/diagnostics does not tell '{expected.reason}'; last: {told[-1:]}")
        return missing
