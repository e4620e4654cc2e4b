"""The controllers a manager knows, and their states."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from mbpl_control.core import ExecutionMode, FeedbackLaw, LinearGaussianController
from mbpl_control.core.errors import InvalidFieldError, RefusedError
from mbpl_control.core.validation import Indices, check_choice

TYPES = ("hold", "linear_gaussian", "feedback_law")
MODES = tuple(mode.value for mode in ExecutionMode)
#: What commands say of joints that no controller drives.
FALLBACK, HELD, ZERO, EMERGENCY_STOP = "fallback", "held", "zero", "emergency_stop"
RESERVED = (FALLBACK, HELD, ZERO, EMERGENCY_STOP)


@dataclass
class AcceptedLaw:
    """A law that passed every check.

    Attributes:
        law: a whole horizon, or one knot.
        selection: indices of its state in the robot's.
        sequence: given by its source.
        arrived_ns: on the steady clock.
        stamp_ns: when it was made, on the robot's clock; 0 when it does not say.
        valid_from_ns: stamp at which step 0 starts, for a law anchored at a stamp.
        valid_until_ns: stamp after which it no longer counts; 0 for the end of its horizon.
        step: of the horizon a knot comes from, −1 when it has none.
    """

    law: LinearGaussianController | FeedbackLaw
    selection: Indices
    sequence: int
    arrived_ns: int
    stamp_ns: int = 0
    valid_from_ns: int = 0
    valid_until_ns: int = 0
    step: int = -1

    @property
    def streams(self) -> bool:
        """Whether others must follow it: it is one knot, or a horizon anchored at its stamp."""
        return isinstance(self.law, FeedbackLaw) or self.law.anchor == "stamp"


@dataclass
class ControllerEntry:
    """One controller.

    Attributes:
        name: of the controller.
        type: one of `TYPES`.
        mode: one of `MODES`.
        source: topic its laws come from; empty for a built-in or a law that was loaded.
        state: unconfigured (no law yet), inactive, active or finalized.
        law: the newest accepted; None while there is none, and for `hold`.
        reason: why it is not active, or why its last law was refused.
        joints: it claims; empty for those of its law, and for all of them when it is a hold.
        sequence: the highest its source gave; None before the first law, and after its source was started anew.
        built_in: whether it stays, whoever wants to replace or unload it.
        trouble: what is wrong with the source of its laws at the moment; empty when nothing is.
    """

    name: str
    type: str
    mode: str = "mean"
    source: str = ""
    state: str = "unconfigured"
    law: AcceptedLaw | None = None
    reason: str = ""
    joints: tuple[str, ...] = ()
    sequence: int | None = None
    built_in: bool = False
    trouble: str = ""

    def __post_init__(self) -> None:
        """Check type and mode."""
        if not self.name:
            raise InvalidFieldError("Controller", "name", "nothing", "a name")
        if self.name in RESERVED:
            raise InvalidFieldError("Controller", "name", repr(self.name), f"none of {', '.join(RESERVED)}")
        check_choice("Controller", "type", self.type, TYPES)
        check_choice("Controller", "mode", self.mode, MODES)
        if self.type == "hold":
            self.state = "inactive"

    @property
    def streams(self) -> bool:
        """Whether it lives on laws that keep coming: knots, or horizons anchored at stamps."""
        return self.type == "feedback_law" or (self.law is not None and self.law.streams)


class Registry:
    """Controllers by name, in the order they were added."""

    def __init__(self) -> None:
        """Start empty."""
        self._entries: dict[str, ControllerEntry] = {}

    def __iter__(self) -> Iterator[ControllerEntry]:
        """Over the entries."""
        return iter(self._entries.values())

    def __contains__(self, name: str) -> bool:
        """Whether `name` is known."""
        return name in self._entries

    def get(self, name: str) -> ControllerEntry:
        """The entry of `name`.

        Raises:
            RefusedError: there is none; the message lists what there is.
        """
        if name in self._entries:
            return self._entries[name]
        close = difflib.get_close_matches(name, self._entries, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        known = ", ".join(self._entries) or "none"
        raise RefusedError(f"no controller '{name}'; {hint}known controllers: {known}")

    def add(self, entry: ControllerEntry, replace: bool = False) -> None:
        """Add an entry; an inactive one of the same name is replaced if `replace`.

        Raises:
            RefusedError: the name is taken, or the entry of that name is active or built in.
        """
        old = self._entries.get(entry.name)
        if old is not None and old.state == "active":
            raise RefusedError(f"controller '{entry.name}' is active; deactivate it first")
        if old is not None and old.built_in:
            raise RefusedError(f"controller '{entry.name}' is built in; choose another name")
        if old is not None and not replace:
            raise RefusedError(f"a controller '{entry.name}' is loaded already; ask to replace it")
        self._entries[entry.name] = entry

    def remove(self, name: str) -> None:
        """Forget an entry.

        Raises:
            RefusedError: there is none, or it is active or built in.
        """
        entry = self.get(name)
        if entry.state == "active":
            raise RefusedError(f"controller '{name}' is active; deactivate it first")
        if entry.built_in:
            raise RefusedError(f"controller '{name}' is built in and stays")
        entry.state = "finalized"
        del self._entries[name]
