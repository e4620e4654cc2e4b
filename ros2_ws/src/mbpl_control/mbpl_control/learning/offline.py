"""LQR-FLM from recorded trials: what the learner would have made of them while they were run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mbpl_control.core import LinearGaussianController, Trial
from mbpl_control.core.errors import DefinitionMismatchError, RefusedError
from mbpl_control.fitting.quality import PredictionError, held_out_errors
from mbpl_control.learning.learner import IterationReport
from mbpl_control.learning.lqr_flm import LqrFlm
from mbpl_control.learning.recorded_laws import alike, silent
from mbpl_control.tasks.task import Task

if TYPE_CHECKING:
    from mbpl_control.bags.recorded import RecordedTrial


@dataclass
class RecordedIteration:
    """Trials that ran under one law of each start condition.

    Attributes:
        laws: by condition, with its noise where a trial had it.
        trials: with noise, from which is learned, in the order of the bags.
        evaluation: without noise.
    """

    laws: dict[int, LinearGaussianController] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)
    evaluation: list[Trial] = field(default_factory=list)


@dataclass(frozen=True)
class OfflineStep:
    """What one iteration's trials gave.

    Attributes:
        report: of the learner.
        trials: learned from.
        evaluation: without noise.
        quality: of the fit by condition, for each horizon; none where fewer than three trials were valid.
        notes: what is to be told.
    """

    report: IterationReport
    trials: list[Trial]
    evaluation: list[Trial]
    quality: dict[int, list[PredictionError]]
    notes: tuple[str, ...]


def iterations_of(recorded: Iterable[RecordedTrial], task: Task) -> tuple[list[RecordedIteration], list[str]]:
    """Sort recorded trials by iteration, and what is left out.

    A trial that says of which iteration it is, `iteration` of its metadata counted from 1, belongs there. Any other is
    of the k-th iteration if its law is the k-th that its start condition shows, in the order of the bags. Trials
    without a law, and from starts that nothing is learned from, are left out.

    Raises:
        DefinitionMismatchError: a trial is of another task.
        RefusedError: nothing is left.
    """
    training = {c.index for c in task.conditions if not c.held_out}
    found: dict[int, RecordedIteration] = {}
    seen: dict[int, list[LinearGaussianController]] = {c: [] for c in training}
    left = []
    for one in recorded:
        trial, law = one.trial, one.law
        if trial.task_hash != task.hash:
            raise DefinitionMismatchError(
                f"{one.path}: recorded with task '{trial.task}' ({trial.task_hash or 'no hash'}); "
                f"this is '{task.name}' ({task.hash})"
            )
        if trial.condition not in training or law is None:
            why = "it has no law" if law is None else f"start condition {trial.condition} is not trained from"
            left.append(f"{one.path}: left out: {why}")
            continue
        known = seen[trial.condition]
        place = next((k for k in reversed(range(len(known))) if alike(known[k], law)), None)
        if place is None:
            place = len(known)
            known.append(law)
        elif silent(known[place]) or law.steps > known[place].steps:
            known[place] = law
        number = one.metadata.get("iteration")
        number = number if isinstance(number, int) and number > 0 else place + 1
        iteration = found.setdefault(number, RecordedIteration())
        before = iteration.laws.get(trial.condition)
        if before is not None and not alike(before, law):
            raise RefusedError(
                f"{one.path}: the trials of iteration {number} from start condition {trial.condition} are of two laws"
            )
        if before is None or silent(before) or law.steps > before.steps:
            iteration.laws[trial.condition] = law
        (iteration.evaluation if silent(law) else iteration.trials).append(trial)
    if not any(iteration.trials for iteration in found.values()):
        raise RefusedError(f"no trial to learn from; {'; '.join(left[:3]) or 'none ran with noise'}")
    return [found[number] for number in sorted(found) if found[number].trials], left


def learn_offline(
    learner: LqrFlm,
    iterations: Sequence[RecordedIteration],
    horizons: Sequence[int],
    on_step: Callable[[OfflineStep], None],
) -> None:
    """Give a new learner recorded trials, iteration by iteration.

    Where the trials' law is the one the learner would have asked for, its own counts, to the last bit; where it is
    another, the learner goes on from that one.

    Args:
        learner: as it was built.
        iterations: see `iterations_of`.
        horizons: of the predictions that tell how good a fit is.
        on_step: told of each iteration, when the learner has learned from it.
    """
    for iteration in iterations:
        notes = []
        for c, law in sorted(iteration.laws.items()):
            if silent(law) or law.steps != learner.task.horizon:
                continue
            if not alike(learner.explorer(c), law):
                learner.states[c].controller = law
                notes.append(f"condition {c}: its trials ran under another law than this learner's; it goes on from it")
        missing = sorted(set(learner.training) - {t.condition for t in iteration.trials})
        if missing:
            notes.append(f"no trials from start condition {', '.join(map(str, missing))}")
        report = learner.learn(iteration.trials, iteration.evaluation)
        quality = {}
        for c, trials in learner.sort(iteration.trials).items():
            if trials is not None and len(trials.states) >= 3:
                shift = learner.shifts[c]
                quality[c] = held_out_errors(
                    trials.states - shift, trials.actions, learner.priors[c], learner.options.ridge, horizons
                )
        on_step(OfflineStep(report, iteration.trials, iteration.evaluation, quality, tuple(notes)))
