"""The linear-Gaussian controller: what it answers, what it refuses."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from scipy.stats import chi2, multivariate_normal

from mbpl_control.core import ExecutionMode, InvalidFieldError, LinearGaussianController


def test_the_mean_is_the_plan_plus_the_gain_times_the_error_in_the_tangent_space(make_controller) -> None:
    c: LinearGaussianController = make_controller()
    t, x = 3, make_controller(random=9).nominal_states[2]
    reference = c.nominal_states[t]
    turned = Rotation.from_quat(np.roll(reference[2:6], -1)).inv() * Rotation.from_quat(np.roll(x[2:6], -1))
    angle = (x[1] - reference[1] + np.pi) % (2 * np.pi) - np.pi
    error = np.array([x[0] - reference[0], angle, *turned.as_rotvec(), *(x[6:] - reference[6:])])
    expected = c.nominal_actions[t] + c.feedforward[t] + c.gains[t] @ error
    np.testing.assert_allclose(c.mean(t, x), expected, rtol=1e-9)


def test_the_means_along_trials_are_those_of_each_step_and_need_a_state_for_each(make_controller) -> None:
    c: LinearGaussianController = make_controller()
    states = np.array([[make_controller(random=r).nominal_states[:-1] for r in row] for row in ((1, 2, 3), (4, 5, 6))])
    along = c.means_along(states)
    for t in range(c.steps):
        np.testing.assert_allclose(along[..., t, :], c.mean(t, states[..., t, :]), rtol=1e-12)
    with pytest.raises(InvalidFieldError, match="states"):
        c.means_along(states[..., 1:, :])


def test_open_loop_does_not_see_the_state_and_feedback_on_the_reference_adds_nothing(make_controller) -> None:
    c: LinearGaussianController = make_controller()
    x = make_controller(random=4).nominal_states[:4]
    plan = c.nominal_actions[1] + c.feedforward[1]
    np.testing.assert_array_equal(c.evaluate(1, x, ExecutionMode.OPEN_LOOP), np.tile(plan, (4, 1)))
    on_reference = c.evaluate(1, c.nominal_states[1], ExecutionMode.MEAN)
    np.testing.assert_allclose(on_reference, plan, atol=1e-12)


def test_samples_have_the_mean_and_the_covariance_of_the_law(make_controller) -> None:
    c: LinearGaussianController = make_controller()
    t, count = 2, 40_000
    x = c.nominal_states[4]
    rng = np.random.default_rng(11)
    draws = c.evaluate(t, np.broadcast_to(x, (count, len(x))), ExecutionMode.SAMPLED, rng)
    sigma, m = c.covariances[t], c.action.size
    # N (ū − μ)ᵀ Σ⁻¹ (ū − μ) is χ² with m degrees of freedom
    error = draws.mean(axis=0) - c.mean(t, x)
    assert count * error @ np.linalg.solve(sigma, error) < chi2.ppf(0.999, m)
    # an entry of the sample covariance has variance (Σ_ii Σ_jj + Σ_ij²) / N
    spread = np.sqrt((np.outer(np.diag(sigma), np.diag(sigma)) + sigma**2) / count)
    assert (np.abs(np.cov(draws.T) - sigma) < 4.0 * spread).all()


def test_a_singular_covariance_draws_only_along_its_directions(make_controller) -> None:
    direction = np.array([0.6, 0.8])
    sigma = np.tile(4.0 * np.outer(direction, direction), (6, 1, 1))
    c: LinearGaussianController = make_controller(covariances=sigma)
    draws = c.sample(0, np.tile(c.nominal_states[0], (1000, 1)), np.random.default_rng(2)) - c.planned_actions[0]
    np.testing.assert_allclose(draws @ np.array([-0.8, 0.6]), 0.0, atol=1e-6)
    assert np.std(draws @ direction) == pytest.approx(2.0, rel=0.1)


def test_the_same_seed_draws_the_same_actions(make_controller) -> None:
    c: LinearGaussianController = make_controller()
    x = c.nominal_states[0]
    one = c.sample(0, x, np.random.default_rng(3))
    np.testing.assert_array_equal(one, c.sample(0, x, np.random.default_rng(3)))
    assert (one != c.sample(0, x, np.random.default_rng(4))).any()


def test_the_log_density_is_that_of_scipys_normal_distribution(make_controller) -> None:
    c: LinearGaussianController = make_controller()
    x = make_controller(random=6).nominal_states[1]
    u = np.random.default_rng(0).normal(size=(5, 2))
    expected = multivariate_normal(c.mean(3, x), c.covariances[3]).logpdf(u)
    np.testing.assert_allclose(c.log_prob(3, np.tile(x, (5, 1)), u), expected, rtol=1e-10)


def test_a_law_without_noise_has_no_density(make_controller) -> None:
    c: LinearGaussianController = make_controller(covariances=None)
    with pytest.raises(InvalidFieldError, match=r"covariances: found a singular matrix at step 1"):
        c.log_prob(1, c.nominal_states[1], c.nominal_actions[1])


def test_between_knots_the_reference_is_joined_and_the_plan_is_the_mean_over_its_step(make_controller) -> None:
    c: LinearGaussianController = make_controller()
    x, u, k = c.at_time(2.5 * c.dt)
    np.testing.assert_allclose(x, c.state.space.interpolate(c.nominal_states[2], c.nominal_states[3], 0.5))
    np.testing.assert_allclose(u, c.planned_actions[2])
    np.testing.assert_array_equal(k, c.gains[2])
    _, at_knot, _ = c.at_time(3 * c.dt)
    np.testing.assert_allclose(at_knot, 0.5 * (c.planned_actions[2] + c.planned_actions[3]))
    for time, step in ((-1.0, 0), (1e3, 5)):
        np.testing.assert_allclose(c.at_time(time)[1], c.planned_actions[step])
    np.testing.assert_allclose(c.at_time(1e3)[0], c.nominal_states[6], atol=1e-12)


def test_a_part_of_the_horizon_is_a_law_of_its_own(make_controller) -> None:
    c: LinearGaussianController = make_controller()
    part = c.truncated(2, 3)
    assert (part.steps, part.duration) == (3, pytest.approx(0.15))
    x = c.nominal_states[5]
    np.testing.assert_array_equal(part.mean(1, x), c.mean(3, x))
    with pytest.raises(InvalidFieldError, match="first 4, 3 steps; must be inside the horizon of 6"):
        c.truncated(4, 3)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dt", 0.0, "0.0 s; must be finite and above 0"),
        ("dt", np.nan, "nan s; must be finite and above 0"),
        ("dt", "fast", "'fast'; must be a number above 0"),
        ("dt", True, "True; must be a number above 0"),
        ("nominal_states", np.zeros((6, 8)), r"shape \(6, 8\); must be of shape \(7, 8\)"),
        ("nominal_states", np.zeros((7, 8)), r"a quaternion of length 0 at number 2; must be of unit length"),
        ("nominal_actions", np.zeros((6, 3)), r"shape \(6, 3\); must be of shape \('any', 2\)"),
        ("nominal_actions", np.zeros((0, 2)), "0 steps; must be at least 1 step"),
        ("gains", np.zeros((6, 2, 8)), r"shape \(6, 2, 8\); must be of shape \(6, 2, 7\)"),
        ("gains", np.full((6, 2, 7), np.inf), r"inf at index \(0, 0, 0\); must be finite"),
        ("gains", None, "must be"),
        ("feedforward", np.zeros(6), r"shape \(6,\); must be of shape \(6, 2\)"),
        ("feedforward", [["a", "b"]] * 6, "an array of numbers"),
        ("covariances", [np.diag([1.0, -1e-3])] * 6, "eigenvalue -0.001 at step 0; must be positive semidefinite"),
        ("covariances", [[[1.0, 0.5], [0.0, 1.0]]] * 6, "an asymmetric matrix at step 0; must be symmetric"),
        ("execution", "sometimes", "'sometimes'; must be one of zero_order, continuous"),
        ("end_rule", "explode", "'explode'; must be one of hold, fallback, repeat_last"),
        ("anchor", "wish", "'wish'; must be one of activation, stamp"),
        ("anchor", None, "None; must be one of activation, stamp"),
        ("metadata", {"cost": np.nan}, "text, finite numbers, booleans"),
        ("metadata", {3: "x"}, "the key 3; must be keyed by text"),
        ("metadata", ["x"], r"\['x'\]; must be a mapping"),
    ],
)
def test_a_wrong_field_is_named_with_its_shape_and_limit(make_controller, field: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=rf"^LinearGaussianController\.{field}: found .*{message}"):
        make_controller(**{field: value})


def test_rounding_does_not_make_a_covariance_indefinite(make_controller) -> None:
    direction = np.array([1.0, 1e-8])
    sigma = np.tile(np.outer(direction, direction) - 1e-12 * np.eye(2), (6, 1, 1))
    assert make_controller(covariances=sigma).steps == 6


@pytest.mark.parametrize("step", [-1, 6, 1000])
def test_a_step_beyond_the_horizon_is_refused(make_controller, step: int) -> None:
    c: LinearGaussianController = make_controller()
    for mode in ExecutionMode:
        with pytest.raises(InvalidFieldError, match=rf"step: found {step}; must be in 0 \.\. 5"):
            c.evaluate(step, c.nominal_states[0], mode, np.random.default_rng(0))


def test_the_mode_may_be_given_by_its_name_and_must_be_known(make_controller) -> None:
    c: LinearGaussianController = make_controller()
    x = c.nominal_states[3]
    np.testing.assert_array_equal(c.evaluate(0, x, "mean"), c.mean(0, x))  # type: ignore[arg-type]
    with pytest.raises(InvalidFieldError, match="mode: found 'noisy'; must be one of open_loop, mean, sampled"):
        c.evaluate(0, x, "noisy", np.random.default_rng(0))  # type: ignore[arg-type]


def test_the_sampled_mode_needs_a_generator(make_controller) -> None:
    c: LinearGaussianController = make_controller()
    with pytest.raises(InvalidFieldError, match="rng: found None; must be a generator"):
        c.evaluate(0, c.nominal_states[0], ExecutionMode.SAMPLED)


def test_arrays_are_copies_that_nobody_can_change(make_controller) -> None:
    gains = np.zeros((6, 2, 7))
    c: LinearGaussianController = make_controller(gains=gains)
    gains[:] = 1.0
    assert not c.gains.any()
    with pytest.raises(ValueError, match="read-only"):
        c.gains[0, 0, 0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        c.dt = 1.0  # type: ignore[misc]
    with pytest.raises(TypeError):
        make_controller(metadata={"a": 1}).metadata["a"] = 2
