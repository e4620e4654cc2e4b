"""What the manager tells the robot, and what has happened so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mbpl_control.core.refusal import Refusal
from mbpl_control.core.validation import Array

#: What can be wrong with a state.
STATE_REFUSALS = (Refusal.DEFINITION, Refusal.SHAPE, Refusal.JOINTS, Refusal.NOT_FINITE, Refusal.STAMP)


@dataclass(frozen=True)
class Command:
    """What the robot is told.

    Attributes:
        values: u (m,) after all limits.
        controller: name of the controller that decided, several joined by " + "; "fallback", "zero" or "emergency_stop"
            when none did.
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
    """What has happened so far.

    Attributes:
        ticks: states that were taken.
        clamped: ticks on which a limit changed the command.
        laws_accepted: by all controllers.
        laws_refused: by all controllers, by kind.
        states_refused: by kind, one of `STATE_REFUSALS`.
        switches: controllers that were activated.
        fallbacks: times the fallback took over because something was wrong.
        errors: exceptions a law raised, or the manager itself.
        largest_switch_step: largest change of a command between the ticks around a switch, of the joints that changed
            hands, fraction of the limit.
        last_refusal: of a law, a state or a request, in words.
        last_switch: in words.
    """

    ticks: int = 0
    clamped: int = 0
    laws_accepted: int = 0
    laws_refused: Counter[Refusal] = field(default_factory=Counter)
    states_refused: Counter[Refusal] = field(default_factory=Counter)
    switches: int = 0
    fallbacks: int = 0
    errors: int = 0
    largest_switch_step: float = 0.0
    last_refusal: str = ""
    last_switch: str = ""
