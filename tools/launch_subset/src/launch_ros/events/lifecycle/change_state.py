"""A lifecycle node is to change its state."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from launch.event import Event

if TYPE_CHECKING:
    from ...actions.lifecycle_node import LifecycleNode


class ChangeState(Event):
    """Lifecycle nodes are to make a transition.

    Args:
        lifecycle_node_matcher: says which nodes, such as `matches_action(node)`.
        transition_id: of `lifecycle_msgs.msg.Transition`, such as `TRANSITION_CONFIGURE`.
    """

    name = "launch_ros.events.lifecycle.ChangeState"

    def __init__(self, *, lifecycle_node_matcher: Callable[[LifecycleNode], bool], transition_id: int) -> None:
        """Keep matcher and transition."""
        self.lifecycle_node_matcher = lifecycle_node_matcher
        self.transition_id = transition_id
