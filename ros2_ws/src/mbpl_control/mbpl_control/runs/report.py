"""The report of runs and bags: one HTML page that needs nothing beside itself."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mbpl_control.core import Trial, archive
from mbpl_control.core.errors import FileFormatError, RefusedError
from mbpl_control.report.figures import Plate
from mbpl_control.report.page import write_page
from mbpl_control.runs.directory import RunDirectory, SavedIteration
from mbpl_control.runs.plates import Series, numeric_columns, run_plates
from mbpl_control.runs.plates_motion import motion_plates, task_of_run
from mbpl_control.runs.plates_policy import teacher_plate
from mbpl_control.tasks import Task

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


@dataclass(frozen=True)
class TrialRow:
    """A trial in the table of all.

    Attributes:
        of: the run and the part of it, or the bag's name.
        link: to the bag, relative to the page; empty where the trial is in the run's own files.
        condition: its start.
        controller: its name.
        seed: of its noise.
        steps: it lasted.
        cost: as text.
        distance: at the end, as text.
        success: whether the task's rule held; None where nobody judged.
        stop: how it ended.
    """

    of: str
    link: str
    condition: int
    controller: str
    seed: int
    steps: int
    cost: str
    distance: str
    success: bool | None
    stop: str


@dataclass(frozen=True)
class ToldRun:
    """A run as the page tells it.

    Attributes:
        directory: of the run.
        saved: its iterations.
        label: seed, and name where that does not tell runs apart.
        link: of its directory, relative to the page.
    """

    directory: RunDirectory
    saved: list[SavedIteration]
    label: str
    link: str

    @property
    def group(self) -> tuple[str, str]:
        """Method and task: runs that differ in nothing but the seed, or should."""
        return self.directory.description.method, self.directory.description.task

    @property
    def columns(self) -> list[str]:
        """Numbers that the table of iterations has a column for."""
        return [name for name in numeric_columns([it.report for it in self.saved]) if name != "condition"]

    @property
    def rows(self) -> list[tuple[int, list[str], str]]:
        """Iteration, means over the starts, seconds."""
        out = []
        for report in (it.report for it in self.saved):
            means = [report.mean(n) if all(n in row for row in report.rows) else math.nan for n in self.columns]
            out.append((report.iteration, [number(v) for v in means], f"{sum(report.seconds.values()):.2f}"))
        return out

    @property
    def trials(self) -> int:
        """That it learned from."""
        return sum(len(it.trials()) for it in self.saved)

    @property
    def events(self) -> list[tuple[int, str]]:
        """What was out of the ordinary, with its iteration."""
        return [(it.report.iteration, event) for it in self.saved for event in it.report.events]

    @property
    def files(self) -> list[Artefact]:
        """What its last iteration left."""
        return artefacts(self.directory, self.saved[-1])


def find_runs(directory: Path) -> list[RunDirectory]:
    """The run in a directory, or all runs below it, sorted by path; none is no error."""
    if (directory / "run.yaml").is_file():
        return [RunDirectory.open(directory)]
    found = sorted(p.parent for p in directory.rglob("run.yaml") if (p.parent / "iterations").is_dir())
    return [RunDirectory.open(path) for path in found]


def write_report(directory: RunDirectory) -> Path:
    """Write `report.html` of a run anew; its path.

    Raises:
        RefusedError: there is no iteration to tell of.
    """
    return write_runs([directory], directory.path / "report.html")


def write_runs(
    directories: Sequence[RunDirectory],
    path: Path,
    plates: Sequence[Plate] = (),
    rows: Sequence[TrialRow] = (),
    notes: Sequence[str] = (),
) -> Path:
    """Write a page of runs, and of what else was read; its path.

    Args:
        directories: the runs.
        path: of the page. Links are relative to its directory.
        plates: figures of what is in no run.
        rows: trials of what is in no run.
        notes: what could not be told, and why.

    Raises:
        RefusedError: a run has no iteration to tell of, or there is nothing at all.
    """
    runs = [_told(directory, directories, path) for directory in directories]
    if not runs and not rows:
        raise RefusedError(" ".join(["no run, and no bag that can be read, so there is nothing to report.", *notes]))
    groups: dict[tuple[str, str], list[ToldRun]] = {}
    for run in runs:
        groups.setdefault(run.group, []).append(run)
    figures, table, gaps = [], [], list(notes)
    for i, ((method, task_name), group) in enumerate(groups.items()):
        anchor, of = (f"g{i + 1}-", f": {method} on {task_name}") if len(groups) > 1 else ("", "")
        told = [Series(run.label, [it.report for it in run.saved]) for run in group]
        figures += [*run_plates(told, anchor, of)[:-1], *teacher_plate(told, anchor, of)]
        newest = group[0]
        description = newest.directory.description
        task, why = task_of_run(description.task_file, description.task_hash)
        if task is None:
            gaps.append(f"No trajectories of {newest.directory.path}: {why}.")
        else:
            whose = f", {newest.label}" if len(group) > 1 else ""
            figures += motion_plates(task, newest.saved[-1], anchor, of + whose)
        for run in group:
            table += _trial_rows(run, task)
        figures.append(run_plates(told, anchor, of)[-1])
    return write_page(
        Path(__file__).with_name("report.html.j2"),
        path,
        _title(runs),
        [*figures, *plates],
        runs=runs,
        bags=len(rows),
        trials=[*table, *rows],
        linked=any(row.link for row in [*table, *rows]),
        notes=gaps,
    )


def _told(directory: RunDirectory, all_of: Sequence[RunDirectory], path: Path) -> ToldRun:
    saved = directory.iterations()
    if not saved:
        raise RefusedError(f"{directory.path}: no iteration is complete yet, so there is nothing to report")
    mine = directory.description
    same = [d for d in all_of if (d.description.method, d.description.task) == (mine.method, mine.task)]
    seeds = [d.description.seed for d in same]
    label = f"seed {mine.seed}" + (f", {directory.path.name}" if seeds.count(mine.seed) > 1 else "")
    link = Path(os.path.relpath(directory.path, path.parent)).as_posix()
    return ToldRun(directory, saved, label, "" if link == "." else f"{link}/")


def _title(runs: Sequence[ToldRun]) -> str:
    if len(runs) == 1:
        return f"mbpl train: {runs[0].directory.description.method}, {runs[0].directory.description.task}"
    return "mbpl report"


def _trial_rows(run: ToldRun, task: Task | None) -> list[TrialRow]:
    """The trials of the last iteration."""
    last = run.saved[-1]
    parts = [("learned from", t) for t in last.trials()] + [("without exploration", t) for t in last.evaluation()]
    name = f"{run.directory.path.name}, iteration {last.report.iteration}"
    return [trial_row(f"{name}, {part}", "", trial, final_distance(trial, task)) for part, trial in parts]


def trial_row(of: str, link: str, trial: Trial, distance: float) -> TrialRow:
    """A trial as the table shows it, with its distance at the end, NaN where nobody knows."""
    return TrialRow(
        of,
        link,
        trial.condition,
        trial.controller,
        trial.seed,
        trial.steps,
        number(trial.cost),
        number(distance),
        trial.success,
        trial.stop_reason,
    )


def final_distance(trial: Trial, task: Task | None) -> float:
    """Largest distance over the last states that count, m or rad; NaN where nothing tells it."""
    known = trial.metadata.get("final_distance")
    if isinstance(known, (int, float)):
        return float(known)
    if task is None or trial.condition < 0 or trial.state != task.state:
        return math.nan
    kinds = ("joint_positions", "joint_velocities")
    columns = [i for kind in kinds for i in task.state.indices(kind, task.robot.joint_names)]
    return task.success(trial.states[:, columns], trial.condition).distance if trial.steps else math.nan


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


def number(value: float) -> str:
    """Four digits of a number, and a dash for none."""
    return "–" if math.isnan(value) else f"{value:.4g}"
