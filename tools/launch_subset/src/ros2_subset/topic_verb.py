"""`ros2 topic`: what is published."""

from __future__ import annotations

import argparse
import statistics
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy

from .graph import Graph, add_discovery, add_group, add_list
from .values import load_type, to_yaml


def complete(verb: argparse.ArgumentParser) -> None:
    """Add the verbs of the verb."""
    group = add_group(verb)
    add_list(group, "List the topics", lambda node: node.get_topic_names_and_types())
    text = "Show the messages of a topic"
    echo = group.add_parser("echo", help=text, description=text)
    echo.add_argument("topic_name", help="name of the topic")
    echo.add_argument("message_type", nargs="?", help="its type; left out, that of its publishers")
    echo.add_argument("--once", action="store_true", help="end after the first message")
    add_discovery(echo)
    echo.set_defaults(run=run_echo)
    text = "Measure how often a topic is published"
    rate = group.add_parser("hz", help=text, description=text)
    rate.add_argument("topic_name", help="name of the topic")
    rate.add_argument("-w", "--window", type=int, default=10000, help="number of messages that are looked back at")
    add_discovery(rate)
    rate.set_defaults(run=run_hz)


def run_echo(arguments: argparse.Namespace) -> int:
    """Show messages as YAML, until Ctrl-C or after one."""
    heard = False

    def show(message: Any) -> None:
        nonlocal heard
        if not (heard and arguments.once):
            print(f"{to_yaml(message)}---", flush=True)
        heard = True

    with Graph() as graph:
        listen(graph, arguments, arguments.message_type, show)
        graph.spin_until(lambda: heard and arguments.once)
    return 0


def run_hz(arguments: argparse.Namespace) -> int:
    """Show the rate every second, until Ctrl-C."""
    times: deque[float] = deque(maxlen=arguments.window)
    with Graph() as graph:
        listen(graph, arguments, None, lambda _: times.append(time.monotonic()))
        while True:
            graph.spin_for(1.0)
            if len(times) > 1:
                gaps = [later - earlier for earlier, later in zip(times, list(times)[1:], strict=False)]
                print(f"average rate: {1.0 / statistics.fmean(gaps):.3f}")
                print(
                    f"\tmin: {min(gaps):.3f}s max: {max(gaps):.3f}s std dev: {statistics.pstdev(gaps):.5f}s "
                    f"window: {len(times)}",
                    flush=True,
                )


def listen(graph: Graph, arguments: argparse.Namespace, type_name: str | None, heard: Callable[[Any], None]) -> None:
    """Subscribe to a topic as its publishers allow; they are waited for, without end where the type is theirs to say.

    Args:
        graph: whose node subscribes.
        arguments: `topic_name` and `spin_time`, how long to wait for a publisher, s.
        type_name: of the messages; none means that of the publishers.
        heard: called with each message.

    Raises:
        UsageError: there is no such type.
    """
    node = graph.node
    topic = node.resolve_topic_name(arguments.topic_name)
    end = float("inf") if type_name is None else time.monotonic() + arguments.spin_time
    graph.spin_until(lambda: bool(node.get_publishers_info_by_topic(topic)) or time.monotonic() > end)
    publishers = node.get_publishers_info_by_topic(topic)
    reliable = all(p.qos_profile.reliability == ReliabilityPolicy.RELIABLE for p in publishers)
    latched = all(p.qos_profile.durability == DurabilityPolicy.TRANSIENT_LOCAL for p in publishers)
    qos = QoSProfile(
        depth=10,
        reliability=ReliabilityPolicy.RELIABLE if publishers and reliable else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if publishers and latched else DurabilityPolicy.VOLATILE,
    )
    message_type = load_type(type_name or publishers[0].topic_type, "msg")
    node.create_subscription(message_type, topic, heard, qos)
