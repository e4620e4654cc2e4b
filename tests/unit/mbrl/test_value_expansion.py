"""Value expansion against closed forms of linear dynamics with quadratic rewards."""

from __future__ import annotations

from collections.abc import Callable

import gymnasium
import numpy as np
import pytest
import torch

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.expansion import ValueExpansion, expanded_targets
from mbpl_control.mbrl.imagination import imagine
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics, Transitions
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.replay import ReplayBuffer
from mbpl_control.mbrl.sac import SoftActorCritic

A, B, GAIN = np.array([[0.9, 0.2], [-0.1, 0.8]]), np.array([[0.0], [0.5]]), np.array([[0.3, 0.4]])
DISCOUNT = 0.95
CLOSED = A - B @ GAIN


class Known(LearnedDynamics):
    """x' = f(x, u) + noise."""

    def __init__(self, mean: Callable[[Array, Array], Array], noise: float, n: int = 2) -> None:
        self.n, self.m, self._mean, self._noise = n, 1, mean, noise

    def learn(self, more: Transitions) -> None:
        raise NotImplementedError

    def moments(self, states: Array, actions: Array) -> tuple[Array, Array]:
        return self._mean(states, actions), np.full_like(states, self._noise)

    def sample(self, states: Array, actions: Array, rng: np.random.Generator) -> Array:
        return self._mean(states, actions) + self._noise * rng.standard_normal(states.shape)

    def log_likelihood(self, states: Array, actions: Array, successors: Array) -> Array:
        raise NotImplementedError

    def jacobian(self, states: Array, actions: Array) -> tuple[Array, Array]:
        raise NotImplementedError


def problem_of(n: int, ended: float = np.inf) -> LearningProblem:
    """Reward −|x|² of where a step begins; ended beyond |x_1| = `ended`."""
    return LearningProblem(
        name="linear",
        make=lambda: gymnasium.make("CartPole-v1"),
        n=n,
        lower=np.array([-5.0]),
        upper=np.array([5.0]),
        dt=0.1,
        steps=100,
        reward=lambda x, u, _: -x.square().sum(dim=1),
        cost=lambda x, u, _: x.square().sum(dim=1),
        ended=lambda x: x[:, 0].abs() > ended,
    )


def linear(x: Array, u: Array) -> Array:
    return x @ A.T + u @ B.T


def by_gain(x: Array) -> tuple[Array, Array]:
    return -x @ GAIN.T, np.zeros(len(x))


def exact_value(x: Array) -> Array:
    """V = −xᵀ S x with S = I + γ Cᵀ S C, summed."""
    s, term = np.zeros((2, 2)), np.eye(2)
    for _ in range(2000):
        s, term = s + term, DISCOUNT * CLOSED.T @ term @ CLOSED
    return -np.einsum("bi,ij,bj->b", x, s, x)


@pytest.mark.parametrize("horizon", [1, 2, 5, 10])
def test_with_an_exact_model_a_critic_that_is_wrong_by_b_makes_targets_wrong_by_gamma_to_the_h_times_b(
    horizon: int,
) -> None:
    starts = np.random.default_rng(0).normal(size=(20, 2))
    rollout = imagine(problem_of(2), Known(linear, 0.0), by_gain, starts, horizon, np.random.default_rng(1))
    bias = 3.0
    targets = expanded_targets(
        rollout.rewards, rollout.ended, exact_value(rollout.states[-1]) + bias, DISCOUNT, np.zeros((horizon, 20))
    )
    # at every state of the rollout: what is left of it is the horizon there
    for t in range(horizon):
        excess = targets[t] - exact_value(rollout.states[t])
        np.testing.assert_allclose(excess, DISCOUNT ** (horizon - t) * bias, rtol=1e-10)


def test_with_a_noisy_model_and_a_wrong_critic_the_error_is_least_at_an_inner_horizon() -> None:
    # x' = a x, r = −x², V = −x² / (1 − p), p = γ a². The model adds noise of variance s², the critic says (1 + β) V:
    # E y_0 − V = −[ s² Σ_{t=1..H} γ^t + β ( p^H x² + γ^H v_H ) ] / (1 − p),   v_H = s² (1 − a^{2H}) / (1 − a²)
    a, noise, beta, x = 0.6, 0.05, 1.0, 1.0
    p = DISCOUNT * a**2
    dynamics, count, errors = Known(lambda x, u: a * x, noise, n=1), 40_000, []
    for horizon in range(1, 16):
        draw = lambda x: (np.zeros_like(x), np.zeros(len(x)))  # noqa: E731
        starts = np.full((count, 1), x)
        rollout = imagine(problem_of(1), dynamics, draw, starts, horizon, np.random.default_rng(horizon))
        critic = -(1.0 + beta) * rollout.states[-1, :, 0] ** 2 / (1.0 - p)
        target = expanded_targets(rollout.rewards, rollout.ended, critic, DISCOUNT)[0]
        found = target.mean() + x**2 / (1.0 - p)
        spread = noise**2 * (1.0 - a ** (2 * horizon)) / (1.0 - a**2)
        of_noise = noise**2 * sum(DISCOUNT**t for t in range(1, horizon + 1))
        exact = -(of_noise + beta * (p**horizon * x**2 + DISCOUNT**horizon * spread)) / (1.0 - p)
        assert abs(found - exact) < 5.0 * target.std() / count**0.5
        errors.append(abs(exact))
    best = int(np.argmin(errors))
    assert 0 < best < 14
    assert errors[best] < 0.1 * errors[0]
    assert errors[best] < 0.8 * errors[-1]


