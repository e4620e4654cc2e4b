"""Text that is known only while launching."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class Substitution:
    """A value that is evaluated to text when an action that holds it is executed."""

    def perform(self, context: LaunchContext) -> str:
        """The text."""
        raise NotImplementedError(f"{type(self).__name__}.perform")

    def describe(self) -> str:
        """One line for people, as `ros2 launch --show-args` prints it."""
        return f"{type(self).__name__}()"
