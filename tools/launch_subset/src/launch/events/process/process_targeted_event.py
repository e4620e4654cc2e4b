"""Something that is to be done to launched processes."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING

from ...event import Event

if TYPE_CHECKING:
    from ...actions.execute_process import ExecuteProcess


class ProcessTargetedEvent(Event):
    """Something that is to be done to those processes that a matcher says.

    Args:
        process_matcher: called with an action that executes a process, such as `matches_action(action)`.
    """

    name = "launch.events.process.ProcessTargetedEvent"

    def __init__(self, *, process_matcher: Callable[[ExecuteProcess], bool]) -> None:
        """Keep the matcher."""
        self.process_matcher = process_matcher


class ShutdownProcess(ProcessTargetedEvent):
    """Processes are to end: SIGINT, then SIGTERM, then SIGKILL, each after its patience."""

    name = "launch.events.process.ShutdownProcess"


class SignalProcess(ProcessTargetedEvent):
    """Processes are to be sent a signal.

    Args:
        signal_number: the signal, or its name such as SIGUSR1.
        process_matcher: as for all targeted events.
    """

    name = "launch.events.process.SignalProcess"

    def __init__(
        self, *, signal_number: str | signal.Signals, process_matcher: Callable[[ExecuteProcess], bool]
    ) -> None:
        """Keep the signal."""
        super().__init__(process_matcher=process_matcher)
        self.signal = signal.Signals[signal_number] if isinstance(signal_number, str) else signal.Signals(signal_number)

    @property
    def signal_name(self) -> str:
        """The name of the signal, such as SIGUSR1."""
        return self.signal.name
