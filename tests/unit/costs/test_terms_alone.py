"""Ramps, barriers and sums, and what the terms refuse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbpl_control.core import InvalidFieldError, ModelError, StateSpace
from mbpl_control.costs import (
    ActionCost,
    CosineCost,
    FrameDistanceCost,
    FrameOrientationCost,
    FramePositionCost,
    JointColumns,
    JointLimitCost,
    KinematicPoints,
    StateCost,
    SumCost,
    ramp_weights,
)
from mbpl_control.models import RobotModel

LINE = StateSpace(["euclidean"] * 2)
ONE = (np.array([0]), np.array([0]))


@pytest.mark.parametrize(
    ("ramp", "expected"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [0.25, 0.5, 0.75, 1]),
        ("quadratic", [1 / 16, 0.25, 9 / 16, 1]),
        ("final", [0, 0, 0, 1]),
        ("final(1)", [0, 0, 0, 1]),
        ("final(3)", [0, 1, 1, 1]),
        ("final(4)", [1, 1, 1, 1]),
        ("initial(1)", [1, 0, 0, 0]),
        ("initial(3)", [1, 1, 1, 0]),
    ],
)
def test_a_ramp_weighs_the_states_of_a_horizon_of_three_steps(ramp: str, expected: list[float]) -> None:
    np.testing.assert_allclose(ramp_weights(ramp, 3), expected)


@pytest.mark.parametrize(
    ("ramp", "message"),
    [
        ("final(5)", r"found final\(5\); must be final\(1\) to final\(4\)"),
        ("final(0)", r"must be final\(1\)"),
        ("initial(5)", r"must be initial\(1\) to initial\(4\)"),
        ("cubic", "'cubic'; must be constant, linear, quadratic, final"),
        ("final()", "must be constant"),
        ("final(2) ", "must be constant"),
    ],
)
def test_a_ramp_that_is_none_is_refused(ramp: str, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        ramp_weights(ramp, 3)


# --- the barrier ---


def barrier(delta: float, weight: float = 1.0) -> JointLimitCost:
    return JointLimitCost(np.array([-1.0]), np.array([3.0]), ONE, 2, weight, delta)


def value(cost: JointLimitCost, q: float) -> float:
    return float(cost.evaluate(np.array([[q, 0.0]]), np.zeros((1, 0)))[0])


def test_the_barrier_is_the_logarithm_of_the_distance_to_both_limits_in_half_ranges() -> None:
    cost = barrier(0.1, weight=2.0)
    for q in (1.0, 0.0, 2.5, -0.7):
        expected = -2.0 * (np.log((q + 1.0) / 2.0) + np.log((3.0 - q) / 2.0))
        assert value(cost, q) == pytest.approx(expected, abs=1e-12)
    assert value(cost, 1.0) == 0.0


@given(st.floats(-100.0, 100.0), st.floats(0.01, 0.9))
def test_the_barrier_is_finite_and_convex_however_far_a_limit_is_violated(q: float, delta: float) -> None:
    cost = barrier(delta)
    h = 1e-3
    second = value(cost, q + h) - 2.0 * value(cost, q) + value(cost, q - h)
    assert np.isfinite(value(cost, q))
    assert second > 0.0


def test_value_slope_and_curvature_are_continuous_where_the_parabola_takes_over() -> None:
    cost, seam, h = barrier(0.2), -1.0 + 0.2 * 2.0, 1e-9
    before, after = (cost.expand(np.array([[q, 0.0]]), np.zeros((1, 0)), True) for q in (seam - h, seam + h))
    np.testing.assert_allclose(before.value, after.value, atol=1e-7)
    np.testing.assert_allclose(before.lx, after.lx, atol=1e-6)
    np.testing.assert_allclose(before.lxx, after.lxx, rtol=1e-6)


def test_joints_without_limits_cost_nothing() -> None:
    cost = JointLimitCost(np.array([-np.inf, -1.0]), np.array([np.inf, 1.0]), (np.arange(2), np.arange(2)), 4, 1.0, 0.1)
    far = cost.evaluate(np.array([[1e6, 0.0, 0.0, 0.0]]), np.zeros((1, 0)))
    np.testing.assert_allclose(far, 0.0, atol=1e-12)
    with pytest.raises(InvalidFieldError, match="no joint with limits; must be at least 1 limited joint"):
        JointLimitCost(np.array([-np.inf]), np.array([np.inf]), ONE, 2, 1.0)


# --- sums ---


def test_a_window_weighs_its_states_as_the_whole_horizon_does_and_ends_where_the_task_ends() -> None:
    cost = SumCost([StateCost(LINE, np.array([2.0, 0.0]), np.zeros(2), ramp="linear")], 2, 1)
    whole = ramp_weights("linear", 10)
    states = np.ones((5, 2))
    for offset, expected in ((0, [0, 1, 2, 3, 10]), (4, [4, 5, 6, 7, 10]), (8, [8, 9, 10, 10, 10]), (50, [10] * 5)):
        window = cost.window(offset, 10)
        np.testing.assert_allclose(window.evaluate(states, np.zeros((4, 1))), whole[expected])
        np.testing.assert_allclose(window.quadratize(states, np.zeros((4, 1))).value, whole[expected])
    np.testing.assert_allclose(cost.evaluate(np.ones((11, 2)), np.zeros((10, 1))), whole)


def test_what_ends_before_the_task_pays_for_its_steps_and_not_for_an_end_it_never_came_to() -> None:
    terms = [StateCost(LINE, np.array([2.0, 0.0]), np.zeros(2), ramp=r) for r in ("linear", "final(3)")]
    cost = SumCost(terms, 2, 1)
    linear, final = ramp_weights("linear", 10), ramp_weights("final(3)", 10)
    for steps in (2, 8, 10, 12):
        at = np.minimum(np.arange(steps + 1), 10)
        found = cost.prefix(10).evaluate(np.ones((steps + 1, 2)), np.zeros((steps, 1)))
        np.testing.assert_allclose(found, linear[at] + final[at])


def test_each_term_tells_its_share_and_the_shares_add_up() -> None:
    rng = np.random.default_rng(0)
    terms = [StateCost(LINE, np.ones(2), np.zeros(2), ramp="final(2)"), ActionCost(np.ones(3), np.zeros(3))]
    cost = SumCost(terms, 2, 3)
    states, actions = rng.normal(size=(6, 2)), rng.normal(size=(5, 3))
    shares = cost.evaluate_terms(states, actions)
    np.testing.assert_allclose(sum(shares), cost.evaluate(states, actions))
    np.testing.assert_allclose(shares[0][:4], 0.0)
    assert shares[1][5] == 0.0


def test_a_sum_refuses_to_be_empty_and_hessians_it_does_not_know() -> None:
    with pytest.raises(InvalidFieldError, match=r"SumCost\.terms: found none; must be at least 1"):
        SumCost([], 2, 1)
    cost = SumCost([StateCost(LINE, np.ones(2), np.zeros(2))], 2, 1)
    with pytest.raises(InvalidFieldError, match="hessian: found 'bfgs'; must be exact or gauss_newton"):
        cost.quadratize(np.zeros((2, 2)), np.zeros((1, 1)), "bfgs")


# --- what terms refuse ---


@pytest.fixture(scope="module")
def frame(robot_files) -> tuple[Any, ...]:
    robot = RobotModel.from_file(robot_files / "reacher_2link.xml")
    return robot.kinematics, JointColumns.leading(robot.nq, robot.nv, robot.state.tangent_size)


def tip(frame: tuple[Any, ...], count: int = 1) -> KinematicPoints:
    """The fingertip, and the second link with a count of two."""
    return KinematicPoints(frame[0], ["fingertip", "link1"][:count], frame[1])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda f: StateCost(LINE, np.ones(3), np.zeros(2)), r"StateCost\.weights: .*shape \(3,\)"),
        (lambda f: StateCost(LINE, -np.ones(2), np.zeros(2)), r"StateCost\.weights: found -1\.0; must be 0 or more"),
        (
            lambda f: StateCost(StateSpace(["quaternion"]), np.array([1.0, 2.0, 1.0]), np.array([1.0, 0, 0, 0])),
            r"StateCost\.weights: .*must be equal on a quaternion",
        ),
        (lambda f: StateCost(StateSpace(["quaternion"]), np.ones(3), np.ones(4)), r"StateCost\.target: .*unit length"),
        (lambda f: CosineCost(ONE, 2, np.array([-1.0]), np.zeros(1)), r"CosineCost\.weights: .*0 or more"),
        (lambda f: ActionCost(np.array([np.nan]), np.zeros(1)), r"ActionCost\.weights: .*finite"),
        (lambda f: ActionCost(np.ones(2), np.zeros(1)), r"ActionCost\.target: .*shape \(1,\)"),
        (lambda f: JointLimitCost(np.zeros(1), np.ones(1), ONE, 2, 0.0), r"JointLimitCost\.weight: .*above 0"),
        (lambda f: JointLimitCost(np.zeros(1), np.ones(1), ONE, 2, 1.0, 1.0), r"JointLimitCost\.delta: .*below 1"),
        (lambda f: FramePositionCost(tip(f), -np.ones(3), np.zeros(3)), r"FramePositionCost\.weights: .*0 or more"),
        (lambda f: FramePositionCost(tip(f), np.ones(3), np.zeros(2)), r"FramePositionCost\.target: .*shape \(2,\)"),
        (lambda f: FramePositionCost(tip(f, 2), np.ones(3), np.zeros(3)), r"FramePositionCost\.points: found 2 points"),
        (lambda f: FrameDistanceCost(tip(f), np.zeros(3)), r"FrameDistanceCost\.l1: .*a weight above 0 somewhere"),
        (lambda f: FrameDistanceCost(tip(f), np.zeros(3), l2=-1.0), r"FrameDistanceCost\.l2: found -1\.0"),
        (lambda f: FrameDistanceCost(tip(f), np.zeros(3), l2=1.0, alpha=0.0), r"FrameDistanceCost\.alpha: .*above 0"),
        (lambda f: FrameDistanceCost(tip(f, 2), np.zeros(3), l2=1.0), r"FrameDistanceCost\.target: .*shape \(3,\)"),
        (lambda f: FrameOrientationCost(f[0], "link1", f[1], 1.0, 2 * np.eye(3)), r"target: .*a rotation"),
        (lambda f: FrameOrientationCost(f[0], "link1", f[1], 0.0, np.eye(3)), r"weight: .*above 0"),
    ],
)
def test_a_parameter_that_makes_no_cost_is_named(frame, build, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        build(frame)


def test_a_frame_the_robot_does_not_have_is_refused_when_the_term_is_made(frame) -> None:
    with pytest.raises(ModelError, match="no frame 'finger'; did you mean"):
        KinematicPoints(frame[0], ["fingertip", "finger"], frame[1])
    with pytest.raises(ModelError, match="no frame 'finger'; did you mean"):
        FrameOrientationCost(frame[0], "finger", frame[1], 1.0, np.eye(3))
