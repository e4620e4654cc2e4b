"""When actions are executed."""

from .._coverage import refuse_uncovered
from .evaluate_condition_expression import evaluate_condition_expression
from .if_condition import IfCondition
from .invalid_condition_expression_error import InvalidConditionExpressionError
from .unless_condition import UnlessCondition

__all__ = ["IfCondition", "InvalidConditionExpressionError", "UnlessCondition", "evaluate_condition_expression"]

__getattr__ = refuse_uncovered(__name__)
