"""One policy of several: students of ensembles and of tasks, policies of parts, what tasks share. Every seed counts."""

from __future__ import annotations

import numpy as np
import pytest
from method_parts.distillation import (
    APART,
    STUDENTS,
    TOGETHER,
    WHOLE,
    divided_returns,
    first_reached,
    mimicked,
    rooms,
    taught,
)

#: On which no option was chosen.
SEEDS = (5, 6, 7)

pytestmark = pytest.mark.timeout(1800)  # s; a machine may be slow, and speed is a matter for bench/


def test_a_student_of_five_has_their_return_at_a_tenth_of_their_parameters_and_soft_targets_teach_it_best() -> None:
    found = [taught(seed) for seed in SEEDS]
    own, teachers, _, drawn = (
        np.array([(each.returns[student.name], each.off[student.name]) for each in found]) for student in STUDENTS
    )
    whole = np.array([each.returns["ensemble"] for each in found])
    assert (own[:, 0] / whole).min() >= 0.95, found
    # how well they agree with their teachers where they go
    assert (own[:, 1] < drawn[:, 1]).all(), found
    assert own[:, 1].mean() < teachers[:, 1].mean(), found


def test_one_network_does_what_three_teachers_did_and_learns_a_fourth_mass_sooner() -> None:
    for seed in SEEDS:
        found = mimicked(seed)
        share = np.array(found.students) / np.array(found.teachers)
        assert share.min() >= 0.95, (seed, share)
        enough = 0.9 * max(found.begun["scratch"])
        assert first_reached(found.begun["the student"], enough) < first_reached(found.begun["scratch"], enough), seed


def test_policies_of_parts_that_are_drawn_together_make_a_better_one_than_learning_all_at_once() -> None:
    names = (TOGETHER, WHOLE, APART)
    found = [divided_returns(seed, names) for seed in SEEDS]
    together, whole, apart = (np.array([each[name] for each in found]) for name in names)
    assert (together > whole).all(), found
    assert (together > apart).all(), found


def test_tasks_learned_together_share_the_corridor_and_a_later_goal_takes_fewer_steps() -> None:
    for seed in SEEDS:
        found = rooms(seed)
        assert found.corridor > 0.8, seed
        assert found.steps["the shared policy"].sum() < found.steps["nothing"].sum(), seed
