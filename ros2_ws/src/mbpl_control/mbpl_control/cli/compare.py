"""`mbpl compare`: methods on one task, by the same number of steps in the environment, in one report."""

from __future__ import annotations

import json as jsonlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from mbpl_control.agents.pool import TrialPool, TrialRunner
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.cli.train import Watch, build_registered
from mbpl_control.cli.train_steps import PACKAGES, check_seeds, learn_seeds, new_step_run, options_text, problem_of
from mbpl_control.cli.training import check_resume_alone
from mbpl_control.core import LinearGaussianController
from mbpl_control.core.errors import InvalidFieldError, MbplError
from mbpl_control.core.options import parse_options
from mbpl_control.core.validation import check_choice, check_whole
from mbpl_control.core.versions import commit, versions
from mbpl_control.learning.registry import METHODS as ITERATED
from mbpl_control.mbrl.methods import METHODS as STEPPED
from mbpl_control.mbrl.methods import build_method
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.task_environment import training
from mbpl_control.runs.beginning import new_run
from mbpl_control.runs.comparison import method_row, write_comparison
from mbpl_control.runs.comparison_record import LAST, RECORD, SCHEMA, Comparison, comparison_curves, open_comparison
from mbpl_control.runs.curves import Curve
from mbpl_control.runs.directory import RunDirectory, check_empty, locked
from mbpl_control.runs.record import save_record
from mbpl_control.runs.step_run import StepRun
from mbpl_control.runs.training import TrainingRun
from mbpl_control.runs.trial_archive import save_trials
from mbpl_control.tasks.task import Task

COMMAND = "mbpl compare"


def opened(resume: Path | None, **given: Any) -> Path:
    """The directory of a comparison that goes on, or of a new one.

    Args:
        resume: the directory, where it goes on.
        given: all other options that say what is compared, by name, None where they were not given.

    Raises:
        MbplError: options that do not go together, or see `begin_comparison`.
    """
    if resume is not None:
        check_resume_alone(COMMAND, **given)
        return resume
    task, methods, steps = (given[name] for name in ("task", "methods", "steps"))
    if task is None or not methods or steps is None:
        found = f"{task}, {' '.join(methods or ['None'])} and {steps}"
        raise InvalidFieldError(COMMAND, "--task, --methods and --steps", found, "given, or --resume")
    return begin_comparison(**given)


def begin_comparison(
    task: str,
    methods: Sequence[str],
    *,
    steps: int,
    seeds: Sequence[int] | None,
    every: int | None,
    episodes: int | None,
    option: Sequence[str] | None,
    output: Path | None,
) -> Path:
    """A new directory with what is to be compared; the directory. Arguments are the options of the command.

    Raises:
        MbplError: an argument is wrong, or the directory is not empty.
    """
    problem, loaded = problem_of(task)
    started = datetime.now()
    about = Comparison(
        problem=task if loaded is None else str(loaded.path.resolve()),
        name=problem.name,
        task_hash="" if loaded is None else loaded.hash,
        methods=list(methods),
        steps=check_whole(COMMAND, "--steps", steps, 1, 10**12),
        every=0 if every is None else check_whole(COMMAND, "--every", every, 1, 10**12),
        episodes=check_whole(COMMAND, "--episodes", 1 if episodes is None else episodes, 1, 10**6),
        seeds=check_seeds(COMMAND, [0] if seeds is None else seeds),
        options=_options_by_method(option or ()),
        started=f"{started:%Y-%m-%d %H:%M:%S}",
        versions=versions(PACKAGES),
        commit=commit(),
    )
    if not methods:
        raise InvalidFieldError(COMMAND, "--methods", "none", "one or more")
    for method in about.budgets:
        check_choice(COMMAND, "--methods", method, (*ITERATED, *STEPPED))
        if loaded is None and method in ITERATED:
            raise InvalidFieldError(COMMAND, "--methods", method, f"one of {', '.join(STEPPED)} on {task}")
        if method in STEPPED:
            # what this installation cannot build is better known before the others have learned for hours
            build_method(method, problem, about.seeds[0], about.options.get(method))
    for method in about.options:
        if method not in about.budgets or method in ITERATED:
            steppers = ", ".join(name for name in about.budgets if name in STEPPED)
            raise InvalidFieldError(COMMAND, "--option", f"one of {method}", f"of a step learner compared: {steppers}")
    path = Path("runs") / f"compare-{problem.name}-{started:%Y%m%d-%H%M%S}" if output is None else output
    check_empty(path, RECORD, COMMAND)
    try:
        path.mkdir(parents=True, exist_ok=True)
        save_record(about, path / RECORD, SCHEMA)
    except OSError as error:
        raise MbplError(f"directory {path} cannot be made: {error}") from error
    return path


