"""Faults of processes, laws, operators, disk and processor, on the launched graph."""

from __future__ import annotations

import pytest
from catalog import CASES
from scene import Case, Result, Scene

__all__ = ["CASES"]


@pytest.mark.timeout(1500)
def test_the_robot_is_safe_in_time_the_reason_is_told_and_a_switch_brings_it_back(
    scene: Scene, case: Case, repetitions: int, result: Result
) -> None:
    for i in range(repetitions):
        scene.repeat(case, result, i / repetitions)
    assert not result.violations, "\n".join(result.violations)
    assert result.recovered == repetitions
