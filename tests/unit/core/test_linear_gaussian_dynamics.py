"""Time-varying linear-Gaussian dynamics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError, LinearGaussianDynamics


def test_the_mean_is_linear_in_state_and_action(make_dynamics) -> None:
    d: LinearGaussianDynamics = make_dynamics()
    rng = np.random.default_rng(3)
    x, u = rng.normal(size=(5, 8)), rng.normal(size=(5, 2))
    expected = [d.a[2] @ xi + d.b[2] @ ui + d.c[2] for xi, ui in zip(x, u, strict=True)]
    np.testing.assert_allclose(d.mean(2, x, u), expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("a", np.zeros((4, 8, 7)), r"shape \(4, 8, 7\); must be of shape \('any', 8, 8\)"),
        ("a", np.zeros((0, 8, 8)), "0 steps; must be at least 1 step"),
        ("b", np.zeros((3, 8, 2)), r"shape \(3, 8, 2\); must be of shape \(4, 8, 2\)"),
        ("c", np.full((4, 8), np.nan), "must be finite"),
        ("covariances", np.tile(-np.eye(8), (4, 1, 1)), "positive semidefinite"),
        ("samples", -1, "-1; must be a whole number in 0"),
        ("samples", 2.5, "2.5; must be a whole number"),
        ("samples", "many", "'many'; must be a whole number"),
        ("fit_error", np.zeros(3), r"shape \(3,\); must be of shape \(4,\)"),
        ("dt", -0.1, "-0.1 s; must be finite and above 0"),
    ],
)
def test_a_wrong_field_is_named_with_its_shape_and_limit(make_dynamics, field: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=rf"LinearGaussianDynamics\.{field}: found .*{message}"):
        make_dynamics(**{field: value})


def test_a_step_beyond_the_horizon_is_refused(make_dynamics) -> None:
    with pytest.raises(InvalidFieldError, match=r"step: found 4; must be in 0 \.\. 3"):
        make_dynamics().mean(4, np.zeros(8), np.zeros(2))
