"""What a report tells of recorded trials: every one in the table with its bag, figures where the task is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core import LinearGaussianController, Trial
from mbpl_control.runs.recorded import RecordedStory
from mbpl_control.runs.report import write_runs
from mbpl_control.tasks import Task


def recorded(task: Task, path: Path, controller: str, condition: int, seed: int) -> RecordedTrial:
    """A robot that wanders, under a law that holds it against gravity and explores."""
    steps, rng = 6, np.random.default_rng(seed)
    start = task.condition(condition).state
    robot = start + np.cumsum(0.01 * rng.normal(size=(steps + 1, len(start))), axis=0)
    actions = np.tile(task.robot.gravity(start[: task.robot.nq]), (steps, 1))
    m, n = task.action.size, task.robot.state.tangent_size
    trial = Trial(
        task.state,
        task.action,
        task.dt,
        task.task_state(robot),
        actions,
        task=task.name,
        task_hash=task.hash,
        condition=condition,
        controller=controller,
        seed=seed,
        success=seed % 2 == 0,
    )
    law = LinearGaussianController(
        task.robot.state,
        task.action,
        task.dt,
        robot,
        actions,
        np.zeros((steps, m, n)),
        covariances=np.repeat(0.01 * np.eye(m)[None], steps, axis=0),
    )
    return RecordedTrial(path, trial, law, {}, True, robot, 0)


def test_every_trial_is_in_the_table_with_its_bag_and_both_controllers_are_drawn(
    arm_reach: Task, tmp_path: Path, Page: Any
) -> None:
    story = RecordedStory(tmp_path / "report.html", arm_reach)
    for seed in range(4):
        bag = tmp_path / "bags" / f"trial <{seed}>"
        bag.mkdir(parents=True)
        story.add(recorded(arm_reach, bag, "teacher" if seed < 2 else "student", seed % 2, seed))
    page = write_runs([], tmp_path / "report.html", story.plates(), story.rows, story.notes)
    text = page.read_text(encoding="utf-8")
    told = Page(text)
    assert told.open == []
    links = [link for link in told.links if not link.startswith("#")]
    assert len(links) == 4 and all((tmp_path / link).is_dir() for link in links)
    assert [i for i in told.ids if i.startswith("b1-")] == ["b1-recorded", "b1-distances", "b1-controllers"]
    assert "success 50 %" in text and "teacher" in text and "student" in text
    assert "2σ" in text and "start 1" in text


def test_a_trial_of_a_task_that_is_gone_is_told_without_figures_and_with_the_reason(
    arm_reach: Task, tmp_path: Path
) -> None:
    story = RecordedStory(tmp_path / "report.html")
    good = recorded(arm_reach, tmp_path / "bag", "teacher", 0, 0)
    story.add(replace(good, trial=replace(good.trial, task_hash="another")))
    story.add_bag(tmp_path / "no such bag")
    page = write_runs([], tmp_path / "report.html", story.plates(), story.rows, story.notes)
    text = page.read_text(encoding="utf-8")
    assert story.plates() == [] and len(story.rows) == 1
    assert "was recorded as another, and is another by now" in text and "no such bag" in text
