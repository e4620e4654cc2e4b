"""A lifecycle node has changed its state."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launch.event import Event
from lifecycle_msgs.msg import TransitionEvent

if TYPE_CHECKING:
    from ...actions.lifecycle_node import LifecycleNode


class StateTransition(Event):
    """A lifecycle node has changed its state.

    Args:
        action: that runs the node.
        msg: what the node published.
    """

    name = "launch_ros.events.lifecycle.StateTransition"

    def __init__(self, *, action: LifecycleNode, msg: TransitionEvent) -> None:
        """Keep the message."""
        self.action = action
        self.msg = msg

    @property
    def transition(self) -> str:
        """The name of the transition."""
        return str(self.msg.transition.label)

    @property
    def start_state(self) -> str:
        """The name of the state before."""
        return str(self.msg.start_state.label)

    @property
    def goal_state(self) -> str:
        """The name of the state after."""
        return str(self.msg.goal_state.label)

    @property
    def timestamp(self) -> int:
        """When it was, as the node says."""
        return int(self.msg.timestamp)
