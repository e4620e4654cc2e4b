"""`mbpl export`: recorded trials in the formats of other tools."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress

from mbpl_control.bags.recorded import RecordedTrial, find_bags, read_all
from mbpl_control.bags.task_lookup import TaskLookup
from mbpl_control.core.errors import BagError, FileFormatError, InvalidFieldError
from mbpl_control.core.validation import check_choice
from mbpl_control.tasks import load_task

FORMATS = ("lerobot", "hdf5", "parquet", "rerun")


def export(bags: Path, kind: str, output: Path, task: str | None) -> int:
    """Write all trials of all bags below a directory; how many.

    Args:
        bags: the directory; a bag itself will do.
        kind: one of `FORMATS`.
        output: the file (hdf5, or rerun of one trial: *.rrd) or directory.
        task: for what bags by another recorder do not tell, and for the robot's geometry.

    Raises:
        BagError: a bag cannot be read, or there is none.
        FileFormatError: the output exists, or cannot be written.
        InvalidFieldError: no such format, or it cannot hold the trials.
        RefusedError: rerun-sdk is not installed.
    """
    check_choice("mbpl export", "--format", kind, FORMATS)
    if not output.absolute().parent.is_dir():
        raise FileFormatError(f"{output.absolute().parent}: no such directory")
    given = load_task(task) if task is not None else None
    paths = find_bags(bags)
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"bags to {kind}", total=len(paths))
        trials = read_all(
            paths,
            given,
            lambda done, _: progress.update(bar, completed=done),
            lambda path, why: progress.console.print(f"{escape(str(path))}: left out, it has no trial: {escape(why)}"),
        )
        if kind == "rerun":
            return _rerun(trials, TaskLookup(given), output)
        # each format's library is loaded for those who write it
        if kind == "hdf5":
            from mbpl_control.bags.export.hdf5 import write_hdf5

            return write_hdf5(trials, output)
        if kind == "parquet":
            from mbpl_control.bags.export.parquet import write_parquet

            return write_parquet(trials, output)
        from mbpl_control.bags.export.lerobot import write_lerobot

        return write_lerobot(trials, output)


def _rerun(trials: Iterator[RecordedTrial], lookup: TaskLookup, output: Path) -> int:
    """One file for the one trial, or a directory with one a trial."""
    from mbpl_control.bags.export.rerun import rerun, write_rerun

    rerun()
    one = output.suffix == ".rrd"
    if not one:
        try:
            output.mkdir()
        except FileExistsError as error:
            raise FileFormatError(f"{output}: exists already; nothing was changed. Choose another name") from error
    count = 0
    for recorded in trials:
        task = lookup.of(recorded.trial)
        if task is None:
            raise BagError(f"{recorded.path}: no robot to draw: {lookup.why(recorded.trial)}")
        if one and count:
            found = f"{output}, a file, for more than one trial"
            raise InvalidFieldError("mbpl export", "--output", found, "a new directory")
        # a bag recorded by hand may hold several trials
        name = f"{count:04d}-{recorded.path.name}.rrd"
        write_rerun(recorded, task, output if one else output / name)
        count += 1
    return count
