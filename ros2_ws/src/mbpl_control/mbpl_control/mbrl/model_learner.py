"""Model-based reinforcement learning, version 1.5: act, learn the dynamics, act by what was learned, append."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_whole
from mbpl_control.mbrl.evaluation import StepLearner
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics, Transitions
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.walk import Walk, joined

OWNER = "ModelLearner"


@dataclass(frozen=True)
class Collection:
    """How transitions are come by.

    Attributes:
        initial: steps of the base policy, which draws actions uniformly within the limits.
        every: steps after which the model learns from them.
        exploration: deviation of the noise on what is done then, as a share of half the range of an action.

    Raises:
        InvalidFieldError: one out of its range.
    """

    initial: int = 50
    every: int = 50
    exploration: float = 0.1

    def __post_init__(self) -> None:
        """Check each."""
        check_whole(OWNER, "initial", self.initial, 2, 10**9)
        check_whole(OWNER, "every", self.every, 1, 10**9)
        if not 0.0 <= self.exploration < np.inf:
            raise InvalidFieldError(OWNER, "exploration", str(self.exploration), "at least 0 and finite")


class ModelLearner(StepLearner):
    """What learners with a model share: they differ in what they do by it.

        1. run the base policy: D = {(x, u, x')}
        2. learn p(x' | x, u) from D
        3. act by it (`act`), with noise that explores
        4. append (x, u, x') to D, and after `every` steps go to 2

    Episodes go on while the model learns (`Walk`).

    Args:
        problem: what is learned.
        dynamics: that learn; new.
        seed: of what is drawn while learning, and while judged.
        collection: see `Collection`.

    Attributes:
        dynamics: as they are by now.

    Source: the scheme is that of Nagabandi, Kahn, Fearing, Levine 2018, "Neural network dynamics for model-based deep
    reinforcement learning with model-free fine-tuning".
    """

    def __init__(
        self, problem: LearningProblem, dynamics: LearnedDynamics, seed: int, collection: Collection | None = None
    ) -> None:
        """Nothing is known."""
        self.problem, self.dynamics = problem, dynamics
        self.collection = Collection() if collection is None else collection
        self.steps = 0
        self._rng = np.random.default_rng(seed)
        self._walk = Walk(problem, self._rng)

    def advance(self) -> None:
        """See `StepLearner.advance`."""
        first = self.steps == 0
        count = self.collection.initial if first else self.collection.every
        found = joined(self._walk.go(count, self._base if first else self._explore))
        self.steps += count
        self.dynamics.learn(found)
        self._learned(found)

    def act(self, state: Array, step: int) -> Array:
        """See `StepLearner.act`."""
        return self._decide(state, step, True)

    def _base(self, state: Array, step: int) -> Array:
        return self._rng.uniform(self.problem.lower, self.problem.upper)

    def _explore(self, state: Array, step: int) -> Array:
        wanted = self._decide(state, step, False)
        half_range = 0.5 * (self.problem.upper - self.problem.lower)
        noise = self.collection.exploration * half_range * self._rng.standard_normal(self.problem.m)
        return np.clip(wanted + noise, self.problem.lower, self.problem.upper)

    @abstractmethod
    def _decide(self, state: Array, step: int, judged: bool) -> Array:
        """u (m,) within the limits by what was learned; step 0 begins an episode.

        Episodes of learning and those that are judged take turns: what is remembered of the one is not for the other.
        """

    def _learned(self, found: Transitions) -> None:  # noqa: B027 - most have nothing to do
        """The dynamics learned from these transitions: what rests on them is made anew."""
