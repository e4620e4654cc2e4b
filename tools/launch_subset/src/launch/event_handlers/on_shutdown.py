"""When the launched system is to end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..event import Event
from ..event_handler import BaseEventHandler
from ..events.shutdown import Shutdown
from ..launch_description_entity import LaunchDescriptionEntity
from ..some_entities_type import SomeEntitiesType
from ..utilities import normalize_to_list_of_entities

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class OnShutdown(BaseEventHandler):
    """Reacts to the shutdown of the launched system.

    Args:
        on_shutdown: the entities to visit; or a function of event and context that returns them.
        handle_once: react to the first event only.
    """

    def __init__(
        self,
        *,
        on_shutdown: SomeEntitiesType | Callable[[Shutdown, LaunchContext], SomeEntitiesType | None],
        handle_once: bool = False,
    ) -> None:
        """Keep the reaction."""
        super().__init__(matcher=lambda event: isinstance(event, Shutdown), handle_once=handle_once)
        self._function = on_shutdown if callable(on_shutdown) else None
        self._entities = [] if callable(on_shutdown) else normalize_to_list_of_entities(on_shutdown)

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        """The entities, or those that the function returns."""
        super().handle(event, context)
        assert isinstance(event, Shutdown)
        return self._entities if self._function is None else self._function(event, context)

    def describe_entities(self) -> list[LaunchDescriptionEntity]:
        """The entities; none where a function returns them."""
        return list(self._entities)
