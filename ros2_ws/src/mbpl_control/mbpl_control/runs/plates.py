"""The figures of a run's report: learning curves, and where the time went."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mbpl_control.core.validation import Array
from mbpl_control.learning.learner import IterationReport
from mbpl_control.report.figures import INK, PALETTE, SIZE, Plate, panel

#: Titles and units of what learners report; what is not among them is drawn under its own name.
TITLES = {
    "cost": "Cost of the trials",
    "cost_noise_free": "Cost without exploration",
    "success": "Success, with exploration",
    "success_noise_free": "Success, without exploration",
    "distance": "Distance at the end, with exploration [m]",
    "policy_distance": "Distance at the end, the policy alone [m]",
    "kl": "KL divergence of the step [nats]",
    "eta": "Dual variable η",
    "step_multiplier": "Step multiplier",
}
#: Drawn on a logarithmic axis, when every value is above zero.
LOGARITHMIC = ("eta", "step_multiplier", "kl", "distance", "policy_distance")
#: Drawn together, as what the task is about; everything else is about how the learner went.
OUTCOME = ("cost", "success")


def run_plates(reports: Sequence[IterationReport]) -> tuple[Plate, ...]:
    """All figures of a run with at least one iteration."""
    names = [name for name in numeric_columns(reports) if name != "condition"]
    outcome = [name for name in names if name.startswith(OUTCOME)]
    inner = [name for name in names if name not in outcome]
    plates = [
        Plate(
            "learning",
            "Learning curves",
            "Each thin line is a start condition, the strong one their mean. A success is the fraction of an "
            "iteration's trials for which the task's rule held.",
            tuple(curve(reports, name) for name in outcome),
        )
    ]
    if inner:
        plates.append(
            Plate(
                "steps",
                "How far each step went",
                "What the learner reports of its own steps, by start condition.",
                tuple(curve(reports, name) for name in inner),
            )
        )
    plates.append(time_plate(reports))
    return tuple(plates)


def numeric_columns(reports: Sequence[IterationReport]) -> list[str]:
    """Names of the numbers in the rows, in the order they come in; a text anywhere makes a column none."""
    names = dict.fromkeys(name for report in reports for row in report.rows for name in row)
    texts = {name for report in reports for row in report.rows for name in row if isinstance(row[name], str)}
    return [name for name in names if name not in texts]


def conditions(reports: Sequence[IterationReport]) -> list[float | int | str]:
    """Start conditions, in the order they come in."""
    return list(dict.fromkeys(row["condition"] for report in reports for row in report.rows))


def series(reports: Sequence[IterationReport], name: str, condition: float | int | str) -> Array:
    """A number of one start condition over the iterations; NaN where it is missing."""
    values = np.full(len(reports), np.nan)
    for i, report in enumerate(reports):
        for row in report.rows:
            if row["condition"] == condition and name in row:
                values[i] = float(row[name])
    return values


def curve(reports: Sequence[IterationReport], name: str) -> str:
    """One number over the iterations, each start condition and their mean."""
    steps = np.array([report.iteration for report in reports])
    starts = conditions(reports)
    each = np.array([series(reports, name, condition) for condition in starts])
    shown = np.isfinite(each)
    counts = np.maximum(shown.sum(axis=0), 1)
    mean = np.where(shown.any(axis=0), np.where(shown, each, 0.0).sum(axis=0) / counts, np.nan)

    def draw(axes: Axes) -> None:
        for i, (condition, values) in enumerate(zip(starts, each, strict=True)):
            color = PALETTE[i % len(PALETTE)]
            axes.plot(steps, values, color=color, linewidth=0.9, marker="o", ms=2.0, label=f"condition {condition}")
        axes.plot(steps, mean, color=INK, linewidth=2.2, marker="o", ms=3.0, label="mean")
        if name in LOGARITHMIC and (each[shown] > 0.0).all():
            axes.set_yscale("log")
        if name.startswith("success"):
            axes.set_ylim(-0.03, 1.03)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if name == OUTCOME[0]:
            axes.legend(fontsize=7.0)

    return panel(draw, TITLES.get(name, name.replace("_", " ")), "iteration", "", SIZE)


def time_plate(reports: Sequence[IterationReport]) -> Plate:
    """Wall time by part, one bar an iteration."""
    steps = np.array([report.iteration for report in reports])
    parts = list(dict.fromkeys(name for report in reports for name in report.seconds))
    values = {part: np.array([report.seconds.get(part, 0.0) for report in reports]) for part in parts}

    def draw(axes: Axes) -> None:
        below = np.zeros(len(steps))
        for i, (part, seconds) in enumerate(values.items()):
            axes.bar(steps, seconds, bottom=below, width=0.7, color=PALETTE[i % len(PALETTE)], label=part)
            below += seconds
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize=7.5)

    total = sum(seconds.sum() for seconds in values.values())
    told = ", ".join(f"{part} {seconds.sum():.2f} s" for part, seconds in values.items())
    return Plate(
        "time",
        "Where the time went",
        f"Wall time of {len(steps)} iterations: {total:.2f} s; {told}. "
        "The first iteration also compiles code, where none is kept from an earlier run.",
        (panel(draw, "Time of an iteration", "iteration", "wall time [s]", (2.0 * SIZE[0], SIZE[1])),),
    )
