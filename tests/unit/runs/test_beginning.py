"""How long a run is to be."""

from __future__ import annotations

from pathlib import Path

import pytest

from mbpl_control.runs.beginning import new_run


@pytest.mark.parametrize(
    ("asked", "said", "method", "expected"),
    [(3, "learning: {iterations: 4}", "gps", 3), (None, "learning: {iterations: 4}", "gps", 4)]
    + [(None, "", "lqr_flm", 10), (None, "learning: {samples: 3}", "gps", 12)],
)
def test_the_caller_decides_before_the_task_and_the_task_before_the_method(
    asked: int | None, said: str, method: str, expected: int, task_files: Path, tmp_path: Path
) -> None:
    task = tmp_path / "mine.yaml"
    task.write_text(f"extends: {task_files / 'rotary_pendulum_balance.yaml'}\n{said}\n", encoding="utf-8")
    directory = new_run(
        method,
        str(task),
        agent="mujoco",
        seed=1,
        iterations=asked,
        samples=None,
        variant=None,
        output=tmp_path / "run",
    )
    assert directory.description.iterations == expected
