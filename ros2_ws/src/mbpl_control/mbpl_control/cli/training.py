"""`mbpl train`: which kind of learner a method is, and which options are for it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_choice
from mbpl_control.runs.beginning import METHODS as ITERATED
from mbpl_control.runs.directory import RunDirectory
from mbpl_control.runs.step_run import StepRun

COMMAND = "mbpl train"


@dataclass(frozen=True)
class Given:
    """Options of the command, None where they were not given. The names are those of the options."""

    task: str | None = None
    agent: str | None = None
    seed: int | None = None
    iterations: int | None = None
    samples: int | None = None
    variant: str | None = None
    executor: str | None = None
    workers: int | None = None
    namespace: str | None = None
    steps: int | None = None
    seeds: Sequence[int] | None = None
    every: int | None = None
    episodes: int | None = None
    option: Sequence[str] | None = None
    output: Path | None = None

    def check_only(self, allowed: Sequence[str], why: str) -> None:
        """Refuse every option but those named.

        Raises:
            InvalidFieldError: another was given.
        """
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value is not None and field.name not in allowed:
                raise InvalidFieldError(COMMAND, f"--{field.name}", repr(str(value)), f"left out {why}")


#: How trials of methods by iterations are run, which changes nothing of a run and may be given again.
RUNNING = ("executor", "workers", "namespace")
BY_ITERATIONS = (*RUNNING, "task", "agent", "seed", "iterations", "samples", "variant", "output")
BY_STEPS = ("task", "steps", "seeds", "every", "episodes", "option", "output")
RESUMED = "with --resume: the run goes on as it was begun"


def train_by_method(method: str | None, resume: Path | None, given: Given, as_json: bool) -> bool:
    """Begin a run or go on with one; whether it came to its end.

    Raises:
        MbplError: an option is not for this method, or something cannot be learned or kept.
    """
    if resume is not None:
        if method is not None:
            raise InvalidFieldError(COMMAND, "METHOD", repr(method), f"left out {RESUMED}")
        by_steps = StepRun.is_at(resume)
        given.check_only(() if by_steps else RUNNING, RESUMED)
        if by_steps:
            return _by_steps(StepRun.open(resume), as_json)
        return _by_iterations(RunDirectory.open(resume), given, as_json)
    if method is None or given.task is None:
        raise InvalidFieldError(COMMAND, "METHOD and --task", f"{method} and {given.task}", "given, or --resume")
    if method in ITERATED:
        from mbpl_control.runs.beginning import new_run

        given.check_only(BY_ITERATIONS, f"with {method}, which learns by iterations")
        directory = new_run(
            method,
            given.task,
            agent=given.agent or "mujoco",
            seed=given.seed or 0,
            iterations=given.iterations,
            samples=given.samples,
            variant=given.variant,
            output=given.output,
        )
        return _by_iterations(directory, given, as_json)
    # torch is loaded by those alone
    from mbpl_control.cli.train_steps import new_step_run
    from mbpl_control.core.options import parse_options
    from mbpl_control.mbrl.methods import METHODS as STEPPED

    check_choice(COMMAND, "METHOD", method, (*ITERATED, *STEPPED))
    given.check_only(BY_STEPS, f"with {method}, which learns step by step and takes {_options(BY_STEPS)}")
    if given.steps is None:
        raise InvalidFieldError(COMMAND, "--steps", "none", f"given with {method}")
    run = new_step_run(
        method,
        given.task,
        steps=given.steps,
        seeds=[0] if given.seeds is None else given.seeds,
        every=given.every,
        episodes=1 if given.episodes is None else given.episodes,
        output=given.output,
        options=parse_options(COMMAND, given.option or ()),
    )
    return _by_steps(run, as_json)


def _by_iterations(directory: RunDirectory, given: Given, as_json: bool) -> bool:
    from mbpl_control.cli.train import train

    return train(
        directory,
        executor="process" if given.executor is None else given.executor,
        workers=given.workers,
        namespace="/mbpl" if given.namespace is None else given.namespace,
        as_json=as_json,
    )


def _by_steps(run: StepRun, as_json: bool) -> bool:
    from mbpl_control.cli.train_steps import train_steps

    return train_steps(run, as_json=as_json)


def _options(names: Sequence[str]) -> str:
    return ", ".join(f"--{name}" for name in names)


def check_resume_alone(command: str, **given: object) -> None:
    """Refuse options beside `--resume` that the run itself has an answer to.

    Raises:
        InvalidFieldError: one was given.
    """
    for name, value in given.items():
        if value is not None and value != []:
            raise InvalidFieldError(command, f"--{name}", repr(str(value)), f"left out {RESUMED}")
