"""Reacting to the events of one action."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..event import Event
from ..event_handler import BaseEventHandler
from ..launch_description_entity import LaunchDescriptionEntity
from ..some_entities_type import SomeEntitiesType
from ..utilities import normalize_to_list_of_entities

if TYPE_CHECKING:
    from ..action import Action
    from ..launch_context import LaunchContext

Reaction = Callable[[Any, "LaunchContext"], "SomeEntitiesType | None"]


class OnActionEventBase(BaseEventHandler):
    """Visits entities, or calls a function for them, at an event of an action.

    Args:
        target: the action; or a function that says which; none means every action.
        reaction: the entities; or a function of event and context that returns them.
        event_class: of the events.
        handle_once: react to the first event only.
    """

    def __init__(
        self,
        *,
        target: Callable[[Any], bool] | Action | None,
        reaction: SomeEntitiesType | Reaction,
        event_class: type[Event],
        handle_once: bool = False,
    ) -> None:
        """Keep target and reaction.

        Raises:
            TypeError: one of them is something else.
        """
        from ..action import Action

        if not (target is None or isinstance(target, Action) or callable(target)):
            raise TypeError(f"{type(self).__name__} expected an action or a function as its target, got {target!r}")

        def concerns(event: Event) -> bool:
            if not isinstance(event, event_class):
                return False
            if target is None:
                return True
            action: Action = event.action  # type: ignore[attr-defined]
            return action is target if isinstance(target, Action) else target(action)

        super().__init__(matcher=concerns, handle_once=handle_once)
        self._function: Reaction | None = None
        self._entities: list[LaunchDescriptionEntity] = []
        if callable(reaction):
            self._function = reaction
        else:
            self._entities = normalize_to_list_of_entities(reaction)

    def handle(self, event: Event, context: LaunchContext) -> SomeEntitiesType | None:
        """The entities, or those that the function returns."""
        super().handle(event, context)
        return self._entities if self._function is None else self._function(event, context)

    def describe_entities(self) -> list[LaunchDescriptionEntity]:
        """The entities; none where a function returns them."""
        return list(self._entities)
