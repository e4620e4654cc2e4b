"""A user's own robot: files alone, in a directory of their own, planned for and simulated without a line of code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.agents import MujocoAgent
from mbpl_control.core import ExecutionMode
from mbpl_control.tasks import list_tasks, load_task
from mbpl_control.trajopt.planning import plan_task, task_controller

TASKS = ("scara_reach", "planar_reach")


@pytest.fixture
def elsewhere(repository: Path, tmp_path: Path, monkeypatch) -> Path:
    """A copy of the example in a user's own directory; the working directory is another one."""
    directory = tmp_path / "my robots"
    shutil.copytree(repository / "examples" / "my_robot", directory)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.delenv("MBPL_TASK_PATH", raising=False)
    return directory


@pytest.mark.parametrize("name", TASKS)
def test_a_robot_of_files_alone_is_planned_for_and_reaches_its_targets_from_every_start(elsewhere: Path, name) -> None:
    task = load_task(elsewhere / f"{name}.yaml")
    agent = MujocoAgent(task)
    for condition in task.conditions:
        result = plan_task(task, condition.index)
        assert result.converged, result.summary()
        # the plan itself keeps to the speeds the robot may have
        assert (np.abs(result.states[:, task.robot.nq :]) <= task.velocity_limits()).all()
        trial = agent.run(task_controller(task, result), ExecutionMode.MEAN, condition.index, seed=1)
        assert trial.stop_reason == "completed"
        assert trial.success


def test_its_tasks_are_found_by_name_along_the_path_of_ones_own(elsewhere: Path, monkeypatch) -> None:
    monkeypatch.setenv("MBPL_TASK_PATH", str(elsewhere))
    assert set(TASKS) <= set(list_tasks())
    task = load_task("planar_reach")
    assert task.path == elsewhere / "planar_reach.yaml"
    assert task.robot.path == elsewhere / "planar_arm.urdf"


@pytest.mark.parametrize("by", ["path", "name"])
def test_the_command_line_solves_it_by_path_and_by_name(elsewhere: Path, by: str) -> None:
    environment = dict(os.environ)
    name = str(elsewhere / "scara_reach.yaml")
    if by == "name":
        environment["MBPL_TASK_PATH"], name = str(elsewhere), "scara_reach"
    result = subprocess.run(
        [sys.executable, "-m", "mbpl_control.cli.main", "solve", "--task", name, "--json"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    answer = json.loads(result.stdout)
    assert answer["converged"] is True
    assert answer["iterations"] >= 1


def test_the_files_say_what_the_page_says_of_them(repository: Path) -> None:
    scara = load_task(repository / "examples" / "my_robot" / "scara_reach.yaml").robot
    assert scara.action.joint_names == ("shoulder", "elbow", "lift")
    assert scara.action.units == ("N*m", "N*m", "N")
    assert scara.velocity_limits.tolist() == [5.0, 6.0, 1.0]
    arm = load_task(repository / "examples" / "my_robot" / "planar_reach.yaml").robot
    assert arm.description_format == "urdf"
    assert "fingertip" in arm.frame_names
    assert arm.action.upper.tolist() == [60.0, 30.0, 10.0]
