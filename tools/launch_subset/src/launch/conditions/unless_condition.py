"""Where an expression is false."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .if_condition import IfCondition

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class UnlessCondition(IfCondition):
    """Holds where `IfCondition` of the same expression does not."""

    def evaluate(self, context: LaunchContext) -> bool:
        """Whether the expression is false."""
        return not super().evaluate(context)
