"""What a run is: all that must be the same for a run to go on, and where it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mbpl_control.core.errors import DefinitionMismatchError
from mbpl_control.runs.record import load_record, save_record
from mbpl_control.tasks.task import Task

#: Version of the layout of a run directory that this code writes and reads.
SCHEMA = 1


@dataclass(frozen=True)
class RunDescription:
    """The content of `run.yaml`.

    Attributes:
        method: name of the learner, e.g. "lqr_flm".
        task: name of the task.
        task_file: absolute path of its file.
        task_hash: of its content and the robot's file; a run never goes on with another task.
        agent: who runs the trials, "mujoco" or "ros".
        seed: of everything drawn.
        iterations: how many the run shall have.
        options: of the learner, as given on the command line; null where its own default counts.
        started: local time.
        versions: of what ran when it began.
        commit: of the sources, see `core.versions.commit`.
    """

    method: str
    task: str
    task_file: str
    task_hash: str
    agent: str
    seed: int
    iterations: int
    options: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""

    def check_task(self, task: Task) -> None:
        """Refuse to go on with a task that is not that of the run.

        Raises:
            DefinitionMismatchError: its file, or its robot's, was changed.
        """
        if task.hash != self.task_hash:
            raise DefinitionMismatchError(
                f"the run learns task '{self.task}' ({self.task_hash}); {task.path} is another by now ({task.hash}): "
                "undo the change, or begin a new run"
            )

    def save(self, path: Path) -> None:
        """Write it; the file appears whole or not at all."""
        save_record(self, path, SCHEMA)

    @classmethod
    def load(cls, path: Path) -> RunDescription:
        """Read what `save` wrote.

        Raises:
            FileFormatError: no such file, or it describes no run.
        """
        whole, mapping = dict.fromkeys(("seed", "iterations"), int), dict.fromkeys(("options", "versions"), dict)
        return load_record(cls, path, SCHEMA, {**whole, **mapping}, "run")
