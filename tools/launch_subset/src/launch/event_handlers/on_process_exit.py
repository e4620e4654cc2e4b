"""When a process has ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..events.process.process_exited import ProcessExited
from ..some_entities_type import SomeEntitiesType
from .on_action_event_base import OnActionEventBase, Reaction

if TYPE_CHECKING:
    from ..action import Action


class OnProcessExit(OnActionEventBase):
    """Reacts to the end of a process.

    Args:
        target_action: the action; or a function that says which; none means every action.
        on_exit: the entities to visit; or a function of event and context that returns them.
        handle_once: react to the first event only.
    """

    def __init__(
        self,
        *,
        target_action: Callable[[Any], bool] | Action | None = None,
        on_exit: SomeEntitiesType | Reaction,
        handle_once: bool = False,
    ) -> None:
        """Keep target and reaction."""
        super().__init__(target=target_action, reaction=on_exit, event_class=ProcessExited, handle_once=handle_once)
