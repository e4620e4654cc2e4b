"""The figures of the report about learning."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes

from mbpl_control.demo.program import LEARNED, POLICY
from mbpl_control.demo.records import DemoResult, TrialRecord
from mbpl_control.demo.styles import LABELS, TARGET, TIME, draw_commands
from mbpl_control.report.figures import PALETTE, Plate, panel
from mbpl_control.runs.plates import Series, curve, time_plate


def learning_plates(result: DemoResult) -> tuple[Plate, ...]:
    """How learning went, and what was learned; nothing when that part was left out."""
    learned = result.learned
    if learned is None:
        return ()
    runs = [Series("learning", learned.reports)]
    first, last = learned.reports[0], learned.reports[-1]
    curves = Plate(
        "learning",
        "Learning without a model",
        f"{len(learned.reports)} iterations of guided policy search, {learned.trials} trials in {learned.seconds:.0f} "
        "s of wall time. The dynamics are fitted to the trials, a controller for each start is improved on them "
        "within a bound on how far it may move, and one neural policy is taught by all controllers. Each thin line "
        f"is a start condition, the strong one their mean, which fell from {first.mean('cost'):.0f} to "
        f"{last.mean('cost'):.0f}. Right, the policy alone, without noise, before each iteration; the starts without "
        "a line on the left are held out: nothing was learned from them.",
        tuple(curve(runs, name) for name in ("cost", "distance", "policy_distance")),
    )
    return curves, _outcome_plate(result), time_plate(runs)


def _outcome_plate(result: DemoResult) -> Plate:
    """Distances of the recorded trials of what was learned."""
    trials = [t for t in result.trials if t.spec.controller in (LEARNED, POLICY)]

    panels = [_distances([t for t in trials if t.spec.controller == c], LABELS[c]) for c in (LEARNED, POLICY)]
    panels.append(_torques(result, next(t for t in trials if t.spec.controller == POLICY)))
    return Plate(
        "learned",
        "What was learned, in real time",
        "The controller of the first start and the policy, loaded from their files into a graph that runs in real "
        "time, and recorded. The dotted line is 10 mm. The policy is asked from every start of the task, those "
        "included that nothing was learned from: "
        + ", ".join(
            f"start {t.spec.condition} {1e3 * t.final_distance:.1f} mm" for t in trials if t.spec.controller == POLICY
        )
        + ".",
        tuple(panels),
    )


def _distances(trials: list[TrialRecord], title: str) -> str:
    """Distance to the target over time, a line a start."""

    def draw(axes: Axes) -> None:
        for i, trial in enumerate(trials):
            color, label = PALETTE[i % len(PALETTE)], f"start {trial.spec.condition}"
            axes.plot(trial.times, 1e3 * np.maximum(trial.distances, 1e-4), color=color, label=label, linewidth=1.3)
        axes.axhline(10.0, color=TARGET, linewidth=1.0, linestyle=":")
        axes.set_yscale("log")
        axes.legend(loc="lower left", fontsize=7.0, ncols=2)

    return panel(draw, title, TIME, "distance to target [mm]")


def _torques(result: DemoResult, trial: TrialRecord) -> str:
    """Commands of the joints, as fractions of their limits."""

    def draw(axes: Axes) -> None:
        draw_commands(axes, trial.command_times, trial.commands, result.limits, result.joint_names)

    return panel(draw, f"{LABELS[POLICY]}, start {trial.spec.condition}", TIME, "command [% of limit]")
