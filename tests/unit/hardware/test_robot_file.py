"""The YAML of a robot: what is wrong is told with line and key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import MbplError
from mbpl_control.hardware import load_robot_file
from mbpl_control.hardware.robot_file import LinearFeedback, RobotFileError, Ros2Control
from mbpl_control.tasks import load_task

REVERSED = ["wrist_roll", "wrist", "forearm_roll", "elbow", "upper_roll", "lift", "pan"]
LFC = {"type": "linear_feedback_controller"}


@pytest.mark.parametrize(("example", "kind"), [("arm7.yaml", Ros2Control), ("arm7_lfc.yaml", LinearFeedback)])
def test_the_examples_are_read(repository: Path, arm_task, example: str, kind: type) -> None:
    robot = load_robot_file(repository / "examples" / "hardware" / example, arm_task)
    assert isinstance(robot.file.connection, kind)
    assert tuple(robot.file.joints) == arm_task.action.joint_names


def test_efforts_go_out_in_the_order_of_the_controller(write_robot, arm_task) -> None:
    robot = load_robot_file(write_robot(joints=REVERSED), arm_task)
    assert robot.to_controller(np.arange(7.0)).tolist() == [6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": REVERSED[:-1]}, r"arm\.yaml:\d+: joints: 'pan' is missing; arm7\.xml drives it, too"),
        ({"joints": [*REVERSED[:-1], "pann"]}, r"arm\.yaml:\d+: joints\[6\]: 'pann' is no joint that arm7\.xml drives"),
        ({"joints": [*REVERSED, "pan"]}, r"joints: .*'pan' is there twice"),
        ({"rate": 0.0}, r"arm\.yaml:\d+: rate: found 0\.0; .*greater than or equal to 1"),
        ({"rate": "fast"}, r"rate: found 'fast'; .*number"),
        ({"rate": None}, r"rate: missing; this key is required"),
        ({"command_timeout": 100.0}, r"command_timeout: found 100\.0"),
        ({"without_commands": "fall"}, r"without_commands: found 'fall'; .*'hold' or 'zero'"),
        ({"brake": True}, r"arm\.yaml:\d+: brake: unknown key; a robot has no 'brake'"),
        ({"connection": {"type": "ros2_control"}}, r"connection\.controller: missing"),
        ({"connection": {"type": "ros2_control", "controller": "a b"}}, r"connection\.controller: found 'a b'"),
        ({"connection": {"type": "serial"}}, r"arm\.yaml:\d+: connection.*ros2_control.*linear_feedback_controller"),
        ({"connection": {**LFC, "decimation": 0}}, r"connection\.decimation: found 0; .*1"),
        ({"connection": {**LFC, "adds_gravity": True}}, r"unknown key; connection has no 'adds_gravity'"),
        ({"check": {"motion": 0.1, "largest_motion": 0.12}}, r"check: .*at least twice motion"),
        ({"check": {"effort": 1.5}}, r"check\.effort: found 1\.5; .*less than or equal to 1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_is_wrong_is_named_with_file_line_and_key(write_robot, arm_task, changes, message) -> None:
    with pytest.raises(RobotFileError, match=message):
        load_robot_file(write_robot(**changes), arm_task)


def test_a_file_that_is_missing_or_not_given_is_named(arm_task, tmp_path: Path) -> None:
    with pytest.raises(RobotFileError, match="none.yaml: cannot be read: no such file"):
        load_robot_file(tmp_path / "none.yaml", arm_task)
    with pytest.raises(RobotFileError, match="no robot file is given"):
        load_robot_file("", arm_task)


def test_a_robot_with_joints_that_nothing_drives_is_none_for_linear_feedback_controller(write_robot) -> None:
    task = load_task("cartpole_swingup")
    driven = list(task.action.joint_names)
    load_robot_file(write_robot(joints=driven), task)
    with pytest.raises(MbplError, match="is not driven; linear_feedback_controller drives every joint"):
        load_robot_file(write_robot(joints=driven, connection=LFC), task)


def test_another_content_is_another_robot(write_robot, arm_task) -> None:
    first = load_robot_file(write_robot(), arm_task).hash
    assert load_robot_file(write_robot(), arm_task).hash == first
    assert load_robot_file(write_robot(joints=REVERSED), arm_task).hash != first
