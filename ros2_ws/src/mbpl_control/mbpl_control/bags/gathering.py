"""What a bag holds of trials: states, commands, laws and told trials, by the stamps of the robot's clock."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.bags.columns import Columns, Sorter, columns_of, in_turn, messages_in_turn
from mbpl_control.bags.mcap_file import Recorded
from mbpl_control.bags.types import typestore
from mbpl_control.core.alignment import SAME_INSTANT, Stamps
from mbpl_control.core.errors import BagError
from mbpl_control.core.validation import Array

#: Type of each topic that tells of trials, by the last part of its name.
KINDS: Mapping[str, str] = {
    "state": "mbpl_msgs/msg/RobotState",
    "joint_commands": "mbpl_msgs/msg/JointCommand",
    "applied_law": "mbpl_msgs/msg/FeedbackLaw",
    "trials": "mbpl_msgs/msg/Trial",
    "state_definition": "mbpl_msgs/msg/StateDefinition",
}
#: Commands by these are none of a trial's: the manager's own, its holds, and the way to a start.
BYSTANDERS = frozenset({"fallback", "held", "zero", "emergency_stop", "hold", "approach"})
#: A trial of a bag by hand is over when states came that are stamped so much after its end, ns.
SLACK_NS = 500_000_000


@dataclass
class Gathering:
    """Messages of a bag that tell of trials; `add` takes them in any order. Their fields are read when asked for.

    Attributes:
        path: the bag.
        topics: the topic of each of `KINDS` that was seen.
        kinds: type of each topic by its name's last part, whatever it was.
        states: by stamp, ns.
        commands: by stamp of the state they answer, ns, and controller: when one takes over while the robot waits for
            its command, both answer the same state.
        laws: applied laws by controller and stamp.
        told: trials, as the trial runner told them.
        definition: newest message on `state_definition`.
    """

    path: Path
    topics: dict[str, str] = field(default_factory=dict)
    states: dict[int, Any] = field(default_factory=dict)
    commands: dict[tuple[int, str], Any] = field(default_factory=dict)
    laws: dict[tuple[str, int], Any] = field(default_factory=dict)
    told: list[Any] = field(default_factory=list)
    definition: Any = None
    _newest_ns: int = 0
    _sorters: dict[str, Sorter] = field(default_factory=dict)

    def add(self, block: Sequence[Recorded]) -> None:
        """Take some messages; those that are none of `KINDS` are left alone, one that was recorded twice counts once.

        Raises:
            BagError: two topics of the same kind, those of two robots, are in one bag; or a message is broken.
        """
        of_topic: dict[tuple[str, str], list[bytes]] = defaultdict(list)
        for topic, kind, _, data in block:
            of_topic[topic, kind].append(data)
        for (topic, kind), messages in of_topic.items():
            name = topic.rsplit("/", 1)[-1]
            if KINDS.get(name) == kind:
                self._add(name, topic, kind, messages)

    def _add(self, name: str, topic: str, kind: str, data: Sequence[bytes]) -> None:
        if self.topics.setdefault(name, topic) != topic:
            raise BagError(f"{self.path}: holds both {self.topics[name]} and {topic}; must be the topics of one robot")
        broken: dict[int, Exception] = {}
        columns = self._sorters.setdefault(kind, Sorter(kind)).columns(data, broken.__setitem__)
        if broken:
            error = broken[min(broken)]
            raise BagError(f"{self.path}: {topic}: a {kind} that cannot be read: {error!r}") from error
        if name in ("trials", "state_definition"):
            for one in data:
                self._told(name, typestore().deserialize_cdr(one, kind))
            return
        messages = messages_in_turn(columns, data)
        for stamp, message in zip(in_turn(columns, Columns.stamps).tolist(), messages, strict=True):
            if name == "state":
                self.states.setdefault(stamp, message)
                self._newest_ns = max(self._newest_ns, stamp)
            elif name == "joint_commands":
                self.commands.setdefault((stamp, message.controller), message)
            else:
                self.laws.setdefault((message.controller, stamp), message)

    def _told(self, name: str, message: Any) -> None:
        if name == "state_definition":
            self.definition = message
        elif not any(stamp_of(t) == stamp_of(message) and np.array_equal(t.states, message.states) for t in self.told):
            self.told.append(message)

    def missing(self) -> str:
        """What is needed for a trial and not there, in words; empty when nothing is."""
        lacking = [name for name in ("state", "joint_commands") if name not in self.topics]
        return " and ".join(f"no messages on a topic {name} of type {KINDS[name]}" for name in lacking)

    def ripe(self) -> Gathering | None:
        """Told trials after whose end the clock went on for `SLACK_NS`, with all messages; None without any."""
        if not self.told or not self.states:
            return None
        over = [t for t in self.told if self._is_over(t)]
        return replace(self, told=over) if over else None

    def forget_what_is_over(self) -> None:
        """Drop ripe trials and all before their ends, and the time in which no trial was on its way."""
        over = [end_of(t) for t in self.told if self._is_over(t)]
        self.told = [t for t in self.told if not self._is_over(t)]
        if over:
            self.forget_before(max(over))
        waiting = not self.told and all(m.controller in BYSTANDERS for m in self.commands.values())
        if waiting and self.commands:
            self.forget_before(self._newest_ns - SLACK_NS)

    def _is_over(self, told: Any) -> bool:
        return 0 < stamp_of(told) and end_of(told) + SLACK_NS < self._newest_ns

    def forget_before(self, stamp_ns: int) -> None:
        """Drop what is stamped earlier."""
        self.states = {s: m for s, m in self.states.items() if s >= stamp_ns}
        self.commands = {(s, c): m for (s, c), m in self.commands.items() if s >= stamp_ns}
        self.laws = {(c, s): m for (c, s), m in self.laws.items() if s >= stamp_ns}

    def in_turn(self) -> list[tuple[int, str]]:
        """Stamp and controller of every command, by stamp; of those of one stamp, in the order of their numbers."""
        return sorted(self.commands, key=lambda key: (key[0], self.commands[key].sequence))

    def commands_within(self, begin: int, end: int, controller: str) -> tuple[Stamps, Array]:
        """Stamps and values of a controller's commands from `begin` until before `end`, ns.

        Raises:
            BagError: there are none, or they are not all of one size.
        """
        stamps = sorted(
            s for s, c in self.commands if c == controller and begin - SAME_INSTANT <= s < end - SAME_INSTANT
        )
        if not stamps:
            raise BagError(f"{self.path}: no command of '{controller}' between {begin} and {end} ns")
        found = columns_of([self.commands[s, controller] for s in stamps])
        return np.array(stamps, dtype=np.int64), self._rows(found, "values", "joint_commands")

    def states_around(self, begin: int, end: int) -> tuple[Stamps, Array, Array]:
        """Stamps (N,), states (N, nx) and the robot's own (N, nq + nv) of a time, with one state before and after it.

        Raises:
            BagError: there are none, or they are not all of one size.
        """
        stamps = np.array(sorted(self.states), dtype=np.int64)
        first = max(int(np.searchsorted(stamps, begin - SAME_INSTANT)) - 1, 0)
        last = int(np.searchsorted(stamps, end + SAME_INSTANT, side="right")) + 1
        found = columns_of([self.states[int(s)] for s in stamps[first:last]])
        x, *robot = (self._rows(found, field, "state") for field in ("state", "position", "velocity"))
        return stamps[first:last], x, np.hstack(robot)

    def _rows(self, columns: Sequence[Columns], field: str, topic: str) -> Array:
        sizes = sorted({c.numbers(field).shape[1] for c in columns})
        if len(sizes) != 1:
            raise BagError(f"{self.path}: {topic}: messages of {sizes or 'no'} numbers; must be of one size")
        rows: Array = in_turn(columns, lambda c: c.numbers(field)).astype(np.float64)
        finite = np.isfinite(rows).all(axis=1)
        if not finite.all():
            raise BagError(f"{self.path}: {topic}: message {np.argmin(finite)} of the trial has a number not finite")
        return rows


def end_of(told: Any) -> int:
    """Stamp of the end of a told trial, ns."""
    return stamp_of(told) + round(1e9 * told.dt * told.steps)


def stamp_of(message: Any) -> int:
    """Stamp of a message's header, ns."""
    stamp = message.header.stamp
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)
