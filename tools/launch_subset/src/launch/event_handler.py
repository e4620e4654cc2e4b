"""What is to be done when something happens."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from .event import Event
from .launch_description_entity import LaunchDescriptionEntity
from .some_entities_type import SomeEntitiesType
from .utilities import normalize_to_list_of_entities

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class BaseEventHandler:
    """Base of all event handlers.

    Args:
        matcher: says whether an event is of interest.
        handle_once: the handler is unregistered after the first event that it handled.
    """

    def __init__(self, *, matcher: Callable[[Event], bool], handle_once: bool = False) -> None:
        """Keep the matcher."""
        self._matcher = matcher
        self._handle_once = handle_once

    @property
    def handle_once(self) -> bool:
        """Whether one event is all that is handled."""
        return self._handle_once

    def matches(self, event: Event) -> bool:
        """Whether the event is of interest."""
        return self._matcher(event)

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        """React, and return the entities to visit; subclasses call this first, it keeps the rule of once."""
        context.extend_locals({"event": event})
        if self._handle_once:
            context.unregister_event_handler(self)
        return None

    def describe_entities(self) -> list[LaunchDescriptionEntity]:
        """The entities known before any event."""
        return []


class EventHandler(BaseEventHandler):
    """Visits given entities when an event matches.

    Args:
        matcher: says whether an event is of interest.
        entities: what to visit.
        handle_once: the handler is unregistered after the first event that it handled.
    """

    def __init__(
        self,
        *,
        matcher: Callable[[Event], bool],
        entities: SomeEntitiesType | None = None,
        handle_once: bool = False,
    ) -> None:
        """Keep matcher and entities."""
        super().__init__(matcher=matcher, handle_once=handle_once)
        self._entities = normalize_to_list_of_entities(entities)

    @property
    def entities(self) -> list[LaunchDescriptionEntity]:
        """What is visited when an event matches."""
        return self._entities

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        """The entities."""
        super().handle(event, context)
        return self._entities

    def describe_entities(self) -> list[LaunchDescriptionEntity]:
        """The entities."""
        return list(self._entities)