def _options_by_method(entries: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Options by method and path, of entries METHOD:NAME=VALUE.

    Raises:
        InvalidFieldError: one is not of that form, or a name is given twice.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, value in parse_options(COMMAND, entries).items():
        method, given, path = name.partition(":")
        if not (given and method and path):
            raise InvalidFieldError(COMMAND, "--option", repr(name), "METHOD:NAME=VALUE, e.g. sac:updates=5")
        found.setdefault(method, {})[path] = value
    return found


def compare(path: Path, *, executor: str, workers: int | None, as_json: bool) -> bool:
    """Learn with every method and seed that is not finished, one after the other, and write the report.

    A method that ends with an error does not keep the others from learning; the report says so.

    Args:
        path: of a directory that `begin_comparison` made.
        executor: of the trials of those that learn by iterations.
        workers: of those trials.
        as_json: print one JSON object and nothing else on standard output.

    Returns:
        False when it was interrupted; it can then be resumed.

    Raises:
        MbplError: a method ended with an error; the report of the others is written.
    """
    console = Console(stderr=as_json, soft_wrap=True, highlight=False)
    about = open_comparison(path)
    problem, task = problem_of(about.problem)
    about.check_task(task)
    finished, failed = True, {}
    try:
        with locked(path):
            for method in about.budgets:
                try:
                    finished = _learn(path, about, method, problem, task, executor, workers, console)
                except MbplError as error:
                    # the others may well learn what this one cannot
                    failed[method] = str(error)
                    console.print(f"[red]{method} ended[/]: {escape(str(error))}")
                if not finished:
                    break
    except KeyboardInterrupt:
        finished = False
    curves = comparison_curves(path, about)
    page = None
    if curves:
        title = f"Methods on {about.name}"
        notes = [f"{method} ended with an error: {why}" for method, why in failed.items()]
        page = write_comparison(path / "report.html", title, curves, problem.enough, _facts(about, task), notes)
    _tell(path, about, curves, problem.enough, finished, failed, page, as_json, console)
    if failed:
        ended = "; ".join(f"{method}: {why}" for method, why in failed.items())
        rest = f"; {COMMAND} --resume {path} tries again"
        raise MbplError(f"{len(failed)} of {len(about.budgets)} methods ended with an error: {ended}{rest}")
    return finished


def _learn(
    path: Path,
    about: Comparison,
    method: str,
    problem: LearningProblem,
    task: Task | None,
    executor: str,
    workers: int | None,
    console: Console,
) -> bool:
    """Every seed of one method; False when it was interrupted."""
    if method in STEPPED:
        return learn_seeds(_step_run(path, about, method), problem, task, console)
    assert task is not None  # noqa: S101 - checked when it began
    with TrialPool(AgentRecipe.in_lockstep(task), executor, workers) as pool:
        for seed in about.seeds:
            home = path / method / f"seed-{seed}"
            _iterate(home, method, seed, about.budgets[method], task, pool, console)
    return True


def _step_run(path: Path, about: Comparison, method: str) -> StepRun:
    """The run of a step learner, begun before or new."""
    if StepRun.is_at(path / method):
        return StepRun.open(path / method)
    return new_step_run(
        method,
        about.problem,
        steps=about.budgets[method],
        seeds=about.seeds,
        every=about.every or None,
        episodes=about.episodes,
        output=path / method,
        options=about.options.get(method),
        command=COMMAND,
    )


def _iterate(path: Path, method: str, seed: int, steps: int, task: Task, pool: TrialRunner, console: Console) -> None:
    """One seed of a method that learns by iterations, and what came of its last one.

    Args:
        path: of its run, begun before or new.
        method: its name.
        seed: of everything drawn.
        steps: of the environment; as many whole iterations as fit, or one.
        task: what is learned.
        pool: runs the trials.
        console: where it is told how it goes.
    """
    if (path / LAST).is_file():
        return
    if (path / "run.yaml").is_file():
        directory = RunDirectory.open(path)
    else:
        wanted = [request.law for request in build_registered(method, task, seed, 1, None, None).requests()]
        each = sum(law.steps if isinstance(law, LinearGaussianController) else task.horizon for law in wanted)
        directory = new_run(
            method,
            str(task.path),
            agent="mujoco",
            seed=seed,
            iterations=max(1, steps // each),
            samples=None,
            variant=None,
            output=path,
        )
    count = directory.description.iterations
    learner = build_registered(method, task, seed, count, None, None)
    directory.begin()
    console.print(f"[bold]{method}[/] {escape(task.name)}, seed {seed}: {count} iterations → {escape(str(path))}")
    with Watch(count, console) as watch:
        TrainingRun(directory, learner, pool, watch).run()
    save_trials(path / LAST, pool.run(learner.evaluation_requests()))


def _facts(about: Comparison, task: Task | None) -> dict[str, str]:
    starts = "" if task is None else f" ({len(training(task))} training conditions)"
    return {
        "command": COMMAND,
        "started": about.started,
        "task": about.problem,
        "task hash": about.task_hash or "of Gymnasium",
        "steps": ", ".join(f"{steps} of {name}" for name, steps in about.budgets.items()),
        "seeds": ", ".join(map(str, about.seeds)),
        **{f"options of {name}": options_text(changed) for name, changed in about.options.items()},
        "episodes of an evaluation": f"{about.episodes} from each start{starts}; one of lqr_flm and gps",
        "commit": about.commit or "no checkout",
        **about.versions,
    }


def _tell(
    path: Path,
    about: Comparison,
    curves: Sequence[Curve],
    enough: float,
    finished: bool,
    failed: Mapping[str, str],
    page: Path | None,
    as_json: bool,
    console: Console,
) -> None:
    """The outcome: the table, or one JSON object."""
    resume = f"{COMMAND} --resume {path}"
    if as_json:
        rows: list[dict[str, Any]] = []
        for curve in curves:
            solved, last = curve.solved(enough), curve.evaluations[-1]
            rows.append(
                {
                    "method": curve.method,
                    "seed": curve.seed,
                    "steps": last.steps,
                    "seconds": last.seconds,
                    "return": last.mean if math.isfinite(last.mean) else None,
                    "success": sum(last.successes) / len(last.successes) if last.successes else None,
                    "steps_until_solved": None if solved is None else solved.steps,
                    "seconds_until_solved": None if solved is None else solved.seconds,
                }
            )
        outcome = {
            "comparison": str(path),
            "task": about.name,
            "finished": finished and not failed,
            "failed": failed,
            "curves": rows,
            "report": None if page is None else str(page),
            "resume": resume if failed or not finished else None,
        }
        print(jsonlib.dumps(outcome, allow_nan=False))
    else:
        from rich.table import Column, Table

        # figures may go on in the next line, names are not cut off
        name = Column("method", no_wrap=True)
        table = Table(name, "steps until solved", "s until solved", "return at the end", "success at the end")
        for method in dict.fromkeys(curve.method for curve in curves):
            row = method_row(method, [c for c in curves if c.method == method], enough)
            cells = (row.solved_steps, row.solved_seconds, row.last, row.success)
            table.add_row(method, *(" · ".join(texts) for texts in cells))
        console.print(table)
    if page is not None:
        console.print(f"report: [bold]{escape(str(page))}[/]")
    if not finished:
        console.print(f"[yellow]stopped[/]; go on with: {escape(resume)}")
