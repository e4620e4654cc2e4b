"""Trials as a directory of two Parquet files, steps and trials.

    trials.parquet    a row a trial: trial int64, task, task_hash, condition int64, controller, seed uint64, success
                      bool, stop_reason, dt float64, steps int64, cost float64 (null where there is none), header
                      (JSON: definitions of x and u, metadata of bag, trial and law)
    steps.parquet     a row a state, T+1 of a trial, a row group a trial: trial int64, step int64, time float64 [s],
                      state and robot_state list<float64>, action list<float64> (null in the last row), cost float64
                      (null where there is none); and of the law in force law_state, law_action, law_gain,
                      law_feedforward, law_covariance, lists of float64, matrices row by row (null where there is none)

Schema version and number of trials stand in the metadata of both files.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mbpl_control.bags.export.parts import PLAIN, SCHEMA_VERSION, arrays_of, check_version, header_of, recorded_of
from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core.errors import FileFormatError
from mbpl_control.core.user_files import MAX_ARCHIVE_BYTES, MIB

FORMAT = "mbpl trials"
TRIALS, STEPS = "trials.parquet", "steps.parquet"
_META = {b"mbpl.format": FORMAT.encode(), b"mbpl.schema_version": str(SCHEMA_VERSION).encode()}
_NUMBERS = pa.list_(pa.float64())
_TRIALS = pa.schema(
    [
        ("trial", pa.int64()),
        ("task", pa.string()),
        ("task_hash", pa.string()),
        ("condition", pa.int64()),
        ("controller", pa.string()),
        ("seed", pa.uint64()),
        ("success", pa.bool_()),
        ("stop_reason", pa.string()),
        ("dt", pa.float64()),
        ("steps", pa.int64()),
        ("cost", pa.float64()),
        ("header", pa.string()),
    ],
    metadata=_META,
)
#: Array of a trial, by the column that holds it.
_COLUMNS = {
    "state": "states",
    "robot_state": "robot_states",
    "action": "actions",
    "law_state": "law/nominal_states",
    "law_action": "law/nominal_actions",
    "law_gain": "law/gains",
    "law_feedforward": "law/feedforward",
    "law_covariance": "law/covariances",
}
_STEPS = pa.schema(
    [
        ("trial", pa.int64()),
        ("step", pa.int64()),
        ("time", pa.float64()),
        ("cost", pa.float64()),
        *((name, _NUMBERS) for name in _COLUMNS),
    ],
    metadata=_META,
)


def write_parquet(trials: Iterable[RecordedTrial], path: Path) -> int:
    """Write trials into a new directory, one in memory at a time; how many. It appears whole or not at all.

    Raises:
        FileFormatError: the directory exists, or cannot be written.
    """
    if path.exists():
        raise FileFormatError(f"{path}: exists already; nothing was changed. Choose another name")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    count = 0
    try:
        partial.mkdir()
        with ExitStack() as stack:
            rows = stack.enter_context(pq.ParquetWriter(partial / TRIALS, _TRIALS))
            steps = stack.enter_context(pq.ParquetWriter(partial / STEPS, _STEPS))
            for recorded in trials:
                rows.write_table(_row(recorded, count))
                steps.write_table(_table(recorded, count), row_group_size=recorded.trial.steps + 1)
                count += 1
        os.replace(partial, path)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return count


def _row(recorded: RecordedTrial, number: int) -> pa.Table:
    trial = recorded.trial
    row = {name: getattr(trial, name) for name in PLAIN} | {
        "trial": number,
        "dt": trial.dt,
        "steps": trial.steps,
        "cost": trial.cost if trial.costs.size else None,
        "header": header_of(recorded),
    }
    return pa.Table.from_pylist([row], schema=_TRIALS)


def _table(recorded: RecordedTrial, number: int) -> pa.Table:
    arrays, count = arrays_of(recorded), recorded.trial.steps + 1
    columns = {
        "trial": pa.array(np.full(count, number)),
        "step": pa.array(np.arange(count)),
        "time": pa.array(arrays["times"]),
        "cost": pa.array(arrays["costs"]) if arrays["costs"].size else pa.nulls(count, pa.float64()),
    }
    for name, source in _COLUMNS.items():
        columns[name] = _lists(arrays[source], count) if source in arrays else pa.nulls(count, _NUMBERS)
    return pa.table([columns[field.name] for field in _STEPS], schema=_STEPS)


def _lists(array: np.ndarray, count: int) -> pa.Array:
    """A list a row, and null in the rows beyond."""
    rows = len(array)
    width = int(np.prod(array.shape[1:]))
    offsets = pa.array(np.minimum(np.arange(count + 1), rows) * width, pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(array.ravel()), mask=pa.array(np.arange(count) >= rows))


def read_parquet(path: Path) -> Iterator[RecordedTrial]:
    """The trials of a directory, one in memory at a time, to the last bit as they were.

    Raises:
        FileFormatError: not such a directory, or of an unknown schema version.
    """
    try:
        rows, steps = pq.ParquetFile(path / TRIALS), pq.ParquetFile(path / STEPS)
        for file, schema, name in ((rows, _TRIALS, TRIALS), (steps, _STEPS, STEPS)):
            _check(file, schema, path / name)
        if rows.metadata.num_rows != steps.metadata.num_row_groups:
            raise FileFormatError(f"{path}: {rows.metadata.num_rows} trials, {steps.metadata.num_row_groups} of steps")
        number = 0
        for batch in rows.iter_batches(batch_size=64, columns=["header"]):
            for header in batch.column("header").to_pylist():
                where = f"{path}: trial {number}"
                size = steps.metadata.row_group(number).total_byte_size
                if size > MAX_ARCHIVE_BYTES:
                    raise FileFormatError(f"{where}: {size / MIB:.1f} MiB; at most {MAX_ARCHIVE_BYTES / MIB:g}")
                yield recorded_of(header, _arrays(steps.read_row_group(number), where), where)
                number += 1
    except (OSError, pa.ArrowException) as error:
        raise FileFormatError(f"{path}: cannot be read as Parquet: {error}") from error


def _check(file: pq.ParquetFile, schema: pa.Schema, path: Path) -> None:
    metadata = file.schema_arrow.metadata or {}
    if metadata.get(b"mbpl.format") != FORMAT.encode() or not file.schema_arrow.equals(schema):
        raise FileFormatError(f"{path}: a Parquet file, but not one of trials that mbpl wrote")
    version = metadata.get(b"mbpl.schema_version", b"")
    check_version(int(version) if version.isdigit() else version, str(path))


def _arrays(table: pa.Table, where: str) -> dict[str, Any]:
    count = table.num_rows
    arrays: dict[str, Any] = {"times": table.column("time").to_numpy()}
    costs = table.column("cost")
    arrays["costs"] = np.zeros(0) if costs.null_count == count else costs.to_numpy()
    for name, source in _COLUMNS.items():
        column = table.column(name).combine_chunks()
        known = count - column.null_count
        if known == 0 and source.startswith("law/"):
            continue
        if column[:known].null_count:
            raise FileFormatError(f"{where}: rows of '{name}' are missing in between")
        values = column[:known].flatten().to_numpy()
        arrays[source] = values.reshape(known, -1) if known else np.zeros((0, 0))
    if "law/gains" in arrays:
        m = arrays["law/nominal_actions"].shape[1]
        for source in ("law/gains", "law/covariances"):
            arrays[source] = arrays[source].reshape(len(arrays[source]), m, -1)
    return arrays
