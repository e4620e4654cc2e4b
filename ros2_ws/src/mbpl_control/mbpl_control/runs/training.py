"""The loop around a learner: its requests become trials, it learns from them, everything is kept."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace

from mbpl_control.agents.pool import TrialRunner
from mbpl_control.core.errors import RefusedError
from mbpl_control.core.trial import Trial
from mbpl_control.learning.learner import IterationReport, Learner
from mbpl_control.runs.directory import RunDirectory


class Observer:
    """What a run tells, and what it asks. Every method may be left as it is."""

    def go_on(self) -> bool:
        """Whether to go on: asked before each iteration and after each trial. To pause the run, do not return yet.

        An iteration whose trials are not complete when the answer is no is not learned from; a resumed run repeats it.
        """
        return True

    def on_trial(self, iteration: int, done: int, total: int) -> None:
        """`done` of the `total` trials of an iteration have been run."""

    def review(self, iteration: int, trials: Sequence[Trial]) -> Sequence[Trial]:
        """The trials to learn from, before they are: a person may mark one as failed by another `stop_reason`."""
        return trials

    def on_learning(self, iteration: int) -> None:
        """The trials of an iteration are complete; learning begins."""

    def on_iteration(self, report: IterationReport) -> None:
        """An iteration is learned from and kept."""


class _StoppedError(Exception):
    """The observer does not want to go on."""


class TrainingRun:
    """Learns until there are enough iterations, from wherever the directory's run was left.

    Args:
        directory: where everything is kept.
        learner: as it was built; what was kept of it is restored.
        runner: runs the trials.
        observer: told of everything.

    Raises:
        DefinitionMismatchError: the learner's task is not that of the run.
        FileFormatError: what was kept is not of this learner.
    """

    def __init__(
        self, directory: RunDirectory, learner: Learner, runner: TrialRunner, observer: Observer | None = None
    ) -> None:
        """Restore the learner."""
        self._directory, self._learner, self._runner = directory, learner, runner
        self._observer = Observer() if observer is None else observer
        directory.description.check_task(learner.task)
        directory.restore(learner)

    def run(self) -> bool:
        """Learn; whether there are as many iterations as the run shall have, or else the observer stopped it.

        However this ends, by an exception or Ctrl-C, what the directory holds can be resumed.

        Raises:
            RefusedError: every trial of an iteration was refused, so that there is nothing to learn from.
            MbplError: a trial could not be run, or something could not be kept.
        """
        try:
            with self._directory.locked():
                # a process that was killed may have kept an iteration, and not its rows
                self._directory.write_tables()
                while self._learner.iteration < self._directory.description.iterations:
                    if not self._observer.go_on():
                        return False
                    self._observer.on_iteration(self._iterate())
        except _StoppedError:
            return False
        return True

    def _iterate(self) -> IterationReport:
        """One iteration, kept."""
        learner, begin = self._learner, time.perf_counter()
        number = learner.iteration + 1
        wanted, shown = learner.requests(), learner.evaluation_requests()
        total, done = len(wanted) + len(shown), 0
        self._observer.on_trial(number, 0, total)

        def on_trial(_: int, __: Trial) -> None:
            nonlocal done
            done += 1
            self._observer.on_trial(number, done, total)
            if done < total and not self._observer.go_on():
                raise _StoppedError

        ran = self._runner.run([*wanted, *shown], on_trial)
        trials, evaluation = self._observer.review(number, ran[: len(wanted)]), ran[len(wanted) :]
        if all(trial.steps == 0 for trial in trials):
            raise RefusedError(f"iteration {number}: no trial could be run; the first: {trials[0].stop_reason}")
        tried = time.perf_counter()
        self._observer.on_learning(number)
        report = learner.learn(trials, evaluation)
        parts = {name: value for name, value in report.seconds.items() if name != "trials"}
        rest = time.perf_counter() - tried - sum(parts.values())
        report = replace(report, seconds={"trials": tried - begin, **parts, "rest": max(rest, 0.0)})
        return self._directory.save_iteration(learner, report, trials, evaluation).report
