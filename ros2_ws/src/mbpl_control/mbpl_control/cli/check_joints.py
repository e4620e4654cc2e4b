"""`mbpl check-joints`: a person watches each joint move a little, and confirms that it is the right one."""

from __future__ import annotations

import threading
from collections.abc import Callable

from diagnostic_msgs.msg import DiagnosticStatus
from rich.console import Console

from mbpl_control.cli.graph import joined
from mbpl_control.core import MbplError, RefusedError
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.graph_calls import BRIDGE
from mbpl_control.nodes.qos import LATCHED

#: s a movement may take beyond what the robot's YAML allows it: settling, going back, a slow machine.
PATIENCE = 90.0
Ask = Callable[[str], bool]


def check_joints(again: bool, namespace: str, ask: Ask) -> bool:
    """Go through the joints; whether all of them are confirmed.

    Args:
        again: check a robot whose joints are confirmed already.
        namespace: of the nodes.
        ask: puts a yes-or-no question to the person.

    Raises:
        MbplError: no bridge answers, or it refuses to move.
    """
    console = Console(soft_wrap=True, highlight=False)
    with joined(namespace) as graph:
        seen = values_of(_check_status(graph))
        if seen["confirmed"] and not again:
            console.print(
                f"the joints of {seen['robot']} are confirmed (hash {seen['hash']}); --again repeats the check"
            )
            return True
        console.print(
            f"{seen['robot']}, hash {seen['hash']}: each joint moves by about {seen['motion']} rad (m) in its "
            f"positive direction and back, with at most {seen['effort']} beyond what holds the arm. Stand where you "
            "see the arm, out of its reach, a hand on the emergency stop. From the first movement on the arm is held "
            "by its model; an arm that behaves otherwise is let go: see that it cannot fall."
        )
        if not ask("Begin?"):
            return False
        while True:
            before = values_of(_check_status(graph))
            console.print(f"\n[bold]{before['number']}[/] {before['expected']}")
            answer = graph.check_joint(PATIENCE)
            status = answer.status[0]
            console.print(f"measured: {status.message}")
            if answer.passed != b"\x01":
                raise RefusedError(f"the check has failed: {status.message}. The robot is without effort")
            yes = ask(f"Did '{status.name}', and no other joint, move as said above?")
            message = graph.answer_check(yes)
            console.print(message)
            if not yes:
                return False
            if values_of(_check_status(graph, answered=status.name))["confirmed"]:
                return True


def values_of(status: DiagnosticStatus) -> dict[str, str | bool]:
    """What the bridge says of its check, by key, and whether the joints are confirmed."""
    return {"confirmed": status.level == DiagnosticStatus.OK, **{v.key: v.value for v in status.values}}


def _check_status(graph: GraphClient, answered: str | None = None) -> DiagnosticStatus:
    """The newest status of the check; the first after the answer about a joint when one is named."""
    found: list[DiagnosticStatus] = []
    came = threading.Event()

    def on_status(status: DiagnosticStatus) -> None:
        if answered is None or values_of(status)["last"] == answered:
            found.append(status)
            came.set()

    topic = f"{BRIDGE}/check"
    subscription = graph.node.create_subscription(DiagnosticStatus, topic, on_status, LATCHED)
    try:
        if not came.wait(graph.timeout):
            raise MbplError(
                f"nobody publishes {graph.namespace}/{topic}; is the graph running on a robot "
                "(ros2 launch mbpl_bringup hardware.launch.py), with the same ROS_DOMAIN_ID and namespace?"
            )
        return found[-1]
    finally:
        graph.node.destroy_subscription(subscription)