def test_what_has_ended_earns_nothing_more_and_a_bonus_counts_from_the_next_step_on() -> None:
    rewards = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    ended = np.array([[False, False], [True, False], [False, False]])
    bonus = np.array([[9.0, 9.0], [0.1, 0.2], [0.3, 0.4]])
    found = expanded_targets(rewards, ended, np.array([10.0, 20.0]), 0.5, bonus)
    last = [3.0 + 0.5 * 10.0, 3.0 + 0.5 * 20.0]
    middle = [2.0, 2.0 + 0.5 * (last[1] + 0.4)]
    first = [1.0 + 0.5 * (middle[0] + 0.1), 1.0 + 0.5 * (middle[1] + 0.2)]
    np.testing.assert_allclose(found, [first, middle, last])
    with pytest.raises(InvalidFieldError, match="rewards, ended, value"):
        expanded_targets(rewards, ended, np.zeros(3), 0.5)


def test_a_rollout_that_ended_stands_still_and_is_not_learned_from() -> None:
    grows = Known(lambda x, u: 2.0 * x, 0.0, n=1)
    draw = lambda x: (np.zeros_like(x), np.zeros(len(x)))  # noqa: E731
    starts = np.array([[0.1], [0.6]])
    found = imagine(problem_of(1, ended=1.0), grows, draw, starts, 3, np.random.default_rng(0))
    np.testing.assert_array_equal(found.alive, [[True, True], [True, False], [True, False]])
    np.testing.assert_array_equal(found.ended, [[False, True], [False, False], [False, False]])
    np.testing.assert_allclose(found.states[:, :, 0], [[0.1, 0.6], [0.2, 1.2], [0.4, 1.2], [0.8, 1.2]])
    moved, rewards, ended = found.transitions()
    assert (len(moved), rewards.shape, ended.sum()) == (4, (4,), 1)


def test_targets_of_real_and_imagined_steps_are_those_written_out() -> None:
    problem = problem_of(2, ended=1.5)
    agent = SoftActorCritic(2, problem.lower, problem.upper, seed=0)
    rng = np.random.default_rng(2)
    buffer = ReplayBuffer(2, 1, 100)
    x, u = rng.normal(size=(30, 2)), rng.uniform(-1.0, 1.0, size=(30, 1))
    after = linear(x, u)
    ended = np.abs(after[:, 0]) > 1.5
    assert ended.any()
    buffer.add(Transitions(x, u, after), rng.normal(size=30), ended)
    batch = buffer.batch(buffer.newest(30), agent.dtype)
    rollout = imagine(problem, Known(linear, 0.1), agent.random_action, after, 2, rng)
    state = agent._generator.get_state()
    targets, weights = ValueExpansion(problem, agent, 2, seed=3).targets(batch, rollout)
    agent._generator.set_state(state)
    value = agent.soft_values(torch.tensor(rollout.states[-1], dtype=agent.dtype)).numpy()
    alpha, gamma = agent.temperature, agent.options.discount
    goes_on = 1.0 - rollout.ended
    second = rollout.rewards[1] + gamma * goes_on[1] * value
    first = rollout.rewards[0] + gamma * goes_on[0] * (second - alpha * rollout.log_densities[1])
    real = batch.rewards.numpy() + gamma * (1.0 - ended) * (first - alpha * rollout.log_densities[0])
    np.testing.assert_allclose(targets[0].numpy(), real, rtol=1e-5, atol=1e-5)
    counted = weights.numpy() > 0.0
    np.testing.assert_array_equal(counted, [np.ones(30, bool), ~ended, ~ended & ~rollout.ended[0]])
    np.testing.assert_allclose(targets[1].numpy()[counted[1]], first[counted[1]], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(targets[2].numpy()[counted[2]], second[counted[2]], rtol=1e-5, atol=1e-5)
    assert float(weights.mean()) == pytest.approx(1.0)
