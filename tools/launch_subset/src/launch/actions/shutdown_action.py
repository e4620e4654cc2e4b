"""Ending the launched system."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..events.process.process_exited import ProcessExited
from ..events.shutdown import Shutdown as ShutdownEvent
from ..logging import get_logger
from .emit_event import EmitEvent

if TYPE_CHECKING:
    from ..launch_context import LaunchContext
    from ..launch_description_entity import LaunchDescriptionEntity


class Shutdown(EmitEvent):
    """Ends the launched system.

    Args:
        reason: why.
        options: `condition`, as for all actions.
    """

    def __init__(self, *, reason: str = "reason not given", **options: Any) -> None:
        """Keep the reason."""
        super().__init__(event=ShutdownEvent(reason=reason), **options)

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Emit the event; where the end of a process led here, say which."""
        cause = context.get_locals_as_dict().get("event")
        if isinstance(cause, ProcessExited):
            get_logger("launch").info(f"process[{cause.process_name}] was required: shutting down launched system")
        return super().execute(context)
