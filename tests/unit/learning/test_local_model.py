"""Local models: laws, costs and dynamics in deviations from a reference, and back."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import LinearGaussianController
from mbpl_control.costs.cost import Quadratization
from mbpl_control.fitting.local_dynamics import fit_local_dynamics
from mbpl_control.learning.local_model import LocalModel, TrialSet, mean_expansion
from mbpl_control.tasks import Task
from mbpl_control.trajopt.kl_lqr import LinearLaw


def random_quadratic(rng: np.random.Generator, steps: int, n: int, m: int) -> Quadratization:
    lxx, luu = rng.normal(size=(steps + 1, n, n)), rng.normal(size=(steps, m, m))
    return Quadratization(
        rng.normal(size=steps + 1),
        rng.normal(size=(steps + 1, n)),
        rng.normal(size=(steps, m)),
        lxx + lxx.transpose(0, 2, 1),
        rng.normal(size=(steps, m, n)),
        luu + luu.transpose(0, 2, 1),
    )


def value(q: Quadratization, dx: np.ndarray, du: np.ndarray) -> np.ndarray:
    """A quadratic at deviations (T+1, n), (T, m), by step."""
    out = q.value + np.einsum("ti,ti->t", q.lx, dx) + 0.5 * np.einsum("ti,tij,tj->t", dx, q.lxx, dx)
    out[:-1] += np.einsum("ti,ti->t", q.lu, du) + 0.5 * np.einsum("ti,tij,tj->t", du, q.luu, du)
    out[:-1] += np.einsum("ti,tij,tj->t", du, q.lux, dx[:-1])
    return out


@pytest.fixture
def trials(balance: Task) -> TrialSet:
    rng = np.random.default_rng(0)
    # near enough to each other that no angle goes around
    states = 0.3 * rng.normal(size=(6, balance.horizon + 1, balance.state.size))
    return TrialSet(states, rng.normal(size=(6, balance.horizon, balance.action.size)), rng.normal(size=6))


@pytest.fixture
def model(trials: TrialSet) -> LocalModel:
    states, actions = trials.mean_states, trials.mean_actions
    steps, n, m = len(actions), states.shape[1], actions.shape[1]
    fit = fit_local_dynamics(trials.states, trials.actions).around(states, actions)
    cost = random_quadratic(np.random.default_rng(1), steps, n, m)
    return LocalModel(states, actions, fit, cost, np.zeros(n), 0.1 * np.eye(n))


def test_the_mean_of_expansions_is_the_mean_of_the_quadratics_wherever_it_is_asked(trials: TrialSet) -> None:
    count, steps, m = trials.actions.shape
    n = trials.states.shape[2]
    rng = np.random.default_rng(2)
    parts = [random_quadratic(rng, steps, n, m) for _ in range(count)]
    mean = mean_expansion(parts, trials.mean_states, trials.mean_actions, trials)
    x, u = rng.normal(size=(steps + 1, n)), rng.normal(size=(steps, m))
    apart = zip(parts, trials.states, trials.actions, strict=True)
    expected = np.mean([value(part, x - states, u - actions) for part, states, actions in apart], axis=0)
    np.testing.assert_allclose(value(mean, x - trials.mean_states, u - trials.mean_actions), expected, rtol=1e-9)


def test_a_controller_and_its_law_in_deviations_answer_the_same(balance: Task, model: LocalModel) -> None:
    rng = np.random.default_rng(3)
    steps, n, m = balance.horizon, balance.state.size, balance.action.size
    controller = LinearGaussianController(
        balance.state,
        balance.action,
        balance.dt,
        0.3 * rng.normal(size=(steps + 1, n)),
        rng.normal(size=(steps, m)),
        rng.normal(size=(steps, m, n)),
        rng.normal(size=(steps, m)),
        np.tile(0.2 * np.eye(m), (steps, 1, 1)),
    )
    law = model.law(controller)
    for t in range(steps):
        x = 0.3 * rng.normal(size=n)
        mean = model.actions[t] + law.gains[t] @ (x - model.states[t]) + law.feedforward[t]
        np.testing.assert_allclose(mean, controller.mean(t, x), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(law.precisions, np.linalg.inv(controller.covariances))


@pytest.mark.parametrize("push", [0.0, 1e3, -1e3])
def test_planned_actions_never_exceed_the_limits_of_the_actuators(
    balance: Task, model: LocalModel, push: float
) -> None:
    rng = np.random.default_rng(4)
    steps, n, m = balance.horizon, balance.state.size, balance.action.size
    law = LinearLaw.of(
        rng.normal(size=(steps, m, n)),
        push + 0.01 * rng.normal(size=(steps, m)),
        np.tile(0.2 * np.eye(m), (steps, 1, 1)),
    )
    means = 0.01 * rng.normal(size=(steps + 1, n))
    controller = model.controller(balance, law, means, "made", 2.0, {"iteration": 3})
    lower, upper = balance.action.lower, balance.action.upper
    assert np.isfinite([lower, upper]).all()
    assert ((controller.planned_actions >= lower) & (controller.planned_actions <= upper)).all()
    if push:
        np.testing.assert_array_equal(controller.planned_actions, np.tile(upper if push > 0 else lower, (steps, 1)))
    np.testing.assert_allclose(controller.nominal_states, model.states + means)
    assert (controller.noise_smoothing, controller.name, controller.metadata["iteration"]) == (2.0, "made", 3)


def test_dynamics_of_plain_states_are_those_of_the_trials_and_lead_back_to_the_model(
    balance: Task, trials: TrialSet, model: LocalModel
) -> None:
    plain = model.absolute_dynamics(balance, len(trials.states))
    fit = fit_local_dynamics(trials.states, trials.actions)
    for mine, theirs in ((plain.a, fit.a), (plain.b, fit.b), (plain.c, fit.c), (plain.covariances, fit.noise)):
        np.testing.assert_allclose(mine, theirs, atol=1e-10)
    again = LocalModel.of_dynamics(plain, trials, model.cost, 1e-6)
    np.testing.assert_allclose(again.dynamics.c, model.dynamics.c, atol=1e-10)
    np.testing.assert_allclose(np.diag(again.start_covariance), trials.states[:, 0].var(axis=0))
