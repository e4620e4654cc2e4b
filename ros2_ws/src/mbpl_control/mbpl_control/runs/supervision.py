"""A run under the eyes of a person, who may pause it, stop it, or say that a trial failed."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mbpl_control.core.errors import RefusedError
from mbpl_control.core.trial import Trial
from mbpl_control.learning.learner import IterationReport
from mbpl_control.runs.training import Observer

#: Why a trial that a person rejected is not learned from.
REJECTED = "aborted: rejected by a person"


@dataclass(frozen=True)
class RunProgress:
    """How far a run is.

    Attributes:
        iteration: iterations that are done.
        trial: trials of the next one that are done.
        trials: of the next one in all.
        paused: whether it waits to go on.
        cost: mean over conditions, of the last iteration; NaN before the first.
        kl: likewise, nats.
        eta: likewise.
        success: likewise, fraction of the trials.
    """

    iteration: int = 0
    trial: int = 0
    trials: int = 0
    paused: bool = False
    cost: float = math.nan
    kl: float = math.nan
    eta: float = math.nan
    success: float = math.nan


class Supervisor(Observer):
    """The observer of a run in one thread, told what to do by others.

    Args:
        on_progress: told of every change, from the thread of the run.
        on_report: told of every iteration, from the thread of the run.
    """

    def __init__(
        self,
        on_progress: Callable[[RunProgress], None] = lambda _: None,
        on_report: Callable[[IterationReport], None] = lambda _: None,
    ) -> None:
        """Let the run go on until told otherwise."""
        self._on_progress, self._on_report = on_progress, on_report
        self._changed = threading.Condition()
        self._progress = RunProgress()
        self._paused = self._stopped = False
        #: whether trials are under way, and may be rejected
        self._trying = False
        self._rejected: set[int] = set()

    # --- from other threads ---

    @property
    def progress(self) -> RunProgress:
        """How far the run is."""
        return self._progress

    def pause(self, paused: bool) -> None:
        """Have the run wait after the trial that runs, or go on."""
        with self._changed:
            self._paused = paused
            self._changed.notify_all()

    def stop(self) -> None:
        """End the run after the trial that runs; what is complete is kept."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def reject(self) -> int:
        """Have the trial that runs, or the one that ran last, count as failed; its number in the iteration, from 1.

        Raises:
            RefusedError: no trial has run, or its iteration is learned from already.
        """
        with self._changed:
            p = self._progress
            running = self._trying and not p.paused and p.trial < p.trials
            index = p.trial if running else p.trial - 1
            if not self._trying or index < 0:
                raise RefusedError("no trial has run that was not learned from already")
            self._rejected.add(index)
            return index + 1

    # --- from the thread of the run ---

    def go_on(self) -> bool:
        """Wait while paused; whether nobody asked for the end."""
        with self._changed:
            while self._paused and not self._stopped:
                if self._progress.paused:
                    self._changed.wait()
                else:
                    # who is told may answer at once: look again before waiting
                    self._tell(paused=True)
            if self._progress.paused:
                self._tell(paused=False)
            return not self._stopped

    def on_trial(self, iteration: int, done: int, total: int) -> None:
        """See `Observer.on_trial`."""
        with self._changed:
            if done == 0:
                self._rejected.clear()
            self._trying = True
            self._tell(iteration=iteration - 1, trial=done, trials=total)

    def review(self, iteration: int, trials: Sequence[Trial]) -> Sequence[Trial]:
        """Mark what was rejected; trials without exploration are not among these, and nothing is learned from them."""
        with self._changed:
            self._trying = False
            return [
                replace(trial, stop_reason=REJECTED, success=False) if index in self._rejected else trial
                for index, trial in enumerate(trials)
            ]

    def on_iteration(self, report: IterationReport) -> None:
        """See `Observer.on_iteration`."""
        figures = {
            key: report.mean(key) if all(key in row for row in report.rows) else math.nan
            for key in ("cost", "kl", "eta", "success")
        }
        with self._changed:
            self._tell(iteration=report.iteration, trial=0, trials=0, **figures)
        self._on_report(report)

    def _tell(self, **changes: Any) -> None:
        self._progress = replace(self._progress, **changes)
        self._on_progress(self._progress)
