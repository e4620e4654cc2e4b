"""Small YAML files that say what a directory is: written whole or not at all, read with every field checked."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mbpl_control.core.errors import FileFormatError
from mbpl_control.core.user_files import read_text

T = TypeVar("T")


def save_record(record: Any, path: Path, schema: int) -> None:
    """Write a dataclass of plain data; the file appears whole or not at all."""
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    content = {key: _plain(value) for key, value in dataclasses.asdict(record).items()}
    partial = path.with_name(f".{path.name}.partial")
    with open(partial, "w", encoding="utf-8") as stream:
        yaml.dump({"schema": schema, **content}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(partial, path)


def load_record(kind: type[T], path: Path, schema: int, types: Mapping[str, type], what: str) -> T:
    """Read what `save_record` wrote.

    Args:
        kind: the dataclass.
        path: of the file.
        schema: of its layout.
        types: of the fields that are no texts.
        what: the file describes, in a word.

    Raises:
        FileFormatError: no such file, or it describes nothing of the kind.
    """
    if not path.is_file():
        raise FileFormatError(f"{path}: no such file; a directory of a {what} has one")
    try:
        content = YAML(typ="safe").load(read_text(path))
    except YAMLError as error:
        raise FileFormatError(f"{path}: cannot be read: {error}") from error
    if not isinstance(content, dict) or content.pop("schema", None) != schema:
        raise FileFormatError(f"{path}: does not describe a {what} of schema {schema}")
    kinds = {f.name: types.get(f.name, str) for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    wrong = [name for name, its in kinds.items() if not isinstance(content.get(name), its)]
    if wrong or set(content) != set(kinds):
        odd = sorted({str(name) for name in (*wrong, *(set(content) ^ set(kinds)))})
        raise FileFormatError(f"{path}: {', '.join(odd)} missing, unknown or of the wrong type")
    return kind(**content)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else list(value) if isinstance(value, tuple) else value
