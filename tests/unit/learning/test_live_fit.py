"""A fit that follows the robot during a trial, against least squares over everything at once and known changes."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError, LinearGaussianDynamics
from mbpl_control.fitting.online import OnlineOptions
from mbpl_control.learning.live_fit import FittedTrials, LiveFit
from mbpl_control.learning.local_model import TrialSet
from mbpl_control.tasks import Task

STEPS = 120


@pytest.fixture
def dynamics(balance: Task) -> LinearGaussianDynamics:
    """Stable dynamics that turn along the trajectory."""
    n, m = balance.state.size, balance.action.size
    rng = np.random.default_rng(0)
    turn = 0.3 * np.sin(np.arange(STEPS) / 10.0)[:, None, None] * rng.normal(size=(n, n)) / n
    a = 0.8 * np.linalg.qr(rng.normal(size=(n, n))).Q + turn
    return LinearGaussianDynamics(
        balance.state,
        balance.action,
        balance.dt,
        a,
        rng.normal(size=(1, n, m)) + np.zeros((STEPS, 1, 1)),
        0.1 * rng.normal(size=(STEPS, n)),
        1e-6 * np.eye(n) + np.zeros((STEPS, 1, 1)),
        samples=5,
    )


def run(
    d: LinearGaussianDynamics, seed: int, strength: float = 1.0, start: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """A trial with random actions of a robot whose motors have a share of their strength: (T+1, n), (T, m)."""
    rng = np.random.default_rng(seed)
    x, states, actions = np.full(d.state.size, start), [], []
    for t in range(d.steps):
        states.append(x)
        actions.append(rng.normal(size=d.action.size))
        x = d.mean(t, x, strength * actions[-1])
    return np.array([*states, x]), np.array(actions)


def fitted(d: LinearGaussianDynamics, condition: int = 0, start: float = 0.0) -> FittedTrials:
    """What five trials of the robot as it was leave behind."""
    trials = [run(d, 100 * condition + seed, start=start) for seed in range(5)]
    states, actions = (np.array(part) for part in zip(*trials, strict=True))
    return FittedTrials.of(condition, d, TrialSet(states, actions, np.zeros(5)))


def test_a_robot_as_it_was_keeps_the_fit(dynamics: LinearGaussianDynamics) -> None:
    live = LiveFit([fitted(dynamics)])
    states, actions = run(dynamics, 50)
    for t in range(STEPS):
        step = live.update(t, states[t], actions[t], states[t + 1])
        np.testing.assert_allclose(step.error, 0.0, atol=1e-10)
    np.testing.assert_allclose(step.dynamics.a[0], dynamics.a[-1], atol=1e-10)
    np.testing.assert_allclose(step.dynamics.b[0], dynamics.b[-1], atol=1e-10)


def test_motors_that_lost_half_their_strength_are_found_while_the_trajectory_still_turns(
    dynamics: LinearGaussianDynamics,
) -> None:
    live = LiveFit([fitted(dynamics)], OnlineOptions(0.9, 0.0))
    states, actions = run(dynamics, 50, strength=0.5)
    steps = [live.update(t, states[t], actions[t], states[t + 1]) for t in range(STEPS)]
    # Δ = (0, −B/2, 0) explains every error; of what was known at the start, 0.9¹²⁰ = 3e-6 is left
    np.testing.assert_allclose(steps[-1].dynamics.b[0], 0.5 * dynamics.b[-1], atol=1e-4)
    np.testing.assert_allclose(steps[-1].dynamics.a[0], dynamics.a[-1], atol=1e-4)
    np.testing.assert_allclose(steps[-1].fitted_error, -0.5 * dynamics.b[-1] @ actions[-1], atol=1e-12)
    np.testing.assert_allclose(steps[-1].error, 0.0, atol=1e-4)
    report = live.report()
    lost = np.array([-0.5 * dynamics.b[t] @ actions[t] for t in range(STEPS)])
    assert report.steps == STEPS and report.changed
    assert report.fitted_error == pytest.approx(np.sqrt(np.mean(lost**2)))
    assert report.expected_error == pytest.approx(1e-3)
    assert report.online_error < report.fitted_error


def test_a_robot_with_the_noise_that_was_fitted_is_not_called_another(dynamics: LinearGaussianDynamics) -> None:
    live, rng = LiveFit([fitted(dynamics)]), np.random.default_rng(7)
    states, actions = run(dynamics, 50)
    for t in range(STEPS):
        noise = 1e-3 * rng.normal(size=states.shape[1])
        live.update(t, states[t], actions[t], dynamics.mean(t, states[t], actions[t]) + noise)
    # 480 draws tell a deviation to 3 %
    assert live.report().ratio == pytest.approx(1.0, abs=0.13)
    assert not live.report().changed


def test_the_correction_is_least_squares_on_the_errors_of_the_fit(dynamics: LinearGaussianDynamics) -> None:
    forgetting, kept = 0.95, 0.2
    fit = fitted(dynamics)
    live = LiveFit([fit], OnlineOptions(forgetting, kept))
    states, actions = run(dynamics, 50, strength=0.7)
    for t in range(STEPS):
        step = live.update(t, states[t], actions[t], states[t + 1])
    phi = np.concatenate([states[:-1], actions, np.ones((STEPS, 1))], axis=1)
    errors = np.array([states[t + 1] - dynamics.mean(t, states[t], actions[t]) for t in range(STEPS)])
    weights = forgetting ** np.arange(STEPS)[::-1]
    left = kept + (1.0 - kept) * forgetting**STEPS
    mean, covariance = fit.input_mean, fit.input_covariance + 1e-6 * np.eye(phi.shape[1] - 1)
    known = np.block([[covariance + np.outer(mean, mean), mean[:, None]], [mean[None], np.ones((1, 1))]])
    normal = (phi.T * weights) @ phi + left / (1.0 - forgetting) * known
    expected = np.linalg.solve(normal, (phi.T * weights) @ errors).T
    n = states.shape[1]
    np.testing.assert_allclose(step.dynamics.a[0] - dynamics.a[-1], expected[:, :n], atol=1e-9)
    np.testing.assert_allclose(step.dynamics.b[0] - dynamics.b[-1], expected[:, n:-1], atol=1e-9)
    np.testing.assert_allclose(step.dynamics.c[0] - dynamics.c[-1], expected[:, -1], atol=1e-9)


def test_of_several_fits_the_nearest_is_corrected(dynamics: LinearGaussianDynamics) -> None:
    live = LiveFit([fitted(dynamics, 0), fitted(dynamics, 1, start=20.0)])
    for condition, start in ((0, 0.0), (1, 20.0)):
        states, actions = run(dynamics, 50, start=start)
        assert live.update(0, states[0], actions[0], states[1]).condition == condition


def test_nothing_is_learned_from_what_is_not_finite_or_beyond_the_horizon(dynamics: LinearGaussianDynamics) -> None:
    live = LiveFit([fitted(dynamics)])
    states, actions = run(dynamics, 50)
    with pytest.raises(InvalidFieldError, match="found nan"):
        live.update(0, states[0], actions[0], np.full_like(states[1], np.nan))
    with pytest.raises(InvalidFieldError, match="step"):
        live.update(STEPS, states[0], actions[0], states[1])
    step = live.update(0, states[0], actions[0], states[1])
    np.testing.assert_allclose(step.error, step.fitted_error)
    with pytest.raises(InvalidFieldError, match=r"LiveFit\.forgetting"):
        LiveFit([fitted(dynamics)], OnlineOptions(1.0))
    with pytest.raises(InvalidFieldError, match=r"LiveFit\.fits"):
        LiveFit([])
