"""The action of a step is the mean of what was commanded in it, whatever came when."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core.alignment import knots_of, step_means

STEPS, DT = 40, 0.01
KNOTS = knots_of(10**9, DT, STEPS)


@pytest.mark.parametrize("seed", range(5))
def test_the_action_of_each_step_is_the_mean_of_its_commands_and_an_empty_one_keeps_the_last(seed: int) -> None:
    rng = np.random.default_rng(seed)
    stamps = np.sort(rng.integers(KNOTS[0] - 10**7, KNOTS[-1] + 10**7, 60))
    values = rng.normal(size=(60, 3))
    actions, filled = step_means(KNOTS, stamps, values)
    empty, last = 0, values[0]
    for step, (begin, end) in enumerate(zip(KNOTS[:-1], KNOTS[1:], strict=True)):
        inside = values[(begin - 1000 <= stamps) & (stamps < end - 1000)]
        before = values[stamps < begin - 1000]
        last = before[-1] if len(before) else values[0]
        np.testing.assert_allclose(actions[step], inside.mean(axis=0) if len(inside) else last, rtol=1e-14, atol=1e-15)
        empty += len(inside) == 0
    assert filled == empty > 0


@pytest.mark.parametrize("each", [1, 3, 10])
def test_a_command_that_is_held_for_a_step_is_its_action_to_the_bit(each: int) -> None:
    held = np.random.default_rng(0).normal(size=(STEPS, 2)) * 0.1
    stamps = KNOTS[0] + np.arange(STEPS * each) * round(1e9 * DT / each)
    actions, filled = step_means(KNOTS, stamps, np.repeat(held, each, axis=0))
    np.testing.assert_array_equal(actions, held)
    assert filled == 0


def test_where_nothing_is_commanded_in_a_trial_the_command_before_it_stays_in_force() -> None:
    actions, filled = step_means(KNOTS, np.array([KNOTS[0] - 10**8]), np.array([[2.0]]))
    np.testing.assert_array_equal(actions, np.full((STEPS, 1), 2.0))
    assert filled == STEPS
