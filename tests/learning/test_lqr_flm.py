"""Local controllers are learned from trials alone: success and distance after so many iterations, over seeds.

At iteration i trials are those of controllers that i - 1 iterations made.
"""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.timeout(1800)  # s; a machine may be slow, and speed is a matter for bench/


def test_a_peg_is_in_its_hole_in_75_percent_of_the_noisy_trials_at_the_seventh_iteration(learn) -> None:
    learned = learn("lqr_flm", "arm_peg", 7)
    assert learned.mean("success", 7) >= 0.75, learned.told("success")


def test_a_reacher_ends_within_20_mm_without_noise_at_the_eighth_iteration(learn) -> None:
    learned = learn("lqr_flm", "reacher_2link", 8)
    assert learned.median("mean_distance", 8) < 0.020, learned.told("mean_distance")


@pytest.mark.parametrize("task", ["rotary_pendulum_balance", "puck_push"])
def test_a_rod_without_a_motor_and_a_puck_do_as_they_shall_in_80_percent_of_the_trials_at_the_sixth_iteration(
    learn, task: str
) -> None:
    learned = learn("lqr_flm", task, 6)
    assert learned.mean("success", 6) >= 0.80, learned.told("success")
