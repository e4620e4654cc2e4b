"""A small learner, its task and its runs."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mbpl_control.runs import RunDescription, RunDirectory
from mbpl_control.tasks import Task, load_task


@pytest.fixture(scope="session")
def tiny() -> ModuleType:
    """The module of the small learner, which is a program, too."""
    path = Path(__file__).with_name("tiny_learner.py")
    spec = importlib.util.spec_from_file_location("tiny_learner", path)
    assert spec is not None and spec.loader is not None
    module = sys.modules["tiny_learner"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def task(task_files: Path) -> Task:
    """What the small learner learns."""
    return load_task(task_files / "pendulum_swingup.yaml")


@pytest.fixture
def make_run(task: Task, tmp_path: Path) -> Callable[..., RunDirectory]:
    """A new run of the small learner; any field of its description may be given."""

    def make(name: str = "run", **fields: object) -> RunDirectory:
        values: dict[str, object] = {
            "method": "tiny",
            "task": task.name,
            "task_file": str(task.path),
            "task_hash": task.hash,
            "agent": "mujoco",
            "seed": 3,
            "iterations": 3,
            "options": {"samples": 3, "variant": None},
        }
        return RunDirectory.create(tmp_path / name, RunDescription(**{**values, **fields}))  # type: ignore[arg-type]

    return make
