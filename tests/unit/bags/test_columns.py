"""Messages that are read many at once are what the bag library reads one by one."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from known_trial import header, trial_messages

from mbpl_control.bags.columns import REMEMBERED, Sorter, in_turn, messages_in_turn
from mbpl_control.bags.types import typestore


def by_kind(little: bool) -> dict[str, list[bytes]]:
    """What is said in a trial, serialised."""
    found: dict[str, list[bytes]] = defaultdict(list)
    for _, kind, _, message in trial_messages():
        found[kind].append(bytes(typestore().serialize_cdr(message, kind, little_endian=little)))
    return found


def never(place: int, error: Exception) -> None:
    """For messages of which all can be read."""
    raise AssertionError(f"message {place}: {error}")


def equal(a: Any, b: Any) -> bool:
    """Whether two messages, or fields of them, say the same."""
    if hasattr(b, "__msgtype__"):
        return all(equal(getattr(a, name), getattr(b, name)) for name in b.__dataclass_fields__ if name[0] != "_")
    if isinstance(b, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return bool(np.array_equal(a, b))


def at(message: Any, path: str) -> Any:
    """A field of a message within the message."""
    for name in path.split("."):
        message = getattr(message, name)
    return message


def joints(names: list[str], position: float) -> bytes:
    """A measurement of as many joints as there are names."""
    message = typestore().types["sensor_msgs/msg/JointState"](
        header=header(10**9),
        name=names,
        position=np.full(len(names), position),
        velocity=np.zeros(len(names)),
        effort=np.zeros(0),
    )
    return bytes(typestore().serialize_cdr(message, "sensor_msgs/msg/JointState"))


@pytest.mark.parametrize("little", [True, False], ids=["little_endian", "big_endian"])
def test_every_field_of_every_message_is_what_the_library_reads(little: bool) -> None:
    for kind, data in by_kind(little).items():
        columns = Sorter(kind).columns(data, never)
        read = [typestore().deserialize_cdr(d, kind) for d in data]
        assert all(map(equal, messages_in_turn(columns, data), read)), kind
        for those in columns:
            for path in (p for p in those.layout.numbers if "[" not in p):
                expected = np.array([at(read[i], path) for i in those.places])
                np.testing.assert_array_equal(those.numbers(path), expected, err_msg=f"{kind} {path}")


def test_messages_that_differ_in_their_numbers_only_are_one_table() -> None:
    data = by_kind(True)
    assert len(Sorter("x").columns([], never)) == 0
    assert len(Sorter("mbpl_msgs/msg/RobotState").columns(data["mbpl_msgs/msg/RobotState"], never)) == 1
    # hold, the trial's controller, and the fallback after it
    assert len(Sorter("mbpl_msgs/msg/JointCommand").columns(data["mbpl_msgs/msg/JointCommand"], never)) == 3


def test_names_of_one_length_are_told_apart_and_the_order_is_kept() -> None:
    data = [joints(names, float(i)) for i, names in enumerate([["ab"], ["ac"], ["a", "b"], ["ab"], ["ac"]])]
    columns = Sorter("sensor_msgs/msg/JointState").columns(data, never)
    assert sorted((c.example.name, c.places.tolist()) for c in columns) == [
        (["a", "b"], [2]),
        (["ab"], [0, 3]),
        (["ac"], [1, 4]),
    ]
    np.testing.assert_array_equal(in_turn(columns, lambda c: c.numbers("position")[:, 0]), np.arange(5.0))


def test_messages_that_cannot_be_read_are_told_and_the_others_are_read() -> None:
    whole = joints(["a", "b"], 1.0)
    odd = bytearray(whole)
    odd[16:20] = b"\xff\xff\xff\x7f"  # more names than the message has bytes
    no_text = whole.replace(b"a\x00", b"\xff\x00")
    told: dict[int, Exception] = {}
    data = [b"", whole, bytes(odd), whole[:-9], no_text, b"\x00", whole, b""]
    (columns,) = Sorter("sensor_msgs/msg/JointState").columns(data, told.__setitem__)
    assert columns.places.tolist() == [1, 6]
    assert sorted(told) == [0, 2, 3, 4, 5, 7]


def test_what_is_remembered_of_messages_that_are_never_alike_is_bounded() -> None:
    sorter = Sorter("sensor_msgs/msg/JointState")
    for block in range(3):
        data = [joints([f"{block}_{i}"], float(i)) for i in range(REMEMBERED)]
        assert len(sorter.columns(data, never)) == REMEMBERED
    assert len(sorter._known) == REMEMBERED
