"""What the numbers of a state mean, and which laws may read it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mbpl_control.core import (
    DefinitionMismatchError,
    InvalidFieldError,
    StateBlock,
    StateDefinition,
    joint_state_definition,
)


def frame(name: str, kind: str = "frame_position", unit: str = "m") -> StateBlock:
    return StateBlock(kind, tuple(f"{name}.{c}" for c in "xyz"), ("euclidean",) * 3, (unit,) * 3)


def test_equal_blocks_give_equal_hashes_and_any_change_gives_another() -> None:
    definition = joint_state_definition(["a", "b"])
    assert definition.hash == joint_state_definition(["a", "b"]).hash
    changed = [
        joint_state_definition(["b", "a"]),
        joint_state_definition(["a", "c"]),
        joint_state_definition(["a", "b"], position_spaces=["angle", "euclidean"]),
        joint_state_definition(["a", "b"], prismatic=[True, False]),
        StateDefinition((*definition.blocks, frame("tip"))),
    ]
    assert len({d.hash for d in changed} | {definition.hash}) == len(changed) + 1


def test_a_definition_survives_json(state: StateDefinition) -> None:
    again = StateDefinition.from_dict(json.loads(json.dumps(state.to_dict())))
    assert again == state
    assert again.hash == state.hash


def test_sizes_labels_and_indices_follow_the_blocks(state: StateDefinition) -> None:
    assert (state.size, state.tangent_size) == (8, 7)
    assert state.joint_names == ("slide", "turn", "ball")
    labels = state.labels()
    assert len(labels) == 8
    assert labels[1] == "joint_positions/turn [rad]"
    assert labels[2:6] == tuple(f"joint_positions/ball.{c} [1]" for c in "wxyz")
    np.testing.assert_array_equal(state.indices("joint_positions", ["ball"]), [2, 3, 4, 5])
    np.testing.assert_array_equal(state.indices("joint_velocities"), [6, 7])
    np.testing.assert_array_equal(state.indices("joint_velocities", ["turn", "slide"]), [7, 6])


def test_a_law_picks_its_own_coordinates_out_of_a_larger_state(state: StateDefinition) -> None:
    larger = StateDefinition((frame("tip"), *reversed(state.blocks)))
    x = np.arange(11.0)
    picked = x[state.selection_from(larger)]
    np.testing.assert_array_equal(picked, [5, 6, 7, 8, 9, 10, 3, 4])


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (joint_state_definition(["a"]), "joint_positions of 'b'"),
        (joint_state_definition(["a", "b"], position_spaces=["euclidean", "angle"]), "euclidean in rad.*angle in rad"),
        (joint_state_definition(["a", "b"], prismatic=[False, True]), "in rad for the law.*in m in the state"),
    ],
)
def test_a_state_that_lacks_a_coordinate_or_means_something_else_is_refused(other, message) -> None:
    with pytest.raises(DefinitionMismatchError, match=message):
        joint_state_definition(["a", "b"]).selection_from(other)


def test_a_missing_coordinate_is_named_with_those_there_are(state: StateDefinition) -> None:
    with pytest.raises(DefinitionMismatchError, match=r"no joint_positions of 'elbow'.*joint_positions of 'slide'"):
        state.indices("joint_positions", ["elbow"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("joints", ("a",), ("angle",), ("rad",)), r"StateBlock\.kind: found 'joints'; must be one of"),
        (("joint_positions", (), (), ()), r"StateBlock\.names"),
        (("joint_positions", ("a", "a"), ("angle",) * 2, ("rad",) * 2), r"StateBlock\.names.*distinct"),
        (("joint_positions", ("a", "b"), ("angle",), ("rad",) * 2), r"StateBlock\.spaces: found 1 entries; .* of 2"),
        (("joint_positions", ("a",), ("angle",), ()), r"StateBlock\.units: found 0 entries"),
        (("joint_positions", ("a",), ("circle",), ("rad",)), r"StateBlock\.spaces: found 'circle'"),
    ],
)
def test_a_block_that_means_nothing_is_refused_by_field(arguments, message) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        StateBlock(*arguments)


def test_a_coordinate_may_come_once_only() -> None:
    block = frame("tip")
    with pytest.raises(InvalidFieldError, match=r"frame_position of 'tip\.x' twice"):
        StateDefinition((block, block))
    with pytest.raises(InvalidFieldError, match="at least 1"):
        StateDefinition(())


@pytest.mark.parametrize("data", [{}, {"blocks": [{"kind": "joint_positions"}]}, {"blocks": 3}, {"blocks": None}])
def test_data_that_describe_no_definition_are_refused(data) -> None:
    with pytest.raises(InvalidFieldError, match="blocks of kind, names, spaces, units"):
        StateDefinition.from_dict(data)
