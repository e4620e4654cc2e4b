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
        bridge = _Bridge(graph)
        seen = bridge.status()
        if seen["confirmed"] and not again:
            console.print(f"the joints of {seen['robot']} are confirmed, hash {seen['hash']}; --again checks anew")
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
            before = bridge.status()
            console.print(f"\n[bold]{before['number']}[/] {before['expected']}")
            answer = graph.check_joint(PATIENCE)
            status = answer.status[0]
            console.print(f"measured: {status.message}")
            if answer.passed != b"\x01":
                raise RefusedError(f"the check has failed: {status.message}. The robot is without effort")
            yes = ask(f"Did '{status.name}', and no other joint, move as said above?")
            console.print(graph.answer_check(yes))
            if not yes:
                return False
            if bridge.status(answered=status.name)["confirmed"]:
                return True


class _Bridge:
    """What the bridge says of its check.

    Args:
        graph: the client that hears it.
    """

    def __init__(self, graph: GraphClient) -> None:
        """Listen."""
        self._graph = graph
        self._changed = threading.Condition()
        self._newest: dict[str, str | bool] | None = None
        self._topic = f"{BRIDGE}/check"
        graph.node.create_subscription(DiagnosticStatus, self._topic, self._on_status, LATCHED)

    def _on_status(self, status: DiagnosticStatus) -> None:
        with self._changed:
            confirmed = status.level == DiagnosticStatus.OK
            self._newest = {"confirmed": confirmed, **{v.key: v.value for v in status.values}}
            self._changed.notify_all()

    def status(self, answered: str | None = None) -> dict[str, str | bool]:
        """The newest, by key; with the answer about a joint when one is named.

        Raises:
            MbplError: none came in time.
        """

        def fits() -> bool:
            return self._newest is not None and answered in (None, self._newest["last"])

        with self._changed:
            if not self._changed.wait_for(fits, self._graph.timeout) or self._newest is None:
                raise MbplError(
                    f"nobody publishes {self._graph.namespace}/{self._topic}; is the graph running on a robot "
                    "(ros2 launch mbpl_bringup hardware.launch.py), with the same ROS_DOMAIN_ID and namespace?"
                )
            return self._newest
