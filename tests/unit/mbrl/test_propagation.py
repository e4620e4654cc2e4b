"""Particles through learned dynamics, and noise that is alike at near steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from mbpl_control.core import ActionDefinition, StateBlock, StateDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.gymnasium_tasks import FALLEN, RAIL, gymnasium_problem
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics, Transitions
from mbpl_control.mbrl.learned_model import LearnedModel, LearningCost
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics
from mbpl_control.mbrl.planning.coloured_noise import coloured_noise
from mbpl_control.mbrl.planning.propagation import Propagation, Scenarios, propagate


class TwoDrifts(MixtureDynamics):
    """x' = x + ½ or x − ½: two hypotheses, each of them sure."""

    hypotheses = 2

    def realise(self, states: Array, actions: Array, noise: Array, lots: Array) -> Array:
        return states + np.array([0.5, -0.5])[:, None, None]


def numbers(learned: LearnedDynamics) -> LearnedModel:
    """As a model of plain numbers."""
    names = tuple(f"x{i}" for i in range(learned.n))
    block = StateBlock("observation", names, ("euclidean",) * learned.n, ("1",) * learned.n)
    actions, far = tuple(f"u{i}" for i in range(learned.m)), np.full(learned.m, np.inf)
    action = ActionDefinition(actions, actions, "effort", ("1",) * learned.m, -far, far)
    return LearnedModel(learned, StateDefinition((block,)), action, 0.1)


def spread(dynamics: LearnedDynamics, kind: str, particles: int, horizon: int = 10) -> Array:
    """Where particles are in the end (P,), under no action."""
    model = numbers(dynamics)
    scenarios = Scenarios.drawn(model, Propagation(kind, particles), horizon, np.random.default_rng(0))
    return propagate(model, np.zeros(1), np.zeros((1, horizon, 1)), scenarios).states[:, 0, -1, 0]


def test_doubt_grows_with_the_horizon_where_a_hypothesis_is_kept_and_with_its_root_where_it_is_not() -> None:
    kept = spread(TwoDrifts(1, 1, 0), "ts_infinity", 2000)
    assert sorted(set(kept)) == [-5.0, 5.0] and kept.mean() == 0.0
    changed = spread(TwoDrifts(1, 1, 0), "ts_1", 2000)
    assert changed.mean() == pytest.approx(0.0, abs=1e-12)
    # ten independent steps of ½
    assert changed.var() == pytest.approx(10 * 0.25, rel=0.1)


def test_particles_of_linear_dynamics_have_the_covariance_of_a_linear_gaussian_chain() -> None:
    rng = np.random.default_rng(1)
    a, b = np.array([[0.9, 0.3], [-0.2, 0.8]]), np.array([[0.1], [0.5]])
    x, u = rng.normal(size=(500, 2)), rng.normal(size=(500, 1))
    noise = np.array([[0.2, 0.0], [0.15, 0.1]])
    model = MixtureDynamics(2, 1, seed=0)
    model.learn(Transitions(x, u, x @ a.T + u @ b.T + rng.normal(size=(500, 2)) @ noise.T))
    (a,), (b,) = model.jacobian(np.zeros((1, 2)), np.zeros((1, 1)))
    drawn = model.sample(np.zeros((100_000, 2)), np.zeros((100_000, 1)), rng)
    step = np.cov(drawn.T)
    actions = rng.normal(size=(3, 6, 1))
    scenarios = Scenarios.drawn(numbers(model), Propagation("ts_infinity", 20_000), 6, rng)
    found = propagate(numbers(model), np.array([1.0, -1.0]), actions, scenarios).states
    means = propagate(numbers(model), np.array([1.0, -1.0]), actions, None).states[0]
    covariance = np.zeros((2, 2))
    for t in range(1, 7):
        covariance = a @ covariance @ a.T + step
        for k in range(3):
            np.testing.assert_allclose(np.cov(found[:, k, t].T), covariance, atol=0.03 * np.trace(covariance))
            np.testing.assert_allclose(found[:, k, t].mean(axis=0), means[k, t], atol=0.02)


def test_each_particle_of_an_ensemble_is_led_by_its_member() -> None:
    model = EnsembleDynamics(2, 1, seed=0, options=EnsembleOptions(members=3, hidden=(8,), steps=5))
    rng = np.random.default_rng(2)
    x, u = rng.normal(size=(40, 2)), rng.normal(size=(40, 1))
    model.learn(Transitions(x, u, 0.9 * x + 0.1 * u))
    actions = rng.normal(size=(4, 3, 1))
    scenarios = Scenarios.drawn(numbers(model), Propagation("ts_infinity", 2), 3, rng)
    assert scenarios is not None
    found = propagate(numbers(model), np.ones(2), actions, scenarios).states
    for particle in range(6):
        for k in range(4):
            state = np.ones(2)
            for t in range(3):
                means, deviations = model.members(state[None], actions[k, t][None])
                member = particle // 2
                state = means[member, 0] + deviations[member, 0] * scenarios.noise[t, particle]
                np.testing.assert_allclose(found[particle, k, t + 1], state, rtol=1e-9)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, 3.0])
