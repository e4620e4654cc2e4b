"""The report of a run: one HTML page in its directory."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path

from mbpl_control.core import archive
from mbpl_control.core.errors import FileFormatError, RefusedError
from mbpl_control.report.page import write_page
from mbpl_control.runs.directory import RunDirectory, SavedIteration
from mbpl_control.runs.plates import numeric_columns, run_plates

#: What `mbpl trial --controller` can try.
LAWS = ("linear_gaussian_controller", "gaussian_policy")


@dataclass(frozen=True)
class Artefact:
    """A file a run left.

    Attributes:
        link: path below the run's directory.
        kind: what it holds, in words.
        command: that tries it; empty for what is no law.
    """

    link: str
    kind: str
    command: str


def write_report(directory: RunDirectory) -> Path:
    """Write `report.html` anew; its path.

    Raises:
        RefusedError: there is no iteration to tell of.
    """
    saved = directory.iterations()
    if not saved:
        raise RefusedError(f"{directory.path}: no iteration is complete yet, so there is nothing to report")
    reports = [it.report for it in saved]
    columns = [name for name in numeric_columns(reports) if name != "condition"]
    rows = [
        (
            report.iteration,
            [_cell(report.mean(name) if all(name in row for row in report.rows) else math.nan) for name in columns],
            f"{sum(report.seconds.values()):.2f}",
        )
        for report in reports
    ]
    return write_page(
        Path(__file__).with_name("report.html.j2"),
        directory.path / "report.html",
        f"mbpl train: {directory.description.method}, {directory.description.task}",
        run_plates(reports),
        run=directory.description,
        directory=directory.path,
        reports=reports,
        columns=columns,
        rows=rows,
        trials=sum(len(it.trials()) for it in saved),
        events=[(report.iteration, event) for report in reports for event in report.events],
        files=artefacts(directory, saved[-1]),
    )


def artefacts(directory: RunDirectory, iteration: SavedIteration) -> list[Artefact]:
    """What an iteration left, each law with the command that tries it."""
    found = []
    for path in sorted(iteration.path.rglob("*.npz")):
        try:
            kind = archive.kind_of(path)
        except FileFormatError:
            # of a learner that keeps its own state in a way of its own
            kind = "state of the learner"
        command = f"mbpl trial --controller {shlex.quote(str(path))}" if kind in LAWS else ""
        found.append(Artefact(path.relative_to(directory.path).as_posix(), kind.replace("_", " "), command))
    return found


def _cell(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"
