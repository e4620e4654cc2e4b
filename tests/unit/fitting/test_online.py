"""Recursive least squares against weighted least squares over everything at once."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError, SolverError
from mbpl_control.fitting.online import OnlineDynamics, OnlineOptions, information_of
from mbpl_control.fitting.regression import fit_conditionals

N, M = 3, 2
SIZE = N + M + 1


def system(seed: int) -> np.ndarray:
    """θ = (A B c)ᵀ (n+m+1, n) of a stable system."""
    rng = np.random.default_rng(seed)
    a = 0.9 * np.linalg.qr(rng.normal(size=(N, N))).Q
    return np.concatenate([a, rng.normal(size=(N, M)), rng.normal(size=(N, 1))], axis=1).T


def transitions(theta: np.ndarray, count: int, seed: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """φ (T, n+m+1) and x' (T, n) of one trial with random actions."""
    rng = np.random.default_rng(seed)
    x, inputs, outputs = rng.normal(size=N), [], []
    for _ in range(count):
        phi = np.concatenate([x, rng.normal(size=M), [1.0]])
        x = phi @ theta + noise * rng.normal(size=N)
        inputs.append(phi)
        outputs.append(x)
    return np.array(inputs), np.array(outputs)


def begin(theta: np.ndarray, information: np.ndarray, forgetting: float, kept: float, weight: float = 5.0):
    """An online fit that begins with θ."""
    a, b, c = theta[:N].T, theta[N:-1].T, theta[-1]
    return OnlineDynamics(a, b, c, 0.1 * np.eye(N), information, weight, OnlineOptions(forgetting, kept))


def estimate(fit: OnlineDynamics) -> np.ndarray:
    return np.concatenate([fit.a, fit.b, fit.c[:, None]], axis=1).T


def random_information(seed: int) -> np.ndarray:
    factor = np.random.default_rng(seed).normal(size=(SIZE, SIZE))
    return factor @ factor.T + 0.5 * np.eye(SIZE)


