"""Joint states of a driver: any order, more joints, NaN for what is not measured."""

from __future__ import annotations

import pytest

from mbpl_control.core import RefusedError
from mbpl_control.hardware.joint_reading import JointReading

NAN = float("nan")


def test_joints_are_picked_by_name_whatever_else_the_message_holds() -> None:
    reading = JointReading(["a", "b"])
    q, v, effort = reading.read(["b", "x", "a"], [2.0, NAN, 1.0], [20.0, NAN, 10.0], [200.0, NAN, 100.0])
    assert (q.tolist(), v.tolist()) == ([1.0, 2.0], [10.0, 20.0])
    assert effort is not None and effort.tolist() == [100.0, 200.0]
    # another order, as after the driver was started anew
    q, _, effort = reading.read(["a", "b"], [1.0, 2.0], [0.0, 0.0], [NAN, 1.0])
    assert q.tolist() == [1.0, 2.0]
    assert effort is None
    assert reading.read(["a", "b"], [1.0, 2.0], [0.0, 0.0], [])[2] is None


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ((["a", "x"], [1.0, 2.0], [0.0, 0.0], []), "no joint 'b' among a, x"),
        (([], [], [], []), "no joint 'a' among none"),
        ((["a", "b"], [1.0], [0.0, 0.0], []), "1 numbers for position; must be 2"),
        ((["a", "b"], [1.0, 2.0], [], []), "0 numbers for velocity; must be 2"),
        ((["b", "a"], [1.0, NAN], [0.0, 0.0], []), "position of 'a' is nan; the bridge needs it measured"),
        ((["b", "a"], [1.0, 1.0], [NAN, 0.0], []), "velocity of 'b' is nan"),
    ],
)
def test_what_is_not_measured_is_named(message, reason) -> None:
    with pytest.raises(RefusedError, match=reason):
        JointReading(["a", "b"]).read(*message)
