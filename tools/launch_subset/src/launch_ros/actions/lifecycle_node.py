"""A lifecycle node in a process of its own."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from launch.event import Event
from launch.event_handler import BaseEventHandler
from launch.launch_description_entity import LaunchDescriptionEntity
from launch.logging import get_logger
from launch.some_substitutions_type import SomeSubstitutionsType
from lifecycle_msgs.msg import Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState as ChangeStateService

from ..events.lifecycle.change_state import ChangeState
from ..events.lifecycle.state_transition import StateTransition
from ..ros_adapter import get_ros_adapter
from .node import Node

if TYPE_CHECKING:
    from launch.launch_context import LaunchContext
    from rclpy.client import Client

#: How often it is looked whether a node is there, s.
POLL = 0.05

TRANSITIONS = {
    Transition.TRANSITION_CREATE: "create",
    Transition.TRANSITION_CONFIGURE: "configure",
    Transition.TRANSITION_CLEANUP: "cleanup",
    Transition.TRANSITION_ACTIVATE: "activate",
    Transition.TRANSITION_DEACTIVATE: "deactivate",
}


class LifecycleNode(Node):
    """Runs a program of a package as a lifecycle node.

    `StateTransition` is emitted when the node says that its state changed, and `ChangeState` makes it change.

    Args:
        name: of the node.
        namespace: of the node.
        options: as for `Node`.
    """

    def __init__(self, *, name: SomeSubstitutionsType, namespace: SomeSubstitutionsType, **options: Any) -> None:
        """Keep what was written."""
        super().__init__(name=name, namespace=namespace, **options)
        self._logger = get_logger("launch_ros.actions.lifecycle_node")
        self._client: Client | None = None

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Listen to the node, then start it."""
        following = super().execute(context)
        node = get_ros_adapter(context).node
        loop = context.asyncio_loop
        assert loop is not None

        def heard(message: TransitionEvent) -> None:
            loop.call_soon_threadsafe(context.emit_event_sync, StateTransition(action=self, msg=message))

        node.create_subscription(TransitionEvent, f"{self.node_name}/transition_event", heard, 10)
        self._client = node.create_client(ChangeStateService, f"{self.node_name}/change_state")
        context.register_event_handler(_ChangeStateHandler(self))
        return following

    def change_state(self, context: LaunchContext, transition_id: int) -> None:
        """Ask for a transition as soon as the node is there."""
        assert context.asyncio_loop is not None
        task = context.asyncio_loop.create_task(self._change_state(context, transition_id))
        context.add_completion_future(task)

    async def _change_state(self, context: LaunchContext, transition_id: int) -> None:
        client = self._client
        assert client is not None
        name = TRANSITIONS.get(transition_id, str(transition_id))
        while not context.is_shutdown and not self._listened_to(context):
            await asyncio.sleep(POLL)
        if context.is_shutdown:
            self._logger.warning(f"transition '{name}' of '{self.node_name}' not asked for, because of the shutdown")
            return
        request = ChangeStateService.Request()
        request.transition.id = transition_id
        answer = client.call_async(request)
        while not context.is_shutdown and not answer.done():
            await asyncio.sleep(POLL)
        if not answer.done():
            self._logger.warning(f"transition '{name}' of '{self.node_name}' not waited for, because of the shutdown")
        elif answer.exception() is not None or not answer.result().success:
            self._logger.error(f"Failed to make transition '{name}' for LifecycleNode '{self.node_name}'")

    def _listened_to(self, context: LaunchContext) -> bool:
        """Whether the node takes requests, and what it says about its state is heard here."""
        if self._client is None or not self._client.service_is_ready():
            return False
        node = get_ros_adapter(context).node
        return bool(node.count_publishers(f"{self.node_name}/transition_event"))


class _ChangeStateHandler(BaseEventHandler):
    """Makes a node change its state when an event says so."""

    def __init__(self, action: LifecycleNode) -> None:
        def concerns(event: Event) -> bool:
            return isinstance(event, ChangeState) and event.lifecycle_node_matcher(action)

        super().__init__(matcher=concerns)
        self._action = action

    def handle(self, event: Event, context: LaunchContext) -> None:
        assert isinstance(event, ChangeState)
        self._action.change_state(context, event.transition_id)
