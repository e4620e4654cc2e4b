"""Gaussian mixtures against scipy's densities and mixtures that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from mbpl_control.core import InvalidFieldError, SolverError
from mbpl_control.fitting.mixture import GaussianMixture


def random_mixture(seed: int, clusters: int, size: int, spread: float) -> GaussianMixture:
    """Clusters of different shape, `spread` times their own size apart."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(clusters, size, size)) * rng.uniform(0.05, 1.0, size=size)
    covariances = factor @ factor.transpose(0, 2, 1) + 1e-4 * np.eye(size)
    return GaussianMixture(
        rng.dirichlet(np.ones(clusters)), spread * rng.normal(size=(clusters, size)), covariances, 100
    )


def draw(mixture: GaussianMixture, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points of a mixture, and which cluster each is from."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(mixture.clusters, size=count, p=mixture.weights)
    factors = np.linalg.cholesky(mixture.covariances)
    points = mixture.means[labels] + np.einsum("pij,pj->pi", factors[labels], rng.normal(size=(count, len(factors[0]))))
    return points, labels.astype(np.intp)


def log_densities(mixture: GaussianMixture, points: np.ndarray) -> np.ndarray:
    """log w_k N(y; μ_k, Σ_k) of every point in every cluster, by scipy."""
    parts = zip(mixture.weights, mixture.means, mixture.covariances, strict=True)
    return np.stack([np.log(w) + multivariate_normal(mean, cov).logpdf(points) for w, mean, cov in parts], axis=1)


@pytest.mark.parametrize("size", [2, 7, 8, 9, 30])
@pytest.mark.parametrize("spread", [0.1, 3.0, 100.0])
def test_responsibilities_and_likelihood_are_those_of_scipys_densities(size: int, spread: float) -> None:
    mixture = random_mixture(size, 6, size, spread)
    # more than two rounds of the points that are worked on side by side, and a rest
    points, _ = draw(mixture, 150, seed=1)
    logs = log_densities(mixture, points)
    expectation = mixture.expect(points)
    shares = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    np.testing.assert_allclose(expectation.responsibilities, shares, atol=1e-12)
    np.testing.assert_allclose(expectation.responsibilities.sum(axis=1), 1.0, rtol=1e-14)
    assert expectation.log_likelihood == pytest.approx(logsumexp(logs, axis=1).sum(), rel=1e-10)


def test_a_point_far_from_every_cluster_belongs_to_the_likeliest_all_the_same() -> None:
    mixture = random_mixture(3, 4, 5, 1.0)
    points = np.array([np.full(5, 1e4), np.full(5, -1e4)])
    expected = np.argmax(log_densities(mixture, points), axis=1)
    np.testing.assert_array_equal(mixture.expect(points).responsibilities, np.eye(4)[expected])


def test_a_cluster_without_weight_has_no_share() -> None:
    mixture = random_mixture(4, 3, 2, 1.0)
    mixture.weights = np.array([0.5, 0.0, 0.5])
    shares = mixture.expect(draw(mixture, 20, seed=2)[0]).responsibilities
    assert np.isfinite(shares).all()
    assert (shares[:, 1] == 0.0).all()


@pytest.mark.parametrize("seed", range(4))
def test_the_likelihood_never_falls_from_one_iteration_to_the_next(seed: int) -> None:
    points, _ = draw(random_mixture(seed, 5, 6, 1.5), 600, seed)
    labels = np.random.default_rng(seed + 50).integers(0, 5, len(points))
    # the ridge is no part of the likelihood; without it the theorem holds as it stands
    mixture = GaussianMixture.laid_on(points, labels, 5, ridge=0.0)
    before = mixture.expect(points).log_likelihood
    for _ in range(25):
        after = mixture.improve(points, 1, ridge=0.0).log_likelihood
        assert after >= before - 1e-9 * abs(before)
        before = after


def test_a_known_mixture_is_recovered_from_its_points() -> None:
    truth = random_mixture(8, 3, 3, 4.0)
    points, labels = draw(truth, 30000, seed=9)
    # begin with a third of the labels wrong
    rng = np.random.default_rng(10)
    start = np.where(rng.uniform(size=len(labels)) < 1 / 3, rng.integers(0, 3, len(labels)), labels)
    mixture = GaussianMixture.laid_on(points, start, 3, ridge=1e-9)
    mixture.improve(points, 200, ridge=1e-9, tolerance=1e-12)
    # four standard errors of a mean over the points of a cluster, and of a second moment
    np.testing.assert_allclose(mixture.weights, truth.weights, atol=4 * 0.5 / np.sqrt(len(points)))
    for k in range(3):
        deviations = np.sqrt(np.diag(truth.covariances[k]))
        error = 4.0 / np.sqrt(truth.weights[k] * len(points))
        assert (np.abs(mixture.means[k] - truth.means[k]) < error * deviations).all()
        scale = np.outer(deviations, deviations)
        assert (np.abs(mixture.covariances[k] - truth.covariances[k]) < 2.0 * error * scale).all()


def test_an_iteration_takes_the_weighted_moments_of_the_points() -> None:
    mixture = random_mixture(11, 4, 3, 1.0)
    points, _ = draw(mixture, 200, seed=12)
    logs = log_densities(mixture, points)
    shares = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    mixture.improve(points, 1, ridge=1e-3)
    np.testing.assert_allclose(mixture.weights, shares.mean(axis=0), rtol=1e-10)
    for k in range(4):
        mean = np.average(points, axis=0, weights=shares[:, k])
        cov = np.cov(points.T, aweights=shares[:, k], ddof=0) + 1e-3 * np.eye(3)
        np.testing.assert_allclose(mixture.means[k], mean, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(mixture.covariances[k], cov, rtol=1e-9, atol=1e-12)


def test_what_is_expected_of_the_last_points_does_not_depend_on_asking_for_all() -> None:
    points, labels = draw(random_mixture(13, 3, 4, 2.0), 100, seed=14)
    whole = GaussianMixture.laid_on(points, labels, 3, 1e-6).improve(points, 4, tolerance=0.0)
    part = GaussianMixture.laid_on(points, labels, 3, 1e-6).improve(points, 4, tolerance=0.0, recent=30)
    np.testing.assert_array_equal(part.responsibilities, whole.responsibilities[-30:])
    converged = GaussianMixture.laid_on(points, labels, 3, 1e-6).improve(points, 4, tolerance=1e9, recent=30)
    assert converged.responsibilities.shape == (30, 3)


def test_a_cluster_that_lost_its_points_takes_the_moments_of_all() -> None:
    points, labels = draw(random_mixture(15, 2, 2, 1.0), 100, seed=16)
    mixture = GaussianMixture.laid_on(points, labels, 2, 0.0)
    mixture.means[1] = 1e6
    mixture.improve(points, 1, ridge=0.0)
    np.testing.assert_allclose(mixture.means[1], points.mean(axis=0))
    np.testing.assert_allclose(mixture.covariances[1], np.cov(points.T, ddof=0))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_clusters_of_points_on_a_line_stay_positive_definite_whatever_the_size_of_their_numbers(scale: float) -> None:
    rng = np.random.default_rng(17)
    points = scale * (rng.normal(size=(200, 1)) * rng.normal(size=30) + 10.0)
    mixture = GaussianMixture.laid_on(points, np.arange(200) % 4, 4, ridge=1e-6)
    shares = mixture.improve(points, 5).responsibilities
    assert np.isfinite(shares).all()


def test_moments_are_those_of_a_mixture_with_the_given_weights() -> None:
    mixture = random_mixture(18, 3, 4, 1e3)
    shares = np.random.default_rng(19).dirichlet(np.ones(3), size=5)
    means, covariances = mixture.moments(shares)
    for s, mean, cov in zip(shares, means, covariances, strict=True):
        expected = sum(w * m for w, m in zip(s, mixture.means, strict=True))
        np.testing.assert_allclose(mean, expected, rtol=1e-12)
        parts = zip(s, mixture.means, mixture.covariances, strict=True)
        within = sum(w * (c + np.outer(m - expected, m - expected)) for w, m, c in parts)
        np.testing.assert_allclose(cov, within, rtol=1e-9, atol=1e-6)


def test_a_label_without_a_point_and_points_that_are_not_finite_are_refused() -> None:
    points = np.zeros((4, 2))
    with pytest.raises(InvalidFieldError, match=r"GaussianMixture\.labels: found labels with counts \[2, 0, 2\]"):
        GaussianMixture.laid_on(points, np.array([0, 0, 2, 2]), 3, 1e-6)
    with pytest.raises(InvalidFieldError, match=r"GaussianMixture\.points"):
        GaussianMixture.laid_on(points * np.nan, np.array([0, 0, 1, 1]), 2, 1e-6)


def test_a_covariance_that_is_none_is_an_error_that_says_what_helps() -> None:
    mixture = GaussianMixture(np.ones(1), np.zeros((1, 2)), np.array([[[1.0, 2.0], [2.0, 1.0]]]), 10)
    with pytest.raises(SolverError, match="not positive definite, with numbers up to 2; a larger ridge"):
        mixture.expect(np.zeros((3, 2)))
