"""What passes by when a bag is read once from beginning to end: figures of each topic, in memory that does not grow."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.bags.gathering import KINDS, stamp_of
from mbpl_control.bags.raw import is_complete, messages, metadata_of_bag
from mbpl_control.bags.types import typestore
from mbpl_control.core.errors import BagError

#: Every topic a bag of this project has, by the last part of its name, with its type.
SCHEMA = {
    **KINDS,
    "joint_states": "sensor_msgs/msg/JointState",
    "status": "mbpl_msgs/msg/ManagerStatus",
    "robot_description": "std_msgs/msg/String",
}
#: Topics that come tick by tick.
PERIODIC = ("joint_states", "state", "joint_commands")
#: Numbers that must be finite, by topic.
NUMBERS = {
    "joint_states": ("position", "velocity"),
    "state": ("position", "velocity", "state"),
    "joint_commands": ("values",),
    "applied_law": ("reference_state", "action", "gain", "covariance"),
    "trials": ("states", "actions"),
}
#: Stamps that stay behind the newest for so many messages are those of a clock that was set back.
RESET_AFTER = 5
#: Intervals from which the usual one is learned, and places that are remembered of each kind of fault.
LEARNED, REMEMBERED = 200, 100
#: An interval this many times the usual one is a gap.
GAP_FACTOR = 3.0
#: Latencies and arrivals that are kept.
LATENCIES, WAITING = 10_000, 1000


@dataclass
class TopicFigures:
    """What one topic showed.

    Attributes:
        topic: its name.
        kind: its type.
        count: messages.
        first_ns: first stamp in a header, ns; None where the type has none.
        last_ns: newest stamp.
        period_ns: usual interval of the stamps, their median; 0 before there are two.
        gaps: begin and length of the longest intervals beyond `GAP_FACTOR` usual ones, ns.
        reordered: messages stamped before one that came earlier.
        resets: times that the clock was set back.
        dropped: messages that are missing by their numbers.
        not_finite: messages with a number that is not finite.
        joints: every list of joint names, in the order of their first message.
        broken: why messages cannot be read, for the first that cannot.
    """

    topic: str
    kind: str
    count: int = 0
    first_ns: int | None = None
    last_ns: int = 0
    period_ns: int = 0
    gaps: list[tuple[int, int]] = field(default_factory=list)
    reordered: int = 0
    resets: int = 0
    dropped: int = 0
    not_finite: int = 0
    joints: list[tuple[str, ...]] = field(default_factory=list)
    broken: str = ""
    _intervals: list[tuple[int, int]] = field(default_factory=list)
    _behind: int = 0
    _sequence: int | None = None

    @property
    def name(self) -> str:
        """Last part of the topic's name."""
        return self.topic.rsplit("/", 1)[-1]

    @property
    def rate(self) -> float:
        """Of the usual interval, Hz; 0 where there is none."""
        return 1e9 / self.period_ns if self.period_ns else 0.0

    def take(self, message: Any) -> None:
        """Look at one message."""
        if hasattr(message, "header"):
            self._stamped(stamp_of(message))
        sequence = getattr(message, "sequence", None)
        if sequence is not None and self.name in PERIODIC:
            if self._sequence is not None and sequence > self._sequence + 1:
                self.dropped += int(sequence) - self._sequence - 1
            self._sequence = int(sequence)
        if not all(np.isfinite(getattr(message, n)).all() for n in NUMBERS.get(self.name, ())):
            self.not_finite += 1
        names = getattr(message, "joint_names", None) or getattr(message, "name", None)
        if names and tuple(names) not in self.joints and len(self.joints) < REMEMBERED:
            self.joints.append(tuple(names))

    def _stamped(self, stamp: int) -> None:
        if self.first_ns is None:
            self.first_ns = self.last_ns = stamp
            return
        if stamp < self.last_ns:
            self.reordered += 1
            self._behind += 1
            if self._behind >= RESET_AFTER:
                # it does not come back: the clock itself was set back
                self.reordered -= self._behind
                self.resets += 1
                self.last_ns, self._behind = stamp, 0
            return
        self._behind = 0
        if stamp > self.last_ns:
            self._interval(self.last_ns, stamp - self.last_ns)
        self.last_ns = stamp

    def _interval(self, begin: int, length: int) -> None:
        if len(self._intervals) < LEARNED:
            self._intervals.append((begin, length))
            if len(self._intervals) == LEARNED:
                self._learn()
        else:
            self._gap(begin, length)

    def _gap(self, begin: int, length: int) -> None:
        if length > GAP_FACTOR * self.period_ns:
            self.gaps = sorted([*self.gaps, (begin, length)], key=lambda gap: -gap[1])[:REMEMBERED]

    def finish(self) -> None:
        """Make up the account at the end of the bag."""
        if len(self._intervals) < LEARNED:
            self._learn()

    def _learn(self) -> None:
        """The usual interval, from those seen so far."""
        if self._intervals:
            self.period_ns = int(np.median([length for _, length in self._intervals]))
            for begin, length in self._intervals:
                self._gap(begin, length)


