"""Plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..substitution import Substitution

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class TextSubstitution(Substitution):
    """A given text.

    Args:
        text: the text.
    """

    def __init__(self, *, text: str) -> None:
        """Keep the text."""
        if not isinstance(text, str):
            raise TypeError(f"TextSubstitution expected text, got {text!r} of type {type(text).__name__}")
        self._text = text

    @property
    def text(self) -> str:
        """The text."""
        return self._text

    def describe(self) -> str:
        """The text in quotes."""
        return f"'{self._text}'"

    def perform(self, context: LaunchContext) -> str:
        """The text."""
        return self._text
