"""Beginning and ceasing to react."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..event_handler import BaseEventHandler

if TYPE_CHECKING:
    from ..launch_context import LaunchContext
    from ..launch_description_entity import LaunchDescriptionEntity


class RegisterEventHandler(Action):
    """Registers an event handler; the newest is asked first.

    Args:
        event_handler: the handler.
        options: `condition`, as for all actions.
    """

    def __init__(self, event_handler: BaseEventHandler, **options: Any) -> None:
        """Keep the handler.

        Raises:
            TypeError: it is not an event handler.
        """
        super().__init__(**options)
        if not isinstance(event_handler, BaseEventHandler):
            raise TypeError(f"{type(self).__name__} expected an event handler, got {event_handler!r}")
        self.event_handler = event_handler

    def execute(self, context: LaunchContext) -> None:
        """Register it."""
        context.register_event_handler(self.event_handler)

    def describe_conditional_sub_entities(self) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """The entities of the handler."""
        return [(f"at an event of {type(self.event_handler).__name__}", self.event_handler.describe_entities())]


class UnregisterEventHandler(RegisterEventHandler):
    """Unregisters an event handler.

    Args:
        event_handler: the handler.
        options: `condition`, as for all actions.
    """

    def execute(self, context: LaunchContext) -> None:
        """Unregister it."""
        context.unregister_event_handler(self.event_handler)

    def describe_conditional_sub_entities(self) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """Nothing."""
        return []
