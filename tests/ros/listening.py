"""Waiting for what comes on a topic."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

from rclpy.node import Node
from rclpy.qos import QoSProfile


class Listener:
    """Collects the messages of a topic on a node that another thread spins, while its `with` block runs."""

    def __init__(self, node: Node, kind: type, topic: str, qos: QoSProfile) -> None:
        """Subscribe."""
        self._node = node
        self._changed = threading.Condition()
        self.messages: list[Any] = []
        self._subscription = node.create_subscription(kind, topic, self._on_message, qos)

    def __enter__(self) -> Listener:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the topic."""
        self._node.destroy_subscription(self._subscription)

    def _on_message(self, message: Any) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify_all()

    def wait(self, condition: Callable[[list[Any]], Any], deadline: float = 20.0) -> Any:
        """The first true result of `condition` on the messages so far."""
        end = time.monotonic() + deadline
        with self._changed:
            while not (found := condition(self.messages)):
                left = end - time.monotonic()
                assert left > 0.0, f"waited {deadline:g} s in vain; {len(self.messages)} messages came"
                self._changed.wait(left)
            return found
