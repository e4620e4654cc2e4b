"""From lessons to what a policy is trained to agree with, split by trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbpl_control.core.errors import InvalidFieldError, MbplError
from mbpl_control.core.validation import Array, Indices
from mbpl_control.distill.ensemble import combine
from mbpl_control.distill.lessons import Lesson
from mbpl_control.learning.learner import trial_seed
from mbpl_control.learning.local_model import TrialSet
from mbpl_control.learning.lqr_flm import LqrFlm
from mbpl_control.learning.neighbours import with_neighbours
from mbpl_control.learning.recorded_laws import silent
from mbpl_control.policies import PolicyTargets
from mbpl_control.tasks.task import Task
from mbpl_control.trajopt.kl_lqr import evaluate_law

#: Sample numbers in `trial_seed` of what is drawn here.
SPLIT, NEIGHBOURS = 2**23, 2**24


@dataclass(frozen=True, eq=False)
class Split:
    """Targets to learn from, and those of trials that are kept out.

    Attributes:
        train: of the trials that teach, and of the states near theirs.
        judge: of trials kept out, likewise; None when none are.
        held_out: what the trials kept out were read from.
        soft: trials whose targets are laws.
        cloned: trials whose targets are actions.
        notes: what is to be told of it.
    """

    train: PolicyTargets
    judge: PolicyTargets | None
    held_out: tuple[str, ...]
    soft: int
    cloned: int
    notes: tuple[str, ...]


def split(lessons: Sequence[Lesson], share: float, seed: int) -> list[Indices]:
    """Which trials of each lesson are kept out: about a share of each, and never all of one.

    Where no lesson has two trials, whole lessons are: a policy is then judged where nothing was learned.

    Args:
        lessons: of which trials are taken.
        share: 0 .. 1; 0 keeps none out.
        seed: of the choice.
    """
    rng = np.random.default_rng(trial_seed(seed, 0, 0, SPLIT))
    counts = [len(lesson.states) for lesson in lessons]
    if share == 0.0:
        return [np.zeros(0, dtype=np.intp) for _ in counts]
    if max(counts) > 1:
        return [
            np.sort(rng.permutation(count)[: min(max(1, round(share * count)), count - 1)]).astype(np.intp)
            for count in counts
        ]
    out = set(rng.permutation(len(counts))[: min(max(1, round(share * len(counts))), len(counts) - 1)].tolist())
    return [np.arange(1 if i in out else 0, dtype=np.intp) for i in range(len(counts))]


def clone_covariance(task: Task, share: float) -> Array:
    """Σ (m, m) that is stated for actions without a law: diagonal, standard deviations a share of the limits.

    An actuator without a limit counts as one of 1 unit.
    """
    limit = np.minimum(task.action.upper, -task.action.lower)
    scale = np.where(np.isfinite(limit) & (limit > 0.0), limit, 1.0)
    return np.diag((share * scale) ** 2)


def split_targets(
    task: Task,
    lessons: Sequence[Lesson],
    *,
    neighbours: int,
    share: float,
    clone_std: float,
    temperature: float,
    combination: str,
    seed: int,
) -> Split:
    """What a policy shall agree with.

    The mean and the covariance of its law at each state of a trial and at neighbours of it, or of several laws as one
    (`combine`); where there is no law, the actions that were applied, with a stated covariance and no neighbours:
    nobody knows what would have been done there.

    Args:
        task: says what a policy sees.
        lessons: what teaches.
        neighbours: of each state.
        share: of the trials that are kept out.
        clone_std: standard deviation stated for actions without a law, as a share of the limits.
        temperature: that every target is softened by; see `combine`.
        combination: "mixture" or "product".
        seed: of all that is drawn.

    Raises:
        InvalidFieldError: a law has a singular covariance, or nothing is left to learn from.
    """
    out = split(lessons, share, seed)
    spreads, notes = expected_spreads(task, lessons) if neighbours else ({}, [])
    train: list[PolicyTargets] = []
    judge: list[PolicyTargets] = []
    for i, lesson in enumerate(lessons):
        states, count = lesson.states[:, :-1], len(lesson.states)
        if i in spreads:
            drawn = trial_seed(seed, i, lesson.condition, NEIGHBOURS)
            states = with_neighbours(states, spreads[i], neighbours, drawn)
        targets = _targets(task, lesson, states, clone_std, temperature, combination)
        # neighbours follow in whole rounds of the trials
        of_trial = np.repeat(np.arange(len(states)) % count, states.shape[1])
        judged = np.isin(of_trial, out[i])
        if judged.any():
            judge.append(targets.take(np.flatnonzero(judged)))
        if not judged.all():
            train.append(targets.take(np.flatnonzero(~judged)))
    if not train:
        raise InvalidFieldError("distillation", "trials", "none that is not kept out", "at least 1, or --held-out 0")
    cloned = sum(len(lesson.states) for lesson in lessons if not lesson.laws)
    if cloned:
        notes.append(
            f"{cloned} trials have no law: their policy learns which actions were taken along them, not what feedback "
            f"would correct an error, and its covariance is stated ({clone_std:g} of the limits), not learned"
        )
    quiet = sum(len(lesson.states) for lesson in lessons if any(map(silent, lesson.laws)))
    if quiet:
        notes.append(
            f"{quiet} trials ran without their law's noise, so that their bags do not tell its covariance: "
            f"it is stated ({clone_std:g} of the limits)"
        )
    return Split(
        PolicyTargets.joined(train),
        PolicyTargets.joined(judge) if judge else None,
        tuple(lesson.sources[k] for lesson, rows in zip(lessons, out, strict=True) for k in rows),
        sum(len(lesson.states) for lesson in lessons) - cloned,
        cloned,
        tuple(notes),
    )


def _targets(
    task: Task, lesson: Lesson, states: Array, clone_std: float, temperature: float, combination: str
) -> PolicyTargets:
    """Targets at states (N, T, n) of a lesson."""
    observations = task.observe(states, lesson.condition)
    stated = clone_covariance(task, clone_std)
    laws = [replace(law, covariances=np.tile(stated, (law.steps, 1, 1))) if silent(law) else law for law in lesson.laws]
    if len(laws) == 1:
        exact = PolicyTargets.along(laws[0], states, observations)
        return replace(exact, precisions=exact.precisions / temperature)
    count, steps = states.shape[:2]
    if not laws:
        means = lesson.actions.reshape(count * steps, -1)
        covariances = np.tile(temperature * stated, (count * steps, 1, 1))
    else:
        means, covariances = combine(
            np.array([law.means_along(states).reshape(count * steps, -1) for law in laws]),
            np.array([np.tile(law.covariances, (count, 1, 1)) for law in laws]),
            temperature,
            combination,
        )
    return gaussian_targets(observations.reshape(count * steps, -1), means, covariances)


def gaussian_targets(observations: Array, means: Array, covariances: Array) -> PolicyTargets:
    """N(μ_i, Σ_i) at each observation as targets.

    Raises:
        InvalidFieldError: a Σ_i is singular.
    """
    try:
        precisions = np.linalg.inv(covariances)
    except np.linalg.LinAlgError as error:
        raise InvalidFieldError("distillation", "covariances", "a singular matrix", "positive definite") from error
    return PolicyTargets(observations, means, 0.5 * (precisions + precisions.transpose(0, 2, 1)))


def expected_spreads(task: Task, lessons: Sequence[Lesson]) -> tuple[dict[int, Array], list[str]]:
    """Covariances (T, n, n) of the states each law expects to visit, by the lesson's place, and what is to be told.

    From dynamics fitted to the lesson's trials, as learning online fits them: the forward pass of the law under them.
    Lessons of fewer than two trials have none, nor have those without a law.
    """
    notes, out = [], {}
    rounds: list[dict[int, int]] = []
    known = {c.index for c in task.conditions if not c.held_out}
    for i, lesson in enumerate(lessons):
        noisy = bool(lesson.laws) and not silent(lesson.laws[-1])
        if noisy and len(lesson.states) >= 2 and lesson.condition in known:
            fits = next((r for r in rounds if lesson.condition not in r), None)
            if fits is None:
                rounds.append(fits := {})
            fits[lesson.condition] = i
    try:
        learner = LqrFlm(task, 0, task.learning) if rounds else None
    except MbplError as error:
        return {}, [f"no states near those of the trials: {error}"]
    for fits in rounds:
        assert learner is not None  # noqa: S101 - there is a round
        sets: dict[int, TrialSet | None] = dict.fromkeys(learner.training)
        for c, i in fits.items():
            sets[c] = TrialSet(lessons[i].states, lessons[i].actions, np.zeros(len(lessons[i].states)))
        models = learner.fit(sets)
        learner.iteration += 1
        for c, i in fits.items():
            law = models[c].law(lessons[i].laws[-1])
            out[i] = evaluate_law(models[c].problem(law, 0.0), law).covariances[:-1]
    without = sum(len(x.states) for i, x in enumerate(lessons) if x.laws and i not in out)
    if without:
        notes.append(
            f"{without} trials teach at their own states only: what states lie near them is known where two trials or "
            "more of one law, with its noise, begin at a start that is trained from"
        )
    return out, notes
