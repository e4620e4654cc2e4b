"""A process has ended."""

from __future__ import annotations

from typing import Any

from .running_process_event import RunningProcessEvent


class ProcessExited(RunningProcessEvent):
    """A process has ended.

    Args:
        returncode: its exit code, or minus the number of the signal that ended it.
        details: of the process, as for `RunningProcessEvent`.
    """

    name = "launch.events.process.ProcessExited"

    def __init__(self, *, returncode: int, **details: Any) -> None:
        """Keep the exit code."""
        super().__init__(**details)
        self.returncode = returncode
