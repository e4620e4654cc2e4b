"""What passes by when a bag is read once from beginning to end: figures of each topic, in memory that does not grow."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbpl_control.bags.columns import Columns, Sorter, in_turn, messages_in_turn
from mbpl_control.bags.gathering import KINDS, stamp_of
from mbpl_control.bags.mcap_file import Recorded
from mbpl_control.bags.raw import blocks, is_complete, metadata_of_bag
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

    def take(self, columns: Sequence[Columns]) -> None:
        """Look at some messages."""
        told = columns[0].layout.numbers
        if "header.stamp.sec" in told:
            self._stamped(in_turn(columns, Columns.stamps))
        if "sequence" in told and self.name in PERIODIC:
            self._numbered(in_turn(columns, lambda c: c.numbers("sequence")))
        for those in sorted(columns, key=lambda c: int(c.places[0])):
            finite = [np.isfinite(those.numbers(n)).all(axis=1) for n in NUMBERS.get(self.name, ())]
            self.not_finite += int((~np.logical_and.reduce(finite)).sum()) if finite else 0
            names = getattr(those.example, "joint_names", None) or getattr(those.example, "name", None)
            if names and tuple(names) not in self.joints and len(self.joints) < REMEMBERED:
                self.joints.append(tuple(names))

    def _numbered(self, numbers: NDArray[np.uint64]) -> None:
        if self._sequence is not None:
            numbers = np.concatenate([[np.uint64(self._sequence)], numbers])
        later = numbers[1:] > numbers[:-1]
        missing = numbers[1:][later] - numbers[:-1][later] - np.uint64(1)
        self.dropped += sum(missing[missing > 0].tolist())
        self._sequence = int(numbers[-1])

    def _stamped(self, stamps: NDArray[np.int64]) -> None:
        if self.first_ns is None:
            self.first_ns = self.last_ns = int(stamps[0])
        since = np.diff(stamps, prepend=self.last_ns)
        if self._behind or len(self._intervals) < LEARNED or (since < 0).any():
            for stamp in stamps.tolist():
                self._one_stamped(stamp)
            return
        for place in np.flatnonzero(since > GAP_FACTOR * self.period_ns):
            self._gap(int(stamps[place] - since[place]), int(since[place]))
        self.last_ns = int(stamps[-1])

    def _one_stamped(self, stamp: int) -> None:
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
    reading = _Reading(figures)
    try:
        figures.metadata = metadata_of_bag(path)
        for block in blocks(path):
            reading.take(block)
            if progress is not None:
                progress(figures.messages)
    except BagError as error:
        figures.error = str(error)
    for seen in figures.topics.values():
        seen.finish()
    figures.digest = reading.digest.hexdigest() if figures.named("joint_commands") else ""
    return figures


class _Reading:
    """What is kept while a bag is read, and not told afterwards."""

    def __init__(self, figures: BagFigures) -> None:
        self.figures = figures
        self.digest = hashlib.sha256()
        self._sorters: dict[str, Sorter] = {}

    def take(self, block: Sequence[Recorded]) -> None:
        """Look at some messages."""
        figures, arrivals = self.figures, [arrival for _, _, arrival, _ in block]
        figures.begin_ns = min(figures.begin_ns or arrivals[0], *arrivals)
        figures.end_ns = max(figures.end_ns, *arrivals)
        rows_of: dict[tuple[str, str], list[int]] = defaultdict(list)
        for row, (topic, kind, _, _) in enumerate(block):
            rows_of[topic, kind].append(row)
        numbered: list[tuple[int, bool, int]] = []
        for (topic, kind), rows in rows_of.items():
            told = figures.topics.setdefault(topic, TopicFigures(topic, kind))
            data = [block[row][3] for row in rows]
            columns = self._columns(told, kind, data)
            told.count += len(rows)
            if not columns:
                continue
            told.take(columns)
            if told.name in ("state", "joint_commands"):
                is_state = told.name == "state"
                for those in columns:
                    numbers = those.numbers("sequence" if is_state else "state_sequence").tolist()
                    numbered += [(rows[p], is_state, n) for p, n in zip(those.places.tolist(), numbers, strict=True)]
            if told.name == "joint_commands":
                self._commands(columns)
            else:
                self._rare(told.name, columns, data)
        self._latencies(arrivals, sorted(numbered))

    def _columns(self, told: TopicFigures, kind: str, data: Sequence[bytes]) -> list[Columns]:
        """The messages of a topic that can be read and are of its type."""
        if told.kind != kind:
            told.broken = told.broken or f"messages of both {told.kind} and {kind}"
            return []
        if SCHEMA.get(told.name) != kind or told.name == "robot_description":
            return []
        broken: dict[int, Exception] = {}
        columns = self._sorters.setdefault(kind, Sorter(kind)).columns(data, broken.__setitem__)
        if broken and not told.broken:
            place = min(broken)
            told.broken = f"message {told.count + place + 1} cannot be read: {broken[place]!r}"
        return columns

    def _commands(self, columns: Sequence[Columns]) -> None:
        packed: dict[int, bytes] = {}
        for those in sorted(columns, key=lambda c: int(c.places[0])):
            controller = those.example.controller
            if controller not in self.figures.controllers and len(self.figures.controllers) < REMEMBERED:
                self.figures.controllers.append(controller)
            values = those.numbers("values").astype("<f8")
            rows = np.hstack([those.stamps()[:, None].view(np.uint8), values.view(np.uint8)])
            packed.update(zip(those.places.tolist(), map(bytes, rows), strict=True))
        self.digest.update(b"".join([packed[place] for place in sorted(packed)]))

    def _latencies(self, arrivals: Sequence[int], numbered: Sequence[tuple[int, bool, int]]) -> None:
        """From states to their commands, both by the place and the number of the state."""
        waiting, found = self.figures.arrivals, self.figures.latencies
        for row, is_state, number in numbered:
            if is_state:
                waiting[number] = arrivals[row]
                if len(waiting) > WAITING:
                    waiting.pop(next(iter(waiting)))
            elif number in waiting:
                found.append(1e-9 * (arrivals[row] - waiting.pop(number)))
        del found[:-LATENCIES]

    def _rare(self, name: str, columns: Sequence[Columns], data: Sequence[bytes]) -> None:
        figures = self.figures
        if name not in ("status", "state_definition", "trials"):
            return
        for message in messages_in_turn(columns, data):
            if name == "status":
                figures.rate = message.rate
                counted = message.deadline_misses
                known = counted if figures.counted_misses is None else figures.counted_misses
                figures.misses += max(counted - known, 0)
                figures.counted_misses = counted
            elif name == "state_definition":
                blocks_of = [b.names for b in message.blocks if b.kind == "joint_positions"]
                figures.state_joints = tuple(blocks_of[0]) if blocks_of else ()
            elif stamp_of(message) and len(figures.trials) < REMEMBERED:
                begin = stamp_of(message)
                figures.trials.append((message.controller, begin, begin + round(1e9 * message.dt * message.steps)))
