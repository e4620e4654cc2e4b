"""Later."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..event import Event
from ..event_handler import EventHandler
from ..events.timer_event import TimerEvent
from ..launch_description_entity import LaunchDescriptionEntity
from ..some_substitutions_type import SomeSubstitutionsType
from ..utilities import normalize_to_list_of_entities, normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext


class TimerAction(Action):
    """Visits its actions once, after a time, unless it is cancelled or the system is shut down before.

    Args:
        period: the time, s.
        actions: the actions.
        options: `condition`, as for all actions.
    """

    def __init__(
        self, *, period: float | SomeSubstitutionsType, actions: Iterable[LaunchDescriptionEntity], **options: Any
    ) -> None:
        """Keep time and actions."""
        super().__init__(**options)
        self._period = normalize_to_list_of_substitutions(str(period) if isinstance(period, (int, float)) else period)
        self.actions = normalize_to_list_of_entities(actions)
        self._done: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def describe_conditional_sub_entities(self) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """The actions."""
        return [("after its period has passed", self.actions)]

    def get_asyncio_future(self) -> asyncio.Future[None] | None:
        """Done when the time is over, or the timer was cancelled."""
        return self._done

    def cancel(self) -> None:
        """Forget the actions."""
        if self._timer is not None:
            self._timer.cancel()
        if self._done is not None and not self._done.done():
            self._done.set_result(None)

    def execute(self, context: LaunchContext) -> None:
        """Begin to wait.

        Raises:
            ValueError: the period is not a number.
        """
        period = float(perform_substitutions(context, self._period))
        loop = context.asyncio_loop
        assert loop is not None, "a timer is executed by a running launch service only"
        self._done = done = loop.create_future()

        def ring() -> None:
            context.emit_event_sync(TimerEvent(timer_action=self))
            done.set_result(None)

        def rang(event: Event) -> bool:
            return isinstance(event, TimerEvent) and event.timer_action is self

        context.register_event_handler(EventHandler(matcher=rang, entities=self.actions, handle_once=True))
        context.register_event_handler(_CancelAtShutdown(self))
        self._timer = loop.call_later(period, ring)


class _CancelAtShutdown(EventHandler):
    def __init__(self, timer: TimerAction) -> None:
        from ..events.shutdown import Shutdown

        super().__init__(matcher=lambda event: isinstance(event, Shutdown))
        self._timer_action = timer

    def handle(self, event: Event, context: LaunchContext) -> None:
        self._timer_action.cancel()
