"""⊖ and ⊕ against scipy's rotations, and the laws of the tangent space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.transform import Rotation

from mbpl_control.core import InvalidFieldError, StateSpace
from mbpl_control.core.state_space import SPACE_SIZES, wrap_angle

spaces = st.lists(st.sampled_from(sorted(SPACE_SIZES)), min_size=1, max_size=6)
#: A tangent vector below half a turn in each coordinate, also in the length of three of them together.
small = st.floats(-1.8, 1.8)


def scipy_rotation(quaternions: np.ndarray) -> Rotation:
    return Rotation.from_quat(np.roll(quaternions, -1, axis=-1))


def points(space: StateSpace, seed: int, *shape: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    neutral = np.broadcast_to(space.neutral(), (*shape, space.size))
    return space.integrate(neutral, 3.0 * rng.normal(size=(*shape, space.tangent_size)))


@given(spaces, st.integers(0, 1000), st.data())
def test_the_difference_undoes_the_integration_of_less_than_half_a_turn(names, seed, data) -> None:
    space = StateSpace(names)
    x = points(space, seed)
    dx = data.draw(arrays(np.float64, space.tangent_size, elements=small))
    np.testing.assert_allclose(space.difference(space.integrate(x, dx), x), dx, atol=1e-12)


@given(spaces, st.integers(0, 1000))
def test_integrating_a_difference_leads_to_the_same_point(names, seed) -> None:
    space = StateSpace(names)
    x, y = points(space, seed), points(space, seed + 1)
    z = space.integrate(y, space.difference(x, y))
    np.testing.assert_allclose(space.difference(z, x), 0.0, atol=1e-7)


@given(spaces, st.integers(0, 1000))
def test_a_difference_has_the_same_lengths_in_both_orders(names, seed) -> None:
    space = StateSpace(names)
    x, y = points(space, seed), points(space, seed + 1)
    forth, back = space.difference(x, y), space.difference(y, x)
    np.testing.assert_allclose(np.abs(forth), np.abs(back), atol=1e-9)


@given(spaces, st.integers(0, 1000), st.floats(0.0, 1.0))
def test_interpolation_divides_the_difference(names, seed, fraction) -> None:
    space = StateSpace(names)
    x, y = points(space, seed), points(space, seed + 1)
    between = space.interpolate(x, y, fraction)
    whole = space.difference(y, x)
    np.testing.assert_allclose(space.difference(between, x), fraction * whole, atol=1e-7)


def test_rotations_agree_with_scipy() -> None:
    space = StateSpace(["quaternion"])
    rng = np.random.default_rng(3)
    x, y = points(space, 1, 200), points(space, 2, 200)
    relative = scipy_rotation(y).inv() * scipy_rotation(x)
    np.testing.assert_allclose(space.difference(x, y), relative.as_rotvec(), atol=1e-9)
    turn = rng.normal(size=(200, 3))
    turned = scipy_rotation(x) * Rotation.from_rotvec(turn)
    np.testing.assert_allclose(scipy_rotation(space.integrate(x, turn)).as_matrix(), turned.as_matrix(), atol=1e-12)


@pytest.mark.parametrize("angle", [0.0, 1e-300, 1e-12, 1e-8, 1e-4, 1.0, 3.1, np.pi - 1e-7])
def test_the_logarithm_of_a_rotation_keeps_its_digits_at_any_angle(angle: float) -> None:
    space = StateSpace(["quaternion"])
    axis = np.array([2.0, -1.0, 2.0]) / 3.0
    x = points(space, 7)
    difference = space.difference(space.integrate(x, angle * axis), x)
    np.testing.assert_allclose(difference, angle * axis, rtol=1e-7, atol=1e-15)


def test_a_quaternion_and_its_negative_are_the_same_rotation() -> None:
    space = StateSpace(["quaternion"])
    x, y = points(space, 4, 50), points(space, 5, 50)
    np.testing.assert_allclose(space.difference(-x, y), space.difference(x, y), atol=1e-12)


def test_a_rotation_stays_of_unit_length_however_often_it_is_turned() -> None:
    space = StateSpace(["quaternion"])
    x = space.neutral()
    for _ in range(10_000):
        x = space.integrate(x, np.array([0.01, -0.02, 0.03]))
    assert abs(np.linalg.norm(x) - 1.0) < 1e-14


@given(st.floats(-1e3, 1e3))
def test_wrapping_keeps_the_angle_up_to_whole_turns_and_lands_within_half_a_turn(angle: float) -> None:
    wrapped = float(wrap_angle(np.float64(angle)))
    assert -np.pi <= wrapped <= np.pi
    assert np.cos(wrapped) == pytest.approx(np.cos(angle), abs=1e-12)
    assert np.sin(wrapped) == pytest.approx(np.sin(angle), abs=1e-12)


@given(st.floats(-np.pi, np.pi))
def test_an_angle_within_half_a_turn_is_not_touched(angle: float) -> None:
    assert float(wrap_angle(np.float64(angle))) == angle


def test_angles_take_the_short_way_across_the_seam() -> None:
    space = StateSpace(["angle", "euclidean"])
    difference = space.difference(np.array([3.1, 3.1]), np.array([-3.1, -3.1]))
    np.testing.assert_allclose(difference, [6.2 - 2 * np.pi, 6.2])


def test_sizes_add_up_and_leading_dimensions_broadcast() -> None:
    space = StateSpace(["quaternion", "euclidean", "angle", "quaternion"])
    assert (space.size, space.tangent_size) == (10, 8)
    batch = points(space, 0, 3, 5)
    one = points(space, 1)
    differences = space.difference(batch, one)
    assert differences.shape == (3, 5, 8)
    np.testing.assert_array_equal(differences[1, 2], space.difference(batch[1, 2], one))
    moved = space.integrate(batch, np.full(8, 0.1))
    np.testing.assert_array_equal(moved[2, 4], space.integrate(batch[2, 4], np.full(8, 0.1)))


def test_the_neutral_state_is_zero_with_identity_rotations() -> None:
    neutral = StateSpace(["angle", "quaternion", "euclidean"]).neutral()
    np.testing.assert_array_equal(neutral, [0.0, 1.0, 0.0, 0.0, 0.0, 0.0])


def test_a_quaternion_off_unit_length_is_named_with_its_place() -> None:
    space = StateSpace(["euclidean", "quaternion"])
    states = np.stack([space.neutral(), space.neutral()])
    space.check("Law", "nominal_states", states)
    states[1, 1] = 1.1
    with pytest.raises(InvalidFieldError, match=r"Law\.nominal_states.*length 1\.1 at number 1.*unit length"):
        space.check("Law", "nominal_states", states)


def test_an_unknown_space_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InvalidFieldError, match="'circle'.*euclidean, angle, quaternion"):
        StateSpace(["circle"])


def test_spaces_are_equal_when_their_coordinates_are() -> None:
    assert StateSpace(["angle", "euclidean"]) == StateSpace(("angle", "euclidean"))
    assert StateSpace(["angle"]) != StateSpace(["euclidean"])
    assert hash(StateSpace(["angle"])) == hash(StateSpace(["angle"]))
