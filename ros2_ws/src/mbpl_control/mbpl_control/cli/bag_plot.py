"""Trials out of bags, drawn over each other."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core import BagError

FORMATS = (".png", ".svg", ".pdf")
#: Most trials that are drawn; more are a grey carpet.
MOST = 200


def draw_trials(trials: Iterable[RecordedTrial], path: Path) -> int:
    """Write one figure of all trials; how many there were.

    A row for each block of the state, one for the actions, with twice the deviation of the first trial's law around
    them, and one for the costs of each step.

    Raises:
        BagError: the file's name ends in none of `FORMATS`, there are no trials, too many, or of different states.
    """
    if path.suffix not in FORMATS:
        raise BagError(f"{path}: must end in {', '.join(FORMATS)}")
    figure, axes, count = Figure(figsize=(9.0, 1.0)), [], 0
    first: RecordedTrial | None = None
    for found in trials:
        count += 1
        if count > MOST:
            raise BagError(f"{path}: more than {MOST} trials; give a directory with fewer")
        trial = found.trial
        if first is None:
            first = found
            rows = len(trial.state.blocks) + 2
            figure = Figure(figsize=(9.0, 1.8 * rows), layout="constrained")
            axes = list(figure.subplots(rows, 1, sharex=True))
        elif trial.state != first.trial.state:
            raise BagError(
                f"{found.path}: its state is another than that of {first.path}; they cannot be drawn together"
            )
        at = 0
        for axis, block in zip(axes, trial.state.blocks, strict=False):
            axis.plot(trial.times, trial.states[:, at : at + block.size], linewidth=0.8)
            axis.set_ylabel(f"{block.kind.replace('_', ' ')}\n[{block.units[0]}]")
            axis.set_prop_cycle(None)
            at += block.size
        axes[-2].step(trial.times[:-1], trial.actions, where="post", linewidth=0.8)
        axes[-2].set_prop_cycle(None)
        if trial.costs.size:
            axes[-1].plot(trial.times, trial.costs, linewidth=0.8)
    if first is None:
        raise BagError("no trials to draw")
    if first.law is not None:
        deviation = 2.0 * np.sqrt(np.einsum("tii->ti", first.law.covariances))
        for i in range(first.trial.action.size):
            mean = first.trial.actions[:, i]
            axes[-2].fill_between(
                first.trial.times[:-1], mean - deviation[:, i], mean + deviation[:, i], alpha=0.15, step="post"
            )
    axes[-2].set_ylabel(f"action\n[{first.trial.action.units[0]}]")
    axes[-1].set_ylabel("cost of a step")
    axes[-1].set_xlabel("time since the start of the trial [s]")
    figure.savefig(path)
    return count
