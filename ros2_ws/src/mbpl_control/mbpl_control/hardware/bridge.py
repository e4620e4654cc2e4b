"""Between the controller manager and a robot's driver: what the robot is told, and when it is told nothing."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.hardware.confirmation import Confirmation
from mbpl_control.hardware.joint_check import JointCheck, Movement
from mbpl_control.hardware.robot_file import HardwareRobot
from mbpl_control.runtime.executors import RobotSample
from mbpl_control.runtime.hold import HoldExecutor, HoldGains
from mbpl_control.runtime.registry import FALLBACK, HELD
from mbpl_control.safety.limiter import CommandLimiter
from mbpl_control.safety.limits import Limits

#: Joint states that are kept, to find the one a command answers.
REMEMBERED = 256
#: Who decides while the manager holds every joint.
HOLDS = ("hold", HELD, FALLBACK)
#: Part of its range from a limit at which an effort counts as limited; feedback must not add to it.
AT_LIMIT = 1e-6


@dataclass(frozen=True, eq=False)
class Drive:
    """What the robot is told: u = effort + gain [q' ⊖ q; v' − v].

    A driver that takes efforts gets the first term; one that closes the loop by itself gets all of it.

    Attributes:
        effort: (m,) of the driven joints, in the task's order.
        gain: (m, 2nv), the sign of this project.
        sample: where the robot was.
    """

    effort: Array
    gain: Array
    sample: RobotSample


class BridgeCore:
    """Passes on commands of the manager once the joints are confirmed, and acts by itself when they stay away.

    Args:
        robot: the robot's YAML and model.
        confirmation: of its joints.
        closes_loop: whether the driver evaluates the gain itself, so that a hold lasts without states.

    Attributes:
        mode: "unconfirmed" (nothing is commanded), "checking", "idle" (no command came yet), "commanded", "held" or
            "zero" (commands stay away).
        reason: why, in words.
        refused: commands that were refused.
        last_refusal: in words.
        check: of the joints, while one is under way or has failed.
        last_answered: joint whose movement a person has answered last.
    """

    def __init__(self, robot: HardwareRobot, confirmation: Confirmation, closes_loop: bool = False) -> None:
        """Wait for a command, or for the check."""
        self.robot, self.confirmation = robot, confirmation
        self._closes_loop = closes_loop
        task, file = robot.task, robot.file
        self._model, self._action = task.robot, task.action
        nv = self._model.nv
        self._gains = HoldGains(self._model, task.condition(0).state[: self._model.nq], file.hold_frequency)
        self._limiter = CommandLimiter(Limits.of_task(task), self._model, 1.0 / file.rate)
        self._timeout_ns = round(1e9 * file.command_timeout)
        self._no_gain = np.zeros((self._action.size, 2 * nv))
        self._hold_gain = self._no_gain.copy()
        rows = np.arange(self._action.size)
        self._hold_gain[rows, self._model.actuated] = -self._gains.stiffness
        self._hold_gain[rows, nv + self._model.actuated] = -self._gains.damping
        margin = AT_LIMIT * (self._action.upper - self._action.lower)
        self._low, self._high = self._action.lower + margin, self._action.upper - margin
        self._samples: deque[RobotSample] = deque(maxlen=REMEMBERED)
        #: newest gain by positions and velocities of each controller: joints it drives, rows of them
        self._laws: dict[str, tuple[Array, Array]] = {}
        self._hold: HoldExecutor | None = None
        self._last: Array | None = None
        self._commanded: tuple[Array, str, RobotSample] | None = None
        self._command_ns: int | None = None
        self._state_ns: int | None = None
        self._driven_ns = 0
        self.refused = 0
        self.last_refusal = ""
        self.check: JointCheck | None = None
        self.last_answered = ""
        self.mode, self.reason = "idle", "no command yet"
        if not confirmation.counts:
            self.mode, self.reason = "unconfirmed", confirmation.reason

    # --- what arrives ---

    def on_state(self, sample: RobotSample, steady_ns: int) -> Drive | None:
        """A joint state: what the bridge itself has to say to it, if anything."""
        self._samples.append(sample)
        self._state_ns = steady_ns
        if self.check is not None:
            return self._checked(sample, steady_ns)
        if self.mode == "commanded" and self._stale(steady_ns):
            self._command_lost(steady_ns)
        if self.mode == "held":
            return self._held(sample, steady_ns)
        if self.mode == "zero":
            return self._zero(sample)
        return None

    def on_command(
        self,
        names: list[str],
        interface: str,
        values: Array,
        who: str,
        stamp_ns: int,
        now: int,
        is_answer: bool = True,
    ) -> Drive:
        """A command of the manager.

        Args:
            names: joints of the values.
            interface: "effort".
            values: one a joint.
            who: controllers that decided, joined by " + ".
            stamp_ns: of the state that it answers.
            now: on the steady clock.
            is_answer: whether it answers a state; else the manager speaks for itself, states having stayed away.

        Raises:
            RefusedError: the joints are not confirmed, are others, a number is not finite or beyond its limit, or the
                state it answers is older than `command_timeout`.
        """
        action = self._action
        if not self.confirmation.counts or self.check is not None:
            what = "a check of the joints is under way" if self.check is not None else self.confirmation.reason
            self._refuse(f"{what}; run `mbpl check-joints`")
        if list(names) != list(action.joint_names):
            self._refuse(f"joints are {', '.join(names)}; this robot's are {', '.join(action.joint_names)}")
        if interface != action.interface:
            self._refuse(f"interface is '{interface}'; must be '{action.interface}'")
        if len(values) != action.size:
            self._refuse(f"{len(values)} values; must be {action.size}")
        if not np.isfinite(values).all():
            self._refuse("a number is not finite")
        over = np.flatnonzero((values < action.lower - AT_LIMIT) | (values > action.upper + AT_LIMIT))
        if over.size:
            i = int(over[0])
            self._refuse(
                f"{values[i]:g} {action.units[i]} for '{action.joint_names[i]}'; "
                f"the limits are {action.lower[i]:g} and {action.upper[i]:g}"
            )
        if not self._samples:
            self._refuse("the robot has sent no joint state")
        age = self._samples[-1].stamp_ns - stamp_ns
        if is_answer and age > self._timeout_ns:
            # somebody answers an old state again and again: no sign that the robot is looked after
            self._refuse(
                f"it answers a state of {1e-9 * age:.3f} s ago; at most {1e-9 * self._timeout_ns:g} s is allowed"
            )
        answered = next((s for s in reversed(self._samples) if s.stamp_ns == stamp_ns), None)
        # an answer to a state that was only predicted, or to none: its feedback has no place to start from
        sample = self._samples[-1] if answered is None else answered
        self._command_ns = now
        self._commanded = (values, who if answered is not None else "", sample)
        self.mode, self.reason = "commanded", who
        self._hold = None
        self._last = values
        self._driven_ns = now
        for name in [n for n in self._laws if n not in who.split(" + ")]:
            del self._laws[name]
        return self._drive()

    def on_law(self, controller: str, rows: Array, gain: Array) -> Drive | None:
        """The gain of a law that is applied from the last command on; that command again, with it.

        Args:
            controller: whose law it is.
            rows: which of the driven joints it drives.
            gain: (rows, 2nv) by positions and velocities.
        """
        self._laws[controller] = (rows, gain)
        if self.mode != "commanded" or self._commanded is None or controller not in self._commanded[1].split(" + "):
            return None
        return self._drive()

    def watch(self, steady_ns: int) -> Drive | None:
        """Called between states: what a robot is told whose states stay away."""
        if self._state_ns is None or steady_ns - self._state_ns <= self._timeout_ns:
            return None
        sample = self._samples[-1]
        if self.check is not None:
            # joints that are not confirmed are not held without being watched
            self.check, self.mode = None, "zero"
            self.reason = f"no joint state for {1e-9 * (steady_ns - self._state_ns):.2f} s"
            self.confirmation.reason = f"the check was ended: {self.reason}"
            return self._zero(sample)
        if self.mode == "commanded" and self._stale(steady_ns):
            self._command_lost(steady_ns)
        if self.mode == "held" and self._closes_loop:
            return self._held(sample, steady_ns)
        if self.mode in ("held", "zero"):
            # a hold that nobody can see is none
            return self._zero(sample)
        return None

    def final(self) -> Drive | None:
        """The last word to the robot before the bridge leaves; None when it never commanded."""
        if self._last is None or not self._samples:
            return None
        sample = self._samples[-1]
        if self.robot.file.without_commands == "zero" or not self.confirmation.counts:
            return self._zero(sample)
        still = RobotSample(sample.x, sample.q, np.zeros_like(sample.v), sample.stamp_ns)
        self._hold = None
        return self._held(still, self._driven_ns + round(1e9))

    # --- the check ---

    def move_joint(self, steady_ns: int) -> None:
        """Move the next joint of the check; the first when none is under way.

        Raises:
            RefusedError: the manager commands, a joint is being moved, or there is no joint state.
        """
        if self.mode == "commanded" and not self._stale(steady_ns):
            raise RefusedError(f"the manager commands ({self.reason}); end that first, as by `mbpl estop`")
        if self._state_ns is None or steady_ns - self._state_ns > self._timeout_ns:
            raise RefusedError("the robot sends no joint states")
        if self.check is None or self.check.failed:
            if self.confirmation.counts:
                self.confirmation.revoke("a check was begun and has not ended")
            limits = np.minimum(-self._action.lower, self._action.upper)
            self.check = JointCheck(self._model, self._gains, self.robot.file.check, limits)
            self._driven_ns = steady_ns
            self._last = None
        self.check.move(steady_ns)
        self.mode, self.reason = "checking", f"'{self.check.joint}' is being moved"

    def answer_check(self, yes: bool) -> str:
        """A person's answer to the newest movement; in words what follows.

        Raises:
            RefusedError: no movement waits for an answer.
        """
        if self.check is None:
            raise RefusedError("no check is under way")
        joint = self.check.joint
        self.check.answer(yes)
        self.last_answered = joint
        if not yes:
            self.reason = self.confirmation.reason = f"'{joint}' was not confirmed"
            return f"{self.reason}; the robot is held, and the next movement is that of the first joint again"
        if not self.check.complete:
            self.reason = f"'{joint}' is confirmed, '{self.check.joint}' is next"
            return self.reason
        where = self.confirmation.give(self.check.joints)
        self.check = None
        self._command_ns = None
        self.mode, self.reason = "held", "the joints are confirmed; no command yet"
        return f"all joints are confirmed, {where}"

    @property
    def movement(self) -> Movement | None:
        """What the check has seen last, once the movement is over."""
        if self.check is None or self.check.moving:
            return None
        return self.check.movement

    def _checked(self, sample: RobotSample, steady_ns: int) -> Drive:
        check = self.check
        assert check is not None  # noqa: S101 - the caller sees to it
        before = check.phase
        wanted = check.effort(sample, steady_ns)
        if check.failed:
            assert check.movement is not None  # noqa: S101 - it says what failed
            if before is not check.phase:
                self.reason = self.confirmation.reason = check.movement.message
            return self._zero(sample)
        return self._limited(wanted, sample, steady_ns)

    # --- what is sent ---

    def _drive(self) -> Drive:
        """The last command with the gains of the laws in force, but for joints that have no effort left.

        A hold of the manager has gains, too, and publishes none: a driver that closes the loop gets those of the
        bridge's own hold, which are made in the same way.
        """
        assert self._commanded is not None  # noqa: S101 - the caller sees to it
        values, who, sample = self._commanded
        gain = self._hold_gain if self._closes_loop and who in HOLDS else self._no_gain
        wanted = [self._laws[name] for name in who.split(" + ") if name in self._laws]
        if wanted or gain is self._hold_gain:
            gain = gain.copy()
            for rows, part in wanted:
                gain[rows] = part
            gain[(values <= self._low) | (values >= self._high)] = 0.0
        return Drive(values, gain, sample)

    def _command_lost(self, steady_ns: int) -> None:
        assert self._command_ns is not None  # noqa: S101 - the caller sees to it
        hold = self.robot.file.without_commands == "hold"
        self.mode = "held" if hold else "zero"
        self.reason = f"no command for {1e-9 * (steady_ns - self._command_ns):.3f} s"

    def _held(self, sample: RobotSample, steady_ns: int) -> Drive:
        if self._hold is None:
            self._hold = HoldExecutor(self._model, self._gains)
        return self._limited(self._hold.evaluate(sample), sample, steady_ns)

    def _limited(self, wanted: Array, sample: RobotSample, steady_ns: int) -> Drive:
        """An effort of a hold within the limits, with the hold's own gain for a driver that closes the loop."""
        # gravity is there from the first instant on: the rate counts from what holds the robot, not from nothing
        last = self._model.gravity(sample.q) if self._last is None else self._last
        dt = max(1e-9 * (steady_ns - self._driven_ns), 1e-6)
        self._driven_ns = steady_ns
        self._last, _ = self._limiter.apply(wanted, last, sample.q, sample.v, dt)
        return Drive(self._last, self._hold_gain if self._closes_loop else self._no_gain, sample)

    def _zero(self, sample: RobotSample) -> Drive:
        self._last = np.zeros(self._action.size)
        return Drive(self._last, self._no_gain, sample)

    def _stale(self, steady_ns: int) -> bool:
        return self._command_ns is None or steady_ns - self._command_ns > self._timeout_ns

    def _refuse(self, reason: str) -> None:
        self.refused += 1
        self.last_refusal = reason
        raise RefusedError(reason)
