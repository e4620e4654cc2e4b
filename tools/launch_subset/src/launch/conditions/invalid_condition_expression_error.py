"""A condition that is neither true nor false."""

from __future__ import annotations


class InvalidConditionExpressionError(ValueError):
    """The text of a condition is not one of the allowed ones."""

    def __init__(self, expression: str, valid_expressions: list[str]) -> None:
        """Name what was found and what is allowed."""
        super().__init__(
            f"invalid condition expression, expected one of [{', '.join(valid_expressions)}] but got '{expression}'"
        )
