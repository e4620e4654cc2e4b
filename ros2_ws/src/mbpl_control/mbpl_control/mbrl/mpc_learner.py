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
        planner: makes one of the dynamics and the problem, e.g. from `planning.registry.problem_planner`.
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
        # each with a generator of its own, so that how often one is judged changes nothing of what is learned
        self._planners = {
            judged: (planner(dynamics, problem), np.random.default_rng([seed, 1 + judged])) for judged in (False, True)
        }

    def _decide(self, state: Array, step: int, judged: bool) -> Array:
        planner, rng = self._planners[judged]
        if step == 0:
            planner.forget()
        return np.array(planner.plan(state, rng, step).actions[0])
