"""What was recorded of local controllers becomes one policy, and an ensemble one at a tenth of its size."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.agents.pool import TrialPool
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core import LinearGaussianController, Trial
from mbpl_control.demo.comparison import CONTROLLERS, ENSEMBLE, POLICY, STUDENT, attempt, nearest, promises
from mbpl_control.distill.distillation import DistillationOptions, distil
from mbpl_control.distill.ensemble import parameters_of, side_by_side
from mbpl_control.distill.lessons import gather
from mbpl_control.learning.learner import TrialRequest
from mbpl_control.learning.registry import build_learner
from mbpl_control.tasks import load_task

#: On which no option was chosen.
SEED = 4

pytestmark = pytest.mark.timeout(1800)  # s; a machine may be slow, and speed is a matter for bench/


def recorded(requests: Sequence[TrialRequest], trials: Sequence[Trial]) -> list[RecordedTrial]:
    out = []
    for number, (request, trial) in enumerate(zip(requests, trials, strict=True)):
        assert isinstance(request.law, LinearGaussianController)
        law = replace(request.law, name="under_trial", metadata={})
        robot = np.zeros((trial.steps + 1, 0))
        out.append(RecordedTrial(Path(f"{number:04d}"), trial, law, {}, True, robot, 0))
    return out


def test_the_student_of_an_ensemble_has_its_return_at_a_tenth_of_its_parameters() -> None:
    task = load_task("arm_reach_offline")
    learner = build_learner("lqr_flm", task, SEED, 8)
    with TrialPool(AgentRecipe.in_lockstep(task)) as pool:
        for _ in range(8):
            wanted = learner.requests()
            trials = pool.run(wanted)
            learner.learn(trials)
        lessons = gather(recorded(wanted, trials), task)
        distilled = distil(task, lessons, DistillationOptions(seed=SEED, hidden=(128, 128), members=5, share=0.1))
        held_out = [c.index for c in task.conditions if c.held_out]
        laws = {x.condition: x.laws[0] for x in lessons.lessons}
        whole = side_by_side(distilled.members)
        tried = {
            CONTROLLERS: attempt(task, nearest(task, laws), pool, SEED, lambda: None),
            POLICY: attempt(task, dict.fromkeys(held_out, whole), pool, SEED, lambda: None),
            STUDENT: attempt(task, dict.fromkeys(held_out, distilled.policy), pool, SEED, lambda: None),
        }
    tried[ENSEMBLE] = tried[POLICY]
    sizes = {ENSEMBLE: sum(map(parameters_of, distilled.members)), STUDENT: parameters_of(distilled.policy)}
    _, promise = promises(tried, sizes)
    assert promise.kept, promise.found
