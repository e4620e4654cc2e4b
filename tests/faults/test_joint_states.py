"""Faults of what the robot measures: a relay between it and the estimator loses, delays and spoils it."""

from __future__ import annotations

import pytest
from catalog import RELAYED as CASES
from scene import Case, Result, Scene

__all__ = ["CASES"]
RELAYED = True


@pytest.mark.timeout(1500)
def test_the_robot_is_safe_whatever_becomes_of_its_joint_states(
    scene: Scene, case: Case, repetitions: int, result: Result
) -> None:
    for i in range(repetitions):
        scene.repeat(case, result, i / repetitions)
    assert not result.violations, "\n".join(result.violations)
    assert result.recovered == repetitions
