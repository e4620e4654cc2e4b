"""Core types to messages, over the wire, and back: nothing is lost, and nothing wrong gets in."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message

from mbpl_control.core import (
    ActionDefinition,
    FeedbackLaw,
    InvalidFieldError,
    LinearGaussianController,
    StateDefinition,
)
from mbpl_control.nodes import conversions as convert


def over_the_wire(message: Any) -> Any:
    """What a subscriber gets."""
    return deserialize_message(serialize_message(message), type(message))


def assert_equal(before: Any, after: Any) -> None:
    for field in dataclasses.fields(before):
        a, b = getattr(before, field.name), getattr(after, field.name)
        if isinstance(a, np.ndarray):
            assert a.shape == b.shape, field.name
            assert a.tobytes() == b.tobytes(), field.name
        else:
            assert a == b, field.name


@pytest.fixture
def controller(make_controller) -> LinearGaussianController:
    return make_controller(
        execution="continuous",
        end_rule="repeat_last",
        anchor="stamp",
        noise_smoothing=1.5,
        name="ilqr",
        metadata={"cost": 1.25, "tags": ["ä", None, {"deep": True}]},
    )


@pytest.fixture
def law(controller: LinearGaussianController) -> FeedbackLaw:
    c = controller
    return FeedbackLaw(c.state, c.action, c.nominal_states[2], c.planned_actions[2], c.gains[2], c.covariances[2])


def test_a_controller_arrives_as_it_was_sent(controller) -> None:
    assert_equal(controller, convert.controller_from_msg(over_the_wire(convert.controller_to_msg(controller))))


def test_a_knot_arrives_as_it_was_sent_with_and_without_noise(law) -> None:
    assert_equal(law, convert.feedback_law_from_msg(over_the_wire(convert.feedback_law_to_msg(law))))
    message = convert.feedback_law_to_msg(law)
    message.covariance = []
    assert not convert.feedback_law_from_msg(over_the_wire(message)).covariance.any()


def test_dynamics_and_trials_arrive_as_they_were_sent(make_dynamics, make_trial) -> None:
    dynamics, trial = make_dynamics(), make_trial()
    assert_equal(dynamics, convert.dynamics_from_msg(over_the_wire(convert.dynamics_to_msg(dynamics))))
    assert_equal(trial, convert.trial_from_msg(over_the_wire(convert.trial_to_msg(trial))))
    bare = make_trial(costs=[], metadata={}, times=None)
    assert_equal(bare, convert.trial_from_msg(over_the_wire(convert.trial_to_msg(bare))))


def test_definitions_arrive_with_their_infinite_limits_and_their_hash(
    state: StateDefinition, action: ActionDefinition
) -> None:
    message = over_the_wire(convert.action_definition_to_msg(action))
    assert message.hash == action.hash
    again = convert.action_definition_from_msg(message)
    assert again == action
    np.testing.assert_array_equal(again.lower, action.lower)
    assert convert.state_definition_from_msg(over_the_wire(convert.state_definition_to_msg(state))) == state


@pytest.mark.parametrize("nanoseconds", [0, 1, 999_999_999, 1_000_000_000, 1_700_000_000_123_456_789])
def test_stamps_keep_every_nanosecond(nanoseconds: int) -> None:
    assert convert.time_to_ns(over_the_wire(convert.ns_to_time(nanoseconds))) == nanoseconds


CONTROLLER_FAULTS = {
    "state_size": (9, r"state_size: found 9; must be 8"),
    "tangent_size": (8, r"tangent_size: found 8; must be 7"),
    "action_size": (3, r"action_size: found 3; must be 2"),
    "steps": (5, r"nominal_states: found 56 numbers; must be 48"),
    "joint_names": (["turn", "slide"], r"joint_names: found turn, slide; must be those of the action: slide, turn"),
    "gains": ([0.0] * 83, r"gains: found 83 numbers; must be 84, for shape \(6, 2, 7\)"),
    "feedforward": ([np.nan] * 12, r"feedforward: found nan at index \(0, 0\); must be finite"),
    "covariances": ([-1.0] * 24, r"covariances: .*positive semidefinite"),
    "dt": (0.0, r"dt: .*above 0"),
    "anchor": (7, r"anchor: found 7; must be 0 or 1"),
    "execution": ("never", r"execution: found 'never'"),
    "metadata": ("{", r"metadata: found \{; must be a JSON object"),
}


@pytest.mark.parametrize("field", CONTROLLER_FAULTS)
def test_a_controller_message_with_a_wrong_field_is_refused_by_its_name(controller, field: str) -> None:
    value, message = CONTROLLER_FAULTS[field]
    wire = convert.controller_to_msg(controller)
    setattr(wire, field, value)
    with pytest.raises(InvalidFieldError, match=message):
        convert.controller_from_msg(over_the_wire(wire))


def test_metadata_that_is_no_object_is_refused(controller) -> None:
    wire = convert.controller_to_msg(controller)
    wire.metadata = "[1, 2]"
    with pytest.raises(InvalidFieldError, match="metadata: .*a JSON object"):
        convert.controller_from_msg(wire)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("reference_state", [0.0] * 7),
        ("action", [0.0]),
        ("gain", [0.0] * 16),
        ("covariance", [1.0]),
        ("joint_names", []),
    ],
)
def test_a_knot_with_a_wrong_field_is_refused_by_its_name(law, field: str, value: Any) -> None:
    wire = convert.feedback_law_to_msg(law)
    setattr(wire, field, value)
    with pytest.raises(InvalidFieldError, match=rf"FeedbackLaw\.{field}"):
        convert.feedback_law_from_msg(over_the_wire(wire))


def test_a_definition_whose_hash_is_not_that_of_its_content_is_refused(controller) -> None:
    wire = convert.controller_to_msg(controller)
    wire.state_definition.blocks[0].units[1] = "m"
    with pytest.raises(InvalidFieldError, match=r"StateDefinition\.hash.*the hash of its content"):
        convert.controller_from_msg(over_the_wire(wire))
    wire = convert.controller_to_msg(controller)
    wire.action_definition.upper[0] = 1e9
    with pytest.raises(InvalidFieldError, match=r"ActionDefinition\.hash"):
        convert.controller_from_msg(over_the_wire(wire))


@pytest.mark.parametrize(("field", "size"), [("a", 255), ("b", 63), ("c", 31), ("covariances", 1)])
def test_dynamics_with_a_field_of_another_length_are_refused_by_its_name(make_dynamics, field: str, size: int) -> None:
    wire = convert.dynamics_to_msg(make_dynamics())
    setattr(wire, field, [0.0] * size)
    with pytest.raises(InvalidFieldError, match=rf"LinearGaussianDynamics\.{field}: found {size} numbers"):
        convert.dynamics_from_msg(over_the_wire(wire))


@pytest.mark.parametrize("field", ["states", "actions", "times", "costs"])
def test_a_trial_with_a_field_of_another_length_is_refused_by_its_name(make_trial, field: str) -> None:
    wire = convert.trial_to_msg(make_trial())
    setattr(wire, field, [0.5] * 3)
    with pytest.raises(InvalidFieldError, match=rf"Trial\.{field}"):
        convert.trial_from_msg(over_the_wire(wire))


def test_flat_numbers_are_row_major_and_come_back_in_shape() -> None:
    values = np.arange(6.0).reshape(2, 3)
    assert list(convert.flat(values.T)) == [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]
    np.testing.assert_array_equal(convert.unflat("X", "y", convert.flat(values), (2, 3)), values)