@pytest.mark.parametrize("forgetting", [0.8, 0.97, 1.0])
@pytest.mark.parametrize("kept", [0.0, 0.3, 1.0])
def test_it_is_least_squares_with_weights_that_fall_with_age(forgetting: float, kept: float) -> None:
    start, information = system(0), random_information(1)
    inputs, outputs = transitions(system(2), 60, seed=3, noise=0.1)
    fit = begin(start, information, forgetting, kept)
    for phi, following in zip(inputs, outputs, strict=True):
        fit.update(phi[:N], phi[N:-1], following)
    weights = forgetting ** np.arange(len(inputs))[::-1]
    prior = kept + (1.0 - kept) * forgetting ** len(inputs)
    normal = (inputs.T * weights) @ inputs + prior * information
    right = (inputs.T * weights) @ outputs + prior * information @ start
    np.testing.assert_allclose(estimate(fit), np.linalg.solve(normal, right), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(fit.information, normal, rtol=1e-9, atol=1e-10)


def test_the_noise_is_the_weighted_sum_of_squares_that_is_left() -> None:
    start, information, forgetting = system(0), random_information(1), 0.9
    inputs, outputs = transitions(system(2), 40, seed=3, noise=0.1)
    fit = begin(start, information, forgetting, kept=0.0, weight=7.0)
    for phi, following in zip(inputs, outputs, strict=True):
        fit.update(phi[:N], phi[N:-1], following)
    theta, weights, rest = estimate(fit), forgetting ** np.arange(40)[::-1], forgetting**40
    residual, moved = outputs - inputs @ theta, theta - start
    left = (residual.T * weights) @ residual + rest * (moved.T @ information @ moved + 7.0 * 0.1 * np.eye(N))
    np.testing.assert_allclose(fit.noise, left / (weights.sum() + rest * 7.0), rtol=1e-8)


def test_it_learns_a_system_whose_dynamics_jump_and_says_how_wrong_it_was() -> None:
    before, after = system(4), system(5)
    fit = begin(before, np.eye(SIZE), 0.95, kept=1e-4)
    inputs, outputs = transitions(before, 100, seed=6, noise=0.01)
    errors = [fit.update(phi[:N], phi[N:-1], following) for phi, following in zip(inputs, outputs, strict=True)]
    np.testing.assert_array_less(np.abs(errors), 0.1)
    inputs, outputs = transitions(after, 200, seed=7, noise=0.01)
    errors = [fit.update(phi[:N], phi[N:-1], following) for phi, following in zip(inputs, outputs, strict=True)]
    np.testing.assert_allclose(errors[0], outputs[0] - inputs[0] @ before, atol=0.1)
    assert np.abs(errors[0]).max() > 0.5
    # 0.95^150 of what was before the jump is left; beside the noise, 6 unknowns from 20 remembered transitions
    assert np.sqrt(np.mean(np.square(errors[150:]))) < 2.0 * 0.01 * np.sqrt(1.0 + SIZE / 20)
    np.testing.assert_allclose(fit.predict(np.ones(N), np.ones(M)), np.ones(SIZE) @ after, atol=0.1)


def test_what_is_not_excited_keeps_its_share_of_information_and_goes_back_to_the_start() -> None:
    start, information = system(8), random_information(9)
    fit = begin(start, information, 0.9, kept=0.2)
    for phi, following in zip(*transitions(system(10), 50, seed=11, noise=0.0), strict=True):
        fit.update(phi[:N], phi[N:-1], following)
    still = np.zeros(SIZE)
    still[-1] = 1.0
    for _ in range(3000):
        fit.update(still[:N], still[N:-1], still @ start)
    np.testing.assert_array_less(-1e-9, np.linalg.eigvalsh(fit.information - 0.2 * information))
    np.testing.assert_allclose(estimate(fit), start, atol=1e-9)
    assert np.linalg.eigvalsh(fit.noise).min() >= 0.0


def test_nothing_left_is_an_error_and_changes_nothing() -> None:
    fit = begin(system(12), np.eye(SIZE), 0.01, kept=0.0)
    with pytest.raises(SolverError, match="forgetting 0.01 and kept 0.0 nothing is left"):
        for _ in range(1000):
            fit.update(np.zeros(N), np.zeros(M), np.zeros(N))
    assert np.isfinite(estimate(fit)).all()


def test_started_from_a_fit_it_goes_on_as_if_it_had_seen_those_trials() -> None:
    rng = np.random.default_rng(13)
    theta = system(14)
    inputs = 2.0 + rng.normal(size=(30, 1, N + M))
    outputs = inputs @ theta[:-1] + theta[-1] + 0.1 * rng.normal(size=(30, 1, N))
    first = fit_conditionals(inputs[:25], outputs[:25], ridge=0.0)
    seen = inputs[:25, 0]
    fit = OnlineDynamics(
        first.gains[0][:, :N],
        first.gains[0][:, N:],
        first.offsets[0],
        first.covariances[0],
        information_of(seen.mean(axis=0), np.cov(seen.T, ddof=0), 25.0, ridge=0.0),
        25.0,
        OnlineOptions(1.0, 0.0),
    )
    for x, following in zip(inputs[25:, 0], outputs[25:, 0], strict=True):
        fit.update(x[:N], x[N:], following)
    whole = fit_conditionals(inputs, outputs, ridge=0.0)
    np.testing.assert_allclose(fit.a, whole.gains[0][:, :N], rtol=1e-8)
    np.testing.assert_allclose(fit.b, whole.gains[0][:, N:], rtol=1e-8)
    np.testing.assert_allclose(fit.c, whole.offsets[0], rtol=1e-8)
    np.testing.assert_allclose(fit.noise, whole.covariances[0], rtol=1e-8)


@pytest.mark.parametrize(("forgetting", "kept", "field"), [(0.0, 0.1, "forgetting"), (1.1, 0.1, "forgetting"),
                                                           (0.9, -0.1, "kept"), (0.9, 1.1, "kept")])  # fmt: skip
def test_shares_outside_their_range_are_refused(forgetting: float, kept: float, field: str) -> None:
    with pytest.raises(InvalidFieldError, match=rf"OnlineOptions\.{field}"):
        OnlineOptions(forgetting, kept)


def test_a_transition_that_is_not_finite_is_refused_and_not_learned() -> None:
    fit = begin(system(15), np.eye(SIZE), 0.9, kept=0.1)
    before = estimate(fit)
    with pytest.raises(InvalidFieldError, match=r"OnlineDynamics\.following: found nan"):
        fit.update(np.zeros(N), np.zeros(M), np.full(N, np.nan))
    np.testing.assert_array_equal(estimate(fit), before)
    with pytest.raises(InvalidFieldError, match=r"OnlineDynamics\.information: found a singular matrix"):
        begin(system(15), np.zeros((SIZE, SIZE)), 0.9, kept=0.1)
    with pytest.raises(InvalidFieldError, match=r"OnlineDynamics\.weight"):
        begin(system(15), np.eye(SIZE), 0.9, kept=0.1, weight=0.0)
