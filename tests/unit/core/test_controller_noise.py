"""The noise of a sampled law over its whole horizon, smoothed over time or not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError, LinearGaussianController

STEPS = 40


def weights_of(make_controller, smoothing: float) -> np.ndarray:
    """The matrix (T, T) that makes the noise of white noise, from draws whose white noise is known."""
    law = make_controller(STEPS, covariances=np.tile(np.eye(2), (STEPS, 1, 1)), noise_smoothing=smoothing)
    white = np.concatenate([np.random.default_rng(s).standard_normal((STEPS, 2)) for s in range(STEPS)], axis=1)
    drawn = np.concatenate([law.noise(np.random.default_rng(s)) for s in range(STEPS)], axis=1)
    return np.linalg.lstsq(white.T, drawn.T, rcond=None)[0].T


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 2.0, 10.0, 40.0])
def test_smoothed_noise_keeps_the_variance_of_the_law_at_every_step(make_controller, smoothing: float) -> None:
    weights = weights_of(make_controller, smoothing)
    np.testing.assert_allclose(np.sum(weights**2, axis=1), 1.0, rtol=1e-9)


@pytest.mark.parametrize("smoothing", [1.0, 2.0, 4.0])
def test_far_from_the_ends_the_correlation_of_two_steps_is_that_of_the_kernel_with_itself(
    make_controller, smoothing: float
) -> None:
    weights = weights_of(make_controller, smoothing)
    correlation = weights @ weights.T
    lag = np.arange(-5, 6)
    # two Gaussians of deviation s convolved have s √2
    expected = np.exp(-0.25 * (lag / smoothing) ** 2)
    np.testing.assert_allclose(correlation[STEPS // 2, STEPS // 2 + lag], expected, atol=1e-3)


def test_smoothed_noise_has_the_directions_of_its_step(make_controller) -> None:
    sigma = np.zeros((STEPS, 2, 2))
    sigma[: STEPS // 2, 0, 0], sigma[STEPS // 2 :, 1, 1] = 4.0, 9.0
    noise = make_controller(STEPS, covariances=sigma, noise_smoothing=3.0).noise(np.random.default_rng(0))
    np.testing.assert_array_equal(noise[: STEPS // 2, 1], 0.0)
    np.testing.assert_array_equal(noise[STEPS // 2 :, 0], 0.0)
    assert np.abs(noise).max(axis=0).min() > 0.0


def test_without_smoothing_each_step_draws_its_own_in_their_order(make_controller) -> None:
    law: LinearGaussianController = make_controller(STEPS)
    white = np.random.default_rng(7).standard_normal((STEPS, 2))
    expected = np.einsum("tij,tj->ti", law.noise_factors, white)
    assert law.noise(np.random.default_rng(7)).tobytes() == expected.tobytes()


def test_smoothing_is_kept_in_a_file_and_in_a_part_of_the_horizon(make_controller, tmp_path: Path) -> None:
    law: LinearGaussianController = make_controller(STEPS, noise_smoothing=2.5)
    again = LinearGaussianController.load(law.save(tmp_path / "law.npz"))
    assert again.noise_smoothing == 2.5
    assert again.noise(np.random.default_rng(1)).tobytes() == law.noise(np.random.default_rng(1)).tobytes()
    assert law.truncated(3, 10).noise_smoothing == 2.5
    assert law.truncated(3, 2).noise_smoothing == 2.0


@pytest.mark.parametrize("smoothing", [-0.1, STEPS + 1.0, float("nan"), "two"])
def test_smoothing_that_is_no_number_of_steps_of_the_horizon_is_refused(make_controller, smoothing: object) -> None:
    with pytest.raises(InvalidFieldError, match=r"noise_smoothing: found .*; must be a number in 0 \.\. 40 steps"):
        make_controller(STEPS, noise_smoothing=smoothing)
