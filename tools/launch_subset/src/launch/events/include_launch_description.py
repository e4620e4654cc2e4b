"""A launch description is to be visited."""

from __future__ import annotations

from ..event import Event
from ..launch_description import LaunchDescription


class IncludeLaunchDescription(Event):
    """A launch description is to be visited.

    Args:
        launch_description: the description.
    """

    name = "launch.events.IncludeLaunchDescription"

    def __init__(self, launch_description: LaunchDescription) -> None:
        """Keep the description."""
        self.launch_description = launch_description
