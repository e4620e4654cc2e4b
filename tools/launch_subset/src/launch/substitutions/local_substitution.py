"""What an event handler knows about its event."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..substitution import Substitution

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class LocalSubstitution(Substitution):
    """`str` of an expression over the locals of the context, such as `event.reason`.

    Args:
        expression: the expression.
        description: what it is, for people.
    """

    def __init__(self, expression: str, description: str | None = None) -> None:
        """Keep the expression."""
        self._expression = expression
        self._description = description

    def describe(self) -> str:
        """The description, else the expression in brackets."""
        return self._description or f"LocalVar('{self._expression}')"

    def perform(self, context: LaunchContext) -> str:
        """The value; what the expression raises is not caught."""
        return str(eval(self._expression, {}, context.get_locals_as_dict()))
