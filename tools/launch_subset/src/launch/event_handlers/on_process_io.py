"""When a process has written something."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..event import Event
from ..events.process.process_io import ProcessIO
from ..some_entities_type import SomeEntitiesType
from .on_action_event_base import OnActionEventBase

if TYPE_CHECKING:
    from ..action import Action
    from ..launch_context import LaunchContext

Listener = Callable[[ProcessIO], "SomeEntitiesType | None"]


class OnProcessIO(OnActionEventBase):
    """Reacts to what a process writes.

    Args:
        target_action: the action; or a function that says which; none means every process.
        on_stdout: function of the event; the entities that it returns are visited.
        on_stderr: the same for standard error.
        handle_once: react to the first event only.
    """

    def __init__(
        self,
        *,
        target_action: Callable[[Any], bool] | Action | None = None,
        on_stdout: Listener | None = None,
        on_stderr: Listener | None = None,
        handle_once: bool = False,
    ) -> None:
        """Keep target and functions."""

        def react(event: Event, context: LaunchContext) -> SomeEntitiesType | None:
            assert isinstance(event, ProcessIO)
            listener = on_stdout if event.from_stdout else on_stderr
            return None if listener is None else listener(event)

        super().__init__(target=target_action, reaction=react, event_class=ProcessIO, handle_once=handle_once)
