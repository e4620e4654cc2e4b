"""A timer has run down."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..event import Event

if TYPE_CHECKING:
    from ..actions.timer_action import TimerAction


class TimerEvent(Event):
    """A timer has run down.

    Args:
        timer_action: the timer.
    """

    name = "launch.events.TimerEvent"

    def __init__(self, *, timer_action: TimerAction) -> None:
        """Keep the timer."""
        self.timer_action = timer_action
