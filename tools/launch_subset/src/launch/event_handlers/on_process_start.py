"""When a process has started."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..events.process.process_started import ProcessStarted
from ..some_entities_type import SomeEntitiesType
from .on_action_event_base import OnActionEventBase, Reaction

if TYPE_CHECKING:
    from ..action import Action


class OnProcessStart(OnActionEventBase):
    """Reacts to the start of a process, also to each start again of one that respawns.

    Args:
        target_action: the action; or a function that says which; none means every action.
        on_start: the entities to visit; or a function of event and context that returns them.
        handle_once: react to the first event only.
    """

    def __init__(
        self,
        *,
        target_action: Callable[[Any], bool] | Action | None = None,
        on_start: SomeEntitiesType | Reaction,
        handle_once: bool = False,
    ) -> None:
        """Keep target and reaction."""
        super().__init__(target=target_action, reaction=on_start, event_class=ProcessStarted, handle_once=handle_once)
