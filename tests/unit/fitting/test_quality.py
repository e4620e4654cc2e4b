"""Errors of predictions, against systems whose dynamics are known."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError
from mbpl_control.fitting.quality import held_out_errors

A = np.array([[1.0, 0.1], [-0.2, 0.95]])
B = np.array([[0.0], [0.1]])


def trials(count: int, noise: float, steps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    states, actions = np.zeros((count, steps + 1, 2)), rng.normal(size=(count, steps, 1))
    states[:, 0] = rng.normal(size=(count, 2))
    for t in range(steps):
        states[:, t + 1] = states[:, t] @ A.T + actions[:, t] @ B.T + noise * rng.normal(size=(count, 2))
    return states, actions


def test_a_linear_system_without_noise_is_predicted_over_any_number_of_steps() -> None:
    for error in held_out_errors(*trials(8, 0.0), ridge=1e-12, horizons=(1, 7, 30)):
        assert (error.error < 1e-6 * error.motion).all()


def test_errors_over_k_steps_are_those_of_the_noise_that_adds_up() -> None:
    # 400 trials determine 3 unknowns a row well: what is left is the noise itself
    sigma = 0.01
    errors = {e.steps: e.error for e in held_out_errors(*trials(400, sigma), horizons=(1, 5))}
    np.testing.assert_allclose(errors[1], sigma, rtol=0.03)
    spread = sum((p := np.linalg.matrix_power(A, i)) @ p.T for i in range(5))
    np.testing.assert_allclose(errors[5], sigma * np.sqrt(np.diag(spread)), rtol=0.05)


def test_the_motion_is_what_a_model_without_motion_would_be_off_by() -> None:
    states, actions = trials(5, 0.0)
    error = held_out_errors(states, actions, ridge=1e-12, horizons=(3,))[0]
    np.testing.assert_allclose(error.motion, np.sqrt(np.mean((states[:, 3:] - states[:, :-3]) ** 2, axis=(0, 1))))
    np.testing.assert_allclose(error.share, error.error / error.motion)


@pytest.mark.parametrize(("count", "horizons"), [(2, (1,)), (5, (0,)), (5, (31,))])
def test_what_cannot_be_judged_is_refused(count: int, horizons: tuple[int, ...]) -> None:
    with pytest.raises(InvalidFieldError):
        held_out_errors(*trials(count, 0.0), horizons=horizons)
