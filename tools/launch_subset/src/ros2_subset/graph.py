"""The node of the command, while it looks at the graph of nodes."""

from __future__ import annotations

import argparse
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

#: How long nodes are looked for, s. No daemon knows them beforehand, and the last may take over two seconds to appear.
SPIN_TIME = 3.0

#: The longest turn of serving the node, s.
TURN = 0.1


def add_discovery(verb: argparse.ArgumentParser) -> None:
    """Add the options about how nodes are found."""
    verb.add_argument("--spin-time", type=float, default=SPIN_TIME, help="how long to look for nodes, s")
    verb.add_argument("--no-daemon", action="store_true", help="changes nothing: there is no daemon here")


class Graph:
    """A node in the graph, to the end of the `with` block.

    Ctrl-C is seen between turns of serving the node only, never in the middle of one, and raised there.
    """

    node: Node

    def __enter__(self) -> Graph:
        """Join."""
        self._interrupted = False
        self._before = signal.signal(signal.SIGINT, self._interrupt)
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(f"_ros2_{os.getpid()}", start_parameter_services=False, enable_rosout=False)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self.node.destroy_node()
        rclpy.try_shutdown()
        signal.signal(signal.SIGINT, self._before)

    def spin_until(self, condition: Callable[[], bool]) -> None:
        """Serve the node until something holds.

        Raises:
            KeyboardInterrupt: Ctrl-C came before.
        """
        while not condition():
            if self._interrupted:
                self._interrupted = False
                raise KeyboardInterrupt
            rclpy.spin_once(self.node, timeout_sec=TURN)

    def spin_for(self, seconds: float) -> None:
        """Serve the node for a time.

        Raises:
            KeyboardInterrupt: Ctrl-C came before.
        """
        end = time.monotonic() + seconds
        self.spin_until(lambda: time.monotonic() >= end)

    def _interrupt(self, number: int, frame: object) -> None:
        self._interrupted = True


def print_names(names_and_types: list[tuple[str, list[str]]], show_types: bool) -> None:
    """Names, with their types when asked for; not those with a part that begins with an underscore, as ROS hides it."""
    for name, types in sorted(names_and_types):
        if "/_" not in name:
            print(f"{name} [{', '.join(types)}]" if show_types else name)


def add_group(verb: argparse.ArgumentParser) -> Any:
    """Give a verb verbs of its own."""

    def show_help(arguments: argparse.Namespace) -> int:
        verb.print_help()
        return 0

    verb.set_defaults(run=show_help)
    return verb.add_subparsers(title="verbs", metavar="VERB")


def add_list(verbs: Any, text: str, get: Callable[[Node], list[tuple[str, list[str]]]]) -> None:
    """Add a verb that lists names and types."""
    verb = verbs.add_parser("list", help=text, description=text)
    verb.add_argument("-t", "--show-types", action="store_true", help="show the types, too")
    add_discovery(verb)

    def run(arguments: argparse.Namespace) -> int:
        with Graph() as graph:
            graph.spin_for(arguments.spin_time)
            print_names(get(graph.node), arguments.show_types)
        return 0

    verb.set_defaults(run=run)
