"""Regression at every step against least squares, the mode of a posterior found by scipy, and cbfinn/gps."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from mbpl_control.core import InvalidFieldError
from mbpl_control.fitting.mixture import GaussianMixture
from mbpl_control.fitting.regression import NormalInverseWishart, fit_conditionals

STEPS, INPUTS, OUTPUTS = 4, 3, 2


def trials(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (N, T, p) and outputs (N, T, r) that follow them with noise, far from zero."""
    rng = np.random.default_rng(seed)
    inputs = 5.0 + rng.normal(size=(count, STEPS, INPUTS))
    gains = rng.normal(size=(STEPS, OUTPUTS, INPUTS))
    outputs = np.einsum("trp,ntp->ntr", gains, inputs) + 0.3 * rng.normal(size=(count, STEPS, OUTPUTS)) - 7.0
    return inputs, outputs


def random_prior(seed: int = 1) -> NormalInverseWishart:
    rng = np.random.default_rng(seed)
    size = INPUTS + OUTPUTS
    factor = rng.normal(size=(STEPS, size, size))
    scatter = factor @ factor.transpose(0, 2, 1) + 0.5 * np.eye(size)
    return NormalInverseWishart(rng.normal(size=(STEPS, size)), scatter, 1.5, 2.5)


def test_without_prior_and_ridge_it_is_least_squares_at_each_step() -> None:
    inputs, outputs = trials(12)
    fit = fit_conditionals(inputs, outputs, ridge=0.0)
    for t in range(STEPS):
        design = np.column_stack([inputs[:, t], np.ones(12)])
        solution = np.linalg.lstsq(design, outputs[:, t], rcond=None)[0]
        np.testing.assert_allclose(fit.gains[t], solution[:-1].T, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(fit.offsets[t], solution[-1], rtol=1e-8)
        residual = outputs[:, t] - design @ solution
        np.testing.assert_allclose(fit.covariances[t], residual.T @ residual / 12, rtol=1e-8, atol=1e-12)


def test_with_fewer_trials_than_inputs_it_is_the_solution_of_least_norm_as_the_ridge_vanishes() -> None:
    inputs, outputs = trials(3)
    fit = fit_conditionals(inputs, outputs, ridge=1e-9)
    for t in range(STEPS):
        centred = inputs[:, t] - inputs[:, t].mean(axis=0)
        least = np.linalg.lstsq(centred, outputs[:, t] - outputs[:, t].mean(axis=0), rcond=None)[0]
        np.testing.assert_allclose(fit.gains[t], least.T, atol=1e-6)


def test_a_ridge_is_ridge_regression() -> None:
    inputs, outputs = trials(6)
    fit = fit_conditionals(inputs, outputs, ridge=0.1)
    for t in range(STEPS):
        # least squares with √(N ρ) I below the centred data
        centred = np.concatenate([inputs[:, t] - inputs[:, t].mean(axis=0), np.sqrt(6 * 0.1) * np.eye(INPUTS)])
        right = np.concatenate([outputs[:, t] - outputs[:, t].mean(axis=0), np.zeros((INPUTS, OUTPUTS))])
        np.testing.assert_allclose(fit.gains[t], np.linalg.lstsq(centred, right, rcond=None)[0].T, rtol=1e-9)


def test_with_a_prior_it_conditions_the_most_probable_covariance() -> None:
    """The maximum of  N(ȳ; μ, Σ/N) N(μ; μ₀, Σ/m) |Σ|^{-(n₀ + 0)/2} exp(−½ tr Σ⁻¹ (N C + Φ))  found by search."""
    inputs, outputs = trials(5)
    prior = random_prior()
    fit = fit_conditionals(inputs, outputs, prior, ridge=0.0)
    count, size, lower = 5, INPUTS + OUTPUTS, np.tril_indices(INPUTS + OUTPUTS)
    for t in range(2):
        joint = np.concatenate([inputs[:, t], outputs[:, t]], axis=1)

        def objective(
            parameters: np.ndarray, joint: np.ndarray = joint, mean0: np.ndarray = prior.mean[t],
            scatter: np.ndarray = prior.scatter[t],
        ) -> float:  # fmt: skip
            factor = np.zeros((size, size))
            factor[lower] = parameters
            sigma = factor @ factor.T + 1e-12 * np.eye(size)
            # with the mean integrated out, y_1 .. y_N are jointly Gaussian: N C and the distance to the prior's mean
            away = joint.mean(axis=0) - mean0
            centred = joint - joint.mean(axis=0)
            total = centred.T @ centred + scatter
            total += count * prior.mean_strength / (count + prior.mean_strength) * np.outer(away, away)
            weight = count + prior.scatter_strength
            return float(weight * np.linalg.slogdet(sigma)[1] + np.trace(np.linalg.solve(sigma, total)))

        start = np.linalg.cholesky(np.cov(joint.T) + np.eye(size))[lower]
        found = minimize(objective, start, method="BFGS", options={"gtol": 1e-7, "maxiter": 2000})
        factor = np.zeros((size, size))
        factor[lower] = found.x
        sigma = factor @ factor.T
        gains = np.linalg.solve(sigma[:INPUTS, :INPUTS], sigma[:INPUTS, INPUTS:]).T
        np.testing.assert_allclose(fit.gains[t], gains, rtol=1e-4, atol=1e-5)
        schur = sigma[INPUTS:, INPUTS:] - gains @ sigma[:INPUTS, INPUTS:]
        np.testing.assert_allclose(fit.covariances[t], schur, rtol=1e-4)
        np.testing.assert_allclose(
            fit.offsets[t], joint.mean(axis=0)[INPUTS:] - fit.gains[t] @ joint.mean(axis=0)[:INPUTS], rtol=1e-9
        )


def test_a_prior_of_overwhelming_weight_decides_alone() -> None:
    inputs, outputs = trials(5)
    prior = random_prior()
    strong = NormalInverseWishart(prior.mean, 1e9 * prior.scatter, 1e-9, 1e9)
    fit = fit_conditionals(inputs, outputs, strong, ridge=0.0)
    expected = np.linalg.solve(prior.scatter[:, :INPUTS, :INPUTS], prior.scatter[:, :INPUTS, INPUTS:])
    np.testing.assert_allclose(fit.gains, expected.transpose(0, 2, 1), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("prior", [None, random_prior()])
def test_a_start_at_which_all_trials_are_alike_is_well_posed(prior: NormalInverseWishart | None) -> None:
    inputs, outputs = trials(5)
    inputs[:, 0], outputs[:, 0] = inputs[0, 0], outputs[0, 0]
    fit = fit_conditionals(inputs, outputs, prior)
    assert all(np.isfinite(part).all() for part in (fit.gains, fit.offsets, fit.covariances))
    # at the point itself it says what happened there, and without a prior nothing about other points
    np.testing.assert_allclose(fit.gains[0] @ inputs[0, 0] + fit.offsets[0], outputs[0, 0], rtol=1e-9)
    if prior is None:
        np.testing.assert_allclose(fit.gains[0], 0.0, atol=1e-6)


def test_covariances_are_symmetric_and_not_negative() -> None:
    inputs, outputs = trials(3)
    fit = fit_conditionals(inputs, outputs)
    np.testing.assert_array_equal(fit.covariances, fit.covariances.transpose(0, 2, 1))
    assert np.linalg.eigvalsh(fit.covariances).min() > -1e-9


def test_under_the_same_mixture_the_fits_are_those_of_cbfinn_gps(reacher_update: dict[str, np.ndarray]) -> None:
    g = reacher_update
    states, actions = g["X"], g["U"]
    n, m = states.shape[2], actions.shape[2]
    points = np.concatenate([states[:, :-1], actions[:, :-1], states[:, 1:]], axis=2)
    steps, size = points.shape[1:]
    mixture = GaussianMixture(np.exp(g["gmm_logmass"][:, 0]), g["gmm_mu"], g["gmm_sigma"], 10 * steps)
    shares = mixture.expect(points.reshape(-1, size)).responsibilities.reshape(len(points), steps, -1)
    mean, scatter = mixture.moments(shares.mean(axis=0))
    strength = (mixture.points_at_start - 2 - size) / mixture.points_at_start
    prior = NormalInverseWishart(mean, scatter, 1.0, strength)
    fit = fit_conditionals(points[..., : n + m], points[..., n + m :], prior, 1e-6, block_ridge=True)
    for mine, theirs in ((fit.gains, g["Fm"]), (fit.offsets, g["fv"]), (fit.covariances, g["dyn_covar"])):
        np.testing.assert_allclose(mine, theirs[:-1], rtol=0.0, atol=1e-8 * np.abs(theirs).max())


def test_arrays_that_do_not_fit_and_a_single_trial_are_refused() -> None:
    inputs, outputs = trials(4)
    with pytest.raises(InvalidFieldError, match=r"fit_conditionals\.inputs: found shapes"):
        fit_conditionals(inputs, outputs[:, :-1])
    with pytest.raises(InvalidFieldError, match=r"fit_conditionals\.inputs: found 1 trials"):
        fit_conditionals(inputs[:1], outputs[:1])
    with pytest.raises(InvalidFieldError, match=r"fit_conditionals\.prior: found a mean of shape"):
        fit_conditionals(inputs[:, :-1], outputs[:, :-1], random_prior())