def test_the_power_of_coloured_noise_falls_as_its_exponent_says_and_its_variance_is_one(exponent: float) -> None:
    noise = coloured_noise(exponent, (200, 1024), np.random.default_rng(3))
    power = np.square(np.abs(np.fft.rfft(noise))).mean(axis=0)[1:-1]
    slope = np.polyfit(np.log(np.arange(1, 512)), np.log(power), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.03)
    for steps in (1, 2, 15, 20):
        short = coloured_noise(exponent, (20_000, steps), np.random.default_rng(4))
        np.testing.assert_allclose(short.var(axis=0), 1.0, rtol=0.06)
        np.testing.assert_allclose(short.mean(axis=0), 0.0, atol=0.04)


def test_noise_of_no_exponent_is_refused() -> None:
    with pytest.raises(InvalidFieldError, match="exponent"):
        coloured_noise(-1.0, (5,), np.random.default_rng(0))


def pendulum_model() -> LearnedModel:
    problem = gymnasium_problem("InvertedPendulum-v5")
    model = EnsembleDynamics(4, 1, seed=0, options=EnsembleOptions(members=2, hidden=(8, 8), steps=200))
    rng = np.random.default_rng(5)
    x, u = 0.1 * rng.normal(size=(200, 4)), rng.normal(size=(200, 1))
    model.learn(Transitions(x, u, x + 0.05 * np.sin(x[:, [2, 3, 0, 1]]) + 0.02 * u))
    return LearnedModel.of(model, problem)


def test_each_step_from_an_end_on_costs_the_penalty() -> None:
    model = pendulum_model()
    problem = gymnasium_problem("InvertedPendulum-v5")
    states, actions = np.zeros((2, 5, 4)), np.zeros((2, 4, 1))
    states[1, 2, 1] = 1.01 * FALLEN
    found = LearningCost(problem, model, 50.0).evaluate(states, actions)
    np.testing.assert_array_equal(found, [[0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 50.0, 50.0, 50.0, 0.0]])
    smooth = LearningCost(problem, model, None).evaluate(states, actions)
    np.testing.assert_allclose(smooth[1], [0.0, 1.01**2, 0.0, 0.0, 0.0])


def test_derivatives_of_a_learning_cost_are_those_of_the_cost_through_the_model() -> None:
    model = pendulum_model()
    problem = gymnasium_problem("InvertedPendulum-v5")
    cost = LearningCost(problem, model, None)
    rng = np.random.default_rng(6)
    actions, start = rng.normal(size=(3, 1)), 0.05 * rng.normal(size=4)
    states = model.rollout(start, actions)
    found = cost.quadratize(states, actions)
    h = 1e-5
    for t in range(3):

        def value(x: Array, u: Array) -> float:
            after = model.step(x[None], u[None])
            return float(problem.cost(*(torch.tensor(part) for part in (x[None], u[None], after)))[0])

        for i in range(4):
            d = h * np.eye(4)[i]
            slope = (value(states[t] + d, actions[t]) - value(states[t] - d, actions[t])) / (2.0 * h)
            assert found.lx[t, i] == pytest.approx(slope, rel=1e-5, abs=1e-8)
        slope = (value(states[t], actions[t] + h) - value(states[t], actions[t] - h)) / (2.0 * h)
        assert found.lu[t, 0] == pytest.approx(slope, rel=1e-5, abs=1e-8)
    # the cost is quadratic in the successor: H = 2 diag of its weights, through the model's Jacobian
    a, b = model.linearize(states[:-1], actions)
    weights = np.diag([1.0 / RAIL**2, 1.0 / FALLEN**2, 0.0, 0.0])
    np.testing.assert_allclose(found.lxx[:-1], 2.0 * a.transpose(0, 2, 1) @ weights @ a, atol=1e-10)
    np.testing.assert_allclose(found.lux, 2.0 * b.transpose(0, 2, 1) @ weights @ a, atol=1e-10)
    np.testing.assert_allclose(found.luu, 2.0 * b.transpose(0, 2, 1) @ weights @ b + 2e-3, atol=1e-10)
    np.testing.assert_allclose(cost.quadratize(states, actions, "gauss_newton").lxx, found.lxx, atol=1e-9)
