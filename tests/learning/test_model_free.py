"""Model-free learners with a model: how few steps of the robot they need."""

from __future__ import annotations

import pytest

from mbpl_control.mbrl.evaluation import learn, solved_at
from mbpl_control.mbrl.gymnasium_tasks import gymnasium_problem
from mbpl_control.mbrl.sac_learner import METHODS, SacLearner

#: Seeds on which no option was chosen.
SEEDS = (5, 6, 7)

pytestmark = pytest.mark.timeout(3600)  # s; a machine may be slow, and speed is a matter for bench/


@pytest.mark.parametrize("seed", SEEDS)
def test_mbpo_balances_the_pole_for_good_within_2500_steps(seed: int) -> None:
    problem = gymnasium_problem("InvertedPendulum-v5")
    found = learn(SacLearner(problem, seed, METHODS["MBPO"]), 2500, seed=seed)
    assert solved_at(found, problem.enough) is not None, [each.mean for each in found]
