"""Which tasks there are, and where their files are."""

from __future__ import annotations

import difflib
import os
from pathlib import Path

from mbpl_control.core.errors import TaskError

RESOURCE = "mbpl_tasks"


def task_directories() -> list[Path]:
    """Directories searched for tasks: `MBPL_TASK_PATH` first, then packages that registered one in the ament index."""
    given = [Path(p) for p in os.environ.get("MBPL_TASK_PATH", "").split(os.pathsep) if p]
    registered: list[Path] = []
    for prefix in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep):
        index = Path(prefix) / "share" / "ament_index" / "resource_index" / RESOURCE
        if prefix and index.is_dir():
            for marker in sorted(index.iterdir()):
                below = marker.read_text(encoding="utf-8").strip() or "tasks"
                registered.append(Path(prefix) / "share" / marker.name / below)
    return [d for d in given + registered if d.is_dir()]


def list_tasks() -> dict[str, Path]:
    """Files of all tasks by name; the first directory that has a name wins."""
    tasks: dict[str, Path] = {}
    for directory in task_directories():
        for path in sorted(directory.glob("*.yaml")):
            tasks.setdefault(path.stem, path)
    return tasks


def find_task(name_or_path: str | Path) -> Path:
    """The file of a task.

    Args:
        name_or_path: a name as in `list_tasks`, or a path that ends in .yaml or .yml.

    Raises:
        TaskError: there is none; the message lists what there is.
    """
    text = str(name_or_path)
    if text.endswith((".yaml", ".yml")) or os.sep in text:
        path = Path(text).expanduser()
        if not path.is_file():
            raise TaskError(f"task file '{text}' does not exist")
        return path.resolve()
    tasks = list_tasks()
    if text in tasks:
        return tasks[text]
    close = difflib.get_close_matches(text, tasks, n=1)
    hint = f"did you mean '{close[0]}'? " if close else ""
    known = ", ".join(sorted(tasks)) or "none; source the workspace, or set MBPL_TASK_PATH"
    raise TaskError(f"no task '{text}'; {hint}known tasks: {known}")
