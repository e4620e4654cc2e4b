"""Errors of mbpl: one root, a few children named after what is wrong.

Every message names the thing, what was found, what is allowed, and where to look.
"""

from __future__ import annotations

from typing import Any

from mbpl_control.core.refusal import Refusal


class MbplError(Exception):
    """Root of every error that mbpl raises on purpose.

    Attributes:
        refusal: which kind of refusal it is, where it tells of one.
    """

    refusal = Refusal.OTHER

    def __init__(self, *message: object, refusal: Refusal | None = None) -> None:
        """Keep the message, and the kind unless it is that of the class."""
        super().__init__(*message)
        if refusal is not None:
            self.refusal = refusal


class InvalidFieldError(MbplError):
    """A field of a law, dynamics, trial, message or option has a wrong shape or value.

    Attributes:
        owner: what the field belongs to, e.g. "LinearGaussianController".
        field: name of the field.
        found: what was found, in words.
        allowed: what is allowed, in words.
    """

    refusal = Refusal.VALUE

    def __init__(self, owner: str, field: str, found: str, allowed: str, refusal: Refusal | None = None) -> None:
        """Compose the message from its four parts."""
        super().__init__(f"{owner}.{field}: found {found}; must be {allowed}", refusal=refusal)
        self.owner = owner
        self.field = field
        self.found = found
        self.allowed = allowed

    def __reduce__(self) -> tuple[Any, ...]:
        """From its parts again, in another process: an exception by itself knows its message alone."""
        return type(self), (self.owner, self.field, self.found, self.allowed, self.refusal)


class DefinitionMismatchError(MbplError):
    """A law or a trial speaks of another state or action than the receiver has."""

    refusal = Refusal.DEFINITION


class FileFormatError(MbplError):
    """A file is missing, truncated, of another kind, or of an unknown schema version."""


class ModelError(MbplError):
    """A robot model is missing, broken, or lacks something that is asked of it."""


class TaskError(MbplError):
    """A task file is unknown or wrong; the message begins with file and line."""


class SolverError(MbplError):
    """A numerical problem has no answer under the options given."""


class RefusedError(MbplError):
    """A request was understood and refused; nothing was changed."""


class BagError(MbplError):
    """A bag cannot be written or read."""
