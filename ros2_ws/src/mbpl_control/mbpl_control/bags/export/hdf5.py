"""Trials as one HDF5 file.

    /                      attributes: format = "mbpl trials", schema_version, trials
    /trials/000000         attributes: task, task_hash, condition, controller, seed, success, stop_reason, dt, cost
        header             scalar, UTF-8 JSON: definitions of x and u, metadata of bag, trial and law
        states             (T+1, nx)
        actions            (T, m)
        times              (T+1,)  s
        costs              (T+1,), or (0,)
        robot_states       (T+1, nq + nv)
        law/               nominal_states (T+1, nx), nominal_actions (T, m), gains (T, m, ndx), feedforward (T, m),
                           covariances (T, m, m); absent where the bag holds no law

All arrays are float64, compressed by gzip with the shuffle filter.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from mbpl_control.bags.export.parts import PLAIN, SCHEMA_VERSION, arrays_of, check_version, header_of, recorded_of
from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core.errors import FileFormatError
from mbpl_control.core.user_files import MAX_ARCHIVE_BYTES, MAX_TEXT_BYTES, MIB

FORMAT = "mbpl trials"


def write_hdf5(trials: Iterable[RecordedTrial], path: Path) -> int:
    """Write trials, one in memory at a time; how many. The file appears whole or not at all.

    Raises:
        FileFormatError: the file exists, or cannot be written.
    """
    if path.exists():
        raise FileFormatError(f"{path}: exists already; nothing was changed. Choose another name")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    count = 0
    try:
        with h5py.File(partial, "w") as file:
            group = file.create_group("trials")
            for recorded in trials:
                _write_trial(group.create_group(f"{count:06d}"), recorded)
                count += 1
            file.attrs.update({"format": FORMAT, "schema_version": SCHEMA_VERSION, "trials": count})
        os.replace(partial, path)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return count


def _write_trial(group: Any, recorded: RecordedTrial) -> None:
    trial = recorded.trial
    for name in PLAIN:
        value = getattr(trial, name)
        group.attrs[name] = np.uint64(value) if name == "seed" else value
    group.attrs["dt"], group.attrs["cost"] = trial.dt, trial.cost
    group.create_dataset("header", data=header_of(recorded), dtype=h5py.string_dtype())
    for name, array in arrays_of(recorded).items():
        # an empty array has no chunks to compress
        packing = {"compression": "gzip", "compression_opts": 4, "shuffle": True} if array.size else {}
        group.create_dataset(name, data=array, dtype=np.float64, **packing)


def read_hdf5(path: Path) -> Iterator[RecordedTrial]:
    """The trials of a file, one in memory at a time, to the last bit as they were.

    Raises:
        FileFormatError: not such a file, or of an unknown schema version.
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("format") != FORMAT:
                raise FileFormatError(f"{path}: an HDF5 file, but not one of trials that mbpl wrote")
            check_version(file.attrs.get("schema_version"), str(path))
            names = sorted(file["trials"]) if "trials" in file else []
            if len(names) != file.attrs.get("trials"):
                raise FileFormatError(f"{path}: {len(names)} trials; it was written with {file.attrs.get('trials')}")
            for name in names:
                where = f"{path}: trial {name}"
                group = _own(file["trials"], name, h5py.Group, where)
                yield recorded_of(_text(group, where), _arrays(group, where), where)
    except (OSError, KeyError, RuntimeError) as error:
        raise FileFormatError(f"{path}: cannot be read as HDF5: {error}") from error


def _own(group: Any, name: str, kind: type, where: str) -> Any:
    """A member that lies in the file itself: a link may lead to any other file of the user."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise FileFormatError(f"{where}: '{name}' is a link out of the file, or missing")
    member: Any = group[name]
    elsewhere = kind is h5py.Dataset and (
        getattr(member, "is_virtual", False) or getattr(member, "external", None) is not None
    )
    if not isinstance(member, kind) or elsewhere:
        raise FileFormatError(f"{where}: '{name}' is not what a trial has there, or lies in another file")
    return member


def _text(group: Any, where: str) -> str:
    header = _own(group, "header", h5py.Dataset, where)
    if header.shape != () or h5py.check_string_dtype(header.dtype) is None:
        raise FileFormatError(f"{where}: 'header' is not a text")
    text: bytes = header[()]
    if len(text) > MAX_TEXT_BYTES:
        raise FileFormatError(f"{where}: a header of {len(text) / MIB:.1f} MiB; at most {MAX_TEXT_BYTES / MIB:g}")
    return text.decode("utf-8")


def _arrays(group: Any, where: str) -> dict[str, Any]:
    members = {name: _own(group, name, h5py.Dataset, where) for name in group if name not in ("header", "law")}
    if "law" in group:
        law = _own(group, "law", h5py.Group, where)
        members |= {f"law/{name}": _own(law, name, h5py.Dataset, where) for name in law}
    size = sum(member.nbytes for member in members.values())
    if size > MAX_ARCHIVE_BYTES:
        raise FileFormatError(f"{where}: {size / MIB:.1f} MiB of numbers; at most {MAX_ARCHIVE_BYTES / MIB:g}")
    wrong = [name for name, member in members.items() if member.dtype != np.float64]
    if wrong:
        raise FileFormatError(f"{where}: {', '.join(wrong)}: not float64")
    return {name: member[()] for name, member in members.items()}
