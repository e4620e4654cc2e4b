"""A learner of steps for tests of what is around learners: it moves its action towards one it is told."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.mbrl.evaluation import StepLearner
from mbpl_control.mbrl.problem import LearningProblem, run_episode
from mbpl_control.policies.architecture import PolicyArchitecture
from mbpl_control.policies.policy import GaussianPolicy


class TinyStepLearner(StepLearner):
    """Tries an episode of a constant action drawn by its seed, and keeps the one that paid best.

    Attributes:
        policy: of that action.
    """

    def __init__(self, problem: LearningProblem, seed: int, keep_policy: bool = True) -> None:
        """Know nothing."""
        self.problem, self.steps = problem, 0
        self._rng = np.random.default_rng(seed)
        self._best, self._action = -np.inf, np.zeros(problem.m)
        self._keep = keep_policy

    def advance(self) -> None:
        """See `StepLearner.advance`: one episode."""
        tried = self._rng.uniform(self.problem.lower, self.problem.upper)
        environment = self.problem.make()
        episode = run_episode(environment, lambda *_: tried, int(self._rng.integers(1000)), self.problem.steps)
        environment.close()
        self.steps += len(episode.rewards)
        if episode.total > self._best:
            self._best, self._action = episode.total, tried

    def act(self, state: np.ndarray, step: int) -> np.ndarray:
        """See `StepLearner.act`."""
        return self._action

    @property
    def policy(self) -> GaussianPolicy | None:
        """Plain numbers in, the action out: weights are zero, the last bias says it."""
        if not self._keep:
            return None
        n, m = self.problem.n, self.problem.m
        names, actions = tuple(f"x{i}" for i in range(n)), tuple(f"u{i}" for i in range(m))
        block = StateBlock("joint_positions", names, ("euclidean",) * n, ("1",) * n)
        action = ActionDefinition(actions, actions, "effort", ("1",) * m, self.problem.lower, self.problem.upper)
        shape = PolicyArchitecture(hidden=(4,))
        policy = GaussianPolicy(StateDefinition((block,)), action, self.problem.dt, seed=0, architecture=shape)
        parameters = np.zeros_like(policy.parameters)
        parameters[-m:] = self._action
        policy.assign(parameters, np.eye(m))
        return policy


def build(method: str, problem: LearningProblem, seed: int, options: Mapping[str, Any] | None = None) -> StepLearner:
    """As `build_method`, whatever the method; one without a policy is `linear_quadratic`."""
    return TinyStepLearner(problem, seed, method != "linear_quadratic")
