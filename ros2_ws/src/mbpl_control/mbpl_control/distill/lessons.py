"""What recorded trials teach: states, and the laws that say what to do there, or the actions that were taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mbpl_control.core import LinearGaussianController
from mbpl_control.core.errors import DefinitionMismatchError, RefusedError
from mbpl_control.core.validation import Array, check_choice
from mbpl_control.learning.recorded_laws import alike, silent
from mbpl_control.tasks.task import Task

if TYPE_CHECKING:
    from mbpl_control.bags.recorded import RecordedTrial

#: Which laws of a start condition teach.
CHOICES = ("newest", "each", "ensemble")


@dataclass(frozen=True, eq=False)
class Lesson:
    """Trials of one start condition, and what to do at their states.

    Attributes:
        condition: start condition of the task.
        laws: that say what to do, one or, as an ensemble, several; none where only the actions are known.
        states: (N, T+1, n).
        actions: (N, T, m), as applied.
        sources: what each trial was read from.
    """

    condition: int
    laws: tuple[LinearGaussianController, ...]
    states: Array
    actions: Array
    sources: tuple[str, ...]

    @property
    def name(self) -> str:
        """Of the law, or of what took its place."""
        if not self.laws:
            return "actions"
        return self.laws[0].name if len(self.laws) == 1 else f"ensemble of {len(self.laws)} laws"


@dataclass(frozen=True, eq=False)
class Lessons:
    """All that recorded trials teach.

    Attributes:
        lessons: by condition, then by law.
        discarded: (source, why) of each trial that teaches nothing.
    """

    lessons: tuple[Lesson, ...]
    discarded: tuple[tuple[str, str], ...]

    @property
    def trials(self) -> int:
        """How many teach."""
        return sum(len(lesson.states) for lesson in self.lessons)


def gather_bags(
    paths: Sequence[Path], task: Task, laws: str = "newest", progress: Callable[[int, int], None] | None = None
) -> Lessons:
    """`gather` of the trials in bags; one that was aborted before a step was over is told among the discarded.

    Raises:
        BagError: a bag cannot be read.
    """
    from mbpl_control.bags.recorded import read_all

    aborted: list[tuple[str, str]] = []
    recorded = read_all(paths, task, progress, lambda path, why: aborted.append((str(path), why)))
    lessons = gather(recorded, task, laws)
    return replace(lessons, discarded=(*aborted, *lessons.discarded))


def gather(recorded: Iterable[RecordedTrial], task: Task, laws: str = "newest") -> Lessons:
    """Sort recorded trials by start condition and law.

    A trial that was cut short, or whose start is none of the task's, teaches nothing and is told; one of another task
    or robot is an error, since it may have been meant.

    Args:
        recorded: in the order in which they were recorded, see `newest`.
        task: which they are of.
        laws: "newest": of each condition, the law of the last trial that has one, at the states of its own trials;
            "each": every law at its own trials; "ensemble": all laws of a condition, at the states of all its trials.
            Trials without a law teach their actions in any case, unless their condition has one.

    Raises:
        DefinitionMismatchError: a trial has other states, actions or steps than the task, or is of another task.
        RefusedError: no trial is left.
    """
    check_choice("distillation", "laws", laws, CHOICES)
    found: list[Lesson] = []
    discarded = []
    for one in recorded:
        why = unfit(one, task)
        if why:
            discarded.append((str(one.path), why))
            continue
        trial = one.trial
        mine = () if one.law is None else (one.law,)
        lesson = Lesson(trial.condition, mine, trial.states[None], trial.actions[None], (str(one.path),))
        same = next((i for i, other in enumerate(found) if mine and joins(other, lesson)), None)
        if same is None:
            found.append(lesson)
            continue
        # moved to the end: the newest law of a condition is that of its last trial
        found.append(together((found.pop(same), lesson)))
    if laws != "each":
        found, rest = _chosen(found, laws)
        discarded += rest
    if not found:
        reasons = "; ".join(f"{source}: {why}" for source, why in discarded[:3])
        raise RefusedError(f"none of {len(discarded)} trials teaches anything; {reasons or 'there are none'}")
    return Lessons(tuple(sorted(found, key=lambda lesson: lesson.condition)), tuple(discarded))


def unfit(one: RecordedTrial, task: Task) -> str:
    """Why a trial teaches nothing; empty for one that does.

    Raises:
        DefinitionMismatchError: see `gather`.
    """
    trial = one.trial
    if trial.task_hash and trial.task_hash != task.hash:
        raise DefinitionMismatchError(
            f"{one.path}: recorded with task '{trial.task}' ({trial.task_hash}); this is '{task.name}' ({task.hash})"
        )
    if trial.state != task.state or trial.action.actuator_names != task.action.actuator_names:
        raise DefinitionMismatchError(f"{one.path}: its states or actions are not those of task '{task.name}'")
    if abs(trial.dt - task.dt) > 1e-9 * task.dt:
        raise DefinitionMismatchError(f"{one.path}: a step lasts {trial.dt:g} s; in '{task.name}' {task.dt:g} s")
    if trial.stop_reason != "completed":
        return trial.stop_reason
    if trial.steps != task.horizon:
        return f"{trial.steps} of {task.horizon} steps"
    if one.law is not None and one.law.steps != trial.steps:
        return f"its law has {one.law.steps} of {trial.steps} steps"
    if not 0 <= trial.condition < len(task.conditions):
        return f"start condition {trial.condition}, of which the task knows nothing"
    return ""


def joins(lesson: Lesson, other: Lesson) -> bool:
    """Whether two lessons are of one condition and one law."""
    if lesson.condition != other.condition or len(lesson.laws) != 1:
        return False
    return alike(lesson.laws[0], other.laws[0])


def together(lessons: Sequence[Lesson]) -> Lesson:
    """Lessons of one law, or of none, as one; the law with its noise, where a trial had it."""
    noisy = [lesson for lesson in lessons if lesson.laws and not silent(lesson.laws[0])]
    return replace(
        lessons[0],
        laws=noisy[0].laws if noisy else lessons[0].laws,
        states=np.concatenate([lesson.states for lesson in lessons]),
        actions=np.concatenate([lesson.actions for lesson in lessons]),
        sources=tuple(source for lesson in lessons for source in lesson.sources),
    )


def _chosen(found: list[Lesson], laws: str) -> tuple[list[Lesson], list[tuple[str, str]]]:
    """One lesson for each condition, and what is left out."""
    chosen, rest = [], []
    for condition in sorted({lesson.condition for lesson in found}):
        mine = [lesson for lesson in found if lesson.condition == condition]
        ruled = [lesson for lesson in mine if lesson.laws]
        if not ruled:
            chosen.append(together(mine))
            continue
        bare = [source for lesson in mine if not lesson.laws for source in lesson.sources]
        rest += [(source, "no law, and its condition has one") for source in bare]
        if laws == "ensemble":
            chosen.append(replace(together(ruled), laws=tuple(lesson.laws[0] for lesson in ruled)))
            continue
        chosen.append(ruled[-1])
        older = [source for lesson in ruled[:-1] for source in lesson.sources]
        rest += [(source, "of an older law of its condition") for source in older]
    return chosen, rest
