"""The newest state of the robot, and which states are refused."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.errors import RefusedError
from mbpl_control.core.refusal import Refusal
from mbpl_control.runtime.executors import RobotSample
from mbpl_control.safety.jumps import JumpCheck


class StateRecord:
    """Keeps the newest state with the time it came, and tells when one cannot follow the last.

    Attributes:
        sample: the newest state; None before the first.
        arrived_ns: when it, or a repetition of it, came, on the steady clock; None before the first.
        jumped: name of a joint whose position moved between the last two states as no joint can: the robot was
            reset, or a sensor failed; empty when none did.
        set_back: s by which the robot's clock was set back before the newest state; 0 when it was not.
    """

    def __init__(self, jumps: JumpCheck, timeout: float) -> None:
        """Start without a state.

        Args:
            jumps: what no joint can do.
            timeout: s on the steady clock without a state after which one from the past tells of a clock that was set
                back, as by a simulation that was started anew; before that it is a message that came late.
        """
        self._jumps, self._timeout = jumps, timeout
        self.sample: RobotSample | None = None
        self.arrived_ns: int | None = None
        self.jumped = ""
        self.set_back = 0.0

    @property
    def stamp_ns(self) -> int:
        """The robot's clock: stamp of the newest state, 0 before the first."""
        return self.sample.stamp_ns if self.sample is not None else 0

    def age(self, steady_ns: int) -> float:
        """Seconds since the newest state arrived; −1 when none did."""
        return -1.0 if self.arrived_ns is None else 1e-9 * (steady_ns - self.arrived_ns)

    def repeats(self, sample: RobotSample, steady_ns: int) -> bool:
        """Whether a state is the newest once more, as a simulation in lockstep asks again: it is then still fresh."""
        again = self.sample is not None and sample.stamp_ns == self.sample.stamp_ns
        if again:
            self.arrived_ns = steady_ns
        return again

    def take(self, sample: RobotSample, steady_ns: int) -> float:
        """Keep a state; seconds on the robot's clock since the one before.

        They are 0 for the first state, for a repeated one, and for the first one after the clock was set back.

        Raises:
            RefusedError: its stamp is before the last one's, or a number is not finite; the last state stays.
        """
        last = self.sample
        behind = 0.0 if last is None else 1e-9 * (last.stamp_ns - sample.stamp_ns)
        if behind > 0.0 and self.age(steady_ns) <= self._timeout:
            assert last is not None  # noqa: S101 - there is one it is behind of
            text = f"its stamp is {behind:.6f} s before the last one's, {1e-9 * last.stamp_ns:.6f} s"
            raise RefusedError(text, refusal=Refusal.STAMP)
        # one number per array tells: a sum is finite when all its terms are, and far from overflow
        if not np.isfinite(sample.x.sum() + sample.q.sum() + sample.v.sum()):
            raise RefusedError("it holds numbers that are not finite", refusal=Refusal.NOT_FINITE)
        elapsed, self.set_back = max(-behind, 0.0), max(behind, 0.0)
        self.jumped = "" if last is None or elapsed == 0.0 else self._jumps.joint(last.q, sample.q, elapsed)
        self.sample, self.arrived_ns = sample, steady_ns
        return elapsed
