"""Files of the core types: an npz of arrays and one JSON header with a schema version, no pickles."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.core.errors import FileFormatError
from mbpl_control.core.validation import Array

#: Version this code writes, and the newest it reads.
SCHEMA_VERSION = 1

_HEADER = "mbpl_header"


def save(
    path: str | Path, kind: str, header: Mapping[str, Any], arrays: Mapping[str, Any]
) -> Path:
    """Write `header` and `arrays` as a file of `kind`; the file appears whole or not at all.

    Args:
        path: where; ".npz" is appended when it is missing.
        kind: what the file holds, e.g. "trial"; `load` asks for it.
        header: JSON data.
        arrays: arrays of numbers by name.

    Returns:
        The path written.
    """
    target = Path(path)
    if target.suffix != ".npz":
        target = target.with_name(target.name + ".npz")
    content = {"kind": kind, "schema_version": SCHEMA_VERSION, **header}
    text = np.frombuffer(json.dumps(content).encode("utf-8"), dtype=np.uint8)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as stream:
            np.savez_compressed(stream, **{_HEADER: text}, **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
    return target


def load(
    path: str | Path, kind: str, array_names: Sequence[str], header_names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Read header and arrays of a file of `kind`.

    Raises:
        FileFormatError: the file is missing or truncated, of another kind, lacks a field, or is of a newer schema version.
    """
    source = Path(path)
    if not source.is_file():
        raise FileFormatError(f"{source}: no such file")
    try:
        with np.load(source, allow_pickle=False) as data:
            found = {name: data[name] for name in data.files}
        if _HEADER not in found:
            raise FileFormatError(f"{source}: an npz, but not one that mbpl wrote (no header)")
        header = json.loads(found.pop(_HEADER).tobytes().decode("utf-8"))
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise FileFormatError(f"{source}: cannot be read as a {kind}: {error}") from error
    if header.get("kind") != kind:
        raise FileFormatError(f"{source}: holds a {header.get('kind')!r}; expected a {kind!r}")
    version = header.get("schema_version")
    if not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise FileFormatError(
            f"{source}: schema version {version!r}; this mbpl reads 1 to {SCHEMA_VERSION}"
        )
    missing = [n for n in array_names if n not in found] + [
        n for n in header_names if n not in header
    ]
    if missing:
        raise FileFormatError(f"{source}: a {kind} without {', '.join(missing)}")
    return header, {name: found[name] for name in array_names}
