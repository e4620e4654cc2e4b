"""Whether a law may run on this robot, and why not."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mbpl_control.core import ActionDefinition, FeedbackLaw, LinearGaussianController, StateDefinition
from mbpl_control.core.errors import DefinitionMismatchError, RefusedError
from mbpl_control.core.refusal import Refusal
from mbpl_control.core.validation import Array


def check_definitions(
    law: LinearGaussianController | FeedbackLaw, state: StateDefinition, action: ActionDefinition
) -> NDArray[np.intp]:
    """Indices that pick the law's state out of the robot's.

    Raises:
        DefinitionMismatchError: the robot's state lacks a coordinate of the law's, or the law drives other actuators.
    """
    theirs = law.action
    for what in ("actuator_names", "joint_names", "interface", "units"):
        have, want = getattr(theirs, what), getattr(action, what)
        if have != want:
            kind = Refusal.JOINTS if what == "joint_names" else Refusal.DEFINITION
            raise DefinitionMismatchError(f"the law's {what} are {have}; the robot's are {want}", refusal=kind)
    return law.state.selection_from(state)


def check_gains(gains: Array, plan: Array, max_gain: float, action: ActionDefinition, most: float = 2.0) -> None:
    """Refuse gains above a bound, and planned efforts far beyond what the robot has.

    Args:
        gains: K (..., m, ndx).
        plan: planned actions (..., m).
        max_gain: largest |K| allowed, in units of action per unit of state.
        action: of the joints the law drives.
        most: largest planned action allowed, times the limit.

    Raises:
        RefusedError: naming the largest entry and the bound.
    """
    largest = float(np.abs(gains).max(initial=0.0))
    if largest > max_gain:
        place = tuple(int(i) for i in np.unravel_index(np.argmax(np.abs(gains)), gains.shape))
        text = f"gain {largest:.4g} at {place} is above max_gain {max_gain:.4g}"
        raise RefusedError(text, refusal=Refusal.GAINS)
    beyond = np.maximum(plan - most * action.upper, most * action.lower - plan)
    if (beyond > 0.0).any():
        where = tuple(int(i) for i in np.unravel_index(np.argmax(beyond), plan.shape))
        i = where[-1]
        raise RefusedError(
            f"planned action {plan[where]:.4g} {action.units[i]} of '{action.actuator_names[i]}' is over "
            f"{most:g} times its limit, {action.lower[i]:.4g} to {action.upper[i]:.4g}",
            refusal=Refusal.PLAN,
        )


def check_order(sequence: int, last: int | None, stamp_ns: int, now_ns: int, slack_ns: int) -> None:
    """Refuse a law that is no newer than one before it, or that was made in the future.

    Args:
        sequence: of the law.
        last: of the newest law accepted from the same source; None when there is none.
        stamp_ns: when the law was made, on the robot's clock; zero when it does not say.
        now_ns: the robot's clock.
        slack_ns: how far ahead a stamp may be.

    Raises:
        RefusedError: saying which.
    """
    if last is not None and sequence <= last:
        text = f"sequence number {sequence} is not above {last}, the last one accepted"
        raise RefusedError(text, refusal=Refusal.ORDER)
    if stamp_ns and stamp_ns > now_ns + slack_ns:
        ahead = 1e-9 * (stamp_ns - now_ns)
        text = f"stamp is {ahead:.3f} s in the future; at most {1e-9 * slack_ns:.3f} s is allowed"
        raise RefusedError(text, refusal=Refusal.STAMP)
