"""Tasks whose dynamics are known, run from many starts at once: where policies are learned by the thousand trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import Array, check_positive, check_whole
from mbpl_control.mbrl.problem import LearningProblem, Rated
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture

OWNER = "BatchProblem"

#: o (B, n) → means (B, m) and covariances (B, m, m), as `GaussianPolicy.distribution` gives them.
Distribution = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class BatchProblem:
    """A task with known dynamics, whose state is what a policy sees.

    Actuators saturate: an action beyond its limits has the effect of the nearest one within them, and costs as much.
    An episode never ends before its last step.

    Attributes:
        name: of the task.
        state: what x is, n numbers.
        action: what u is, m numbers with finite limits.
        dt: s of a step.
        steps: T of an episode.
        starts: number N and generator → x_0 (N, n).
        successors: x (N, n), u (N, m) within the limits → x' (N, n), by torch.
        reward: r (N,) of x, u and x'.
        enough: return of an episode that counts as solved; NaN where none does.

    Raises:
        InvalidFieldError: an action has no limits, or a wrong size.
    """

    name: str
    state: StateDefinition
    action: ActionDefinition
    dt: float
    steps: int
    starts: Callable[[int, np.random.Generator], Array]
    successors: Callable[[Tensor, Tensor], Tensor]
    reward: Rated
    enough: float = float("nan")

    def __post_init__(self) -> None:
        """Check them."""
        check_positive(OWNER, "dt", self.dt, "s")
        check_whole(OWNER, "steps", self.steps, 1, 10**9)
        if not np.isfinite([self.action.lower, self.action.upper]).all():
            raise InvalidFieldError(OWNER, "action", "an actuator without limits", "within finite limits")

    @cached_property
    def learning_problem(self) -> LearningProblem:
        """What a learner is told of it that is to find out the dynamics."""
        return LearningProblem(
            name=self.name,
            make=lambda: BatchEnvironment(self),
            n=self.state.size,
            lower=np.array(self.action.lower),
            upper=np.array(self.action.upper),
            dt=self.dt,
            steps=self.steps,
            reward=self.reward,
            cost=lambda states, actions, successors: -self.reward(states, actions, successors),
            ended=lambda successors: torch.zeros(len(successors), dtype=torch.bool),
            enough=self.enough,
        )

    def new_policy(self, architecture: PolicyArchitecture, seed: int) -> GaussianPolicy:
        """An untrained policy for it."""
        return GaussianPolicy(self.state, self.action, self.dt, seed=seed, architecture=architecture, task=self.name)

    def step(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """x' (N, n) and r (N,) of x (N, n) and u (N, m)."""
        x = torch.from_numpy(states)
        u = torch.from_numpy(np.clip(actions, self.action.lower, self.action.upper))
        after = self.successors(x, u)
        return after.numpy(), self.reward(x, u, after).numpy()


@dataclass(frozen=True, eq=False)
class Batch:
    """N episodes of T steps.

    Attributes:
        states: x (T+1, N, n).
        actions: u (T, N, m), as drawn: before an actuator saturates.
        rewards: (T, N).
    """

    states: Array
    actions: Array
    rewards: Array

    @property
    def returns(self) -> Array:
        """Of each episode, not discounted (N,)."""
        return np.asarray(self.rewards.sum(axis=0))

    @property
    def count(self) -> int:
        """Steps in all, T N."""
        return int(self.rewards.size)

    @property
    def visited(self) -> Array:
        """States in which an action was taken (T N, n), step by step."""
        return self.states[:-1].reshape(self.count, -1)


def run_batch(
    problem: BatchProblem, distribution: Distribution, starts: Array, rng: np.random.Generator | None = None
) -> Batch:
    """Episodes from given starts.

    Args:
        problem: what is done.
        distribution: of the actions.
        starts: x_0 (N, n).
        rng: of the actions' noise; None for means without noise.

    Raises:
        InvalidFieldError: the starts have a wrong shape, or a state is not finite.
    """
    n, m = problem.state.size, problem.action.size
    if starts.ndim != 2 or starts.shape[1] != n or not len(starts):
        raise InvalidFieldError("run_batch", "starts", f"shape {starts.shape}", f"(N, {n}), N at least 1")
    states = np.empty((problem.steps + 1, *starts.shape))
    actions = np.empty((problem.steps, len(starts), m))
    rewards = np.empty((problem.steps, len(starts)))
    states[0] = starts
    for t in range(problem.steps):
        means, covariances = distribution(states[t])
        actions[t] = means
        if rng is not None:
            noise = rng.standard_normal(means.shape)
            actions[t] += np.einsum("bij,bj->bi", np.linalg.cholesky(covariances), noise)
        states[t + 1], rewards[t] = problem.step(states[t], actions[t])
    if not np.isfinite(states).all():
        raise InvalidFieldError("run_batch", "states", "one that is not finite", "finite")
    return Batch(states, actions, rewards)


def mean_return(problem: BatchProblem, distribution: Distribution, episodes: int, seed: int) -> float:
    """Mean return without noise over so many starts, which follow from the seed."""
    starts = problem.starts(episodes, np.random.default_rng(seed))
    return float(run_batch(problem, distribution, starts).returns.mean())


class BatchEnvironment(gymnasium.Env[Array, Array]):
    """A `BatchProblem` one episode at a time, with Gymnasium's interface; observations are x.

    Args:
        problem: what it is.
    """

    def __init__(self, problem: BatchProblem) -> None:
        """No episode has begun."""
        self.problem = problem
        self.observation_space = Box(-np.inf, np.inf, (problem.state.size,), np.float64)
        self.action_space = Box(np.array(problem.action.lower), np.array(problem.action.upper), dtype=np.float64)
        self._state, self._steps = np.zeros(problem.state.size), 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Array, dict[str, Any]]:
        """A new start."""
        super().reset(seed=seed)
        self._state, self._steps = self.problem.starts(1, self.np_random)[0], 0
        return self._state.copy(), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict[str, Any]]:
        """One step; the last one is cut off."""
        successors, rewards = self.problem.step(self._state[None], np.asarray(action, dtype=np.float64)[None])
        self._state = successors[0]
        self._steps += 1
        return self._state.copy(), float(rewards[0]), False, self._steps >= self.problem.steps, {}
