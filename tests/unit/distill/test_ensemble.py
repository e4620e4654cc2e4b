"""Teachers as one: their Gaussians against what defines them, their networks against themselves."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import ActionDefinition, InvalidFieldError, StateBlock, StateDefinition
from mbpl_control.distill.ensemble import combine, parameters_of, side_by_side, smaller
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture, PolicyTargets

OBSERVATION = StateDefinition(
    (StateBlock("joint_positions", ("slide", "turn"), ("euclidean", "angle"), ("m", "rad")),),
)
ACTION = ActionDefinition(("a", "b"), ("a", "b"), "effort", ("N*m",) * 2, np.full(2, -np.inf), np.full(2, np.inf))


def gaussians(seed: int, teachers: int = 3, count: int = 4, size: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    factors = rng.normal(size=(teachers, count, size, size))
    return rng.normal(size=(teachers, count, size)), factors @ factors.transpose(0, 1, 3, 2) + 0.2 * np.eye(size)


def kl(mean: np.ndarray, cov: np.ndarray, mean2: np.ndarray, cov2: np.ndarray) -> float:
    """KL(N(mean, cov) ‖ N(mean2, cov2)), from its textbook form."""
    inverse, away = np.linalg.inv(cov2), mean2 - mean
    logs = np.linalg.slogdet(cov2)[1] - np.linalg.slogdet(cov)[1]
    return float(0.5 * (np.trace(inverse @ cov) + away @ inverse @ away - len(mean) + logs))


def policy_of(seed: int, hidden: tuple[int, ...] = (6, 4), **fields) -> GaussianPolicy:
    policy = GaussianPolicy(OBSERVATION, ACTION, 0.05, seed=seed, architecture=PolicyArchitecture(hidden, **fields))
    rng = np.random.default_rng(seed)
    observations, means = rng.normal(2.0, 3.0, (30, 2)), 20.0 * rng.normal(size=(30, 2))
    policy.fit_scales(PolicyTargets(observations, means, np.tile(np.eye(2), (30, 1, 1))))
    policy.assign(rng.normal(size=policy.parameters.size), (1.0 + seed) * np.eye(2))
    return policy


def test_a_mixture_has_the_moments_of_draws_from_softened_teachers() -> None:
    means, covariances = gaussians(0)
    temperature = 2.5
    mean, covariance = combine(means, covariances, temperature)
    rng = np.random.default_rng(1)
    for b in range(means.shape[1]):
        draws = np.concatenate(
            [rng.multivariate_normal(means[k, b], temperature * covariances[k, b], 200_000) for k in range(3)]
        )
        scale = np.sqrt(np.diag(covariance[b]))
        np.testing.assert_allclose(mean[b], draws.mean(axis=0), atol=0.01 * scale.max())
        np.testing.assert_allclose(covariance[b], np.cov(draws.T), atol=0.02 * scale.max() ** 2)


@pytest.mark.parametrize("how", ["mixture", "product"])
def test_no_other_gaussian_is_nearer_to_the_teachers_in_the_divergence_that_defines_the_combination(how: str) -> None:
    means, covariances = gaussians(2)
    temperature = 0.7
    mean, covariance = combine(means, covariances, temperature, how)

    def divergence(b: int, mu: np.ndarray, sigma: np.ndarray) -> float:
        total = 0.0
        for k in range(3):
            teacher = means[k, b], temperature * covariances[k, b]
            total += kl(*teacher, mu, sigma) if how == "mixture" else kl(mu, sigma, *teacher)
        return total

    rng = np.random.default_rng(3)
    for b in range(means.shape[1]):
        least = divergence(b, mean[b], covariance[b])
        for _ in range(50):
            factor = np.eye(2) + 0.05 * rng.normal(size=(2, 2))
            other = divergence(b, mean[b] + 0.05 * rng.normal(size=2), factor @ covariance[b] @ factor.T)
            assert other > least


def test_teachers_who_agree_are_one_teacher_and_the_temperature_only_softens_it() -> None:
    means, covariances = gaussians(4, teachers=1)
    for how in ("mixture", "product"):
        mean, covariance = combine(np.tile(means, (5, 1, 1)), np.tile(covariances, (5, 1, 1, 1)), 3.0, how)
        np.testing.assert_allclose(mean, means[0], rtol=1e-12)
        np.testing.assert_allclose(covariance, 3.0 * covariances[0], rtol=1e-10)


def test_an_ensemble_side_by_side_says_the_mean_of_its_members_also_after_a_file(tmp_path) -> None:
    members = [policy_of(0), policy_of(1, (3, 5)), policy_of(2)]
    whole = side_by_side(members)
    observations = np.random.default_rng(5).normal(2.0, 3.0, (50, 2))
    expected = np.mean([member.means(observations) for member in members], axis=0)
    np.testing.assert_allclose(whole.means(observations), expected, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(whole.covariance, 2.0 * np.eye(2))
    loaded = GaussianPolicy.load(whole.save(tmp_path / "whole.npz"))
    mean, jacobian, _ = loaded.linearize(observations[0])
    np.testing.assert_allclose(mean, expected[0], rtol=1e-11)
    np.testing.assert_allclose(jacobian, np.mean([m.linearize(observations[0])[1] for m in members], axis=0))


def test_members_that_cannot_stand_side_by_side_are_refused() -> None:
    for other in (policy_of(1, (4,)), policy_of(1, activation="tanh"), policy_of(1, covariance="state_dependent")):
        with pytest.raises(InvalidFieldError, match="architecture"):
            side_by_side([policy_of(0), other])


def test_a_smaller_architecture_is_the_widest_that_fits() -> None:
    like = PolicyArchitecture((40, 40))
    most = like.parameter_count(20, 7) // 2
    found = smaller(like, 20, 7, most)
    units = found.hidden[0]
    assert found.parameter_count(20, 7) <= most < PolicyArchitecture((units + 1,) * 2).parameter_count(20, 7)
    with pytest.raises(InvalidFieldError, match="parameters"):
        smaller(like, 20, 7, 20)
    assert parameters_of(policy_of(0)) == (3 * 6 + 6) + (6 * 4 + 4) + (4 * 2 + 2)


@pytest.mark.parametrize(("field", "value"), [("temperature", 0.0), ("temperature", float("nan")), ("how", "median")])
def test_a_combination_that_means_nothing_is_refused(field: str, value: object) -> None:
    with pytest.raises(InvalidFieldError):
        combine(*gaussians(0), **{field: value})
