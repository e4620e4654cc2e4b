"""What a run is: all that must be the same for a run to go on, and where it came from."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mbpl_control.core.errors import DefinitionMismatchError, FileFormatError
from mbpl_control.core.user_files import read_text
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
        yaml = YAML(typ="safe")
        yaml.default_flow_style = False
        yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
        content = {key: _plain(value) for key, value in dataclasses.asdict(self).items()}
        partial = path.with_name(f".{path.name}.partial")
        with open(partial, "w", encoding="utf-8") as stream:
            yaml.dump({"schema": SCHEMA, **content}, stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)

    @classmethod
    def load(cls, path: Path) -> RunDescription:
        """Read what `save` wrote.

        Raises:
            FileFormatError: no such file, or it describes no run.
        """
        if not path.is_file():
            raise FileFormatError(f"{path}: no such file; a directory of a run has one")
        try:
            content = YAML(typ="safe").load(read_text(path))
        except YAMLError as error:
            raise FileFormatError(f"{path}: cannot be read: {error}") from error
        if not isinstance(content, dict) or content.pop("schema", None) != SCHEMA:
            raise FileFormatError(f"{path}: does not describe a run of schema {SCHEMA}")
        numbers, mappings = ("seed", "iterations"), ("options", "versions")
        kinds = {name: int if name in numbers else dict if name in mappings else str for name in _NAMES}
        wrong = [name for name, kind in kinds.items() if not isinstance(content.get(name), kind)]
        if wrong or set(content) != set(kinds):
            odd = sorted({*wrong, *(set(content) ^ set(kinds))})
            raise FileFormatError(f"{path}: {', '.join(odd)} missing, unknown or of the wrong type")
        return cls(**content)


_NAMES = tuple(f.name for f in dataclasses.fields(RunDescription))


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
