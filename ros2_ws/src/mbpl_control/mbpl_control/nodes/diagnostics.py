"""What a node says of its own health on `/diagnostics`, the same way for all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

from mbpl_control.core.refusal import Refusal
from mbpl_control.nodes.qos import EVENTS

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

#: s between two reports. They come by the steady clock: a simulation that stands still is worth a report, too.
PERIOD = 1.0


class Diagnostics:
    """A standing account of a node: a level, a sentence, figures.

    Args:
        node: that it is about.
        part: of the node, in a word.
        message: what is said before anything else is.
        figures: called for the figures of each report.
        hardware: id of the robot, where it is about one.
    """

    def __init__(
        self,
        node: Node,
        part: str,
        message: str = "",
        figures: Callable[[], Mapping[str, object]] = dict,
        hardware: str = "",
    ) -> None:
        """Say nothing yet: `open` begins."""
        self._node, self._part, self._figures, self._hardware = node, part, figures, hardware
        self._level, self._message = OK, message
        self._publisher: Any = None
        self._timer: Any = None

    def open(self, period: float | None = PERIOD) -> None:
        """Report every `period` s from now on; None: only when asked."""
        self._publisher = self._node.create_publisher(DiagnosticArray, "/diagnostics", EVENTS)
        if period is not None:
            self._timer = self._node.create_timer(period, self.publish, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def close(self) -> None:
        """Report nothing any more."""
        if self._timer is not None:
            self._node.destroy_timer(self._timer)
        self._node.destroy_publisher(self._publisher)
        self._publisher = self._timer = None

    def say(self, message: str, level: bytes = OK) -> None:
        """What is the matter from now on."""
        self._level, self._message = level, message

    def publish(self) -> None:
        """Report now."""
        figures = self._figures()  # which may say something
        self.tell(self._message, self._level, figures)

    def tell(self, message: str, level: bytes, figures: Mapping[str, object], part: str = "") -> None:
        """Report something else once: of another part, or with figures of its own."""
        report = DiagnosticArray()
        report.header.stamp = self._node.get_clock().now().to_msg()
        report.status = [
            DiagnosticStatus(
                level=level,
                name=f"{self._node.get_fully_qualified_name()}: {part or self._part}",
                message=message,
                hardware_id=self._hardware,
                values=[KeyValue(key=key, value=_text(value)) for key, value in figures.items()],
            )
        ]
        if self._publisher is not None and self._node.context.ok():
            self._publisher.publish(report)


def refusals(what: str, counts: Counter[Refusal], kinds: Iterable[Refusal] = Refusal) -> dict[str, int]:
    """How many were refused, of each kind, under keys that are the same in every report."""
    return {f"{what} refused": counts.total()} | {f"{what} refused: {kind.value}": counts[kind] for kind in kinds}


def _text(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)
