"""Back through learned dynamics into a policy: a pole is balanced from a few hundred steps in the environment."""

from __future__ import annotations

import pytest

from mbpl_control.mbrl.backprop import BackpropLearner
from mbpl_control.mbrl.evaluation import learn, solved_at
from mbpl_control.mbrl.gymnasium_tasks import gymnasium_problem

#: Seeds on which no option was chosen.
SEEDS = (10, 11)

pytestmark = pytest.mark.timeout(1800)  # s; a machine may be slow, and speed is a matter for bench/


@pytest.mark.parametrize("seed", SEEDS)
def test_a_pole_is_balanced_three_times_in_a_row_within_300_steps(seed: int) -> None:
    problem = gymnasium_problem("InvertedPendulum-v5")
    found = learn(BackpropLearner(problem, seed), budget=300, seed=seed)
    assert solved_at(found, problem.enough) is not None, [(each.steps, each.mean) for each in found]
    assert found[-1].steps <= 300
