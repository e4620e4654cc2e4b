"""Something about a launched process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...event import Event

if TYPE_CHECKING:
    from ...actions.execute_process import ExecuteProcess


class RunningProcessEvent(Event):
    """Something about a launched process.

    Args:
        action: the action that launched it.
        name: its name, with a number that makes it unique.
        cmd: its command line.
        cwd: its working directory, none for that of launch.
        env: its environment, none for that of launch.
        pid: its process id.
    """

    name = "launch.events.process.RunningProcessEvent"

    def __init__(
        self,
        *,
        action: ExecuteProcess,
        name: str,
        cmd: list[str],
        cwd: str | None,
        env: dict[str, str] | None,
        pid: int,
    ) -> None:
        """Keep what is known about the process."""
        self.action = action
        self.process_name = name
        self.cmd = cmd
        self.cwd = cwd
        self.env = env
        self.pid = pid
