"""The node of launch itself."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import rclpy
from launch.event_handlers.on_shutdown import OnShutdown
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

if TYPE_CHECKING:
    from launch.events.shutdown import Shutdown
    from launch.launch_context import LaunchContext

LOCAL = "launch_ros_adapter"


class RosAdapter:
    """A node in a context of its own, served by a thread of its own.

    Args:
        argv: command line of ROS.
    """

    def __init__(self, argv: list[str]) -> None:
        """Start."""
        self._context = Context()
        rclpy.init(args=argv, context=self._context)
        self.node = Node(
            f"launch_ros_{os.getpid()}",
            context=self._context,
            use_global_arguments=False,
            enable_rosout=False,
            start_parameter_services=False,
        )
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._spin, name="launch_ros", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End thread and node."""
        # An executor that is shut down while it spins takes away the guard its thread may be about to wait for.
        self._ended.set()
        self._executor.create_task(lambda: None)
        self._thread.join()
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self._context)

    def _spin(self) -> None:
        with suppress(ExternalShutdownException):
            while not self._ended.is_set():
                self._executor.spin_once()


def get_ros_adapter(context: LaunchContext) -> RosAdapter:
    """The adapter of a launch context, started when it is first asked for, stopped at shutdown."""
    adapter: RosAdapter | None = context.get_locals_as_dict().get(LOCAL)
    if adapter is None:
        adapter = started = RosAdapter(context.argv)

        def stop(event: Shutdown, context: LaunchContext) -> None:
            context.extend_globals({LOCAL: None})
            started.stop()

        # Appended: what other handlers of the shutdown still ask the node comes first.
        context.register_event_handler(OnShutdown(on_shutdown=stop), append=True)
        context.extend_globals({LOCAL: adapter})
    return adapter
