"""Many messages of one type at once: those that differ in nothing but their numbers are rows of one table.

Taking a message apart costs more than everything that is asked of it. Names, lengths and definitions are the same in
almost every message of a topic, and where they are, each number stands at the same place: the library takes the first
of them apart, and the numbers of all are read as columns.
"""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from rosbags.interfaces import Nodetype

from mbpl_control.bags.types import typestore

#: Layouts of a type that are remembered, the newest ones.
REMEMBERED = 16
#: Bytes in front of a message's own.
ENCAPSULATION = 4
#: NumPy's names of the numbers.
NUMBERS = {
    "bool": "u1",
    "byte": "u1",
    "char": "u1",
    "int8": "i1",
    "uint8": "u1",
    "int16": "i2",
    "uint16": "u2",
    "int32": "i4",
    "uint32": "u4",
    "int64": "i8",
    "uint64": "u8",
    "float32": "f4",
    "float64": "f8",
}
Scalar = TypeVar("Scalar", bound=np.generic)


class Layout:
    """Where the numbers of a message are, and what is the same in all messages that have them there.

    Args:
        kind: type of the message.
        data: the message, CDR with its header.

    Attributes:
        example: the message as the library takes it apart; of another of this layout all but the numbers is the same.
        numbers: NumPy type, place and count of each field of numbers, None for a single one; those of a message within
            the message by their path, "header.stamp.sec".
        fixed: fields of the message without a number in them.
        size: bytes of the message.

    Raises:
        Exception: whatever a broken message makes the library raise.
    """

    def __init__(self, kind: str, data: bytes) -> None:
        """Take the first message apart."""
        self.kind = kind
        self.example: Any = typestore().deserialize_cdr(data, kind)
        self.numbers: dict[str, tuple[np.dtype[Any], int, int | None]] = {}
        self.fixed: set[str] = set()
        self._order = "<" if data[1] else ">"
        self.size = len(data)
        self._data, self._first = data, np.frombuffer(data, np.uint8)
        self._compared = np.zeros(len(data), np.uint8)
        self._compare(0, ENCAPSULATION)
        at = ENCAPSULATION
        for name, field in typestore().get_msgdef(kind).fields:
            known = len(self.numbers)
            at = self._walk(field, name, at)
            if len(self.numbers) == known:
                self.fixed.add(name)

    def matches(self, table: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which rows (N, bytes) are messages of this layout."""
        differ: NDArray[np.bool_] = np.any((table ^ self._first) & self._compared, axis=1)
        return np.logical_not(differ)

    def value(self, data: bytes, name: str) -> Any:
        """A field of a message of this layout."""
        if name in self.numbers:
            kind, at, count = self.numbers[name]
            found = np.frombuffer(data, kind, 1 if count is None else count, at)
            return found[0].item() if count is None else found
        whole = self.example if name in self.fixed else typestore().deserialize_cdr(data, self.kind)
        return getattr(whole, name)

    def _walk(self, field: Any, name: str, at: int) -> int:
        """Note a field that begins at or after `at`; where it ends."""
        node, detail = field
        if node == Nodetype.NAME:
            for inner, of in typestore().get_msgdef(detail).fields:
                at = self._walk(of, f"{name}.{inner}", at)
            return at
        if node == Nodetype.BASE:
            return self._text(at) if detail[0] == "string" else self._numbers(detail[0], name, at, None)
        part, count = detail
        if node == Nodetype.SEQUENCE:
            at = _aligned(at, 4)
            count = self._length(at)
            at += 4
        if part[0] == Nodetype.BASE and part[1][0] != "string":
            return self._numbers(part[1][0], name, at, count)
        for index in range(count):
            at = self._walk(part, f"{name}[{index}]", at)
        return at

    def _numbers(self, base: str, name: str, at: int, count: int | None) -> int:
        kind = np.dtype(self._order + NUMBERS[base])
        if count != 0:
            at = _aligned(at, kind.itemsize)
        self.numbers[name] = (kind, at, count)
        return at + kind.itemsize * (1 if count is None else count)

    def _text(self, at: int) -> int:
        at = _aligned(at, 4)
        end = at + 4 + self._length(at)
        self._compare(at, end)
        return end

    def _length(self, at: int) -> int:
        self._compare(at, at + 4)
        return int(struct.unpack_from(self._order + "I", self._data, at)[0])

    def _compare(self, begin: int, end: int) -> None:
        self._compared[begin:end] = 0xFF


def _aligned(at: int, size: int) -> int:
    return at + (ENCAPSULATION - at) % size


@dataclass(frozen=True, eq=False)
class Columns:
    """Messages of one layout.

    Attributes:
        layout: theirs.
        places: (N,) of the messages among those they were sorted out of, growing.
        table: (N, bytes), a message a row.
    """

    layout: Layout
    places: NDArray[np.intp]
    table: NDArray[np.uint8]

    @property
    def example(self) -> Any:
        """A message that has all but the numbers in common with these."""
        return self.layout.example

    def numbers(self, name: str) -> NDArray[Any]:
        """A field of numbers, (N, count), or (N,) where it is a single one."""
        kind, at, count = self.layout.numbers[name]
        end = at + kind.itemsize * (1 if count is None else count)
        values = np.ascontiguousarray(self.table[:, at:end]).view(kind)
        return values[:, 0] if count is None else values

    def stamps(self) -> NDArray[np.int64]:
        """Stamps (N,) of the headers, ns."""
        seconds, rest = self.numbers("header.stamp.sec"), self.numbers("header.stamp.nanosec")
        return seconds.astype(np.int64) * 1_000_000_000 + rest.astype(np.int64)


class Message:
    """A message whose fields are read when they are asked for."""

    __slots__ = ("_data", "_layout")

    def __init__(self, layout: Layout, data: bytes) -> None:
        """Keep the message as it is."""
        self._layout, self._data = layout, data

    def __getattr__(self, name: str) -> Any:
        """See the type's definition."""
        return self._layout.value(self._data, name)


class Sorter:
    """Messages of one type by their layouts.

    Args:
        kind: the type.
    """

    def __init__(self, kind: str) -> None:
        """Know no layout yet."""
        self.kind = kind
        self._known: list[Layout] = []

    def columns(self, messages: Sequence[bytes], broken: Callable[[int, Exception], None]) -> list[Columns]:
        """The messages, those of one layout together.

        Args:
            messages: CDR with their headers.
            broken: told the place of each message that cannot be read, and why; it is in no table.
        """
        by_size: dict[int, list[int]] = defaultdict(list)
        for place, message in enumerate(messages):
            by_size[len(message)].append(place)
        found = []
        for size, of_size in by_size.items():
            places = np.array(of_size)
            table = _table([messages[i] for i in of_size])
            untried = [layout for layout in self._known if layout.size == size]
            while places.size:
                try:
                    layout = untried.pop(0) if untried else self._new(messages[places[0]])
                except Exception as error:  # whatever a broken message makes the library raise
                    broken(int(places[0]), error)
                    places, table = places[1:], table[1:]
                    continue
                same = layout.matches(table)
                if same.any():
                    found.append(Columns(layout, places[same], table[same]))
                    places, table = places[~same], table[~same]
        return found

    def _new(self, message: bytes) -> Layout:
        layout = Layout(self.kind, message)
        self._known = [layout, *self._known[: REMEMBERED - 1]]
        return layout


def _table(messages: Sequence[bytes]) -> NDArray[np.uint8]:
    """Messages of one size, a message a row."""
    return np.frombuffer(b"".join(messages), np.uint8).reshape(-1, len(messages[0]) or 1)


def in_turn(columns: Sequence[Columns], of: Callable[[Columns], NDArray[Scalar]]) -> NDArray[Scalar]:
    """Something of every message (N, ...), in the order in which the messages came."""
    if len(columns) == 1:
        return of(columns[0])
    order = np.argsort(np.concatenate([c.places for c in columns]))
    out: NDArray[Scalar] = np.concatenate([of(c) for c in columns])[order]
    return out


def messages_in_turn(columns: Sequence[Columns], data: Sequence[bytes]) -> list[Message]:
    """The messages that can be read, in the order in which they came; `data` are those that were sorted."""
    layouts = {place: c.layout for c in columns for place in c.places.tolist()}
    return [Message(layouts[place], data[place]) for place in sorted(layouts)]


def columns_of(messages: Sequence[Message]) -> list[Columns]:
    """Messages that were sorted before, those of one layout together again."""
    places: dict[Layout, list[int]] = defaultdict(list)
    for place, message in enumerate(messages):
        places[message._layout].append(place)
    return [
        Columns(layout, np.array(those), _table([messages[i]._data for i in those])) for layout, those in places.items()
    ]
