"""Where the controller manager's laws come from: a topic each, with one living publisher."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from mbpl_msgs import msg
from rclpy.event_handler import SubscriptionEventCallbacks
from rclpy.node import Node

from mbpl_control.core import FeedbackLaw, MbplError
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.priority_executor import add_priority, drop_priority
from mbpl_control.nodes.qos import LAWS
from mbpl_control.runtime import ControllerEntry, ManagerCore


class LawSources:
    """Subscribes to the sources of laws, offers what comes to the core, and tells it who publishes.

    A publisher that was started anew counts from 1 again. It is told from a message out of order by the number the
    middleware gives each message of a publisher, or by its identifier among those that are there.

    Args:
        node: that subscribes.
        core: what takes the laws.
        offered: called after each law, accepted or not.
    """

    def __init__(self, node: Node, core: ManagerCore, offered: Callable[[], None]) -> None:
        """Listen to nobody."""
        self._node, self._core, self._offered = node, core, offered
        self._subscriptions: dict[str, Any] = {}
        self._seen: dict[str, frozenset[bytes]] = {}
        #: what the middleware counted at the last message of each source
        self._counted: dict[str, int] = {}

    @property
    def subscriptions(self) -> tuple[Any, ...]:
        """One a source."""
        return tuple(self._subscriptions.values())

    def listen(self, entry: ControllerEntry) -> None:
        """Subscribe to the source of a controller, once for all controllers that live on it."""
        source = entry.source
        if not source or source in self._subscriptions:
            return
        kind: Any = msg.LinearGaussianController
        read: Callable[[Any], Any] = convert.controller_from_msg
        if entry.type == "feedback_law":
            kind, read = msg.FeedbackLaw, convert.feedback_law_from_msg

        def offer(message: Any, info: Any) -> None:
            self._offer(source, message, info, read)

        subscription = self._subscriptions[source] = self._node.create_subscription(
            kind,
            source,
            offer,  # type: ignore[arg-type]  # rclpy looks how many arguments it takes
            LAWS,
            event_callbacks=SubscriptionEventCallbacks(liveliness=lambda event: self._on_publishers(source, event)),
        )
        # a stream may bring a law for each state
        add_priority(self._node, subscription)

    def forget(self, source: str) -> None:
        """End the subscription to a source that no controller lives on any more."""
        if source and all(e.source != source for e in self._core.registry):
            subscription = self._subscriptions.pop(source)
            drop_priority(self._node, subscription)
            self._node.destroy_subscription(subscription)
            self._seen.pop(source, None)
            self._counted.pop(source, None)

    def _offer(self, source: str, message: Any, info: Mapping[str, Any], read: Callable[[Any], Any]) -> None:
        """A law for every controller of a source; what is wrong with it is counted and told, once for each."""
        core = self._core
        entries = [e for e in core.registry if e.source == source]
        count = info["publication_sequence_number"] or 0
        if 0 < count <= self._counted.get(source, 0):
            core.on_source_restarted(source)
        self._counted[source] = count
        if any(e.sequence is not None and message.sequence <= e.sequence for e in entries):
            self._look_for_restart(source)
        try:
            law = read(message)
        except Exception as error:  # noqa: BLE001 - whatever a message holds, it costs itself
            for entry in entries:
                core.refuse(entry.name, _told(error))
            self._node.get_logger().warning(f"law on {source} refused: {error}", throttle_duration_sec=1.0)
            return
        for entry in entries:
            try:
                core.on_law(
                    entry.name,
                    law,
                    message.sequence,
                    time.monotonic_ns(),
                    convert.time_to_ns(message.header.stamp),
                    convert.time_to_ns(message.valid_from),
                    convert.time_to_ns(message.valid_until),
                    message.step if isinstance(law, FeedbackLaw) else -1,
                )
            except Exception as error:  # noqa: BLE001 - as above
                if not isinstance(error, MbplError):
                    core.refuse(entry.name, _told(error))
                self._node.get_logger().warning(
                    f"law on {source} refused for '{entry.name}': {error}", throttle_duration_sec=1.0
                )
        self._offered()

    def _on_publishers(self, source: str, event: Any) -> None:
        """Publishers of a source came, went, or fell silent."""
        self._look_for_restart(source, event.alive_count)
        names = sorted({e.node_name for e in self._publishers(source)})
        self._core.on_publishers(source, event.alive_count, names, time.monotonic_ns())
        self._offered()

    def _look_for_restart(self, source: str, alive: int = 0) -> None:
        """Tell the core when a publisher is there that was not when this was last looked at.

        A publisher may be heard, and known to be alive, before it can be found here.
        """
        present = frozenset(bytes(e.endpoint_gid) for e in self._publishers(source))
        if alive and not present:
            return
        known = self._seen.get(source)
        self._seen[source] = present
        if known is not None and present - known:
            self._core.on_source_restarted(source)

    def _publishers(self, source: str) -> list[Any]:
        return self._node.get_publishers_info_by_topic(self._node.resolve_topic_name(source))


def _told(error: Exception) -> MbplError:
    """An error as one of the project's: what nobody foresaw is told with its type."""
    return error if isinstance(error, MbplError) else MbplError(repr(error))
