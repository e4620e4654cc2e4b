"""One linear model and its regulator, against least squares and scipy's Riccati equation."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from scipy.linalg import solve_discrete_are

from mbpl_control.core.validation import Array
from mbpl_control.mbrl.linear_quadratic import LinearQuadraticLearner
from mbpl_control.mbrl.model_learner import Collection
from mbpl_control.mbrl.problem import LearningProblem, run_episode

#: Position and speed of a mass under friction and a constant pull.
A = np.array([[1.0, 0.1], [0.0, 0.95]])
B = np.array([[0.0], [0.1]])
PULL = np.array([0.0, -0.02])
WEIGHTS, PRICE = np.array([4.0, 0.1]), 0.01


class Mass(gymnasium.Env):
    """x' = A x + B u + c of a mass; the place where it should be is the last number of the state, and stays."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (3,))
    action_space = gymnasium.spaces.Box(-100.0, 100.0, (1,))

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        super().reset(seed=seed)
        self._state = self.np_random.uniform(-1.0, 1.0, size=3)
        return self._state, {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        moved = A @ self._state[:2] + B @ np.asarray(action) + PULL
        self._state = np.append(moved, self._state[2])
        return self._state, 0.0, False, False, {}


def cost(x: torch.Tensor, u: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """½ Σ w (y − goal)² + ½ ρ u², of the successor y."""
    missed = torch.stack([y[:, 0] - y[:, 2], y[:, 1]], dim=1)
    return 0.5 * (missed.square() @ torch.tensor(WEIGHTS)) + 0.5 * PRICE * u.square().sum(dim=1)


def problem(steps: int) -> LearningProblem:
    return LearningProblem(
        name="mass",
        make=Mass,
        n=3,
        lower=np.array([-100.0]),
        upper=np.array([100.0]),
        dt=0.1,
        steps=steps,
        reward=lambda x, u, y: -cost(x, u, y),
        cost=cost,
        ended=lambda y: torch.zeros(len(y), dtype=torch.bool),
    )


def best_actions(start: Array, steps: int) -> Array:
    """The actions (T,) that cost least from a start, by least squares on all of them at once."""
    free, moved = [], start[:2]
    for _ in range(steps):
        moved = A @ moved + PULL
        free.append(moved)
    influence = np.zeros((steps, 2, steps))
    for played in range(steps):
        push = B[:, 0]
        for t in range(played, steps):
            influence[t, :, played] = push
            push = A @ push
    wanted = np.array([start[2], 0.0]) - np.array(free)
    scale = np.sqrt(WEIGHTS)
    rows = np.concatenate([(influence * scale[:, None]).reshape(-1, steps), np.sqrt(PRICE) * np.eye(steps)])
    return np.linalg.lstsq(rows, np.concatenate([(wanted * scale).ravel(), np.zeros(steps)]), rcond=None)[0]


def test_where_no_law_brings_the_state_to_rest_an_episode_costs_as_little_as_it_can() -> None:
    """To stay at a goal that the state holds takes a force for ever, so the stationary equation has no solution."""
    whole = np.block([[A, np.zeros((2, 1))], [np.zeros((1, 2)), np.ones((1, 1))]])
    towards = np.diag([*WEIGHTS, 0.0])
    towards[0, 2] = towards[2, 0] = -WEIGHTS[0]
    towards[2, 2] = WEIGHTS[0]
    with pytest.raises(np.linalg.LinAlgError):
        solve_discrete_are(whole, np.append(B, [[0.0]], axis=0), towards, PRICE * np.eye(1))
    learner = LinearQuadraticLearner(problem(40), seed=0, collection=Collection(initial=120))
    learner.advance()
    played: list[Array] = []

    def act(state: Array, step: int) -> Array:
        played.append(learner.act(state, step))
        return played[-1]

    environment = Mass()
    start, _ = environment.reset(seed=7)
    run_episode(environment, act, 7, 40)
    np.testing.assert_allclose(np.array(played)[:, 0], best_actions(start, 40), atol=2e-3)


def test_long_before_the_end_it_is_the_stationary_regulator() -> None:
    p = solve_discrete_are(A, B, np.diag(WEIGHTS), PRICE * np.eye(1))
    stationary = -np.linalg.solve(PRICE * np.eye(1) + B.T @ p @ B, B.T @ p @ A)
    learner = LinearQuadraticLearner(problem(300), seed=0, collection=Collection(initial=600))
    learner.advance()
    assert learner.law is not None
    np.testing.assert_allclose(learner.law.gains[0, :, :2], stationary, rtol=2e-3)
    # before the last step that pays for itself alone
    single = -np.linalg.solve(PRICE * np.eye(1) + B.T @ np.diag(WEIGHTS) @ B, B.T @ np.diag(WEIGHTS) @ A)
    np.testing.assert_allclose(learner.law.gains[-1, :, :2], single, rtol=2e-3, atol=1e-6)
