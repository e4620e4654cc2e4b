"""One of two values."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..conditions.evaluate_condition_expression import evaluate_condition_expression
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitution import Substitution
from ..utilities import normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class IfElseSubstitution(Substitution):
    """`if_value` where the condition is true, else `else_value`.

    Args:
        condition: true, 1, false or 0.
        if_value: may be left out, then nothing.
        else_value: may be left out, then nothing.
    """

    def __init__(
        self,
        condition: SomeSubstitutionsType,
        if_value: SomeSubstitutionsType = "",
        else_value: SomeSubstitutionsType = "",
    ) -> None:
        """Keep condition and values."""
        self._condition = normalize_to_list_of_substitutions(condition)
        self._if_value = normalize_to_list_of_substitutions(if_value)
        self._else_value = normalize_to_list_of_substitutions(else_value)

    def perform(self, context: LaunchContext) -> str:
        """The value; only the chosen one is evaluated."""
        chosen = self._if_value if evaluate_condition_expression(context, self._condition) else self._else_value
        return perform_substitutions(context, chosen)
