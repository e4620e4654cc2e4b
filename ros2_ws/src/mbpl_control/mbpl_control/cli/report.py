"""`mbpl report`: one page for training runs and bags."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from mbpl_control.bags.recorded import find_bags
from mbpl_control.core.errors import BagError, FileFormatError
from mbpl_control.runs.recorded import RecordedStory
from mbpl_control.runs.report import find_runs, write_runs
from mbpl_control.tasks import load_task


def report(directories: Sequence[Path], task: str | None, output: Path | None) -> Path:
    """Write the page; its path.

    Args:
        directories: of runs, of bags, or of both.
        task: of the bags, where they do not tell.
        output: of the page; `report.html` in the first directory when None.

    Raises:
        FileFormatError: a directory is missing, or has neither run nor bag.
        RefusedError: there is nothing to tell: no iteration, and no bag that can be read.
    """
    page = output or directories[0] / "report.html"
    if not page.absolute().parent.is_dir():
        raise FileFormatError(f"{page.absolute().parent}: no such directory, so no page can be written there")
    runs, bags = [], []
    for directory in directories:
        if not directory.is_dir():
            raise FileFormatError(f"{directory}: no such directory")
        mine = find_runs(directory)
        runs += mine
        try:
            bags += find_bags(directory)
        except BagError as error:
            if not mine:
                raise FileFormatError(f"{directory}: holds neither a run (run.yaml) nor a bag") from error
    story = RecordedStory(page, load_task(task) if task is not None else None)
    if bags:
        with Progress(console=Console(stderr=True), transient=True) as progress:
            for path in progress.track(bags, description="reading bags"):
                story.add_bag(path)
    return write_runs(runs, page, story.plates(), story.rows, story.notes)
