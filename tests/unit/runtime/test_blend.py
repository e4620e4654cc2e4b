"""Differences that die out."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import ActionDefinition
from mbpl_control.runtime.blend import Blend
from mbpl_control.runtime.claims import Claims

#: Two motors, and one.
CLAIMS = Claims(ActionDefinition(("ma", "mb"), ("a", "b"), "effort", ("N", "N"), np.full(2, -9.0), np.full(2, 9.0)))
PAIR = CLAIMS.all
ALONE = Claims(ActionDefinition(("ma",), ("a",), "effort", ("N",), np.array([-9.0]), np.array([9.0]))).all


def smoothstep(p: float) -> float:
    return p**3 * (10 - 15 * p + 6 * p**2)


def test_a_difference_starts_whole_dies_out_smoothly_and_is_gone_in_time() -> None:
    blend = Blend(2)
    blend.add(PAIR, np.array([4.0, -2.0]), 0.04)
    seen = []
    for _ in range(9):
        seen.append(blend.apply(np.zeros(2))[0] / 4.0)
        blend.advance(0.005)
    expected = [1.0 - smoothstep(k / 8) for k in range(8)] + [0.0]
    np.testing.assert_allclose(seen, expected, atol=1e-12)
    assert blend.over


@pytest.mark.parametrize("period", [0.0005, 0.002, 0.005, 0.02])
def test_no_tick_adds_more_than_its_share_of_the_steepest_slope(period: float) -> None:
    blend, duration = Blend(1), 0.06
    blend.add(ALONE, np.array([1.0]), duration)
    values = []
    for _ in range(round(duration / period) + 2):
        values.append(blend.apply(np.zeros(1))[0])
        blend.advance(period)
    steps = -np.diff(values)
    assert (steps >= -1e-12).all()
    assert steps.max() <= 15.0 / 8.0 * period / duration + 1e-12


def test_differences_die_out_side_by_side() -> None:
    both, first, second = Blend(1), Blend(1), Blend(1)
    for blend in (both, first):
        blend.add(ALONE, np.array([1.0]), 0.1)
        blend.advance(0.03)
    both.add(ALONE, np.array([-5.0]), 0.02)
    second.add(ALONE, np.array([-5.0]), 0.02)
    for blend in (both, first, second):
        blend.advance(0.01)
    wanted = np.array([7.0])
    expected = wanted + (first.apply(wanted) - wanted) + (second.apply(wanted) - wanted)
    np.testing.assert_allclose(both.apply(wanted), expected)


def test_no_time_means_no_difference_and_a_cleared_one_is_forgotten() -> None:
    blend = Blend(1)
    blend.add(ALONE, np.array([1.0]), 0.0)
    assert blend.over
    blend.add(ALONE, np.array([1.0]), 1.0)
    blend.clear(ALONE)
    np.testing.assert_array_equal(blend.apply(np.array([3.0])), [3.0])


def test_a_part_of_the_command_goes_over_and_is_cleared_by_itself() -> None:
    first, second = CLAIMS.of(["a"]), CLAIMS.of(["b"])
    blend = Blend(2)
    blend.add(first, np.array([4.0]), 0.1)
    blend.add(second, np.array([-2.0]), 0.1)
    np.testing.assert_array_equal(blend.apply(np.zeros(2)), [4.0, -2.0])
    blend.clear(first)
    np.testing.assert_array_equal(blend.apply(np.zeros(2)), [0.0, -2.0])
    blend.clear(second)
    assert blend.over
