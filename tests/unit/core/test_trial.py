"""A trajectory with its costs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError, Trial


def test_the_cost_is_the_sum_over_the_trajectory_and_unknown_when_it_was_not_evaluated(make_trial) -> None:
    trial: Trial = make_trial(costs=np.arange(6.0))
    assert trial.cost == 15.0
    assert trial.steps == 5
    assert np.isnan(make_trial(costs=[]).cost)


def test_times_are_whole_steps_unless_they_were_measured(make_trial) -> None:
    np.testing.assert_allclose(make_trial(times=None).times, 0.05 * np.arange(6))


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("states", np.zeros((5, 8)), r"shape \(5, 8\); must be of shape \(6, 8\)"),
        ("actions", np.zeros((5, 3)), r"shape \(5, 3\); must be of shape \('any', 2\)"),
        ("times", [0.0, 0.1, 0.1, 0.2, 0.3, 0.4], "times that do not grow; must be increasing"),
        ("times", np.zeros(3), r"shape \(3,\); must be of shape \(6,\)"),
        ("costs", np.zeros(5), r"shape \(5,\); must be of shape \(6,\)"),
        ("seed", -1, r"-1; must be a whole number in 0 \.\. 18446744073709551615"),
        ("seed", 2**64, "must be a whole number"),
        ("condition", -2, "-2; must be a whole number in -1"),
        ("condition", "first", "'first'; must be a whole number"),
        ("dt", np.inf, "inf s; must be finite"),
        ("metadata", {"a": object()}, "text, finite numbers"),
    ],
)
def test_a_wrong_field_is_named_with_its_shape_and_limit(make_trial, field: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=rf"Trial\.{field}: found .*{message}"):
        make_trial(**{field: value})