@dataclass
class BagFigures:
    """What one bag showed.

    Attributes:
        path: its directory.
        complete: whether its recorder closed it.
        metadata: of this project; empty for a bag by another recorder.
        size: bytes on the disk.
        topics: by name.
        begin_ns: arrival of the first message on the recorder's clock, ns; 0 when there are none.
        end_ns: of the last.
        trials: controller, start and end of each trial that was told, ns.
        misses: deadline misses of the manager while the bag was recorded.
        counted_misses: all that the manager had counted when it last told; None when it did not.
        rate: Hz the manager was configured for; 0 when it told of none.
        state_joints: joints as the state's definition names them; empty when there is none.
        digest: of all commands with their stamps: equal digests are the same trial.
        controllers: behind the commands, in the order of their first.
        latencies: s from the arrival of a state at the recorder to that of its command, the newest `LATENCIES`.
        arrivals: of the newest states by their number, ns.
        error: why reading ended before the end; empty when it did not.
    """

    path: Path
    complete: bool
    metadata: dict[str, Any]
    size: int
    topics: dict[str, TopicFigures] = field(default_factory=dict)
    begin_ns: int = 0
    end_ns: int = 0
    trials: list[tuple[str, int, int]] = field(default_factory=list)
    misses: int = 0
    counted_misses: int | None = None
    rate: float = 0.0
    state_joints: tuple[str, ...] = ()
    digest: str = ""
    controllers: list[str] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    error: str = ""
    arrivals: dict[int, int] = field(default_factory=dict)

    @property
    def messages(self) -> int:
        """All of them."""
        return sum(t.count for t in self.topics.values())

    @property
    def duration(self) -> float:
        """From the first to the last arrival, s."""
        return 1e-9 * (self.end_ns - self.begin_ns)

    def named(self, name: str) -> list[TopicFigures]:
        """Topics whose name ends so."""
        return [t for t in self.topics.values() if t.name == name]


def inspect(path: Path, progress: Callable[[int], None] | None = None) -> BagFigures:
    """Read a bag once, whatever is wrong with it.

    Args:
        path: its directory.
        progress: told the number of messages so far, now and then.
    """
    size = sum(f.stat().st_size for f in path.iterdir() if f.is_file()) if path.is_dir() else 0
    figures = BagFigures(path, is_complete(path), {}, size)
    digest = hashlib.sha256()
    try:
        figures.metadata = metadata_of_bag(path)
        for number, (topic, kind, arrival, data) in enumerate(messages(path)):
            _take(figures, topic, kind, arrival, data, digest)
            if progress is not None and number % 1000 == 0:
                progress(number)
    except BagError as error:
        figures.error = str(error)
    for seen in figures.topics.values():
        seen.finish()
    figures.digest = digest.hexdigest() if figures.named("joint_commands") else ""
    return figures


def _take(figures: BagFigures, topic: str, kind: str, arrival: int, data: bytes, digest: Any) -> None:
    told = figures.topics.setdefault(topic, TopicFigures(topic, kind))
    told.count += 1
    if told.kind != kind:
        told.broken = told.broken or f"messages of both {told.kind} and {kind}"
        return
    figures.begin_ns = min(figures.begin_ns or arrival, arrival)
    figures.end_ns = max(figures.end_ns, arrival)
    if SCHEMA.get(told.name) != kind or told.name == "robot_description":
        return
    try:
        message: Any = typestore().deserialize_cdr(data, kind)
    except Exception as error:  # whatever a broken message makes the library raise
        told.broken = told.broken or f"message {told.count} cannot be read: {error!r}"
        return
    told.take(message)
    if told.name == "joint_commands":
        digest.update(stamp_of(message).to_bytes(8, "little", signed=True) + np.asarray(message.values).tobytes())
        if message.controller not in figures.controllers and len(figures.controllers) < REMEMBERED:
            figures.controllers.append(message.controller)
        asked = figures.arrivals.pop(int(message.state_sequence), None)
        if asked is not None:
            figures.latencies.append(1e-9 * (arrival - asked))
            del figures.latencies[:-LATENCIES]
    elif told.name == "state":
        figures.arrivals[int(message.sequence)] = arrival
        if len(figures.arrivals) > WAITING:
            figures.arrivals.pop(next(iter(figures.arrivals)))
    elif told.name == "status":
        figures.rate = float(message.rate)
        counted = int(message.deadline_misses)
        figures.misses += max(counted - (counted if figures.counted_misses is None else figures.counted_misses), 0)
        figures.counted_misses = counted
    elif told.name == "state_definition":
        blocks = [b.names for b in message.blocks if b.kind == "joint_positions"]
        figures.state_joints = tuple(blocks[0]) if blocks else ()
    elif told.name == "trials" and stamp_of(message) and len(figures.trials) < REMEMBERED:
        begin = stamp_of(message)
        figures.trials.append((message.controller, begin, begin + round(1e9 * message.dt * message.steps)))
