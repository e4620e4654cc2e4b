"""Reading a task file so that every error names its line and key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from mbpl_control.core.errors import TaskError
from mbpl_control.tasks.schema import TaskFile

#: Tags of the union of cost terms, which pydantic puts in the path of an error but the file does not hold.
_TAGS = {
    "state",
    "cosine",
    "action",
    "frame_position",
    "frame_distance",
    "frame_orientation",
    "joint_limits",
}


class TaskDocument:
    """A task file as data, validated, with the lines its keys stand on.

    Args:
        path: the file.

    Raises:
        TaskError: missing, not YAML, or not what the schema allows; the message begins with file and line.
    """

    def __init__(self, path: Path) -> None:
        """Read and validate."""
        self.path = path
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise TaskError(f"{path}: cannot be read: {error}") from error
        try:
            self.data = YAML(typ="rt").load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else 1
            raise TaskError(f"{path}:{line}: not YAML: {error.problem}") from error
        except YAMLError as error:
            raise TaskError(f"{path}: not YAML: {error}") from error
        if not isinstance(self.data, dict):
            raise TaskError(f"{path}:1: found {_kind(self.data)}; a task is a mapping of keys")
        self.plain = _plain(self.data)
        try:
            self.file = TaskFile.model_validate(self.plain)
        except ValidationError as error:
            raise TaskError("\n".join(self._explain(e) for e in error.errors())) from error

    def error(self, keys: Sequence[str | int], message: str) -> TaskError:
        """An error about the value at `keys`, with its line."""
        return TaskError(f"{self.path.name}:{self.line(keys)}: {_dotted(keys)}: {message}")

    def line(self, keys: Sequence[str | int]) -> int:
        """Line of the deepest of `keys` that the file holds, counted from one."""
        node: Any = self.data
        line = 1
        for key in keys:
            try:
                place = node.lc.value(key) if isinstance(node, list) else node.lc.key(key)
                node = node[key]
            except (AttributeError, KeyError, IndexError, TypeError):
                break
            line = (place[0] if isinstance(place, tuple) else node.lc.line) + 1
        return line

    def _explain(self, error: Any) -> str:
        keys: list[str | int] = []
        node: Any = self.plain
        for part in error["loc"]:
            if isinstance(node, dict) and part not in node and part in _TAGS:
                continue
            if isinstance(part, str) and not (isinstance(node, dict) or error["type"] == "missing"):
                continue  # the name of a member of a union of types
            keys.append(part)
            try:
                node = node[part]
            except (KeyError, IndexError, TypeError):
                node = None
        kind = error["type"]
        if kind == "extra_forbidden":
            parent = ".".join(str(k) for k in keys[:-1]) or "a task"
            return str(self.error(keys, f"unknown key; {parent} has no '{keys[-1]}'"))
        if kind == "missing":
            return str(self.error(keys, "missing; this key is required"))
        found = error.get("input")
        shown = "" if isinstance(found, (dict, list)) else f"found {found!r}; "
        message = str(error["msg"]).removeprefix("Value error, ")
        return str(self.error(keys, shown + message[:1].lower() + message[1:]))


def _dotted(keys: Sequence[str | int]) -> str:
    text = ""
    for key in keys:
        text += f"[{key}]" if isinstance(key, int) else ("." if text else "") + str(key)
    return text or "task"


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _plain(node: Any) -> Any:
    """Round-trip nodes as plain data: subclasses of float keep their file's notation, which hashes must not see."""
    if isinstance(node, dict):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    for kind in (int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node
