"""The arm of the examples, and a robot file that a test may change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mbpl_control.hardware import HardwareRobot, load_robot_file
from mbpl_control.tasks import Task, load_task

WriteRobot = Callable[..., Path]


@pytest.fixture(scope="session")
def arm_task() -> Task:
    return load_task("arm_reach")


@pytest.fixture
def write_robot(tmp_path: Path, repository: Path) -> WriteRobot:
    """Write the robot file of the example with some keys changed; its path."""

    def write(example: str = "arm7.yaml", **changes: Any) -> Path:
        content = YAML(typ="safe").load(repository / "examples" / "hardware" / example)
        content.update(changes)
        path = tmp_path / "arm.yaml"
        YAML().dump({k: v for k, v in content.items() if v is not None}, path)
        return path

    return write


@pytest.fixture
def robot(write_robot: WriteRobot, arm_task: Task) -> HardwareRobot:
    return load_robot_file(write_robot(), arm_task)
