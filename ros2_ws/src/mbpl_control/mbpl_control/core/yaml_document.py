"""Reading a YAML of the user's so that every error names its line and key."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from mbpl_control.core.errors import FileFormatError, MbplError
from mbpl_control.core.user_files import MAX_YAML_VALUES, read_text

#: Errors about a key rather than its value.
_BY_KEY = ("extra_forbidden", "missing")
#: Where a value stands in a file: keys of mappings and places in lists.
Keys = list[str | int]
T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


class YamlDocument:
    """A YAML file as data, with the lines its keys stand on.

    Classes derived from this one say what the file is and what is raised about it.

    Attributes:
        path: the file.
        data: its content, with lines.
        plain: its content as plain data.

    Args:
        path: the file.

    Raises:
        MbplError: of the class `failure`: missing, too large, not YAML, or no mapping; begins with file and line.
    """

    #: What the file describes, as messages call it.
    noun = "document"
    #: What is raised about it.
    failure: type[MbplError] = FileFormatError
    #: Tags of unions, which pydantic puts in the path of an error but the file does not hold.
    tags: Collection[str] = ()
    #: Messages that say better than pydantic's what is allowed, by type of error and last key.
    wordings: dict[tuple[str, str], str] = {}

    def __init__(self, path: Path) -> None:
        """Read."""
        self.path = path
        try:
            text = read_text(path)
        except FileFormatError as error:
            raise self.failure(str(error)) from error
        try:
            self.data = YAML(typ="rt").load(text)
        except MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark is not None else 1
            raise self.failure(f"{path}:{line}: not YAML: {error.problem}") from error
        except YAMLError as error:
            raise self.failure(f"{path}: not YAML: {error}") from error
        except RecursionError as error:
            raise self.failure(f"{path}: nested too deeply") from error
        if not isinstance(self.data, dict):
            raise self.failure(f"{path}:1: found {_kind(self.data)}; a {self.noun} is a mapping of keys")
        try:
            self.plain: dict[str, Any] = _Plain().of(self.data)
        except (RecursionError, FileFormatError) as error:
            raise self.failure(
                f"{path}: aliases that lead back to themselves, or to too many values: {error}"
            ) from error

    def validated(self, schema: type[Model]) -> Model:
        """The content as `schema` has it.

        Raises:
            MbplError: of the class `failure`, one line for each wrong place.
        """
        try:
            return schema.model_validate(self.plain)
        except ValidationError as error:
            raise self.failure(self._explain(error.errors())) from error

    def error(self, keys: Sequence[str | int], message: str) -> MbplError:
        """An error about the value at `keys`, with its file and line."""
        home = self.home(keys[0]) if keys else self
        return self.failure(f"{home.path.name}:{home.line(keys)}: {self._dotted(keys)}: {message}")

    def home(self, key: str | int) -> YamlDocument:
        """The file that has a key: this one."""
        return self

    def checked(self, keys: Sequence[str | int], function: Callable[..., T], *arguments: Any) -> T:
        """What `function` gives; an error of this project becomes one about the value at `keys`."""
        try:
            return function(*arguments)
        except MbplError as error:
            raise self.error(keys, str(error)) from error

    def line(self, keys: Sequence[str | int]) -> int:
        """Line of the deepest of `keys` that the file holds, counted from one."""
        node: Any = self.data
        line = 1
        for key in keys:
            in_list = isinstance(node, list)
            try:
                line = (node.lc.item(key) if in_list else node.lc.key(key))[0] + 1
                node = node[key]
            except (AttributeError, KeyError, IndexError, TypeError):
                break
        return line

    def _explain(self, errors: Sequence[Any]) -> str:
        """One line for each wrong place. A value that may be of several types is wrong once, by what fits its type."""
        places: dict[str, list[Any]] = {}
        keys: dict[str, Keys] = {}
        for error in errors:
            found = self._place(error)
            keys[self._dotted(found)] = found
            places.setdefault(self._dotted(found), []).append(error)
        lines = []
        for name, wrong in places.items():
            best = [e for e in wrong if not e["type"].endswith(("_type", "literal_error"))] or wrong
            messages = list(dict.fromkeys(self._message(e, keys[name]) for e in best))
            found = best[0].get("input")
            shown = "" if isinstance(found, (dict, list)) or best[0]["type"] in _BY_KEY else f"found {found!r}; "
            lines.append(str(self.error(keys[name], shown + ", or ".join(messages))))
        return "\n".join(lines)

    def _place(self, error: Any) -> Keys:
        """Where in the file an error is, without the names pydantic has for members of unions."""
        keys: Keys = []
        node: Any = self.plain
        for part in error["loc"]:
            if isinstance(node, dict) and part not in node and part in self.tags:
                continue
            if isinstance(part, str) and not (isinstance(node, dict) or error["type"] == "missing"):
                continue  # the name of a member of a union of types
            keys.append(part)
            try:
                node = node[part]
            except (KeyError, IndexError, TypeError):
                node = None
        return keys

    def _message(self, error: Any, keys: Keys) -> str:
        if error["type"] == "extra_forbidden":
            parent = self._dotted(keys[:-1]) if keys[:-1] else f"a {self.noun}"
            return f"unknown key; {parent} has no '{keys[-1]}'"
        if error["type"] == "missing":
            return "missing; this key is required"
        wording = self.wordings.get((error["type"], str(keys[-1]) if keys else ""))
        if wording is not None:
            return wording
        message = str(error["msg"]).removeprefix("Value error, ")
        return message[:1].lower() + message[1:]

    def _dotted(self, keys: Sequence[str | int]) -> str:
        text = ""
        for key in keys:
            text += f"[{key}]" if isinstance(key, int) else ("." if text else "") + str(key)
        return text or self.noun


def _kind(value: Any) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


class _Plain:
    """Round-trip nodes as plain data: subclasses of float keep their file's notation, which hashes must not see.

    An alias is written out each time it is used, so that a few lines of aliases to aliases could fill the memory: the
    number of values is bounded.
    """

    def __init__(self) -> None:
        """Count from zero."""
        self._values = 0

    def of(self, node: Any) -> Any:
        """A node and all below it."""
        self._values += 1
        if self._values > MAX_YAML_VALUES:
            raise FileFormatError(f"more than {MAX_YAML_VALUES} values")
        if isinstance(node, dict):
            return {str(key): self.of(value) for key, value in node.items()}
        if isinstance(node, list):
            return [self.of(value) for value in node]
        if isinstance(node, bool) or node is None:
            return node
        for kind in (int, float, str):
            if isinstance(node, kind):
                return kind(node)
        return node
