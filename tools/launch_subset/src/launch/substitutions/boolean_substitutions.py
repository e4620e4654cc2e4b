"""Truth from truth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..conditions.evaluate_condition_expression import evaluate_condition_expression
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class NotSubstitution(Substitution):
    """`true` where the value is false, and `false` where it is true.

    Args:
        value: true, 1, false or 0.
    """

    def __init__(self, value: SomeSubstitutionsType) -> None:
        """Keep the value."""
        self._value = normalize_to_list_of_substitutions(value)

    def perform(self, context: LaunchContext) -> str:
        """The opposite."""
        return str(not evaluate_condition_expression(context, self._value)).lower()


class AndSubstitution(Substitution):
    """`true` where both are true, else `false`.

    Args:
        left: true, 1, false or 0.
        right: true, 1, false or 0.
    """

    def __init__(self, left: SomeSubstitutionsType, right: SomeSubstitutionsType) -> None:
        """Keep both."""
        self._left = normalize_to_list_of_substitutions(left)
        self._right = normalize_to_list_of_substitutions(right)

    def perform(self, context: LaunchContext) -> str:
        """Whether both are true; both are evaluated."""
        both = [evaluate_condition_expression(context, side) for side in (self._left, self._right)]
        return str(all(both)).lower()


class OrSubstitution(Substitution):
    """`true` where at least one is true, else `false`.

    Args:
        left: true, 1, false or 0.
        right: true, 1, false or 0.
    """

    def __init__(self, left: SomeSubstitutionsType, right: SomeSubstitutionsType) -> None:
        """Keep both."""
        self._left = normalize_to_list_of_substitutions(left)
        self._right = normalize_to_list_of_substitutions(right)

    def perform(self, context: LaunchContext) -> str:
        """Whether one is true; both are evaluated."""
        both = [evaluate_condition_expression(context, side) for side in (self._left, self._right)]
        return str(any(both)).lower()
