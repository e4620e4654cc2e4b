"""Model-based reinforcement learning, version 1.5: a pole that is held after a few hundred steps."""

from __future__ import annotations

import pytest

from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.evaluation import learn, solved_at
from mbpl_control.mbrl.gymnasium_tasks import gymnasium_problem
from mbpl_control.mbrl.learned_model import LearnedModel, LearningCost
from mbpl_control.mbrl.model_learner import Collection
from mbpl_control.mbrl.mpc_learner import MpcLearner
from mbpl_control.mbrl.planning.cem import CEM, CEMOptions
from mbpl_control.mbrl.planning.planner import Planner

pytestmark = pytest.mark.timeout(1800)  # s; a machine may be slow, and speed is a matter for bench/


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_an_ensemble_and_icem_hold_the_pole_to_the_end_three_times_in_a_row_within_900_steps(seed: int) -> None:
    problem = gymnasium_problem("InvertedPendulum-v5")
    dynamics = EnsembleDynamics(4, 1, seed, EnsembleOptions(members=5, hidden=(32, 32), steps=600))

    def planner(*_: object) -> Planner:
        model = LearnedModel.of(dynamics, problem)
        options = CEMOptions.icem(horizon=30, samples=64, iterations=2, elites=8, deviation=0.3)
        return CEM(model, LearningCost(problem, model), problem.steps, options)

    learner = MpcLearner(problem, dynamics, planner, seed, Collection(initial=50, every=50))
    found = learn(learner, budget=900, seed=seed)
    assert solved_at(found, problem.enough) is not None, [each.mean for each in found]
