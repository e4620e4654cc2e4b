"""Learned dynamics with a planner: the first action of each plan is executed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics
from mbpl_control.mbrl.model_learner import Collection, ModelLearner
from mbpl_control.mbrl.planning.planner import Planner
from mbpl_control.mbrl.problem import LearningProblem


class MpcLearner(ModelLearner):
    """Model predictive control on dynamics that are learned at the same time.

    Args:
        problem: what is learned.
        dynamics: that learn; new.
        planner: of the dynamics and the problem, e.g. `planning.registry.problem_planner`.
        seed: of what is drawn while learning, and while judged.
        collection: see `Collection`.

    Source: see `ModelLearner`; with an ensemble and trajectory sampling it is that of Chua et al. 2018 (PETS).
    """

    def __init__(
        self,
        problem: LearningProblem,
        dynamics: LearnedDynamics,
        planner: Callable[[LearnedDynamics, LearningProblem], Planner],
        seed: int,
        collection: Collection | None = None,
    ) -> None:
        """Nothing is known."""
        super().__init__(problem, dynamics, seed, collection)
        self.planner = planner(dynamics, problem)

    def _decide(self, state: Array, step: int, rng: np.random.Generator) -> Array:
        if step == 0:
            self.planner.forget()
        return np.array(self.planner.plan(state, rng, step).actions[0])
