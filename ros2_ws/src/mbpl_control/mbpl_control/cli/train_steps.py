"""`mbpl train` of a step learner: seed after seed, with a line an evaluation."""

from __future__ import annotations

import json as jsonlib
import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from mbpl_control.cli.progress import Tell, progress_bar
from mbpl_control.core.errors import InvalidFieldError, MbplError
from mbpl_control.core.validation import check_choice, check_whole
from mbpl_control.core.versions import commit, versions
from mbpl_control.mbrl.evaluation import Evaluation, StepLearner, learn
from mbpl_control.mbrl.methods import METHODS, build_method
from mbpl_control.mbrl.policy_names import named_policy
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.task_environment import training
from mbpl_control.mbrl.task_problem import GYMNASIUM, load_problem, task_problem
from mbpl_control.mbrl.task_view import TaskView
from mbpl_control.policies.network import one_thread
from mbpl_control.policies.policy import GaussianPolicy
from mbpl_control.runs.comparison import write_comparison
from mbpl_control.runs.curves import step_curves
from mbpl_control.runs.step_run import StepRun, StepRunDescription
from mbpl_control.tasks.task import Task, load_task

#: Whose versions decide the bits of a run.
PACKAGES = ("mujoco", "numpy", "scipy", "numba", "torch", "gymnasium", "pyarrow")
#: Evaluations of a run that does not say how many steps lie between two.
EVALUATIONS = 20


def problem_of(name: str) -> tuple[LearningProblem, Task | None]:
    """A problem by name, and the task it was made of; None for one of Gymnasium.

    Raises:
        MbplError: see `load_problem`.
    """
    if name.startswith(GYMNASIUM):
        return load_problem(name), None
    task = load_task(name)
    return task_problem(task), task


def check_seeds(command: str, seeds: Sequence[int]) -> list[int]:
    """Seeds that are whole numbers, each once.

    Raises:
        InvalidFieldError: they are not.
    """
    checked = [check_whole(command, "--seeds", seed, 0, 2**62 - 1) for seed in seeds]
    if not checked or len(set(checked)) != len(checked):
        raise InvalidFieldError(command, "--seeds", ", ".join(map(str, checked)) or "none", "one or more, each once")
    return checked


def new_step_run(
    method: str,
    task_name: str,
    *,
    steps: int,
    seeds: Sequence[int],
    every: int | None,
    episodes: int,
    output: Path | None,
    options: Mapping[str, Any] | None = None,
    command: str = "mbpl train",
) -> StepRun:
    """A run to begin, with what it is; nothing is written yet.

    Raises:
        MbplError: an argument is wrong, or the directory is not empty.
    """
    check_choice(command, "METHOD", method, tuple(METHODS))
    check_whole(command, "--steps", steps, 1, 10**12)
    every = max(1, math.ceil(steps / EVALUATIONS)) if every is None else every
    seeds = check_seeds(command, seeds)
    problem, task = problem_of(task_name)
    started = datetime.now()
    description = StepRunDescription(
        method=method,
        problem=task_name if task is None else str(task.path.resolve()),
        name=problem.name,
        task_hash="" if task is None else task.hash,
        steps=steps,
        every=check_whole(command, "--every", every, 1, 10**12),
        episodes=check_whole(command, "--episodes", episodes, 1, 10**6),
        seeds=seeds,
        options=options or {},
        started=f"{started:%Y-%m-%d %H:%M:%S}",
        versions=versions(PACKAGES),
        commit=commit(),
    )
    default = Path("runs") / f"{method}-{problem.name}-{started:%Y%m%d-%H%M%S}"
    return StepRun.new(default if output is None else output, description)


def train_steps(run: StepRun, *, as_json: bool) -> bool:
    """Learn with each seed that is not finished; tell how it goes, write the report.

    Args:
        run: new or to be resumed.
        as_json: print one JSON object and nothing else on standard output.

    Returns:
        False when it was interrupted; the run can then be resumed.

    Raises:
        MbplError: the run cannot begin, or something cannot be learned or kept.
    """
    console = Console(stderr=as_json, soft_wrap=True, highlight=False)
    problem, task = problem_of(run.description.problem)
    finished = learn_seeds(run, problem, task, console)
    curves = step_curves(run)
    page = None
    if curves:
        about = run.description
        facts = {"command": "mbpl train", "started": about.started, **run_facts(run)}
        title = f"{about.method} learns {about.name}"
        page = write_comparison(run.path / "report.html", title, curves, problem.enough, facts)
    _tell(run, finished, page, as_json, console)
    return finished


