"""Dynamics fitted to trials of systems that are known, and what is said about the quality of a fit."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError
from mbpl_control.fitting.local_dynamics import fit_local_dynamics
from mbpl_control.fitting.prior import MixturePrior, PriorOptions
from mbpl_control.fitting.regression import NormalInverseWishart

STEPS, N, M = 15, 3, 2


class System:
    """x' = A_t x + B_t u + c_t with noise of the given standard deviation."""

    def __init__(self, noise: float = 0.0, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.a = np.eye(N) + 0.1 * rng.normal(size=(STEPS, N, N))
        self.b = rng.normal(size=(STEPS, N, M))
        self.c = rng.normal(size=(STEPS, N))
        self.noise = noise

    def run(self, trials: int, seed: int, start: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
        """States (N, T+1, n) and actions (N, T, m) of trials with random actions."""
        rng = np.random.default_rng(seed)
        actions = rng.normal(size=(trials, STEPS, M))
        states = np.empty((trials, STEPS + 1, N))
        states[:, 0] = 2.0 + start * rng.normal(size=(trials, N))
        for t in range(STEPS):
            mean = states[:, t] @ self.a[t].T + actions[:, t] @ self.b[t].T + self.c[t]
            states[:, t + 1] = mean + self.noise * rng.normal(size=mean.shape)
        return states, actions


def test_a_linear_system_is_found_exactly_from_as_many_trials_as_it_has_unknowns() -> None:
    system = System()
    states, actions = system.run(N + M + 1, seed=1)
    fit = fit_local_dynamics(states, actions, ridge=1e-12)
    np.testing.assert_allclose(fit.a, system.a, atol=1e-5)
    np.testing.assert_allclose(fit.b, system.b, atol=1e-5)
    np.testing.assert_allclose(fit.c, system.c, atol=1e-4)
    assert fit.one_step_error.max() < 1e-6
    assert (fit.rank == N + M).all()


def test_the_rank_tells_how_many_directions_the_trials_span() -> None:
    states, actions = System().run(4, seed=2, start=0.0)
    rank = fit_local_dynamics(states, actions).rank
    # 4 trials from one start: the actions alone differ at first, then 3 differences of trials
    np.testing.assert_array_equal(rank, [M] + [3] * (STEPS - 1))


def test_the_held_out_error_is_that_on_a_trial_the_fit_has_not_seen() -> None:
    system = System(noise=0.1)
    states, actions = system.run(9, seed=3)
    fit = fit_local_dynamics(states, actions, held_out=4)
    rest = fit_local_dynamics(np.delete(states, 4, axis=0), np.delete(actions, 4, axis=0))
    for t in range(STEPS):
        predicted = rest.a[t] @ states[4, t] + rest.b[t] @ actions[4, t] + rest.c[t]
        error = np.sqrt(np.mean((states[4, t + 1] - predicted) ** 2))
        assert fit.held_out_error[t] == pytest.approx(error, rel=1e-9)
    assert fit.held_out_error.mean() > fit.one_step_error.mean()
    assert np.isnan(fit_local_dynamics(states, actions).held_out_error).all()


def test_noise_is_found_from_many_trials() -> None:
    states, actions = System(noise=0.2).run(2000, seed=4)
    fit = fit_local_dynamics(states, actions)
    np.testing.assert_allclose(fit.noise, np.tile(0.04 * np.eye(N), (STEPS, 1, 1)), atol=0.04 * 5 / np.sqrt(2000) * 2)


def test_in_deviations_the_dynamics_are_the_same() -> None:
    system = System()
    states, actions = system.run(8, seed=5)
    fit = fit_local_dynamics(states, actions)
    around = fit.around(states[0], actions[0])
    x, u = states[3], actions[3]
    plain = np.einsum("tij,tj->ti", fit.a, x[:-1]) + np.einsum("tij,tj->ti", fit.b, u) + fit.c
    dx, du = x[:-1] - states[0, :-1], u - actions[0]
    moved = np.einsum("tij,tj->ti", around.a, dx) + np.einsum("tij,tj->ti", around.b, du) + around.c
    np.testing.assert_allclose(moved + states[0, 1:], plain, atol=1e-10)


def test_a_prior_from_other_trials_halves_the_error_of_a_fit_to_few() -> None:
    system = System(noise=0.02)
    system.a[:], system.b[:], system.c[:] = system.a[0], system.b[0], system.c[0]
    prior = MixturePrior(PriorOptions(clusters=2))
    prior.update(_points(*system.run(30, seed=6)))
    states, actions = system.run(4, seed=7)
    at = prior.at(prior.update(_points(states, actions)))
    assert isinstance(at, NormalInverseWishart)
    fresh_states, fresh_actions = system.run(50, seed=8)

    def error(prior: NormalInverseWishart | None) -> float:
        fit = fit_local_dynamics(states, actions, prior)
        predicted = np.einsum("tij,ktj->kti", fit.a, fresh_states[:, :-1]) + fit.c
        predicted += np.einsum("tij,ktj->kti", fit.b, fresh_actions)
        return float(np.sqrt(np.mean((fresh_states[:, 1:] - predicted) ** 2)))

    assert error(at) < 0.5 * error(None)


def _points(states: np.ndarray, actions: np.ndarray) -> np.ndarray:
    return np.concatenate([states[:, :-1], actions, states[:, 1:]], axis=2)


@pytest.mark.parametrize(("count", "held_out"), [(2, 0), (5, 5), (5, -1)])
def test_a_trial_that_cannot_be_held_out_is_refused(count: int, held_out: int) -> None:
    states, actions = System().run(count, seed=9)
    with pytest.raises(InvalidFieldError, match=rf"held_out: found trial {held_out} of {count}"):
        fit_local_dynamics(states, actions, held_out=held_out)
