"""The moment that tests may begin."""

from __future__ import annotations

from launch.action import Action
from launch.event import Event
from launch.launch_context import LaunchContext


class ReadyForTests(Event):
    """Tests may begin."""

    name = "launch_testing.events.ReadyForTests"


class ReadyToTest(Action):
    """Tells the test runner that tests may begin; without effect where there are no tests."""

    def __init__(self) -> None:
        """Nothing to keep: it takes no condition."""
        super().__init__()

    def execute(self, context: LaunchContext) -> None:
        """Tell."""
        context.emit_event_sync(ReadyForTests())
