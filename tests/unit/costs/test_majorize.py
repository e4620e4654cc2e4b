"""The quadratic upper bound of the distance of points, against what makes it one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mbpl_control.core import InvalidFieldError, StateSpace
from mbpl_control.costs import ActionCost, CosineCost, FrameDistanceCost, StateCost, StatePoints, SumCost

NDX, M, STEPS = 8, 2, 4
#: Two points among the numbers of a state, in the other order.
ROWS = np.array([5, 6, 7, 1, 2, 3])
TARGET = np.array([0.1, -0.2, 0.3, 0.4, 0.0, -0.1])
SHAPES = {
    "square": {"l2": 3.0},
    "smooth distance": {"l1": 2.0},
    "logarithm": {"log": 0.5},
    "all": {"l1": 0.3, "l2": 2.0, "log": 0.1},
}
NONE = np.zeros((1, 0))
points = arrays(np.float64, NDX, elements=st.floats(-3.0, 3.0))


def distance(shape: str, alpha: float = 1e-3) -> FrameDistanceCost:
    return FrameDistanceCost(StatePoints(ROWS, ROWS, NDX), TARGET, alpha=alpha, **SHAPES[shape])


def bound_at(cost: FrameDistanceCost, mean: np.ndarray, spread: np.ndarray, x: np.ndarray) -> float:
    part = cost.majorize(mean[None], NONE, spread[None], True)
    d = x - mean
    return float(part.value[0] + part.lx[0] @ d + 0.5 * d @ part.lxx[0] @ d)


@pytest.mark.parametrize("shape", SHAPES)
@given(mean=points, x=points, size=st.floats(0.0, 2.0))
def test_the_bound_lies_above_the_cost_everywhere(shape: str, mean: np.ndarray, x: np.ndarray, size: float) -> None:
    cost = distance(shape)
    value = float(cost.evaluate(x[None], NONE)[0])
    assert bound_at(cost, mean, size * np.eye(NDX), x) >= value - 1e-9 * (1.0 + abs(value))


@pytest.mark.parametrize("shape", SHAPES)
def test_without_spread_the_bound_touches_the_cost_wherever_the_distance_is_that_of_the_mean(shape: str) -> None:
    rng = np.random.default_rng(0)
    cost, mean, spread = distance(shape), rng.normal(size=NDX), np.zeros((NDX, NDX))
    length = np.linalg.norm(mean[ROWS] - TARGET)
    for _ in range(5):
        x, direction = rng.normal(size=NDX), rng.normal(size=6)
        x[ROWS] = TARGET + length * direction / np.linalg.norm(direction)
        assert bound_at(cost, mean, spread, x) == pytest.approx(float(cost.evaluate(x[None], NONE)[0]), rel=1e-9)
    # and it touches with the slope of the cost, so a step along it is a step down the cost
    part, exact = cost.majorize(mean[None], NONE, spread[None], True), cost.expand(mean[None], NONE, True)
    np.testing.assert_allclose(part.lx, exact.lx, rtol=1e-12)


def test_its_weight_is_that_of_the_formula_and_centred_on_the_target() -> None:
    rng = np.random.default_rng(1)
    cost, mean = distance("all", alpha=1e-3), rng.normal(size=NDX)
    factor = rng.normal(size=(NDX, NDX))
    spread = factor @ factor.T
    z = 1e-3 + np.sum((mean[ROWS] - TARGET) ** 2) + np.trace(spread[np.ix_(ROWS, ROWS)])
    weight = 2 * 2.0 + 0.3 / np.sqrt(z) + 2 * 0.1 / z
    part = cost.majorize(mean[None], NONE, spread[None], False)
    expected = np.zeros((NDX, NDX))
    expected[ROWS, ROWS] = weight
    np.testing.assert_allclose(part.lxx[0], expected, rtol=1e-12)
    np.testing.assert_allclose(part.lx[0, ROWS], weight * (mean[ROWS] - TARGET), rtol=1e-12)
    # the mean of the bound under the spread is the cost at the mean squared distance
    s = z - 1e-3
    told = part.value[0] + 0.5 * np.trace(expected @ spread)
    assert told == pytest.approx(2.0 * s + 0.3 * np.sqrt(z) + 0.1 * np.log(z))


def test_a_sum_bounds_the_distances_and_expands_all_other_terms() -> None:
    rng = np.random.default_rng(2)
    space = StateSpace(["euclidean"] * NDX)
    frame = distance("all")
    frame.ramp = "final(2)"
    others = [
        StateCost(space, np.ones(NDX), np.zeros(NDX), ramp="linear"),
        CosineCost((np.array([0]), np.array([0])), NDX, np.ones(1), np.zeros(1)),
        ActionCost(np.ones(M), np.zeros(M)),
    ]
    states, actions = rng.normal(size=(STEPS + 1, NDX)), rng.normal(size=(STEPS, M))
    spreads = np.tile(0.3 * np.eye(NDX), (STEPS + 1, 1, 1))
    bound = SumCost([frame, *others], NDX, M).majorize(states, spreads, actions, "gauss_newton")
    usual = SumCost(others, NDX, M).quadratize(states, actions, "gauss_newton")
    part = frame.majorize(states[-2:], actions, spreads[-2:], False)
    for name in ("lu", "luu", "lux"):
        np.testing.assert_array_equal(getattr(bound, name), getattr(usual, name))
    for name in ("value", "lx", "lxx"):
        difference = getattr(bound, name) - getattr(usual, name)
        np.testing.assert_allclose(difference[:-2], 0.0, atol=1e-14)
        np.testing.assert_allclose(difference[-2:], getattr(part, name), atol=1e-12)
    with pytest.raises(InvalidFieldError, match="found 'newton'; must be exact or gauss_newton"):
        SumCost(others, NDX, M).majorize(states, spreads, actions, "newton")
