"""The metrics of a run as tables that other programs read."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow

    from mbpl_control.runs.directory import SavedIteration


def metrics_table(iterations: Sequence[SavedIteration]) -> pyarrow.Table:
    """One row an iteration and condition: `iteration`, then what the learner reports, in its order.

    A column of whole numbers is int64, one with other numbers float64, one with texts string. What a row lacks is null.
    """
    rows = [{"iteration": it.report.iteration, **row} for it in iterations for row in it.report.rows]
    return table_of(rows)


def times_table(iterations: Sequence[SavedIteration]) -> pyarrow.Table:
    """One row an iteration: `iteration`, then s of wall time by part."""
    return table_of([{"iteration": it.report.iteration, **it.report.seconds} for it in iterations])


def write_table(table: pyarrow.Table, path: Path) -> None:
    """Write a table as Parquet or CSV, as the name of the file says; it appears whole or not at all."""
    import pyarrow.csv
    import pyarrow.parquet

    writers: dict[str, Callable[[pyarrow.Table, str], None]] = {
        ".parquet": pyarrow.parquet.write_table,
        ".csv": pyarrow.csv.write_csv,
    }
    partial = path.with_name(f".{path.name}.partial")
    writers[path.suffix](table, str(partial))
    os.replace(partial, path)


def table_of(rows: Sequence[Mapping[str, Any]]) -> pyarrow.Table:
    """Rows as a table; what a row lacks is null."""
    import pyarrow

    names = list(dict.fromkeys(name for row in rows for name in row))
    return pyarrow.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: list[Any]) -> pyarrow.Array:
    import pyarrow

    present = [value for value in values if value is not None]
    if any(isinstance(value, str) for value in present):
        return pyarrow.array([None if v is None else str(v) for v in values], pyarrow.string())
    whole = all(isinstance(value, int) for value in present)
    kind = pyarrow.int64() if whole else pyarrow.float64()
    return pyarrow.array([None if v is None else (int if whole else float)(v) for v in values], kind)
