"""Which laws a robot may run."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbpl_control.core import ActionDefinition, DefinitionMismatchError, RefusedError, StateBlock, StateDefinition
from mbpl_control.safety.law_checks import check_definitions, check_gains, check_order

SECOND = 1_000_000_000
SLACK = SECOND // 20


def test_a_law_on_part_of_a_larger_state_picks_its_own(make_controller, state, action) -> None:
    larger = StateDefinition((StateBlock("target", ("t",), ("euclidean",), ("m",)), *state.blocks))
    np.testing.assert_array_equal(check_definitions(make_controller(), larger, action), np.arange(1, 9))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actuator_names", ("first", "third")),
        ("joint_names", ("turn", "slide")),
        ("interface", "velocity"),
        ("units", ("N", "N")),
    ],
)
def test_a_law_for_other_actuators_is_refused_with_both_named(make_controller, state, action, field, value) -> None:
    robot = replace(action, **{field: value})
    with pytest.raises(DefinitionMismatchError, match=f"the law's {field} are .*; the robot's are"):
        check_definitions(make_controller(), state, robot)


def test_a_law_may_know_other_limits_than_the_robot(make_controller, state, action) -> None:
    tighter = replace(action, upper=np.array([1.0, 1.0]))
    assert len(check_definitions(make_controller(), state, tighter)) == state.size


def test_a_gain_above_the_bound_is_named_with_its_place() -> None:
    action = ActionDefinition(("m",), ("j",), "effort", ("N*m",), np.array([-1.0]), np.array([2.0]))
    gains = np.zeros((3, 1, 2))
    check_gains(gains, np.zeros((3, 1)), 10.0, action)
    gains[1, 0, 1] = -11.0
    with pytest.raises(RefusedError, match=r"gain 11 at \(1, 0, 1\) is above max_gain 10"):
        check_gains(gains, np.zeros((3, 1)), 10.0, action)


def test_a_plan_beyond_twice_the_limits_is_of_another_robot() -> None:
    action = ActionDefinition(("m",), ("j",), "effort", ("N*m",), np.array([-1.0]), np.array([2.0]))
    check_gains(np.zeros((2, 1, 2)), np.array([[3.9], [-1.9]]), 10.0, action)
    with pytest.raises(RefusedError, match=r"planned action 4\.1 N\*m of 'm' is over 2 times its limit, -1 to 2"):
        check_gains(np.zeros((2, 1, 2)), np.array([[3.9], [4.1]]), 10.0, action)
    with pytest.raises(RefusedError, match=r"planned action -2\.1"):
        check_gains(np.zeros((1, 2)), np.array([-2.1]), 10.0, action)
    check_gains(np.zeros((2, 1, 2)), np.array([[3.9], [4.1]]), 10.0, action, most=2.5)


@pytest.mark.parametrize("sequence", [4, 5])
def test_a_sequence_number_that_does_not_grow_is_refused(sequence: int) -> None:
    check_order(6, 5, 0, 0, SLACK)
    check_order(0, None, 0, 0, SLACK)
    with pytest.raises(RefusedError, match=f"sequence number {sequence} is not above 5"):
        check_order(sequence, 5, 0, 0, SLACK)


def test_a_stamp_from_the_future_is_refused_beyond_the_slack() -> None:
    check_order(1, None, SECOND + SLACK, SECOND, SLACK)
    check_order(1, None, 0, SECOND, SLACK)
    with pytest.raises(RefusedError, match=r"stamp is 0\.300 s in the future; at most 0\.050 s is allowed"):
        check_order(1, None, SECOND + 3 * SECOND // 10, SECOND, SLACK)
