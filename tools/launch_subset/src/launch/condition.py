"""Whether an action is executed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class Condition:
    """A predicate over the launch context.

    Args:
        predicate: called with the context; none means always true.
    """

    def __init__(self, *, predicate: Callable[[LaunchContext], bool] | None = None) -> None:
        """Keep the predicate."""
        self._predicate = predicate

    def evaluate(self, context: LaunchContext) -> bool:
        """Whether the action is to be executed."""
        return True if self._predicate is None else self._predicate(context)
