"""Where an expression is true."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..condition import Condition
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_substitutions
from .evaluate_condition_expression import evaluate_condition_expression

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class IfCondition(Condition):
    """Holds where the expression is `true` or `1`, in any case, and not where it is `false` or `0`.

    Args:
        predicate_expression: anything else it may come to is an error.
    """

    def __init__(self, predicate_expression: SomeSubstitutionsType) -> None:
        """Keep the expression."""
        super().__init__()
        self._expression = normalize_to_list_of_substitutions(predicate_expression)

    def evaluate(self, context: LaunchContext) -> bool:
        """Whether the expression is true."""
        return evaluate_condition_expression(context, self._expression)
