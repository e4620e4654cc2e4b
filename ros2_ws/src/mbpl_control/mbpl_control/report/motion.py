"""Panels of trajectories with the tube that a law's covariance predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Ellipse

from mbpl_control.core.validation import Array
from mbpl_control.report.figures import PALETTE, SIZE, panel

TARGET = "#1a9641"
#: Ellipses along a path.
ELLIPSES = 14
#: Starts that get a panel of their own.
MOST_STARTS = 6


@dataclass(frozen=True, eq=False)
class Path3:
    """A way of a frame through space.

    Attributes:
        points: (N, 3), m.
        color: of the line.
        label: in the legend; empty for none.
        width: of the line.
    """

    points: Array
    color: str = PALETTE[0]
    label: str = ""
    width: float = 0.9


@dataclass(frozen=True, eq=False)
class Tube3:
    """Where a frame should be, with its covariance.

    Attributes:
        means: (N, 3), m.
        covariances: (N, 3, 3), m².
        color: of the tube.
    """

    means: Array
    covariances: Array
    color: str = PALETTE[2]


def plane_of(points: Sequence[Array]) -> tuple[int, int]:
    """The two world axes along which points move most, in order."""
    everything = np.concatenate(points)
    extents = everything.max(axis=0) - everything.min(axis=0)
    # two axes without any motion are as good as others; a stable sort keeps x and y then
    first, second = sorted(np.argsort(-extents, kind="stable")[:2])
    return int(first), int(second)


def spatial_panel(
    title: str, paths: Sequence[Path3], tube: Tube3 | None, target: Array | None, plane: tuple[int, int]
) -> str:
    """Paths of a frame in a plane of the world, with 2σ ellipses of the tube, and the target as a cross."""
    across, up = plane

    def draw(axes: Axes) -> None:
        if tube is not None:
            mean = tube.means
            for t in np.unique(np.linspace(0, len(mean) - 1, ELLIPSES).astype(int)):
                part = tube.covariances[t][np.ix_(plane, plane)]
                values, vectors = np.linalg.eigh(part)
                width, height = 4.0 * np.sqrt(np.maximum(values, 0.0))
                angle = float(np.degrees(np.arctan2(vectors[1, 0], vectors[0, 0])))
                center = (mean[t, across], mean[t, up])
                axes.add_patch(Ellipse(center, width, height, angle=angle, color=tube.color, alpha=0.16, lw=0.0))
            axes.plot(mean[:, across], mean[:, up], color=tube.color, linewidth=1.8, label="expected, ± 2σ")
        for path in paths:
            points = path.points
            axes.plot(
                points[:, across], points[:, up], color=path.color, linewidth=path.width, label=path.label or None
            )
            axes.plot(*points[-1, list(plane)], marker="o", ms=2.5, color=path.color)
        if target is not None:
            axes.plot(*target[list(plane)], marker="+", ms=12, mew=2.0, color=TARGET, linestyle="none", label="target")
        axes.set_aspect("equal", adjustable="datalim")
        axes.legend(fontsize=7.0, loc="best")

    names = "xyz"
    return panel(draw, title, f"{names[across]} [m]", f"{names[up]} [m]", (SIZE[0], 3.4))


def time_panel(
    title: str, label: str, times: Array, lines: Sequence[Array], tube: tuple[Array, Array] | None, target: float | None
) -> str:
    """A coordinate over time, trial by trial, with the tube as ± 2σ.

    Args:
        title: above the panel.
        label: of the ordinate.
        times: (N,) s.
        lines: of each trial (N,).
        tube: mean (N,) and standard deviation (N,); None for no tube.
        target: of the coordinate; None for none.
    """

    def draw(axes: Axes) -> None:
        if tube is not None:
            mean, deviation = tube
            low, high = mean - 2.0 * deviation, mean + 2.0 * deviation
            axes.fill_between(times, low, high, color=PALETTE[2], alpha=0.2, lw=0.0, label="expected, ± 2σ")
            axes.plot(times, mean, color=PALETTE[2], linewidth=1.6)
        for i, line in enumerate(lines):
            axes.plot(times[: len(line)], line, color=PALETTE[0], linewidth=0.9, label="trials" if i == 0 else None)
        if target is not None:
            axes.axhline(target, color=TARGET, linewidth=1.0, linestyle=":", label="target")
        axes.legend(fontsize=7.0, loc="best")

    return panel(draw, title, "time [s]", label, SIZE)
