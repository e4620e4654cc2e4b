"""An action is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..event import Event

if TYPE_CHECKING:
    from ..action import Action


class ExecutionComplete(Event):
    """An action was executed and all that it began is done.

    Args:
        action: the action.
    """

    name = "launch.events.ExecutionComplete"

    def __init__(self, *, action: Action) -> None:
        """Keep the action."""
        self.action = action
