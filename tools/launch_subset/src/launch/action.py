"""What a launch description says is to be done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ._coverage import README
from .condition import Condition
from .launch_description_entity import LaunchDescriptionEntity

if TYPE_CHECKING:
    from .launch_context import LaunchContext


class Action(LaunchDescriptionEntity):
    """Base of all actions.

    Args:
        condition: the action is executed only where it holds.

    Raises:
        TypeError: an option was given that the subset does not cover.
    """

    def __init__(self, *, condition: Condition | None = None, **uncovered: object) -> None:
        """Keep the condition; refuse what is left over."""
        if uncovered:
            raise TypeError(
                f"{type(self).__name__} got {', '.join(map(repr, uncovered))}, which the launch subset of mbpl does "
                f"not cover; {README} lists what it does"
            )
        self._condition = condition

    @property
    def condition(self) -> Condition | None:
        """The condition of execution, if any."""
        return self._condition

    def visit(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Execute where the condition holds; `ExecutionComplete` follows when all that was begun is done."""
        if self._condition is not None and not self._condition.evaluate(context):
            return None
        from .events.execution_complete import ExecutionComplete

        following = self.execute(context)
        done = ExecutionComplete(action=self)
        future = self.get_asyncio_future()
        if future is None:
            context.emit_event_sync(done)
        else:
            future.add_done_callback(lambda _: context.emit_event_sync(done))
        return following

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Do what the action is for, and return the entities to visit next."""
        raise NotImplementedError(f"{type(self).__name__}.execute")
