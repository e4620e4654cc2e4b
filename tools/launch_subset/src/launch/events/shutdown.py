"""The launched system is to end."""

from __future__ import annotations

from ..event import Event


class Shutdown(Event):
    """The launched system is to end.

    Args:
        reason: why.
        due_to_sigint: Ctrl-C was the reason, and the terminal sent it to the launched processes too.
    """

    name = "launch.events.Shutdown"

    def __init__(self, *, reason: str = "reason not given", due_to_sigint: bool = False) -> None:
        """Keep the reason."""
        self.reason = reason
        self.due_to_sigint = due_to_sigint
