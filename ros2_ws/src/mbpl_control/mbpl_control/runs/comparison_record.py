"""The directory of a comparison: what is compared, and the runs of its methods."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mbpl_control.core.errors import DefinitionMismatchError, InvalidFieldError
from mbpl_control.core.validation import check_whole
from mbpl_control.runs.curves import Curve, step_curves, training_curve
from mbpl_control.runs.directory import RunDirectory
from mbpl_control.runs.record import load_record
from mbpl_control.runs.step_run import StepRun
from mbpl_control.runs.trial_archive import load_trials
from mbpl_control.tasks.task import Task

OWNER = "mbpl compare"
SCHEMA = 2
RECORD = "compare.yaml"
#: Trials without exploration after the last iteration of a run, in its directory.
LAST = "last.npz"


@dataclass(frozen=True)
class Comparison:
    """The content of `compare.yaml`.

    Attributes:
        problem: as `load_problem` takes it.
        name: of the problem.
        task_hash: of the task; empty for one of Gymnasium.
        methods: names, each alone or as "NAME=STEPS": see `budgets`.
        steps: of the environment for each seed, of methods that have no number of their own; those that learn by
            iterations have as many whole ones as fit, or one.
        every: steps between two evaluations of step learners; 0 for a twentieth of all.
        episodes: of those, from each start.
        seeds: of each method.
        options: of step learners, those that are not their own: by method, then by path.
        started: local time.
        versions: of what ran when it began.
        commit: of the sources.
    """

    problem: str
    name: str
    task_hash: str
    methods: Sequence[str]
    steps: int
    every: int
    episodes: int
    seeds: Sequence[int]
    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    started: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""

    @property
    def budgets(self) -> dict[str, int]:
        """Steps of the environment that each seed of a method has, by its name.

        Raises:
            InvalidFieldError: a method is named twice, or its steps are no number of steps.
        """
        found: dict[str, int] = {}
        for entry in self.methods:
            name, own, steps = entry.partition("=")
            if own and not steps.isdecimal():
                raise InvalidFieldError(OWNER, "--methods", entry, "NAME or NAME=STEPS, a whole number")
            if name in found:
                raise InvalidFieldError(OWNER, "--methods", ", ".join(self.methods), "each once")
            found[name] = check_whole(OWNER, f"steps of {name}", int(steps) if own else self.steps, 1, 10**12)
        return found

    def check_task(self, task: Task | None) -> None:
        """Refuse to go on with a task that is not that of the comparison.

        Raises:
            DefinitionMismatchError: its file, or its robot's, was changed.
        """
        found = "" if task is None else task.hash
        if found != self.task_hash:
            raise DefinitionMismatchError(
                f"the comparison is of task '{self.name}' ({self.task_hash}); {self.problem} is another by now "
                f"({found}): undo the change, or begin a new one"
            )


def open_comparison(path: Path) -> Comparison:
    """What a directory compares.

    Raises:
        FileFormatError: there is none.
    """
    kinds: dict[str, type] = dict.fromkeys(("steps", "every", "episodes"), int)
    kinds |= {"methods": list, "seeds": list, "options": dict, "versions": dict}
    return load_record(Comparison, path / RECORD, SCHEMA, kinds, "comparison")


def comparison_curves(path: Path, about: Comparison) -> list[Curve]:
    """Every seed of every method that was judged at least once by now."""
    out: list[Curve] = []
    for method in about.budgets:
        if StepRun.is_at(path / method):
            out += step_curves(StepRun.open(path / method))
            continue
        for seed in about.seeds:
            home = path / method / f"seed-{seed}"
            if (home / "run.yaml").is_file():
                last = load_trials(home / LAST) if (home / LAST).is_file() else []
                curve = training_curve(RunDirectory.open(home), last)
                out += [curve] if curve.evaluations else []
    return out
