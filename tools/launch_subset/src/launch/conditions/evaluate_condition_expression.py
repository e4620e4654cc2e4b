"""Text to truth."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..substitution import Substitution
from ..utilities import perform_substitutions
from .invalid_condition_expression_error import InvalidConditionExpressionError

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

VALID_TRUE_EXPRESSIONS = ["true", "1"]
VALID_FALSE_EXPRESSIONS = ["false", "0"]


def evaluate_condition_expression(context: LaunchContext, expression: Iterable[Substitution]) -> bool:
    """Whether the text is true or 1 (any case); false and 0 are the others allowed.

    Raises:
        InvalidConditionExpressionError: the text is something else.
    """
    expanded = perform_substitutions(context, expression).strip()
    if expanded.lower() in VALID_TRUE_EXPRESSIONS:
        return True
    if expanded.lower() in VALID_FALSE_EXPRESSIONS:
        return False
    raise InvalidConditionExpressionError(expanded, VALID_TRUE_EXPRESSIONS + VALID_FALSE_EXPRESSIONS)
