"""Files of the core types: an npz of arrays and one JSON header with a schema version, no pickles."""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.core.errors import FileFormatError
from mbpl_control.core.user_files import check_archive

#: Version this code writes, and the newest it reads.
SCHEMA_VERSION = 1

_HEADER = "mbpl_header"


def save(path: str | Path, kind: str, header: Mapping[str, Any], arrays: Mapping[str, Any]) -> Path:
    """Write `header` and `arrays` as a file of `kind`; the file appears whole or not at all.

    Args:
        path: where; ".npz" is appended when it is missing.
        kind: what the file holds, e.g. "trial"; `load` asks for it.
        header: JSON data.
        arrays: arrays of numbers by name.

    Returns:
        The path written.

    Raises:
        FileFormatError: the directory is missing or not writable, or the disk is full; a file of that name is as it
            was.
    """
    target = Path(path)
    if target.suffix != ".npz":
        target = target.with_name(target.name + ".npz")
    content = {"kind": kind, "schema_version": SCHEMA_VERSION, **header}
    text = np.frombuffer(json.dumps(content).encode("utf-8"), dtype=np.uint8)
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        with open(partial, "wb") as stream:
            content_arrays: dict[str, Any] = {_HEADER: text, **arrays}
            np.savez_compressed(stream, **content_arrays)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, target)
    except OSError as error:
        raise FileFormatError(f"{target}: cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def kind_of(path: str | Path) -> str:
    """What a file says it holds.

    Raises:
        FileFormatError: the file is missing, or none that mbpl wrote.
    """
    header, _ = _read(Path(path), "file of mbpl")
    kind = header.get("kind") if isinstance(header, dict) else None
    if not isinstance(kind, str):
        raise FileFormatError(f"{path}: its header names no kind")
    return kind


def load(
    path: str | Path, kind: str, array_names: Sequence[str], header_names: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read header and arrays of a file of `kind`.

    Raises:
        FileFormatError: the file is missing or truncated, of another kind, lacks a field, or is of a newer schema
            version.
    """
    source = Path(path)
    header, found = _read(source, kind)
    found_kind = header.get("kind") if isinstance(header, dict) else None
    if found_kind != kind:
        raise FileFormatError(f"{source}: holds a {found_kind!r}; expected a {kind!r}")
    version = header.get("schema_version")
    if isinstance(version, bool) or not isinstance(version, int) or not 1 <= version <= SCHEMA_VERSION:
        raise FileFormatError(f"{source}: schema version {version!r}; this mbpl reads 1 to {SCHEMA_VERSION}")
    missing = [n for n in array_names if n not in found] + [n for n in header_names if n not in header]
    if missing:
        raise FileFormatError(f"{source}: a {kind} without {', '.join(missing)}")
    return header, {name: found[name] for name in array_names}


def _read(source: Path, kind: str) -> tuple[Any, dict[str, Any]]:
    """Header and arrays of a file, whatever it holds."""
    if not source.is_file():
        raise FileFormatError(f"{source}: no such file")
    try:
        check_archive(source)
        loaded = np.load(source, allow_pickle=False)
        if not isinstance(loaded, np.lib.npyio.NpzFile):
            raise FileFormatError(f"{source}: a single array; expected an npz that mbpl wrote")
        with loaded as data:
            found = {name: data[name] for name in data.files}
        if _HEADER not in found:
            raise FileFormatError(f"{source}: an npz, but not one that mbpl wrote (no header)")
        return json.loads(found.pop(_HEADER).tobytes().decode("utf-8")), found
    # RuntimeError: a member that says it is encrypted
    except (OSError, MemoryError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise FileFormatError(f"{source}: cannot be read as a {kind}: {error}") from error
