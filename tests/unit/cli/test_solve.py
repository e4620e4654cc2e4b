"""`mbpl solve` and `mbpl tasks` as a user runs them: what they print, and their exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from mbpl_control.cli.main import main
from mbpl_control.core import LinearGaussianController
from mbpl_control.tasks import load_task
from mbpl_control.trajopt.result import STOP_REASONS

TASKS = (
    "pendulum_swingup",
    "cartpole_swingup",
    "acrobot_swingup",
    "rotary_pendulum_balance",
    "reacher_2link",
    "puck_push",
    "arm_reach",
    "panda_reach",
)


@dataclass(frozen=True)
class Outcome:
    """What a run of the command left."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def mbpl(task_files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run the command on the repository's own tasks, in this process."""

    def run(*arguments: str, **environment: str) -> Outcome:
        for key, value in {"MBPL_TASK_PATH": str(task_files), "COLUMNS": "200", **environment}.items():
            monkeypatch.setenv(key, value)
        monkeypatch.setattr(sys, "argv", ["mbpl", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        code = 0 if end.value.code is None else int(end.value.code)
        return Outcome(code, *capsys.readouterr())

    return run


def solved(outcome: Outcome) -> dict:
    """What it printed as JSON; standard output must hold nothing else."""
    assert outcome.returncode == 0, outcome.stderr
    assert outcome.stdout.count("\n") == 1
    return json.loads(outcome.stdout)


def test_as_a_process_of_its_own_it_prints_json_alone_and_its_exit_code_counts(task_files: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mbpl_control.cli.main", "solve", *arguments]
        environment = {**os.environ, "MBPL_TASK_PATH": str(task_files)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)

    good = run("--task", "reacher_2link", "--json")
    assert good.returncode == 0, good.stderr
    assert json.loads(good.stdout)["converged"]
    bad = run("--task", "reacher_2link", "--iterations", "0", "--json")
    assert (bad.returncode, bad.stdout) == (2, "")


@pytest.mark.parametrize("task", TASKS)
def test_every_task_converges_and_ends_where_it_should_under_mujoco_with_feedback(mbpl, task: str) -> None:
    outcome = solved(mbpl("solve", "--task", task, "--json"))
    assert outcome["converged"]
    assert STOP_REASONS[outcome["stop_reason"]]
    assert outcome["iterations"] == len(outcome["costs"]) > 0
    assert outcome["cost"] == outcome["costs"][-1]
    assert outcome["seconds"] > 0.0
    assert outcome["planned"]["success"]
    trial = outcome["trial"]
    assert trial["success"]
    if task.endswith("swingup"):
        # upright, and it stays
        assert trial["unit"] == "rad"
        assert trial["worst_last_half_second"] < 0.05
    elif task.startswith("rotary"):
        # caught as it falls; success says that it stands for the last quarter of a second
        assert trial["unit"] == "rad"
        assert trial["final_distance"] < 0.05
    else:
        assert trial["unit"] == "m"
        assert trial["final_distance"] < 0.01


def test_the_controller_it_writes_is_the_plan_it_told_of(mbpl, tmp_path: Path) -> None:
    path = tmp_path / "law.npz"
    outcome = solved(mbpl("solve", "-t", "reacher_2link", "--json", "--save", str(path), "--condition", "2"))
    law = LinearGaussianController.load(path)
    assert outcome["saved"] == str(path)
    assert law.metadata["task"] == "reacher_2link"
    assert law.metadata["cost"] == pytest.approx(outcome["cost"])
    assert law.metadata["stop_reason"] == outcome["stop_reason"]
    assert law.steps == 100


def test_text_says_the_same_in_words(mbpl) -> None:
    process = mbpl("solve", "-t", "reacher_2link")
    assert process.returncode == 0
    # by kernels of the robot's own where this machine has them
    backend = load_task("reacher_2link").backend()
    assert f"reacher_2link, start condition 0 (train 0), backend {backend}" in process.stdout
    assert "converged (" in process.stdout
    assert "run with feedback: success: " in process.stdout
    assert process.stderr == ""


def test_a_plan_that_did_not_converge_is_told_by_exit_code_one(mbpl) -> None:
    process = mbpl("solve", "-t", "arm_reach", "--iterations", "1", "--json", "--no-execute")
    assert process.returncode == 1
    outcome = json.loads(process.stdout)
    assert (outcome["converged"], outcome["stop_reason"], outcome["iterations"]) == (False, "max_iterations", 1)
    assert outcome["trial"] is None


def test_a_robot_with_a_ball_joint_is_planned_for_and_not_run(mbpl, tmp_path: Path) -> None:
    (tmp_path / "ball.xml").write_text(
        '<mujoco><worldbody><body><joint name="b" type="ball" damping="1"/><geom size="0.1" mass="1"/><body>'
        '<joint name="w" axis="0 0 1" armature="0.1"/><geom size="0.05" mass="1"/></body></body></worldbody>'
        '<actuator><motor joint="w"/></actuator></mujoco>'
    )
    (tmp_path / "ball.yaml").write_text(
        "robot: {model: ball.xml}\nhorizon: 10\ndt: 0.02\nstart: {train: [{positions: [1, 0, 0, 0, 0.2]}]}\n"
        "cost:\n  - {term: action, weight: 1.0}\n  - {term: state, weight: 1.0, block: velocities}\n"
    )
    outcome = solved(mbpl("solve", "-t", str(tmp_path / "ball.yaml"), "--json"))
    assert outcome["converged"]
    assert outcome["trial"]["executed"] is False
    assert "ball or free joint" in outcome["trial"]["reason"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-t", "arm_reech"], "no task 'arm_reech'; did you mean 'arm_reach'? known tasks: acrobot_swingup, arm_peg, "),
        (["-t", "arm_reach", "--condition", "99"], "arm_reach.yaml: no start condition 99; there are 20, from 0"),
        (["-t", "arm_reach", "--condition", "-1"], "no start condition -1"),
        (["-t", "arm_reach", "--iterations", "0"], "max_iterations: found 0; must be a whole number"),
        (["-t", "arm_reach", "--seed", "-1"], "seed: found -1; must be 0 to 2^62"),
        (["-t", "nowhere/task.yaml"], "task file 'nowhere/task.yaml' does not exist"),
        (["-t", "arm_reach", "--save", "/nowhere/law.npz"], "directory '/nowhere' does not exist"),
        (["-t", "arm_reach", "--save", "/"], "--save /: is a directory; give the name of a file"),
    ],
)
@pytest.mark.parametrize("flags", [[], ["--json"]], ids=["text", "json"])
def test_a_careless_argument_is_one_clear_line_and_exit_code_two(mbpl, arguments, words: str, flags) -> None:
    process = mbpl("solve", *arguments, *flags)
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.count("\n") == 1
    assert process.stderr.startswith("error: ")
    assert words in process.stderr


def test_a_refused_solve_writes_nothing(mbpl, tmp_path: Path) -> None:
    process = mbpl("solve", "-t", "arm_reach", "--iterations", "0", "--save", str(tmp_path / "law.npz"))
    assert process.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_tasks_lists_every_task_with_its_file_and_what_is_wrong_with_a_broken_one(mbpl, task_files, tmp_path) -> None:
    (tmp_path / "broken.yaml").write_text("robot: {model: arm.xml}\nhorizon: 0\n")
    process = mbpl("tasks", "--json", MBPL_TASK_PATH=f"{task_files}{os.pathsep}{tmp_path}")
    assert process.returncode == 0
    rows = {row["name"]: row for row in json.loads(process.stdout)["tasks"]}
    assert set(rows) >= {*TASKS, "broken"}
    for task in TASKS:
        assert rows[task]["error"] is None
        assert rows[task]["description"]
        assert Path(rows[task]["file"]).is_file()
    assert "broken.yaml:" in rows["broken"]["error"]
    text = mbpl("tasks", MBPL_TASK_PATH=str(task_files)).stdout
    assert all(task in text for task in TASKS)


def test_without_any_task_it_says_where_they_are_looked_for(mbpl, tmp_path) -> None:
    process = mbpl("tasks", MBPL_TASK_PATH=str(tmp_path), AMENT_PREFIX_PATH="")
    assert process.returncode == 0
    assert "no tasks found; source the workspace, or set MBPL_TASK_PATH" in process.stdout
