"""Draw docs/images/horizon.png: derivatives along a path, and the variance of a policy's gradient, by horizon.

    python docs/images/horizon.py

The figures are those of the bench (`bench/method_parts/backprop.py`): linear systems, and the dynamics of
InvertedPendulum as they were learned.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

OUTPUT = Path(__file__).with_name("horizon.png")
sys.path.insert(0, str(OUTPUT.parents[2] / "bench"))

from method_parts import backprop  # noqa: E402

SIZE, DPI = (12.8, 4.8), 125
BACKGROUND, INK, FAINT = (0.063, 0.086, 0.122), "#e8edf3", "#93a0b0"
COLOURS = {
    "contracting": (0.35, 0.9, 0.5),
    "neutral": (0.6, 0.65, 0.7),
    "expanding": (1.0, 0.85, 0.35),
    "pole, untrained policy": (1.0, 0.48, 0.2),
    "pole, trained policy": (0.3, 0.69, 1.0),
}


def main() -> None:
    """Measure and draw."""
    torch.set_num_threads(1)
    pendulum = backprop.pendulum_loops()
    colours = {"axes.edgecolor": FAINT, "xtick.color": FAINT, "ytick.color": FAINT, "text.color": INK}
    with rc_context({**colours, "axes.labelcolor": FAINT, "font.family": "DejaVu Sans", "font.size": 11.0}):
        figure = Figure(figsize=SIZE, dpi=DPI, facecolor=BACKGROUND)
        left, right = (figure.add_axes((x, 0.13, 0.4, 0.72), facecolor="none") for x in (0.07, 0.57))
        draw_sensitivities(left, backprop.sensitivities(pendulum))
        draw_variances(right, backprop.variances(pendulum))
        figure.savefig(OUTPUT, facecolor=BACKGROUND)
    print(f"written to {OUTPUT}")


def draw_sensitivities(chart: Axes, found: dict[str, np.ndarray]) -> None:
    """Norms by the steps they go through."""
    for name, norms in found.items():
        label = f"{name}, ρ = {backprop.RADII[name]:g}" if name in backprop.RADII else name
        style = "--" if name in backprop.RADII else "-"
        chart.semilogy(norms, style, color=COLOURS[name], linewidth=2.2, label=label)
    finish(chart, "A derivative along the path", "steps it goes through", "norm, in units of that at the end")


def draw_variances(chart: Axes, found: dict[str, list[backprop.GradientAtHorizon]]) -> None:
    """Variances by horizon."""
    for name, each in found.items():
        policy, estimator = name.split(" policy, ")
        style = "-" if estimator == "pathwise" else ":"
        label = f"{policy} policy, {estimator.replace('_', ' ')}"
        values = [at.variance for at in each]
        chart.semilogy(
            [at.horizon for at in each],
            values,
            style,
            color=COLOURS[f"pole, {policy} policy"],
            linewidth=2.2,
            label=label,
        )
    finish(chart, "The policy's gradient on the learned pole", "horizon, steps", "variance of a particle's gradient")


def finish(chart: Axes, title: str, x: str, y: str) -> None:
    """Labels and a legend."""
    chart.set_title(title, color=INK, loc="left", fontsize=13.0, fontweight="bold")
    chart.set_xlabel(x)
    chart.set_ylabel(y)
    chart.grid(color=FAINT, alpha=0.2)
    chart.spines[["top", "right"]].set_visible(False)
    chart.legend(frameon=False, labelcolor=INK, fontsize=9.5)


if __name__ == "__main__":
    main()
