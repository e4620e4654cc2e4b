"""Teacher against student: the controllers and the policy they taught, start by start."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mbpl_control.report.figures import INK, PALETTE, SIZE, Plate, panel, plain_log
from mbpl_control.runs.plates import DASHES, Series, conditions, mean_known, series

TEACHER, STUDENT = PALETTE[0], PALETTE[1]
#: What both have a number of, with the title and the unit of its axis.
PAIRS = (("distance", "policy_distance", "distance at the end [m]"), ("cost", "policy_cost", "cost"))


def teacher_plate(runs: Sequence[Series], anchor: str = "", of: str = "") -> tuple[Plate, ...]:
    """Controllers and policy over the iterations, and against each other in the last; none without a policy."""
    reports = [report for run in runs for report in run.reports]
    names = {name for report in reports for row in report.rows for name in row}
    panels = []
    for teacher, student, label in PAIRS:
        if {teacher, student} <= names and _any_known(runs, student):
            panels += [_over_iterations(runs, teacher, student, label), _last(runs, teacher, student, label)]
    if not panels:
        return ()
    return (
        Plate(
            anchor + "teacher",
            "Teacher against student" + of,
            "The controllers that teach, as they explore, and the one policy that is taught, alone and without noise, "
            "both before each iteration and over the starts that were learned from. Left, the mean over these starts, "
            "a line a seed; right, each start in the last iteration in which both are known: below the diagonal the "
            "student is the better one.",
            tuple(panels),
        ),
    )


def _any_known(runs: Sequence[Series], name: str) -> bool:
    return any(np.isfinite(float(row.get(name, np.nan))) for run in runs for r in run.reports for row in r.rows)


def _over_iterations(runs: Sequence[Series], teacher: str, student: str, label: str) -> str:
    def draw(axes: Axes) -> None:
        for s, run in enumerate(runs):
            steps = [report.iteration for report in run.reports]
            taught = _taught(run, teacher)
            suffix = f", {run.label}" if len(runs) > 1 else ""
            for name, color, who in ((teacher, TEACHER, "teacher"), (student, STUDENT, "student")):
                mean = mean_known([series(run.reports, name, c) for c in taught])
                dash = DASHES[s % len(DASHES)]
                axes.plot(steps, mean, color=color, linestyle=dash, marker="o", ms=3.0, label=who + suffix)
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=7.0)

    return panel(draw, "mean over starts", "iteration", label, SIZE)


def _last(runs: Sequence[Series], teacher: str, student: str, label: str) -> str:
    def draw(axes: Axes) -> None:
        drawn = []
        for s, run in enumerate(runs):
            for i, c in enumerate(_taught(run, teacher)):
                x, y = series(run.reports, teacher, c), series(run.reports, student, c)
                both = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
                if both.size:
                    pair = x[both[-1]], y[both[-1]]
                    drawn.append(pair)
                    mark = "osD^v"[s % 5]
                    legend = f"condition {c}" if s == 0 else None
                    axes.plot(*pair, marker=mark, ms=6, color=PALETTE[i % len(PALETTE)], ls="none", label=legend)
        low, high = float(np.min(drawn)), float(np.max(drawn))
        axes.plot([low, high], [low, high], color=INK, linewidth=0.9, linestyle=":")
        if low > 0.0:
            axes.set_xscale("log")
            axes.set_yscale("log")
            plain_log(axes.xaxis)
            plain_log(axes.yaxis)
        axes.legend(fontsize=7.0)

    return panel(draw, "each start, last iteration", f"teacher: {label}", "student", SIZE)


def _taught(run: Series, teacher: str) -> list[float | int | str]:
    """Starts of which the teacher has a number: those that were learned from."""
    return [c for c in conditions(run.reports) if np.isfinite(series(run.reports, teacher, c)).any()]
