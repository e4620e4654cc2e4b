"""Reading a task file, and those that it extends."""

from __future__ import annotations

from pathlib import Path

from mbpl_control.core.errors import TaskError
from mbpl_control.core.yaml_document import YamlDocument
from mbpl_control.tasks.schema import TaskFile

#: Keys that a file does not take over from one that it extends.
NOT_EXTENDED = ("extends", "name")


class TaskDocument(YamlDocument):
    """A task file as data, validated, with the lines its keys stand on.

    A file that extends another has all keys of that one but its name, and its own in their place.

    Args:
        path: the file.
        extended_by: files that extend it, the last one directly.

    Raises:
        TaskError: missing, not YAML, or not what the schema allows; the message begins with file and line.
    """

    noun = "task"
    failure = TaskError
    tags = frozenset(
        {
            "state",
            "cosine",
            "action",
            "frame_position",
            "frame_distance",
            "frame_orientation",
            "joint_limits",
        }
    )
    wordings = {
        ("string_pattern_mismatch", "ramp"): "must be constant, linear, quadratic, final, final(n) or initial(n)"
    }

    def __init__(self, path: Path, extended_by: tuple[Path, ...] = ()) -> None:
        """Read and validate."""
        super().__init__(path)
        self.base: TaskDocument | None = None
        if isinstance(self.plain.get("extends"), str):
            self.base = self._extended((*extended_by, path))
            kept = {key: value for key, value in self.base.plain.items() if key not in NOT_EXTENDED}
            self.plain = {**kept, **self.plain}
        self.file = self.validated(TaskFile)

    def home(self, key: str | int) -> YamlDocument:
        """The file that has a key of a task: this one, or one that it extends."""
        return self if self.base is None or key in self.data else self.base.home(key)

    def _extended(self, chain: tuple[Path, ...]) -> TaskDocument:
        """The file that this one extends."""
        base = self.path.parent / self.plain["extends"]
        if not base.is_file():
            raise self.error(["extends"], f"file '{base}' does not exist")
        if base.resolve() in [path.resolve() for path in chain]:
            raise self.error(["extends"], f"'{base.name}' leads back to itself")
        return TaskDocument(base, chain)
