"""Dynamics learned from transitions: one contract, held by a mixture and by an ensemble of networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics, Transitions, coverage
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics

Make = Callable[[], LearnedDynamics]
A = np.array([[0.9, 0.2], [-0.3, 0.8]])
B = np.array([[0.1], [0.5]])
NOISE = np.array([0.02, 0.05])
SMALL = EnsembleOptions(members=3, hidden=(32, 32), steps=600)


def linear(count: int, seed: int) -> Transitions:
    rng = np.random.default_rng(seed)
    x, u = rng.normal(size=(count, 2)), rng.normal(size=(count, 1))
    return Transitions(x, u, x @ A.T + u @ B.T + 0.3 + NOISE * rng.normal(size=(count, 2)))


def bent(count: int, seed: int, width: float = 2.0) -> Transitions:
    """x' = x + ½ sin 2x + ½ u with noise that grows with |u|."""
    rng = np.random.default_rng(seed)
    x, u = rng.uniform(-width, width, size=(count, 1)), rng.uniform(-1.0, 1.0, size=(count, 1))
    noise = (0.02 + 0.1 * np.abs(u)) * rng.normal(size=(count, 1))
    return Transitions(x, u, x + 0.5 * np.sin(2.0 * x) + 0.5 * u + noise)


@pytest.fixture(scope="module")
def models() -> dict[str, LearnedDynamics]:
    """Of the bent transitions."""
    made: dict[str, LearnedDynamics] = {
        "mixture": MixtureDynamics(1, 1, seed=0, clusters=8),
        "ensemble": EnsembleDynamics(1, 1, seed=0, options=SMALL),
    }
    for model in made.values():
        model.learn(bent(1500, 1))
    return made


@pytest.mark.parametrize("name", ["mixture", "ensemble"])
def test_the_mean_is_that_of_the_dynamics(models: dict[str, LearnedDynamics], name: str) -> None:
    x, u = np.linspace(-1.8, 1.8, 40)[:, None], np.linspace(-0.9, 0.9, 40)[::-1, None]
    exact = x + 0.5 * np.sin(2.0 * x) + 0.5 * u
    error = models[name].mean(x, u) - exact
    assert np.sqrt(np.mean(np.square(error))) < 0.05


@pytest.mark.parametrize("name", ["mixture", "ensemble"])
def test_the_jacobian_is_the_derivative_of_the_mean_by_finite_differences(
    models: dict[str, LearnedDynamics], name: str
) -> None:
    x, u = np.linspace(-1.5, 1.5, 9)[:, None], np.linspace(-0.8, 0.8, 9)[:, None]
    by_x, by_u = models[name].jacobian(x, u)
    assert by_x.shape == by_u.shape == (9, 1, 1)
    h = 1e-5
    for found, (dx, du) in ((by_x, (h, 0.0)), (by_u, (0.0, h))):
        slope = (models[name].mean(x + dx, u + du) - models[name].mean(x - dx, u - du)) / (2.0 * h)
        np.testing.assert_allclose(found[:, 0], slope, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["mixture", "ensemble"])
def test_samples_have_the_moments_and_the_likelihood_integrates_to_one(
    models: dict[str, LearnedDynamics], name: str
) -> None:
    model, count = models[name], 40_000
    x, u = np.full((count, 1), 0.4), np.full((count, 1), -0.7)
    drawn = model.sample(x, u, np.random.default_rng(2))
    mean, deviation = (part[0, 0] for part in model.moments(x[:1], u[:1]))
    assert drawn.mean() == pytest.approx(mean, abs=5.0 * deviation / count**0.5)
    assert drawn.std() == pytest.approx(deviation, rel=0.03)
    grid = np.linspace(mean - 8.0 * deviation, mean + 8.0 * deviation, 4001)[:, None]
    density = np.exp(model.log_likelihood(np.full_like(grid, 0.4), np.full_like(grid, -0.7), grid))
    assert np.trapezoid(density, grid[:, 0]) == pytest.approx(1.0, abs=1e-3)


def test_an_ensemble_of_few_transitions_of_linear_dynamics_is_linear_far_from_all_of_them() -> None:
    rng = np.random.default_rng(3)
    x, u = rng.normal(size=(30, 2)), rng.normal(size=(30, 1))
    model = EnsembleDynamics(2, 1, seed=0, options=EnsembleOptions(members=3, hidden=(32, 32), steps=50))
    model.learn(Transitions(x, u, x @ A.T + u @ B.T + 0.3))
    far = 10.0 * x
    np.testing.assert_allclose(model.mean(far, u), far @ A.T + u @ B.T + 0.3, atol=1e-3)
    by_x, by_u = model.jacobian(far[:1], u[:1])
    np.testing.assert_allclose(by_x[0], A, atol=1e-3)
    np.testing.assert_allclose(by_u[0], B, atol=1e-3)


def test_intervals_of_a_mixture_cover_what_they_say_where_noise_is_the_same_everywhere() -> None:
    model = MixtureDynamics(2, 1, seed=0)
    model.learn(linear(1500, 1))
    np.testing.assert_allclose(coverage(model, linear(3000, 3)), np.array([[0.5], [0.9]]) * np.ones(2), atol=0.04)


def test_intervals_of_an_ensemble_cover_what_they_say_of_transitions_it_has_not_seen(
    models: dict[str, LearnedDynamics],
) -> None:
    found = coverage(models["ensemble"], bent(3000, 3))[:, 0]
    np.testing.assert_allclose(found, [0.5, 0.9], atol=0.1)


