"""`mbpl train`: learn a task, with a line an iteration, and go on where a run was left."""

from __future__ import annotations

import json as jsonlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from mbpl_control.agents.pool import AgentRunner, TrialPool, TrialRunner
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core.versions import versions
from mbpl_control.learning.learner import IterationReport, Learner
from mbpl_control.runs.beginning import PACKAGES
from mbpl_control.runs.directory import RunDirectory
from mbpl_control.runs.report import write_report
from mbpl_control.runs.training import Observer, TrainingRun
from mbpl_control.tasks.task import Task, load_task

#: Columns of the table: what a learner reports, averaged over the conditions.
COLUMNS = ("cost", "kl", "eta", "success")

#: Builds a learner: method, task, seed, iterations, samples, variant.
Build = Callable[[str, Task, int, int | None, int | None, str | None], Learner]


def build_registered(
    method: str, task: Task, seed: int, iterations: int | None, samples: int | None, variant: str | None
) -> Learner:
    """A learner of the methods that ship; loaded when one is asked for, since some of them need torch."""
    from mbpl_control.learning.registry import build_learner

    return build_learner(method, task, seed, iterations, samples, variant)


def train(
    directory: RunDirectory,
    *,
    executor: str,
    workers: int | None,
    namespace: str,
    as_json: bool,
    build: Build | None = None,
) -> bool:
    """Learn until the run has its iterations; tell how it goes, write the report.

    Args:
        directory: of a run, new or to be resumed.
        executor: of the trials in process.
        workers: of the trials in process.
        namespace: of the nodes, for a run on the graph.
        as_json: print one JSON object and nothing else on standard output.
        build: makes the learner; one of those that ship when None.

    Returns:
        False when it was interrupted; the run can then be resumed.

    Raises:
        MbplError: the run cannot begin, or a trial could not be run.
    """
    console = Console(stderr=as_json, soft_wrap=True, highlight=False)
    description = directory.description
    task = load_task(description.task_file)
    description.check_task(task)
    for name, version in versions(PACKAGES).items():
        if description.versions.get(name, version) != version:
            found = escape(f"{name} is {version} here and was {description.versions[name]}")
            console.print(f"[yellow]not the versions the run began with:[/] {found}; bits may differ")
    with _runner(task, description.agent, executor, workers, namespace) as runner:
        options = description.options
        learner = (build or build_registered)(
            description.method, task, description.seed, description.iterations, options["samples"], options["variant"]
        )
        # only now that everything the run is made of could be made
        directory.begin()
        where = f"{description.iterations} iterations → {directory.path}"
        if directory.newest:
            where = f"from iteration {directory.newest} of {where}"
        console.print(f"[bold]{description.method}[/] {escape(task.name)}, seed {description.seed}: {escape(where)}")
        run = TrainingRun(directory, learner, runner, watch := Watch(description.iterations, console))
        with watch:
            try:
                finished = run.run()
            except KeyboardInterrupt:
                finished = False
    report = write_report(directory) if directory.newest else None
    _tell(directory, finished, report, as_json, console)
    return finished


@contextmanager
def _runner(task: Task, agent: str, executor: str, workers: int | None, namespace: str) -> Iterator[TrialRunner]:
    """Who runs the trials."""
    if agent == "mujoco":
        pool = TrialPool(AgentRecipe.in_lockstep(task), executor, workers)
        with pool:
            pool.start()
            yield pool
        return
    from mbpl_control.agents.ros import RosAgent
    from mbpl_control.cli.graph import joined

    with joined(namespace) as graph:
        yield AgentRunner(RosAgent(task, graph))


class Watch(Observer):
    """Shows a run on a terminal: a live line, and one for each iteration that stays.

    Args:
        iterations: of the whole run.
        console: where to.
    """

    def __init__(self, iterations: int, console: Console) -> None:
        """Show nothing yet."""
        self._iterations, self._console = iterations, console
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
        )
        self._bar = self._progress.add_task("starting", total=None)

    def __enter__(self) -> Watch:
        """Show the line."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the line away."""
        self._progress.stop()

    def on_trial(self, iteration: int, done: int, total: int) -> None:
        """See `Observer.on_trial`."""
        text = f"iteration {iteration} of {self._iterations}: trials"
        self._progress.update(self._bar, description=text, completed=done, total=total)

    def on_learning(self, iteration: int) -> None:
        """See `Observer.on_learning`."""
        self._progress.update(self._bar, description=f"iteration {iteration} of {self._iterations}: learning")

    def on_iteration(self, report: IterationReport) -> None:
        """See `Observer.on_iteration`."""
        figures = "  ".join(f"{key} {text:>9}" for key, text in zip(COLUMNS, _cells(report), strict=True))
        seconds = f"{sum(report.seconds.values()):.1f} s"
        self._console.print(f"{report.iteration:4d}  {figures}  {seconds:>8}")
        for event in report.events:
            self._console.print(f"      [yellow]{escape(event)}[/]")


def _tell(directory: RunDirectory, finished: bool, report: Path | None, as_json: bool, console: Console) -> None:
    """The outcome: a table, or one JSON object."""
    saved, description = directory.iterations(), directory.description
    resume = f"mbpl train --resume {directory.path}"
    if as_json:
        outcome = {
            "run": str(directory.path),
            "method": description.method,
            "task": description.task,
            "seed": description.seed,
            "finished": finished,
            "iterations": [_means(it.report) for it in saved],
            "report": None if report is None else str(report),
            "resume": None if finished else resume,
        }
        print(jsonlib.dumps(outcome, allow_nan=False))
    if saved and not as_json:
        table = Table("iteration", *COLUMNS, "s", title="mean over start conditions", title_justify="left")
        for it in saved:
            seconds = f"{sum(it.report.seconds.values()):.2f}"
            table.add_row(str(it.report.iteration), *_cells(it.report), seconds)
        console.print(table)
    if report is not None:
        console.print(f"report: [bold]{escape(str(report))}[/]")
    if not finished:
        console.print(f"[yellow]stopped after iteration {directory.newest}[/]; go on with: {escape(resume)}")


def _means(report: IterationReport) -> dict[str, Any]:
    numbers = [key for key, value in report.rows[0].items() if not isinstance(value, str) and key != "condition"]
    values = {key: _mean(report, key) for key in dict.fromkeys([*COLUMNS, *numbers])}
    return {
        "iteration": report.iteration,
        **{key: value if math.isfinite(value) else None for key, value in values.items()},
        "events": list(report.events),
        "seconds": dict(report.seconds),
    }


def _cells(report: IterationReport) -> list[str]:
    cost, kl, eta, success = (_mean(report, key) for key in COLUMNS)
    percent = "–" if math.isnan(success) else f"{100.0 * success:.0f} %"
    return [*("–" if math.isnan(value) else f"{value:.4g}" for value in (cost, kl, eta)), percent]


def _mean(report: IterationReport, key: str) -> float:
    return report.mean(key) if all(key in row for row in report.rows) else math.nan
