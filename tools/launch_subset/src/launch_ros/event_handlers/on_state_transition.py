"""When a lifecycle node has changed its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch.event import Event
from launch.event_handler import EventHandler
from launch.some_entities_type import SomeEntitiesType

from ..events.lifecycle.state_transition import StateTransition

if TYPE_CHECKING:
    from ..actions.lifecycle_node import LifecycleNode


class OnStateTransition(EventHandler):
    """Visits entities when a lifecycle node has changed its state.

    Args:
        entities: what to visit.
        target_lifecycle_node: the node; none means every one.
        transition: the name of the transition; none means any.
        start_state: the name of the state before; none means any.
        goal_state: the name of the state after; none means any.
        handle_once: react to the first event only.
    """

    def __init__(
        self,
        *,
        entities: SomeEntitiesType,
        target_lifecycle_node: LifecycleNode | None = None,
        transition: str | None = None,
        start_state: str | None = None,
        goal_state: str | None = None,
        handle_once: bool = False,
    ) -> None:
        """Keep what is of interest.

        Raises:
            TypeError: the target is not the action of a lifecycle node.
        """
        from ..actions.lifecycle_node import LifecycleNode

        if target_lifecycle_node is not None and not isinstance(target_lifecycle_node, LifecycleNode):
            raise TypeError(f"OnStateTransition expected a LifecycleNode as its target, got {target_lifecycle_node!r}")

        def concerns(event: Event) -> bool:
            return (
                isinstance(event, StateTransition)
                and target_lifecycle_node in (None, event.action)
                and transition in (None, event.transition)
                and start_state in (None, event.start_state)
                and goal_state in (None, event.goal_state)
            )

        super().__init__(matcher=concerns, entities=entities, handle_once=handle_once)
