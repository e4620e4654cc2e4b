"""A process has written something."""

from __future__ import annotations

from typing import Any

from .running_process_event import RunningProcessEvent


class ProcessIO(RunningProcessEvent):
    """A process has written something.

    Args:
        text: the bytes, as they came; not necessarily whole lines.
        fd: 1 for standard output, 2 for standard error.
        details: of the process, as for `RunningProcessEvent`.
    """

    name = "launch.events.process.ProcessIO"

    def __init__(self, *, text: bytes, fd: int, **details: Any) -> None:
        """Keep the bytes."""
        super().__init__(**details)
        self.text = text
        self.fd = fd

    @property
    def from_stdout(self) -> bool:
        """Whether it was written to standard output."""
        return self.fd == 1

    @property
    def from_stderr(self) -> bool:
        """Whether it was written to standard error."""
        return self.fd == 2


class ProcessStdout(ProcessIO):
    """A process has written to standard output."""

    name = "launch.events.process.ProcessStdout"

    def __init__(self, *, text: bytes, **details: Any) -> None:
        """Keep the bytes."""
        super().__init__(text=text, fd=1, **details)


class ProcessStderr(ProcessIO):
    """A process has written to standard error."""

    name = "launch.events.process.ProcessStderr"

    def __init__(self, *, text: bytes, **details: Any) -> None:
        """Keep the bytes."""
        super().__init__(text=text, fd=2, **details)
