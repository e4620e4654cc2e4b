"""The small-motion check: joint by joint, whether what is commanded moves what it should, where it should."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np

from mbpl_control.core.errors import RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.hardware.robot_file import CheckSection
from mbpl_control.models.robot import RobotModel
from mbpl_control.runtime.executors import RobotSample
from mbpl_control.runtime.hold import HoldExecutor, HoldGains

#: s the robot is given to come to rest: held before a joint moves, under the largest effort, and when it is back.
SETTLE = 1.0
#: s over which the effort goes away again.
BACK = 1.0
#: Part of the motion that another joint may make by the coupling between them.
COUPLING = 0.5


class Phase(Enum):
    """Where the check is."""

    WAITING = "waiting"
    SETTLING = "settling"
    OUT = "out"
    BACK = "back"
    ANSWER = "answer"
    FAILED = "failed"


@dataclass(frozen=True)
class Movement:
    """What was seen of one joint.

    Attributes:
        joint: that was moved.
        ok: whether it, and no other, moved in the positive direction.
        message: what was seen, in words.
        effort: N·m or N beyond that of the hold when it had moved, or when the check gave up.
        moved: rad or m of the joint.
        other: the joint that moved most beside it, empty when there is only one.
        other_moved: rad or m.
    """

    joint: str
    ok: bool
    message: str
    effort: float = 0.0
    moved: float = 0.0
    other: str = ""
    other_moved: float = 0.0


class JointCheck:
    r"""Moves one joint after another a little and back, while all are held, and judges what is measured.

    On top of the hold (gravity, spring and damper at the place where the robot stands) one joint i gets an effort that
    grows slowly,

        u = u_hold + e_i p(t),   p(t) = p_max (t / T)³

    until the joint has moved by `motion`, and dies away over a second. The hold's gravity term keeps the arm where it
    is, so that what is seen is the motion relative to it, and its springs keep the coupling between joints small: at
    rest p = K_p Δq on joint i and nothing on the others.

    An effort of the wrong sign or on the wrong joint makes the hold unstable. Any joint further than `largest_motion`
    from where it stood, or in two states in a row faster than `largest_speed`, ends the check; what is commanded from
    then on is no effort.

    Args:
        robot: the model.
        gains: of the hold.
        options: see `CheckSection`.
        limits: (m,) largest effort of each driven joint.
    """

    def __init__(self, robot: RobotModel, gains: HoldGains, options: CheckSection, limits: Array) -> None:
        """Begin with the first joint."""
        self._robot, self._gains, self._options, self._limits = robot, gains, options, limits
        self._driven = robot.actuated
        self.joints = [robot.velocity_joints[int(i)] for i in self._driven]
        self._hold = HoldExecutor(robot, gains)
        self._start: Array | None = None
        self._base: Array | None = None
        self._since_ns = 0
        self._back_ns = 0
        self._peak = 0.0
        self._fast = 0
        self.index = 0
        self.phase = Phase.WAITING
        #: the newest movement
        self.movement: Movement | None = None

    @property
    def joint(self) -> str:
        """The joint whose turn it is; empty after the last."""
        return self.joints[self.index] if self.index < len(self.joints) else ""

    @property
    def moving(self) -> bool:
        """Whether a joint is being moved."""
        return self.phase in (Phase.SETTLING, Phase.OUT, Phase.BACK)

    @property
    def failed(self) -> bool:
        """Whether something was seen that must not be."""
        return self.phase is Phase.FAILED

    @property
    def complete(self) -> bool:
        """Whether every joint has moved and been confirmed."""
        return self.index == len(self.joints)

    def move(self, steady_ns: int) -> None:
        """Move the joint whose turn it is, once the robot is seen to stand.

        Raises:
            RefusedError: a joint moves already, or the check is over.
        """
        if self.moving:
            raise RefusedError(f"'{self.joint}' is being moved")
        if self.failed or self.complete:
            raise RefusedError("the check is over; begin anew")
        self.phase, self._since_ns = Phase.SETTLING, steady_ns

    def answer(self, yes: bool) -> None:
        """A person's answer to the newest movement; after a no the first joint is next again.

        Raises:
            RefusedError: nothing was moved that waits for an answer.
        """
        if self.phase is not Phase.ANSWER:
            raise RefusedError("no movement waits for an answer")
        self.index = self.index + 1 if yes else 0
        self.phase = Phase.WAITING

    def effort(self, sample: RobotSample, steady_ns: int) -> Array:
        """u (m,) for a sample; no effort once the check has failed."""
        q, v = sample.q[self._driven], sample.v[self._driven]
        if self._start is None:
            self._start = q.copy()
        if not self.failed:
            away = q - self._start
            # one fast state may be one bad measurement
            self._fast = self._fast + 1 if np.abs(v).max() > self._options.largest_speed else 0
            if self._fast > 1 or np.abs(away).max() > self._options.largest_motion:
                self._run_away(away, v)
        push = self._push(q, 1e-9 * (steady_ns - self._since_ns), steady_ns) if self.moving else 0.0
        if self.failed:
            return np.zeros(len(self._driven))
        u = self._hold.evaluate(sample)
        u[self.index : self.index + 1] += push
        return u

    def _push(self, q: Array, elapsed: float, steady_ns: int) -> float:
        """Effort beyond the hold's on the joint whose turn it is."""
        options = self._options
        if self.phase is Phase.SETTLING:
            if elapsed >= SETTLE:
                self.phase, self._since_ns = Phase.OUT, steady_ns
                self._base = q.copy()
            return 0.0
        if self.phase is Phase.OUT:
            push = float(options.effort * self._limits[self.index]) * min(elapsed / options.duration, 1.0) ** 3
            if self._has_moved(q, push, elapsed >= options.duration + SETTLE):
                self.phase, self._since_ns, self._peak = Phase.BACK, steady_ns, push
            return push
        part = elapsed / BACK
        if part >= 1.0 + SETTLE / BACK:
            self.phase = Phase.ANSWER
        return self._peak * (1.0 - part * part * (3.0 - 2.0 * part)) if part < 1.0 else 0.0

    def _has_moved(self, q: Array, push: float, is_last: bool) -> bool:
        """Whether the joint has moved far enough; the check fails when it went elsewhere, or another one did."""
        assert self._base is not None  # noqa: S101 - it is set when the robot has settled
        motion, i = self._options.motion, self.index
        moved = q - self._base
        rest = np.where(np.arange(len(moved)) == i, 0.0, np.abs(moved))
        k = int(rest.argmax())
        name, unit, other = self.joint, self._robot.action.units[i], self.joints[k] if len(moved) > 1 else ""
        seen = Movement(name, False, "", push, float(moved[i]), other, float(rest[k]))
        if moved[i] <= -motion:
            self._fail(seen, f"'{name}' moved by {moved[i]:+.3f} at {push:+.2f} {unit}: backwards")
        elif rest[k] >= COUPLING * motion:
            text = f"'{other}' moved by {moved[k]:+.3f} when '{name}' should, which moved by {moved[i]:+.3f}"
            self._fail(seen, f"{text}: is the order of `joints` that of the controller?")
        elif moved[i] >= motion:
            text = f"; no other by more than {rest[k]:.3f}" if other else ""
            text = f"'{name}' moved by {moved[i]:+.3f} at {push:+.2f} {unit}{text}"
            self.movement = replace(seen, ok=True, message=text)
            return True
        elif is_last:
            text = f"'{name}' moved by {moved[i]:+.3f} only at {push:+.2f} {unit}"
            self._fail(seen, f"{text}: does anything hold it, or should check.effort be larger?")
        return False

    def _run_away(self, away: Array, speed: Array) -> None:
        options = self._options
        part = np.maximum(np.abs(away) / options.largest_motion, np.abs(speed) / options.largest_speed)
        far = [int(k) for k in np.argsort(-part) if part[k] > 0.5]
        units = [self._robot.state.blocks[1].units[int(i)] for i in self._driven]
        named = ", ".join(f"'{self.joints[k]}' by {away[k]:+.3f}, at {speed[k]:+.2f} {units[k]}" for k in far)
        what = f"while '{self.joint}' was moved" if self.phase is Phase.OUT else "while the robot was only held"
        self._fail(
            Movement(self.joint, False, ""),
            f"{what}, joints ran away: {named}. An effort of the wrong sign, another order of `joints` than the "
            "controller's, or a load that the model does not know",
        )

    def _fail(self, seen: Movement, message: str) -> None:
        self.movement = replace(seen, message=message)
        self.phase = Phase.FAILED
