"""The rule that adapts the size of steps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from mbpl_control.learning.step_rule import GROW, SHRINK, next_multiplier


@pytest.mark.parametrize(
    ("predicted", "actual", "factor"),
    [
        (1.0, 0.5, 1.0),  # half of what was promised: as it is
        (1.0, 0.0, 0.5),  # nothing came: half the step
        (1.0, -1.0, 0.25),  # it got worse by as much
        (1.0, 0.75, 2.0),
        (1.0, 1.0, GROW),  # all of it, and more than all
        (1.0, 3.0, GROW),
        (1.0, -1e9, SHRINK),  # a catastrophe
        (-1.0, -1.0, SHRINK),  # not even promised
        (0.0, 0.5, SHRINK),
    ],
)
def test_the_multiplier_follows_what_was_kept_of_the_promise(predicted: float, actual: float, factor: float) -> None:
    assert next_multiplier(3.0, predicted, actual, 1e-6, 1e6) == pytest.approx(3.0 * factor)
    # costs in another unit change nothing
    assert next_multiplier(3.0, 50 * predicted, 50 * actual, 1e-6, 1e6) == pytest.approx(3.0 * factor)


def test_between_its_limits_it_is_the_best_step_of_the_quadratic_through_promise_and_outcome() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        predicted = rng.uniform(0.1, 10.0)
        actual = rng.uniform(-3.0, 0.85) * predicted
        best = minimize_scalar(lambda s, p=predicted, i=actual: -(p * s + (i - p) * s * s), bounds=(0.0, 10.0))
        assert next_multiplier(1.0, predicted, actual, 1e-6, 1e6) == pytest.approx(best.x, abs=1e-4)


def test_it_stays_between_floor_and_cap() -> None:
    assert next_multiplier(10.0, 1.0, 1.0, 4.0, 25.0) == 25.0
    assert next_multiplier(10.0, 1.0, -100.0, 4.0, 25.0) == 4.0
