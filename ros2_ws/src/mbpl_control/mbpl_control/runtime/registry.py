"""The controllers a manager knows, and their states."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from numpy.typing import NDArray

from mbpl_control.core import ExecutionMode, FeedbackLaw, LinearGaussianController
from mbpl_control.core.errors import InvalidFieldError, RefusedError
from mbpl_control.core.validation import check_choice

TYPES = ("hold", "linear_gaussian", "feedback_law")
MODES = tuple(mode.value for mode in ExecutionMode)


@dataclass
class AcceptedLaw:
    """A law that passed every check.

    Attributes:
        law: a whole horizon, or one knot.
        selection: indices of its state in the robot's.
        sequence: given by its source.
        arrived_ns: on the steady clock.
        valid_from_ns: stamp at which step 0 starts, for a law anchored at a stamp.
        valid_until_ns: stamp after which it no longer counts; 0 for the end of its horizon.
        step: of the horizon a knot comes from, −1 when it has none.
    """

    law: LinearGaussianController | FeedbackLaw
    selection: NDArray
    sequence: int
    arrived_ns: int
    valid_from_ns: int = 0
    valid_until_ns: int = 0
    step: int = -1


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
    """

    name: str
    type: str
    mode: str = "mean"
    source: str = ""
    state: str = "unconfigured"
    law: AcceptedLaw | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        """Check type and mode."""
        if not self.name:
            raise InvalidFieldError("Controller", "name", "nothing", "a name")
        check_choice("Controller", "type", self.type, TYPES)
        check_choice("Controller", "mode", self.mode, MODES)
        if self.type == "hold":
            self.state = "inactive"

    @property
    def streams(self) -> bool:
        """Whether it lives on laws that keep coming: knots, or horizons anchored at stamps."""
        if self.type == "feedback_law":
            return True
        law = self.law.law if self.law is not None else None
        return isinstance(law, LinearGaussianController) and law.anchor == "stamp"


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
            RefusedError: the name is taken, or the entry of that name is active.
        """
        old = self._entries.get(entry.name)
        if old is not None and old.state == "active":
            raise RefusedError(f"controller '{entry.name}' is active; deactivate it first")
        if old is not None and not replace:
            raise RefusedError(f"a controller '{entry.name}' is loaded already; ask to replace it")
        self._entries[entry.name] = entry

    def remove(self, name: str) -> None:
        """Forget an entry.

        Raises:
            RefusedError: there is none, or it is active.
        """
        entry = self.get(name)
        if entry.state == "active":
            raise RefusedError(f"controller '{name}' is active; deactivate it first")
        entry.state = "finalized"
        del self._entries[name]
