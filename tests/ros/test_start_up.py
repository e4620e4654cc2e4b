"""Nodes that cannot start say why in one line, and end."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from ament_index_python.packages import get_package_prefix

from mbpl_control.nodes.node_tools import events_executor_works

PACKAGES = {"mujoco_sim": "mbpl_sim"}


def run(executable: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A node that is expected to end by itself."""
    package = PACKAGES.get(executable, "mbpl_control")
    program = Path(get_package_prefix(package)) / "lib" / package / executable
    return subprocess.run(
        [str(program), "--ros-args", *arguments], capture_output=True, text=True, timeout=60.0, stdin=subprocess.DEVNULL
    )


@pytest.mark.parametrize(
    ("executable", "parameter", "words"),
    [
        ("mujoco_sim", "task:=arm_raech", "no task 'arm_raech'; did you mean 'arm_reach'"),
        ("controller_manager", "task:=/nowhere/my.yaml", "task file '/nowhere/my.yaml' does not exist"),
        ("controller_manager", "rate:=0.0", "parameter 'rate'"),
        ("controller_manager", "state_timeout:=0.005", "at least two periods of 200"),
        ("controller_manager", "fallback:=pray", "'fallback' is 'pray'; must be one of hold, damp"),
        ("state_estimator", "filter:=magic", "must be one of raw, model_free, ekf"),
        ("mujoco_sim", "mode:=sometimes", "must be one of realtime, lockstep"),
        ("mujoco_sim", "mass_scale:=0.0", "parameter 'mass_scale'"),
        ("trial_runner", "robot:=toy", "must be one of sim, hardware"),
    ],
)
def test_a_node_that_cannot_start_names_the_parameter_and_what_is_allowed(
    domain: int, executable: str, parameter: str, words: str
) -> None:
    ended = run(executable, "-p", parameter)
    assert ended.returncode == 1
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_the_events_executor_is_refused_where_it_serves_nothing(domain: int) -> None:
    if events_executor_works():
        # here it is no trap: the node would run until it is stopped
        return
    ended = run("mujoco_sim", "-p", "executor:=events")
    assert ended.returncode == 1
    assert "the events executor of this rclpy calls no timer; use 'priority'" in ended.stderr


def test_a_broken_robot_file_is_named_with_the_line_that_asks_for_it(domain: int, tmp_path: Path) -> None:
    (tmp_path / "robot.xml").write_text("<mujoco><worldbody>")
    (tmp_path / "task.yaml").write_text(
        "robot: {model: robot.xml}\nhorizon: 10\ndt: 0.02\nstart: {train: [{positions: [0.0]}]}\n"
        "cost: [{term: action, weight: 1.0}]\n"
    )
    ended = run("mujoco_sim", "-p", f"task:={tmp_path / 'task.yaml'}")
    assert ended.returncode == 1
    assert "task.yaml:1: robot.model:" in ended.stderr
    assert "not well-formed XML" in ended.stderr