def test_errors_on_what_an_ensemble_held_out_are_as_large_as_it_expects(models: dict[str, LearnedDynamics]) -> None:
    model = models["ensemble"]
    assert isinstance(model, EnsembleDynamics)
    held = model.held_out
    assert 100 < len(held) < 200  # a tenth of 1500
    mean, deviation = model.moments(held.states, held.actions)
    assert np.square((held.successors - mean) / deviation).mean() == pytest.approx(1.0, rel=1e-6)


def test_coverage_of_the_exact_model_is_its_level() -> None:
    class Exact(MixtureDynamics):
        def moments(self, states: Array, actions: Array) -> tuple[Array, Array]:
            return states @ A.T + actions @ B.T + 0.3, np.tile(NOISE, (len(states), 1))

    found = coverage(Exact(2, 1, seed=0), linear(20_000, 4), (0.3, 0.5, 0.9))
    np.testing.assert_allclose(found, np.array([[0.3], [0.5], [0.9]]) * np.ones(2), atol=0.015)


def test_one_cluster_is_least_squares_and_exact_where_dynamics_are_linear() -> None:
    data = linear(200, 5)
    model = MixtureDynamics(2, 1, seed=0)
    # in two parts: what came first is kept
    model.learn(Transitions(data.states[:50], data.actions[:50], data.successors[:50]))
    model.learn(Transitions(data.states[50:], data.actions[50:], data.successors[50:]))
    phi = np.concatenate([data.states, data.actions, np.ones((200, 1))], axis=1)
    weights = np.linalg.lstsq(phi, data.successors, rcond=None)[0]
    by_x, by_u = model.jacobian(data.states[:3], data.actions[:3])
    np.testing.assert_allclose(by_x, np.tile(weights[:2].T, (3, 1, 1)), atol=1e-7)
    np.testing.assert_allclose(by_u, np.tile(weights[2:3].T, (3, 1, 1)), atol=1e-7)
    np.testing.assert_allclose(model.mean(data.states, data.actions), phi @ weights, atol=1e-7)
    left = data.successors - phi @ weights
    exact = multivariate_normal(mean=np.zeros(2), cov=left.T @ left / 200).logpdf(left)
    np.testing.assert_allclose(model.log_likelihood(data.states, data.actions, data.successors), exact, rtol=1e-5)


def test_particles_go_where_the_members_say_in_single_precision_and_so_they_do_of_an_ensemble_that_was_kept(
    models: dict[str, LearnedDynamics],
) -> None:
    ensemble = models["ensemble"]
    assert isinstance(ensemble, EnsembleDynamics)
    rng = np.random.default_rng(3)
    members = ensemble.options.members
    x, u, noise = (rng.normal(size=(members, 20, k)) for k in (ensemble.n, ensemble.m, ensemble.n))
    means, deviations = ensemble.members(x, u)
    found = ensemble.realise(x, u, noise, rng.random((members, 20)))
    # seven digits of what the networks add
    np.testing.assert_allclose(found, means + deviations * noise, rtol=1e-5, atol=1e-5)
    again = EnsembleDynamics.of_parts(*ensemble.parts())
    np.testing.assert_array_equal(again.realise(x, u, noise, rng.random((members, 20))), found)


def test_an_ensemble_doubts_where_it_has_seen_nothing() -> None:
    model = EnsembleDynamics(1, 1, seed=1, options=SMALL)
    model.learn(bent(400, 6, width=1.0))
    u = np.zeros((20, 1))
    inside, outside = np.linspace(-0.9, 0.9, 20)[:, None], np.linspace(2.5, 4.0, 20)[:, None]
    near, far = (model.members(x, u)[0].std(axis=0).mean() for x in (inside, outside))
    assert far > 5.0 * near


def test_an_ensemble_goes_on_learning_from_what_it_knows() -> None:
    model = EnsembleDynamics(1, 1, seed=2, options=SMALL)
    model.learn(bent(300, 7, width=1.0))
    held = bent(500, 8, width=2.0)
    before = model.log_likelihood(held.states, held.actions, held.successors).mean()
    model.learn(bent(600, 9, width=2.0))
    after = model.log_likelihood(held.states, held.actions, held.successors).mean()
    assert after > before + 0.2


def test_the_same_seed_learns_the_same_to_the_last_bit() -> None:
    options = EnsembleOptions(members=2, hidden=(8,), steps=20)
    one, two = (EnsembleDynamics(1, 1, seed=3, options=options) for _ in range(2))
    x = np.linspace(-1.0, 1.0, 5)[:, None]
    for model in (one, two):
        model.learn(bent(60, 10))
        model.learn(bent(60, 11))
    np.testing.assert_array_equal(one.mean(x, x), two.mean(x, x))


@pytest.mark.parametrize(
    "make",
    [lambda: MixtureDynamics(1, 1, seed=0), lambda: EnsembleDynamics(1, 1, seed=0, options=SMALL)],
    ids=["mixture", "ensemble"],
)
def test_transitions_that_do_not_fit_are_refused_and_nothing_changes(make: Make) -> None:
    model = make()
    with pytest.raises(InvalidFieldError, match="found 2 and 1 numbers; must be 1 and 1"):
        model.learn(linear(10, 12))
    with pytest.raises(InvalidFieldError, match="transitions"):
        model.learn(Transitions(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros((0, 1))))
    with pytest.raises(InvalidFieldError, match="not finite"):
        Transitions(np.array([[np.nan]]), np.zeros((1, 1)), np.zeros((1, 1)))
    with pytest.raises(InvalidFieldError, match="successors"):
        Transitions(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 2)))
