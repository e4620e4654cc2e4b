"""Making something happen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..action import Action
from ..event import Event

if TYPE_CHECKING:
    from ..launch_context import LaunchContext
    from ..launch_description_entity import LaunchDescriptionEntity


class EmitEvent(Action):
    """Emits an event.

    Args:
        event: the event.
        options: `condition`, as for all actions.
    """

    def __init__(self, *, event: Event, **options: Any) -> None:
        """Keep the event.

        Raises:
            TypeError: it is not an event.
        """
        super().__init__(**options)
        if not isinstance(event, Event):
            raise TypeError(f"EmitEvent expected an event, got {event!r}")
        self.event = event

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Emit it."""
        context.emit_event_sync(self.event)
        return None
