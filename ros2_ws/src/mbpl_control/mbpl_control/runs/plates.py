"""The figures of what runs reported: learning curves of every seed, steps, model error, and where the time went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mbpl_control.core.validation import Array
from mbpl_control.learning.learner import IterationReport
from mbpl_control.report.figures import INK, PALETTE, SIZE, Plate, panel

#: Titles and units of what learners report; what is not among them is drawn under its own name.
TITLES = {
    "cost": "Cost of the trials",
    "mean_cost": "Cost, without exploration",
    "policy_cost": "Cost, the policy alone",
    "success": "Success, with exploration",
    "mean_success": "Success, without exploration",
    "policy_success": "Success, the policy alone",
    "held_out_success": "Success, the policy from starts held out",
    "distance": "Distance at the end, with exploration [m]",
    "mean_distance": "Distance at the end, without exploration [m]",
    "policy_distance": "Distance at the end, the policy alone [m]",
    "disagreement": "Disagreement of policy and controllers [σ]",
    "kl": "KL divergence of the step [nats]",
    "bound": "Bound on it, ε [nats]",
    "eta": "Dual variable η",
    "multiplier": "Step multiplier",
    "predicted_cost": "Predicted cost of the new controller",
    "one_step_error": "One-step error, on the trials of the fit",
    "held_out_error": "One-step error, on a trial left out",
    "rank": "Rank of the data of a fit",
}
#: Drawn on a logarithmic axis, when every value is above zero.
LOGARITHMIC = (
    "eta", "multiplier", "kl", "bound", "distance", "mean_distance", "policy_distance", "one_step_error",
    "held_out_error",
)  # fmt: skip
#: What the task is about; everything else is about how the learner went.
OUTCOME = ("cost", "success", "mean_cost", "mean_success", "distance", "mean_distance")
MODEL = ("one_step_error", "held_out_error", "rank")
POLICY = ("policy_cost", "policy_success", "held_out_success", "policy_distance", "disagreement")
#: Counts that are mostly the same throughout.
COUNTS = ("discarded", "rank")
#: Dashes of seeds, so that neither colour nor order has to tell them apart.
DASHES = ("-", (0, (5, 1.5)), (0, (2, 1.2)), (0, (6, 1.5, 1, 1.5)), (0, (1, 1)))


@dataclass(frozen=True)
class Series:
    """What one run reported.

    Attributes:
        label: its seed, as the legend calls it.
        reports: of its iterations.
    """

    label: str
    reports: Sequence[IterationReport]


def run_plates(runs: Sequence[Series], anchor: str = "", of: str = "") -> tuple[Plate, ...]:
    """All figures of runs of one method on one task, each with at least one iteration.

    Args:
        runs: every seed.
        anchor: goes before the anchor of each figure, for a page with several groups of runs.
        of: what they learned and how, for the titles of such a page.
    """
    names = [n for n in numeric_columns([r for run in runs for r in run.reports]) if n != "condition"]
    seeds = f"of {len(runs)} seeds, which differ in their dashes, " if len(runs) > 1 else ""
    strong = "the strong ones the mean of each seed, the strongest that of all" if len(runs) > 1 else "the strong one"
    strong += "" if len(runs) > 1 else " their mean"
    parts = (
        (
            "learning",
            "Learning curves",
            f"Each thin line {seeds}is a start condition, {strong}. A success is the fraction of an iteration's "
            "trials for which the task's rule held.",
            [n for n in names if n in OUTCOME],
        ),
        (
            "student",
            "The policy, taught by the controllers",
            "What the one policy does alone, without noise, from each start; starts held out are those nothing was "
            "learned from. The disagreement is the root mean square of (μ − μ̄) in units of the controller's Σ, at the "
            "states of the trials.",
            [n for n in names if n in POLICY],
        ),
        (
            "steps",
            "How far each step went",
            "What the learner reports of its own steps, by start condition: a step maximises the improvement within "
            "KL(new ‖ old) ≤ ε, and η is the price of that bound. A count that never changed stands in the table only.",
            [n for n in names if n not in (*OUTCOME, *POLICY, *MODEL) and _worth_a_panel(runs, n)],
        ),
        (
            "model",
            "Model error",
            "Root mean square of x' − (A x + B u + c) over steps, trials and coordinates of the state: on the trials "
            "the local dynamics were fitted to, and on one that a second fit left out.",
            [n for n in names if n in MODEL and _worth_a_panel(runs, n)],
        ),
    )
    plates = [
        Plate(anchor + key, title + of, caption, tuple(curve(runs, name) for name in shown))
        for key, title, caption, shown in parts
        if shown
    ]
    return (*plates, time_plate(runs, anchor, of))


def _worth_a_panel(runs: Sequence[Series], name: str) -> bool:
    if name not in COUNTS:
        return True
    values = [float(row[name]) for run in runs for report in run.reports for row in report.rows if name in row]
    return len({value for value in values if np.isfinite(value)}) > 1


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


def mean_known(values: Sequence[Array]) -> Array:
    """Mean over the rows of what is not NaN; NaN where nothing is. Rows may differ in length."""
    length = max(len(row) for row in values)
    table = np.array([np.pad(row, (0, length - len(row)), constant_values=np.nan) for row in values])
    known = np.isfinite(table)
    counts = np.maximum(known.sum(axis=0), 1)
    return np.where(known.any(axis=0), np.where(known, table, 0.0).sum(axis=0) / counts, np.nan)


def curve(runs: Sequence[Series], name: str) -> str:
    """One number over the iterations: each start condition of each seed, the mean of each seed, and that of all."""
    starts = conditions([report for run in runs for report in run.reports])
    each = [[series(run.reports, name, condition) for condition in starts] for run in runs]
    means = [mean_known(rows) for rows in each]
    values = np.concatenate([row for rows in each for row in rows])
    many = len(runs) > 1

    def draw(axes: Axes) -> None:
        for s, (run, rows, mean) in enumerate(zip(runs, each, means, strict=True)):
            steps = [report.iteration for report in run.reports]
            dash = DASHES[s % len(DASHES)]
            for i, (condition, row) in enumerate(zip(starts, rows, strict=True)):
                label = f"condition {condition}" if s == 0 else None
                color = PALETTE[i % len(PALETTE)]
                axes.plot(steps, row, color=color, linewidth=0.9, linestyle=dash, marker="o", ms=2.0, label=label)
            label, width = (run.label, 1.5) if many else ("mean", 2.2)
            axes.plot(steps, mean, color=INK, linewidth=width, linestyle=dash, marker="o", ms=3.0, label=label)
        if many:
            whole = mean_known(means)
            longest = max((run.reports for run in runs), key=len)
            axes.plot([report.iteration for report in longest], whole, color=INK, linewidth=2.8, label="mean of all")
        known = values[np.isfinite(values)]
        if name in LOGARITHMIC and known.size and (known > 0.0).all():
            axes.set_yscale("log")
        if "success" in name:
            axes.set_ylim(-0.03, 1.03)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        if name == OUTCOME[0]:
            axes.legend(fontsize=7.0)

    return panel(draw, TITLES.get(name, name.replace("_", " ")), "iteration", "", SIZE)


def time_plate(runs: Sequence[Series], anchor: str = "", of: str = "") -> Plate:
    """Wall time by part, one bar an iteration, and a panel a run."""
    panels, told = [], []
    for run in runs:
        steps = np.array([report.iteration for report in run.reports])
        parts = list(dict.fromkeys(name for report in run.reports for name in report.seconds))
        values = {part: np.array([report.seconds.get(part, 0.0) for report in run.reports]) for part in parts}

        def draw(axes: Axes, steps: Array = steps, values: dict[str, Array] = values) -> None:
            below = np.zeros(len(steps))
            for i, (part, seconds) in enumerate(values.items()):
                axes.bar(steps, seconds, bottom=below, width=0.7, color=PALETTE[i % len(PALETTE)], label=part)
                below += seconds
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            axes.legend(fontsize=7.5)

        total = sum(seconds.sum() for seconds in values.values())
        parted = ", ".join(f"{part} {seconds.sum():.2f} s" for part, seconds in values.items())
        whose = f"{run.label}: " if len(runs) > 1 else ""
        told.append(f"{whose}wall time of {len(steps)} iterations {total:.2f} s; {parted}.")
        title = "Time of an iteration" + (f", {run.label}" if len(runs) > 1 else "")
        size = SIZE if len(runs) > 1 else (2.0 * SIZE[0], SIZE[1])
        panels.append(panel(draw, title, "iteration", "wall time [s]", size))
    text = " ".join(told)
    return Plate(
        anchor + "time",
        "Where the time went" + of,
        f"{text[:1].upper()}{text[1:]} The first iteration also compiles code, where none is kept from an earlier run.",
        tuple(panels),
    )
