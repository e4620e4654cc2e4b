"""States that wait for the law that is made for them."""

from __future__ import annotations

from mbpl_control.core import FeedbackLaw
from mbpl_control.runtime.executors import RobotSample
from mbpl_control.runtime.law_in_force import LawInForce

#: A stamp this close before a step belongs to it, ns.
SLACK = 1000


class LawWait:
    """Decides which states wait for a law of a stream of knots, and for how long.

    How long a source of knots takes must not show in a trial that shall be the same each time. So the state at which a
    step of the task begins, counted from the first one answered since activation, is answered by the law that was made
    at this very state, and by no other; over the rest of the step that law stays in force. A step whose first state got
    lost begins with the next.

    Args:
        dt: s, of a step.
        timeout: s on the steady clock that a state waits at most; 0: none does.

    Attributes:
        timeout: as given.
        since_ns: when the state that waits began to, on the steady clock; None while none does.
    """

    def __init__(self, dt: float, timeout: float) -> None:
        """Wait for nothing."""
        self.timeout = timeout
        self.since_ns: int | None = None
        self._dt_ns = round(1e9 * dt)

    def applies(self, force: LawInForce | None) -> bool:
        """Whether states wait for the laws that follow this one."""
        law = None if force is None else force.law
        return self.timeout > 0.0 and law is not None and isinstance(law.law, FeedbackLaw)

    def due(self, force: LawInForce, sample: RobotSample) -> bool:
        """Whether a state needs another law than the one in force."""
        if not self.applies(force) or force.law is None:
            return False
        made = force.law.stamp_ns
        if force.start_ns is None:
            return made != sample.stamp_ns
        return self._step(sample.stamp_ns - force.start_ns) > self._step(made - force.start_ns)

    def goes_on(self, steady_ns: int) -> bool:
        """Whether the state that waits may wait any longer; it begins to with the first question."""
        if self.since_ns is None:
            self.since_ns = steady_ns
        if steady_ns - self.since_ns <= 1e9 * self.timeout:
            return True
        self.since_ns = None
        return False

    def _step(self, elapsed_ns: int) -> int:
        return (elapsed_ns + SLACK) // self._dt_ns
