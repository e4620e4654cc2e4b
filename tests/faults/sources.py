"""A source of laws in the test's own hands: it plays a plan as a stream, and can be made to send any nonsense."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from mbpl_msgs.msg import FeedbackLaw as KnotMessage
from mbpl_msgs.msg import LinearGaussianController as HorizonMessage
from observer import Observer

from mbpl_control.core import FeedbackLaw
from mbpl_control.core import LinearGaussianController as Law
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.qos import LAWS
from mbpl_control.tasks.task import Task

PERIODS = {"linear_gaussian": 0.05, "feedback_law": 0.02}
TOPICS = {"linear_gaussian": "test_source/controller", "feedback_law": "test_source/feedback_law"}


class LawSource:
    """Streams a plan from a start on, as horizons anchored at a stamp or as knots, from a thread of its own.

    Args:
        observer: on whose node it publishes, and from whom it knows the robot's clock.
        task: the plan's.
        plan: what it plays.
        kind: of the laws: "linear_gaussian" or "feedback_law".
    """

    def __init__(self, observer: Observer, task: Task, plan: Law, kind: str) -> None:
        """Publish nothing yet."""
        self._observer, self._task, self._plan, self.kind = observer, task, plan, kind
        self.publisher = self.open()
        self.sequence = 0
        #: made of each message before it is sent; it may return None to send nothing
        self.spoil: Callable[[Any], Any] | None = None
        self._horizon = convert.controller_to_msg(plan)
        self._begin_ns = 0
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def open(self) -> Any:
        """A publisher of its topic."""
        message = HorizonMessage if self.kind == "linear_gaussian" else KnotMessage
        return self._observer.node.create_publisher(message, TOPICS[self.kind], LAWS)

    def start(self) -> None:
        """Play from now on."""
        self.stop()
        self._begin_ns = round(1e9 * self._observer.robot_time())
        self.spoil = None
        self._ended.clear()
        self._thread = threading.Thread(target=self._play, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Fall silent."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None

    def message(self) -> Any:
        """The law for the robot's time."""
        now = round(1e9 * self._observer.robot_time())
        self.sequence += 1
        if self.kind == "linear_gaussian":
            message = copy.copy(self._horizon)
            message.anchor = HorizonMessage.ANCHOR_STAMP
            message.valid_from = convert.ns_to_time(self._begin_ns)
            message.end_rule = "repeat_last"
        else:
            plan = self._plan
            step = min(int(1e-9 * (now - self._begin_ns) / plan.dt), plan.steps - 1)
            action = plan.nominal_actions[step] + plan.feedforward[step]
            law = FeedbackLaw(
                plan.state, plan.action, plan.nominal_states[step], action, plan.gains[step], plan.covariances[step]
            )
            message = convert.feedback_law_to_msg(law)
            message.step = step
        message.header = copy.deepcopy(message.header)
        message.header.stamp = convert.ns_to_time(now)
        message.sequence = self.sequence
        return message

    def send(self, message: Any) -> None:
        """Publish a law."""
        self.publisher.publish(message)

    def _play(self) -> None:
        while not self._ended.wait(PERIODS[self.kind]):
            message, spoil = self.message(), self.spoil
            if spoil is not None:
                message = spoil(message)
            if message is not None:
                self.send(message)


def _spoiled(names: tuple[str, str], change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], Any]:
    def spoil(message: Any) -> Any:
        name = names[0] if isinstance(message, HorizonMessage) else names[1]
        setattr(message, name, change(np.array(getattr(message, name))).tolist())
        return message

    return spoil


def _put(values: np.ndarray, place: int, value: float) -> np.ndarray:
    values[place] = value
    return values


def _joints(message: Any) -> Any:
    message.joint_names = list(reversed(message.joint_names))
    return message


def _step(message: Any) -> Any:
    if isinstance(message, HorizonMessage):
        message.dt = -message.dt
        return message
    # a knot has no step of its own: one whose time is over before it begins
    message.valid_until = convert.ns_to_time(1)
    return message


def _indefinite(values: np.ndarray) -> np.ndarray:
    return _put(values if values.size else np.zeros(49), 0, -1.0)


def _future(message: Any) -> Any:
    message.header.stamp.sec += 10
    return message


def _rewound(message: Any) -> Any:
    message.sequence = 1
    return message


GAINS, COVARIANCE = ("gains", "gain"), ("covariances", "covariance")
#: Laws that must be refused, and words of the refusal.
BAD_LAWS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "a number that is not finite": (_spoiled(GAINS, lambda g: _put(g, 0, np.nan)), "finite"),
    "a wrong shape": (_spoiled(GAINS, lambda g: g[:-1]), "gain"),
    "joints in another order": (_joints, "joint"),
    "a wrong step": (_step, r"dt|validity is over"),
    "a huge gain": (_spoiled(GAINS, lambda g: 1e9 * g), "above max_gain"),
    "an indefinite covariance": (_spoiled(COVARIANCE, _indefinite), "positive semidefinite"),
    "a stamp from the future": (_future, "future|ahead"),
    "a rewound sequence": (_rewound, "sequence number 1 is not above"),
}