def learn_seeds(run: StepRun, problem: LearningProblem, task: Task | None, console: Console) -> bool:
    """Learn with each seed that is not finished; False when it was interrupted.

    Args:
        run: new or to be resumed.
        problem: of the run.
        task: it was made of; None for one of Gymnasium.
        console: where it is told how it goes.

    Raises:
        MbplError: the run cannot begin, or something cannot be learned or kept.
    """
    about = run.description
    about.check_task("" if task is None else task.hash)
    # a method that cannot be built shall leave no directory behind
    first = build_method(about.method, problem, run.left[0], about.options) if run.left else None
    run.begin()
    count = len(about.seeds)
    console.print(
        f"[bold]{about.method}[/] {escape(problem.name)}: {about.steps} steps, {count} seed{'s' * (count > 1)} → "
        f"{escape(str(run.path))}"
    )
    try:
        with run.locked(), progress_bar(console) as tell:
            for seed in run.left:
                learner = build_method(about.method, problem, seed, about.options) if first is None else first
                first = None
                _learn(run, problem, task, learner, seed, console, tell)
            run.write_tables()
    except KeyboardInterrupt:
        run.write_tables()
        return False
    return True


def _learn(
    run: StepRun,
    problem: LearningProblem,
    task: Task | None,
    learner: StepLearner,
    seed: int,
    console: Console,
    tell: Tell,
) -> None:
    """One seed from its beginning to its end."""
    about, found = run.description, list[Evaluation]()

    def told(evaluation: Evaluation) -> None:
        found.append(evaluation)
        run.save_evaluations(seed, found)
        judged = evaluation.successes
        success = f"  success {100.0 * sum(judged) / len(judged):3.0f} %" if judged else ""
        figures = f"steps {evaluation.steps:8d}  return {evaluation.mean:12.5g}{success}  {evaluation.seconds:8.1f} s"
        console.print(f"seed {seed}  {figures}")
        tell(f"seed {seed}", min(evaluation.steps, about.steps), about.steps)

    tell(f"seed {seed}", 0, about.steps)
    with one_thread():
        learn(learner, about.steps, about.episodes, seed, told, in_a_row=None, every=about.every)
    run.finish(seed, *_policy(learner, task, problem))


def _policy(learner: StepLearner, task: Task | None, problem: LearningProblem) -> tuple[GaussianPolicy | None, str]:
    """The policy a learner ends with, with the task's names, or why none is kept."""
    policy = getattr(learner, "policy", None)
    if not isinstance(policy, GaussianPolicy):
        return None, "the method has no policy to keep"
    if task is None:
        return policy, ""
    try:
        return named_policy(policy, task, TaskView(task, training(task))), ""
    except MbplError as error:
        return None, f"no policy that neural_policy could run: {error}"


def run_facts(run: StepRun) -> dict[str, str]:
    """What a run is, for the page."""
    about = run.description
    return {
        "task": about.problem,
        "task hash": about.task_hash or "of Gymnasium",
        "steps": str(about.steps),
        "steps between evaluations": f"{about.every} at least",
        "episodes of an evaluation": f"{about.episodes} from each start",
        "seeds": ", ".join(map(str, about.seeds)),
        "options": options_text(about.options),
        "commit": about.commit or "no checkout",
        **about.versions,
    }


def options_text(options: Mapping[str, Any]) -> str:
    """Options that are not a learner's own, in one line."""
    return ", ".join(f"{name} = {jsonlib.dumps(value)}" for name, value in options.items()) or "its own"


def _tell(run: StepRun, finished: bool, page: Path | None, as_json: bool, console: Console) -> None:
    """The outcome: a few lines, or one JSON object."""
    about, resume = run.description, f"mbpl train --resume {run.path}"
    if as_json:
        outcome: dict[str, Any] = {
            "run": str(run.path),
            "method": about.method,
            "task": about.name,
            "finished": finished,
            "seeds": [
                {
                    "seed": seed,
                    "policy": None if not _policy_file(run, seed).is_file() else str(_policy_file(run, seed)),
                    "evaluations": [
                        {
                            "steps": each.steps,
                            "seconds": each.seconds,
                            "return": each.mean,
                            "success": sum(each.successes) / len(each.successes) if each.successes else None,
                        }
                        for each in run.evaluations(seed)
                    ],
                }
                for seed in about.seeds
            ],
            "report": None if page is None else str(page),
            "resume": None if finished else resume,
        }
        print(jsonlib.dumps(outcome, allow_nan=False))
    for seed in () if as_json else about.seeds:
        if _policy_file(run, seed).is_file():
            console.print(f"policy of seed {seed}: {escape(str(_policy_file(run, seed)))}")
    if page is not None:
        console.print(f"report: [bold]{escape(str(page))}[/]")
    if not finished:
        console.print(f"[yellow]stopped; seeds left: {', '.join(map(str, run.left))}[/]; go on with: {escape(resume)}")


def _policy_file(run: StepRun, seed: int) -> Path:
    return run.seed_path(seed) / "policy.npz"
