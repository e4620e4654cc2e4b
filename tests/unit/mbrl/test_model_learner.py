"""Learners with a model, on the task of a pole that must not fall."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.mbrl.evaluation import learn
from mbpl_control.mbrl.gymnasium_tasks import gymnasium_problem
from mbpl_control.mbrl.linear_quadratic import LinearQuadraticLearner
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics
from mbpl_control.mbrl.model_learner import Collection
from mbpl_control.mbrl.mpc_learner import MpcLearner
from mbpl_control.mbrl.planning.registry import problem_planner

TASK = "InvertedPendulum-v5"


def test_a_linear_model_and_its_regulator_hold_the_pole_after_a_hundred_steps() -> None:
    learner = LinearQuadraticLearner(gymnasium_problem(TASK), seed=0, collection=Collection(initial=100))
    (found,) = learn(learner, budget=100, episodes=3)
    assert found.steps == learner.steps == 100
    assert found.returns == (1000.0, 1000.0, 1000.0)


def test_judging_changes_nothing_of_what_is_learned() -> None:
    problem = gymnasium_problem(TASK)
    learned = []
    for judged in (False, True):
        dynamics = MixtureDynamics(4, 1, seed=0)
        learner = MpcLearner(
            problem, dynamics, lambda d, p: problem_planner("mppi", d, p), 1, Collection(initial=20, every=5)
        )
        for _ in range(3):
            learner.advance()
            if judged:
                for step in range(4):
                    learner.act(0.01 * np.ones(4), step)
        assert learner.steps == 30
        learned.append(dynamics.mean(np.ones((1, 4)), np.ones((1, 1))))
    np.testing.assert_array_equal(*learned)


def test_a_collection_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(InvalidFieldError, match="initial"):
        Collection(initial=1)
    with pytest.raises(InvalidFieldError, match="exploration"):
        Collection(exploration=-0.1)
