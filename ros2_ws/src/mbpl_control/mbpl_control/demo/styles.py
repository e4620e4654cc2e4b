"""Colours and marks of the demo's figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from mbpl_control.core.validation import Array
from mbpl_control.report.figures import INK, PALETTE

#: Colours of controllers: told apart by most eyes, on white and on black (after Okabe and Ito 2008).
COLORS = {
    "ilqr_open_loop": "#d55e00",
    "ilqr_feedback": "#1f87d0",
    "ilqr_sampled": "#00a37a",
    "ilqr_mpc": "#c56cae",
    "learned_0": "#c9a400",
    "neural_policy": "#6f6fd8",
    "hold": "#8a8f98",
    "fallback": "#b8912c",
}
LABELS = {
    "ilqr_open_loop": "open loop",
    "ilqr_feedback": "mean feedback",
    "ilqr_sampled": "sampled feedback",
    "ilqr_mpc": "iLQR-MPC",
    "learned_0": "LQR-FLM",
    "neural_policy": "neural policy",
    "hold": "hold",
    "fallback": "fallback",
}
#: Of abscissas.
TIME = "time since activation [s]"
TARGET, ALARM = "#1a9641", "#c0392b"
PLAN_STYLE: dict[str, Any] = {"color": INK, "linestyle": (0, (3, 2)), "linewidth": 1.1}


def draw_commands(axes: Axes, times: Array, commands: Array, limits: Array, names: Sequence[str]) -> None:
    """Commands of the joints in percent of their limits. (N,), (N, m), (m,), at least m names."""
    for j in range(commands.shape[1]):
        color = PALETTE[j % len(PALETTE)]
        axes.plot(times, 100.0 * commands[:, j] / limits[j], color=color, label=names[j], linewidth=1.1)


def shade_push(axes: Axes, begin: float, duration: float) -> None:
    """Mark the time of a push."""
    axes.axvspan(begin, begin + duration, color="#d55e00", alpha=0.18, linewidth=0.0)
    middle = begin + 0.5 * duration
    axes.annotate("push", (middle, 1.0), xycoords=("data", "axes fraction"), ha="center", va="bottom", fontsize=8.0)
