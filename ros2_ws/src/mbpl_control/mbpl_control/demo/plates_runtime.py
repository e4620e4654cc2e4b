"""The figures of the report about the run itself: swaps and latency."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mbpl_control.demo.program import SWAP_LIMIT
from mbpl_control.demo.records import DemoResult, SwapRecord
from mbpl_control.demo.styles import ALARM, COLORS, LABELS, draw_commands
from mbpl_control.report.figures import INK, Plate, panel

#: Shown before the first swap and after the last, s.
MARGIN = 0.2


def swap_plate(result: DemoResult) -> Plate:
    """Commands across swaps in motion."""
    panels = []
    for run in result.swaps:
        first, last = run.swaps[0].time, run.swaps[-1].time
        span = (first - MARGIN, last + 2.0 * MARGIN)

        def commands(axes: Axes, run: SwapRecord = run, span: tuple[float, float] = span) -> None:
            _backgrounds(axes, run, span)
            draw_commands(axes, run.times - run.swaps[0].time, run.commands, run.limits, result.joint_names)

        def changes(axes: Axes, run: SwapRecord = run, span: tuple[float, float] = span) -> None:
            _backgrounds(axes, run, span)
            steps = 100.0 * np.abs(np.diff(run.commands, axis=0) / run.limits).max(axis=1)
            axes.plot(run.times[1:] - run.swaps[0].time, steps, color=INK, linewidth=0.9)
            times = [s.time - run.swaps[0].time for s in run.swaps]
            jumps = [100.0 * float(s.jumps.max()) for s in run.swaps]
            axes.plot(times, jumps, "o", color=ALARM, ms=4.5, label="at a swap", clip_on=False)
            axes.axhline(100.0 * SWAP_LIMIT, color=ALARM, linewidth=1.1, linestyle=":", label="allowed at a swap")
            axes.set_ylim(bottom=0.0)
            axes.legend(loc="upper right", fontsize=7.5)

        def speeds(axes: Axes, run: SwapRecord = run, span: tuple[float, float] = span) -> None:
            _backgrounds(axes, run, span, legend=True)
            axes.plot(run.times - run.swaps[0].time, run.speeds, color=INK, linewidth=1.2)

        time = "time since the first swap [s]"
        panels.append(panel(commands, "commands", time, "command [% of limit]"))
        panels.append(panel(changes, "change from one command to the next", time, "largest change [% of limit]"))
        panels.append(panel(speeds, "fastest joint", time, "speed [rad/s]"))
    swaps = [s for run in result.swaps for s in run.swaps]
    moving = [s for s in swaps if s.speed > 0.05]
    jump = max(run.largest_jump for run in result.swaps)
    change = max(float(s.changes.max()) for s in swaps)
    return Plate(
        "swaps",
        "Swapping controllers in motion",
        f"{len(swaps)} swaps, {len(moving)} of them while a joint moved faster than 0.05 rad/s; the background shows "
        "who commands. The manager blends from the last command it applied to what the new law wants, so that "
        f"nothing steps: across a swap no command changed by more than {100.0 * jump:.2f} % of its limit (dots; "
        f"dotted, the {100.0 * SWAP_LIMIT:.0f} % that is promised). The blending itself, and the new law's own "
        f"course, change commands by up to {100.0 * change:.2f} % a tick within 0.1 s of a swap; the plan asks for "
        "such changes of its own, at its beginning.",
        tuple(panels),
    )


def latency_plate(result: DemoResult) -> Plate:
    """State to command, as a histogram and its tail."""
    latencies = 1e3 * all_latencies(result)
    period = 1e3 / result.rate
    p50, p99 = np.percentile(latencies, (50, 99))

    def histogram(axes: Axes) -> None:
        top = max(1.2 * period, float(np.percentile(latencies, 99.9)))
        axes.hist(np.minimum(latencies, top), bins=80, range=(0.0, top), color=COLORS["ilqr_feedback"], alpha=0.85)
        axes.set_yscale("log")
        axes.axvline(p50, **_RULE)
        axes.axvline(p99, **_RULE)
        axes.axvline(period, color=ALARM, linewidth=1.2, linestyle=":")
        for x, text in ((p50, "50 %"), (p99, "99 %"), (period, "period")):
            axes.annotate(text, (x, 0.97), xycoords=_OVER, rotation=90.0, ha="right", va="top", fontsize=8.0)

    def tail(axes: Axes) -> None:
        ordered = np.sort(latencies)
        exceed = 1.0 - np.arange(len(ordered)) / len(ordered)
        axes.plot(ordered, exceed, color=COLORS["ilqr_feedback"], drawstyle="steps-post")
        axes.axvline(period, color=ALARM, linewidth=1.2, linestyle=":")
        axes.set_yscale("log")
        axes.set_xscale("log")

    late = int((latencies > period).sum())
    return Plate(
        "latency",
        "Latency of the loop",
        f"From a state to the command that answers it, as both reached the recorder, over {len(latencies)} commands "
        f"of all trials: median {p50:.2f} ms, 99 % within {p99:.2f} ms, largest {latencies.max():.2f} ms; {late} "
        f"took longer than the period of {period:.1f} ms (dotted). Left a histogram, right the fraction that took "
        "longer than a given time. The recorder is a process of its own, so its scheduling is in these figures; "
        "make bench-loop measures the loop itself.",
        (
            panel(histogram, "histogram", "state to command [ms]", "commands"),
            panel(tail, "tail", "state to command [ms]", "fraction that took longer"),
        ),
    )


def all_latencies(result: DemoResult) -> np.ndarray:
    """Latencies of all trials and swaps, s."""
    return np.concatenate([t.latencies for t in result.trials] + [s.latencies for s in result.swaps])


_OVER: Any = ("data", "axes fraction")
_RULE: dict[str, Any] = {"color": INK, "linewidth": 1.0, "linestyle": "--", "alpha": 0.7}


def _backgrounds(axes: Axes, run: SwapRecord, span: tuple[float, float], legend: bool = False) -> None:
    """Colour the time by who commands."""
    origin = run.swaps[0].time
    edges = [run.times[0], *(s.time for s in run.swaps), run.times[-1]]
    names = [run.swaps[0].before, *(s.after for s in run.swaps)]
    seen: set[str] = set()
    for begin, end, name in zip(edges[:-1], edges[1:], names, strict=True):
        label = LABELS.get(name, name) if legend and name not in seen else None
        seen.add(name)
        color = COLORS.get(name, "#8a8f98")
        axes.axvspan(begin - origin, end - origin, color=color, alpha=0.2, linewidth=0.0, label=label)
    axes.set_xlim(span[0] - origin, span[1] - origin)
    if legend:
        axes.legend(loc="upper right", fontsize=7.5)
