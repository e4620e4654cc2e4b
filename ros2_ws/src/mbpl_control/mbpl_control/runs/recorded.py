"""Recorded trials in a report: figures by task, and a row each that links to its bag."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from mbpl_control.bags.recorded import RecordedTrial, read_all
from mbpl_control.bags.task_lookup import TaskLookup
from mbpl_control.core import LinearGaussianController
from mbpl_control.core.errors import BagError
from mbpl_control.core.validation import Array
from mbpl_control.report.figures import INK, PALETTE, SIZE, Plate, panel, plain_log
from mbpl_control.report.motion import MOST_STARTS, TARGET, Path3, Tube3, plane_of, spatial_panel
from mbpl_control.report.tube import frame_tube
from mbpl_control.runs.report import TrialRow, trial_row
from mbpl_control.tasks import Task

#: Trials of a task that are drawn; those beyond stand in the table.
MOST_DRAWN = 400


@dataclass(frozen=True, eq=False)
class Drawn:
    """What the figures keep of a trial.

    Attributes:
        condition: its start.
        controller: its name.
        times: (T+1,) s.
        distances: (T+1,) to the target, m or rad; NaN without a rule.
        points: (T+1, 3) m of the frame success is about; None without one.
        final: distance at the end.
        success: whether the rule held.
    """

    condition: int
    controller: str
    times: Array
    distances: Array
    points: Array | None
    final: float
    success: bool


class RecordedStory:
    """What a report tells of bags, gathered one trial at a time.

    Args:
        page: where the page will be; links are relative to its directory.
        task: of all bags; by name and hash from each bag when None.

    Attributes:
        rows: of the table.
        unread: why a bag could not be read, for each such bag.
    """

    def __init__(self, page: Path, task: Task | None = None) -> None:
        """Begin without a trial."""
        self.page, self.lookup = page, TaskLookup(task)
        self.rows: list[TrialRow] = []
        self.unread: list[str] = []
        self._tasks: dict[tuple[str, str], Task] = {}
        self._drawn: dict[tuple[str, str], list[Drawn]] = {}
        self._laws: dict[tuple[str, str], dict[int, tuple[str, LinearGaussianController]]] = {}
        self._left: dict[tuple[str, str], int] = {}

    def add_bag(self, path: Path) -> None:
        """Take in the trials of a bag, one in memory at a time; a bag that cannot be read is a note that says why."""
        try:
            for recorded in read_all([path], self.lookup.given):
                self.add(recorded)
        except BagError as error:
            self.unread.append(f"Not told: {error}.")

    def add(self, recorded: RecordedTrial) -> None:
        """Take in a trial."""
        trial = recorded.trial
        task = self.lookup.of(trial)
        link = Path(os.path.relpath(recorded.path.absolute(), self.page.parent.absolute())).as_posix() + "/"
        known = task is not None and trial.condition >= 0
        distances = np.full(trial.steps + 1, np.nan)
        final = float("nan")
        if known and trial.steps:
            assert task is not None  # noqa: S101 - known
            distances = task.distances(recorded.robot_states, trial.condition)
            final = task.success(recorded.robot_states, trial.condition).distance
        name = recorded.path.name + ("" if recorded.complete else " (not closed)")
        self.rows.append(trial_row(name, link, trial, final))
        if not known:
            return
        assert task is not None  # noqa: S101 - known
        key = (task.name, task.hash)
        self._tasks[key] = task
        mine = self._drawn.setdefault(key, [])
        if len(mine) >= MOST_DRAWN:
            self._left[key] = self._left.get(key, 0) + 1
            return
        frame = task.success_frame
        points = None
        if frame is not None:
            points = task.robot.kinematics.positions(frame, recorded.robot_states[:, : task.robot.nq])
        mine.append(Drawn(trial.condition, trial.controller, trial.times, distances, points, final, trial.success))
        law = recorded.law
        if law is not None and law.state == task.robot.state and np.any(law.covariances):
            self._laws.setdefault(key, {}).setdefault(trial.condition, (trial.controller, law))

    @property
    def notes(self) -> list[str]:
        """What could not be read or drawn, and why."""
        missing = self.lookup.missing.items()
        return self.unread + [f"No figures of recorded trials of '{name}': {why}." for (name, _), why in missing]

    def plates(self) -> list[Plate]:
        """The figures of all tasks."""
        out: list[Plate] = []
        for i, (key, drawn) in enumerate(self._drawn.items()):
            task = self._tasks[key]
            anchor, of = f"b{i + 1}-", f": {task.name}" if len(self._drawn) > 1 else ""
            left = self._left.get(key, 0)
            more = f" The first {len(drawn)} trials are drawn; {left} more stand in the table only." if left else ""
            out += _plates(task, drawn, self._laws.get(key, {}), anchor, of, more)
        return out


def _plates(
    task: Task,
    drawn: list[Drawn],
    laws: dict[int, tuple[str, LinearGaussianController]],
    anchor: str,
    of: str,
    more: str,
) -> list[Plate]:
    controllers = list(dict.fromkeys(d.controller for d in drawn))
    colors = {name: PALETTE[i % len(PALETTE)] for i, name in enumerate(controllers)}
    plates = []
    if task.success_frame is not None:
        plates.append(_paths(task, drawn, laws, colors, anchor, of, more))
    if np.isfinite([d.final for d in drawn]).any():
        plates += [_over_time(drawn, colors, anchor, of), _side_by_side(drawn, colors, anchor, of)]
    return plates


def _paths(
    task: Task,
    drawn: list[Drawn],
    laws: dict[int, tuple[str, LinearGaussianController]],
    colors: dict[str, str],
    anchor: str,
    of: str,
    more: str,
) -> Plate:
    plane = plane_of([d.points for d in drawn if d.points is not None])
    starts = sorted({d.condition for d in drawn})
    panels, tubes = [], 0
    for c in starts[:MOST_STARTS]:
        mine = [d for d in drawn if d.condition == c]
        named: set[str] = set()
        paths = []
        for d in mine:
            assert d.points is not None  # noqa: S101 - the task has a frame
            label = "" if d.controller in named else d.controller
            named.add(d.controller)
            paths.append(Path3(d.points, colors[d.controller], label, 1.1))
        tube = None
        if c in laws:
            name, law = laws[c]
            applied = replace(law, nominal_actions=law.planned_actions, feedforward=np.zeros_like(law.feedforward))
            tube = Tube3(*frame_tube(task, applied), color=colors[name])
            tubes += 1
        panels.append(spatial_panel(f"start {c}", paths, tube, task.condition(c).target, plane))
    told = (
        " The ellipses are where the recorded law, in the colour of its controller, is expected 95 % of the time in "
        "each coordinate, by the task's model: P' = (A + BK) P (A + BK)ᵀ + B Σ Bᵀ."
        if tubes
        else ""
    )
    rest = f" {len(starts) - MOST_STARTS} more starts are not drawn." if len(starts) > MOST_STARTS else ""
    caption = (
        f"The {task.success_frame}, start by start, in the plane in which it moves most, from the recorded states; "
        f"the dot is where a trial ended.{told}{rest}{more}"
    )
    return Plate(anchor + "recorded", "Recorded trajectories" + of, caption, tuple(panels))


def _over_time(drawn: list[Drawn], colors: dict[str, str], anchor: str, of: str) -> Plate:
    panels = []
    for name, color in list(colors.items())[:MOST_STARTS]:

        def draw(axes: Axes, name: str = name, color: str = color) -> None:
            for d in drawn:
                if d.controller == name and (d.distances > 0.0).all():
                    axes.plot(d.times, d.distances, color=color, linewidth=0.9)
            axes.set_yscale("log")

        panels.append(panel(draw, name or "no controller named", "time [s]", "distance to target", SIZE))
    more = f" {len(colors) - MOST_STARTS} more controllers are not drawn." if len(colors) > MOST_STARTS else ""
    return Plate(
        anchor + "distances",
        "Distance to the target" + of,
        f"What the task's rule of success measures, m or rad, a line a trial and a panel a controller.{more}",
        tuple(panels),
    )


def _side_by_side(drawn: list[Drawn], colors: dict[str, str], anchor: str, of: str) -> Plate:
    finals = {name: np.array([d.final for d in drawn if d.controller == name]) for name in colors}
    rates = {name: np.mean([d.success for d in drawn if d.controller == name]) for name in colors}
    names = list(colors)

    def distances(axes: Axes) -> None:
        for i, name in enumerate(names):
            values = finals[name][np.isfinite(finals[name])]
            spread = np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else np.zeros(len(values))
            axes.plot(values, i + spread, color=colors[name], marker="o", ms=3.5, linestyle="none", alpha=0.8)
            if len(values):
                axes.plot([np.median(values)] * 2, [i - 0.38, i + 0.38], color=INK, linewidth=1.8)
        axes.set_xscale("log")
        plain_log(axes.xaxis)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(len(names) - 0.4, -0.6)

    def successes(axes: Axes) -> None:
        axes.barh(range(len(names)), [rates[n] for n in names], color=[colors[n] for n in names], height=0.6)
        axes.axvline(1.0, color=TARGET, linewidth=1.0, linestyle=":")
        axes.set_yticks(range(len(names)), names)
        axes.set_xlim(0.0, 1.05)
        axes.set_ylim(len(names) - 0.4, -0.6)

    told = "; ".join(
        f"{name} {np.nanmedian(finals[name]):.3g} (median of {len(finals[name])}), success {100.0 * rates[name]:.0f} %"
        for name in names
        if np.isfinite(finals[name]).any()
    )
    return Plate(
        anchor + "controllers",
        "Controllers side by side" + of,
        f"Teachers and students among them. Left, the distance at the end, a dot a trial and a bar at the median; "
        f"right, the fraction of trials that met the task's rule. {told}.",
        (
            panel(distances, "distance at the end", "m or rad", "", SIZE),
            panel(successes, "success", "fraction of the trials", "", SIZE),
        ),
    )
