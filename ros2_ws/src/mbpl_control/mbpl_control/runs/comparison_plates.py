"""The figures of methods side by side: every seed of each, by steps of the environment and by wall time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes

from mbpl_control.mbrl.evaluation import Evaluation
from mbpl_control.report.figures import PALETTE, SIZE, Plate, panel
from mbpl_control.runs.curves import Curve
from mbpl_control.runs.plates import DASHES

#: Of a figure that stands alone in its row.
WIDE = (2.0 * SIZE[0], 1.25 * SIZE[1])
#: Markers of methods beyond the colours there are.
MARKERS = ("o", "s", "^")
#: Where the largest of all costs is so many times the smallest, the axis is logarithmic.
MANY = 10.0
STEPS = "steps of the environment"

Number = Callable[[Evaluation], float]


def comparison_plates(curves: Sequence[Curve], enough: float) -> list[Plate]:
    """All figures of at least one curve.

    Args:
        curves: every seed of every method.
        enough: mean return that solves the problem where it has no rule of success.
    """
    drawing = _Drawing(curves, enough)
    plates = [
        Plate(
            "steps",
            "By steps of the environment",
            "A line a seed, a colour a method, a point an evaluation without exploration; the large one is where the "
            f"problem counts as solved. {drawing.told}",
            (panel(drawing.by(_steps), drawing.title, STEPS, drawing.label, WIDE),),
        ),
        Plate(
            "time",
            "By wall time",
            "The same, by the time spent learning on this machine, steps in the environment among it. Evaluations of "
            "step learners are not counted; the trials that judge lqr_flm and gps are.",
            (panel(drawing.by(_seconds, "log"), drawing.title, "time learning [s]", drawing.label, WIDE),),
        ),
    ]
    if any(each.successes for curve in curves for each in curve.evaluations):
        plates.append(
            Plate(
                "success",
                "Success",
                "Share of the episodes of an evaluation, from every training condition, that met the task's rule.",
                (panel(drawing.success, "Episodes that succeeded", STEPS, "share", WIDE),),
            )
        )
    seeds = tuple(panel(drawing.of(name), name, STEPS, drawing.label) for name in drawing.methods)
    about = "The mean return of each seed, and a dot for each episode it was judged by."
    return [*plates, Plate("seeds", "Seed by seed", about, seeds)]


def _steps(each: Evaluation) -> float:
    return each.steps


def _seconds(each: Evaluation) -> float:
    # what was judged before any learning has no place on a logarithmic axis
    return each.seconds or math.nan


def _share(each: Evaluation) -> float:
    return float(np.mean(each.successes)) if each.successes else math.nan


class _Drawing:
    """Draws curves: returns as they are, or as costs on a logarithmic axis where all are costs of many sizes.

    Args:
        curves: what is drawn.
        enough: return that solves the problem.

    Attributes:
        methods: their names, in order.
        title: of a panel of returns.
        label: of its ordinate.
        told: of that axis, in a caption.
    """

    def __init__(self, curves: Sequence[Curve], enough: float) -> None:
        """Give each method its look, and find the scale."""
        self._curves, self._enough = curves, enough
        self.methods = list(dict.fromkeys(curve.method for curve in curves))
        self._look = {
            name: (PALETTE[i % len(PALETTE)], MARKERS[i // len(PALETTE) % len(MARKERS)])
            for i, name in enumerate(self.methods)
        }
        costs = -np.array([each.mean for curve in curves for each in curve.evaluations])
        costs = costs[np.isfinite(costs)]
        self._costs = bool(costs.size and (costs > 0.0).all() and costs.max() > MANY * costs.min())
        self.title = "Cost of an episode" if self._costs else "Return"
        self.label = "cost = −return; better is up" if self._costs else "return"
        self.told = "The axis is logarithmic and upside down, so that better is up." if self._costs else ""

    def by(self, x: Number, scale: str = "linear") -> Callable[[Axes], None]:
        """Mean returns by another number."""

        def draw(axes: Axes) -> None:
            self._lines(axes, x, lambda each: self._value(each.mean))
            self._dress(axes)
            axes.set_xscale(scale)

        return draw

    def success(self, axes: Axes) -> None:
        """Shares of success by steps."""
        self._lines(axes, _steps, _share)
        axes.set_ylim(-0.03, 1.03)

    def of(self, name: str) -> Callable[[Axes], None]:
        """One method, with every episode it was judged by."""

        def draw(axes: Axes) -> None:
            color, _ = self._look[name]
            for k, curve in enumerate(self._seeds(name)):
                steps = [each.steps for each in curve.evaluations for _ in each.returns]
                totals = [self._value(total) for each in curve.evaluations for total in each.returns]
                axes.plot(steps, totals, color=color, marker=".", ms=2.5, linewidth=0.0)
                means = [self._value(each.mean) for each in curve.evaluations]
                label, dash = f"seed {curve.seed}", DASHES[k % len(DASHES)]
                axes.plot([each.steps for each in curve.evaluations], means, color=color, linestyle=dash, label=label)
            self._dress(axes)
            axes.legend(fontsize=7.5)

        return draw

    def _seeds(self, name: str) -> list[Curve]:
        return [curve for curve in self._curves if curve.method == name]

    def _lines(self, axes: Axes, x: Number, y: Number) -> None:
        for name, (color, marker) in self._look.items():
            for k, curve in enumerate(self._seeds(name)):
                xs, ys = [x(each) for each in curve.evaluations], [y(each) for each in curve.evaluations]
                label = name if k == 0 else None
                axes.plot(xs, ys, color=color, marker=marker, ms=2.2, linewidth=1.0, label=label)
                done = curve.solved(self._enough)
                if done is not None:
                    axes.plot([x(done)], [y(done)], color=color, marker=marker, ms=7.0)
        axes.legend(fontsize=7.5, ncols=2)

    def _value(self, total: float) -> float:
        """What is drawn of a return."""
        if not self._costs:
            return total
        return -total if total < 0.0 else math.nan

    def _dress(self, axes: Axes) -> None:
        if self._costs:
            axes.set_yscale("log")
            axes.invert_yaxis()
