"""`ros2 action`: asking nodes to do something that takes its time."""

from __future__ import annotations

import argparse
import textwrap
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.action import ActionClient, get_action_names_and_types

from .graph import Graph, add_group, add_list
from .values import fill, load_type, read_values, to_yaml


def complete(verb: argparse.ArgumentParser) -> None:
    """Add the verbs of the verb."""
    group = add_group(verb)
    add_list(group, "List the actions", get_action_names_and_types)
    text = "Send a goal to an action"
    send = group.add_parser("send_goal", help=text, description=text)
    send.add_argument("action_name", help="name of the action")
    send.add_argument("action_type", help="its type, such as mbpl_msgs/action/RunTrial")
    send.add_argument("goal", help="the goal as YAML, such as '{name: value}'")
    send.add_argument("-f", "--feedback", action="store_true", help="show the feedback, too")
    send.set_defaults(run=run_send_goal)


def run_send_goal(arguments: argparse.Namespace) -> int:
    """Send a goal, and show its result; Ctrl-C cancels it.

    Raises:
        UsageError: there is no such type, or the goal does not fit it.
    """
    action_type = load_type(arguments.action_type, "action")
    goal = action_type.Goal()
    fill(goal, read_values(arguments.goal))
    with Graph() as graph:
        client = ActionClient(graph.node, action_type, arguments.action_name)
        print("Waiting for an action server to become available...", flush=True)
        graph.spin_until(client.server_is_ready)
        show("Sending goal", goal)

        def feedback(message: Any) -> None:
            show("Feedback", message.feedback)

        sent = client.send_goal_async(goal, feedback_callback=feedback if arguments.feedback else None)
        graph.spin_until(sent.done)
        handle = sent.result()
        if not handle.accepted:
            print("Goal was rejected.")
            return 1
        print(f"Goal accepted with ID: {bytes(handle.goal_id.uuid).hex()}\n", flush=True)
        result = handle.get_result_async()
        try:
            graph.spin_until(result.done)
        except KeyboardInterrupt:
            print("Canceling goal...", flush=True)
            handle.cancel_goal_async()
            graph.spin_until(result.done)
        answer = result.result()
        show("Result", answer.result)
        print(f"Goal finished with status: {status_name(answer.status)}")
        return 0 if answer.status == GoalStatus.STATUS_SUCCEEDED else 1


def show(title: str, message: Any) -> None:
    """A message below a title."""
    print(f"{title}:\n{textwrap.indent(to_yaml(message), '    ')}", flush=True)


def status_name(status: int) -> str:
    """The name of the status of a goal, such as SUCCEEDED."""
    names = {
        GoalStatus.STATUS_SUCCEEDED: "SUCCEEDED",
        GoalStatus.STATUS_CANCELED: "CANCELED",
        GoalStatus.STATUS_ABORTED: "ABORTED",
    }
    return names.get(status, "UNKNOWN")
