"""Distillation: from lessons, and from teachers that are networks, to one policy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_choice, check_positive, check_whole
from mbpl_control.distill.ensemble import COMBINATIONS, combine, parameters_of, smaller
from mbpl_control.distill.lessons import Lessons
from mbpl_control.distill.targets import Split, gaussian_targets, split_targets
from mbpl_control.learning.learner import trial_seed
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture, PolicyTargets, TrainingReport
from mbpl_control.policies.feedback import check_policy
from mbpl_control.policies.training import AdamTrainer, EarlyStopping, NaturalGradientTrainer, PolicyTrainer
from mbpl_control.tasks.task import Task

OPTIMIZERS = ("adam", "natural_gradient")
#: Both, of which the one that meets the trials kept out better is taken.
BOTH = "both"
#: Sample numbers in `trial_seed`: of a policy's first weights, and of its training.
WEIGHTS, TRAINING = 2**25, 2**26
#: Targets a step of Adam: with neighbours there are tens of thousands, and smaller batches are too noisy.
BATCH = 256
#: The student's number among the members, whose numbers begin at 0.
STUDENT = 10**6

#: A student is small, and takes so many times as many steps of Adam as its teachers. It is waited for as much longer:
#: the rate falls over all steps, and one that is ended early in them keeps the noise of its batches.
LONGER = 10

#: Told what is done, and how much of how much.
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class DistillationOptions:
    """How to distil.

    Attributes:
        hidden: units of each hidden layer, of the policy or, with several members, of each of them.
        covariance: "constant" or "state_dependent".
        optimizer: "adam", "natural_gradient" or "both".
        iterations: most steps of Adam in a training; a student of networks takes ten times as many, and is waited for
            ten times as long.
        natural_iterations: most steps of natural gradient.
        members: networks of an ensemble that is trained first and taught by; 1 for none.
        share: parameters of the student, as a share of those of all its teachers together; None: the same `hidden`.
        temperature: of teachers; see `combine`.
        combination: of teachers, "mixture" or "product".
        neighbours: of each state at which a law is known.
        held_out: share of the trials that are kept out, and end the training early; 0 for none.
        patience: see `EarlyStopping`.
        clone_std: standard deviation stated for actions without a law, as a share of the actuators' limits.
        seed: of all that is drawn.

    Raises:
        InvalidFieldError: a field has a wrong value.
    """

    hidden: tuple[int, ...] = (64, 64)
    covariance: str = "constant"
    optimizer: str = "adam"
    iterations: int = 4000
    natural_iterations: int = 60
    members: int = 1
    share: float | None = None
    temperature: float = 1.0
    combination: str = "mixture"
    neighbours: int = 12
    held_out: float = 0.2
    patience: int = 20
    clone_std: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        """Check each field."""
        owner = "distillation"
        check_choice(owner, "optimizer", self.optimizer, (*OPTIMIZERS, BOTH))
        check_choice(owner, "combination", self.combination, COMBINATIONS)
        check_whole(owner, "iterations", self.iterations, 1, 10**9)
        check_whole(owner, "natural_iterations", self.natural_iterations, 1, 10**9)
        check_whole(owner, "members", self.members, 1, 100)
        check_whole(owner, "neighbours", self.neighbours, 0, 1000)
        check_whole(owner, "patience", self.patience, 1, 10**9)
        check_whole(owner, "seed", self.seed, 0, 2**62 - 1)
        check_positive(owner, "temperature", self.temperature)
        check_positive(owner, "clone_std", self.clone_std)
        if not 0.0 <= self.held_out < 1.0:
            raise InvalidFieldError(owner, "held_out", str(self.held_out), "at least 0 and below 1")
        if self.share is not None and not 0.0 < self.share <= 1.0:
            raise InvalidFieldError(owner, "share", str(self.share), "above 0 and at most 1")

    @property
    def architecture(self) -> PolicyArchitecture:
        """Of a member."""
        return PolicyArchitecture(self.hidden, covariance=self.covariance)


@dataclass(frozen=True, eq=False)
class Distilled:
    """What a distillation made.

    Attributes:
        policy: the student, or the policy itself; its `report.about` holds the report.
        members: the teachers that are networks; none without an ensemble.
        report: JSON data.
    """

    policy: GaussianPolicy
    members: tuple[GaussianPolicy, ...]
    report: dict[str, Any]


def distil(
    task: Task,
    lessons: Lessons,
    options: DistillationOptions,
    teachers: Sequence[GaussianPolicy] = (),
    progress: Progress = lambda _, __, ___: None,
) -> Distilled:
    """Train a policy on what recorded trials teach; with several teachers, through them.

    Without teachers that are networks the policy agrees with the lessons' laws. With an ensemble, `members` networks
    are trained on them, each from weights of its own, and the student agrees with what they say together at the same
    states; `teachers` are such members that exist already.

    Args:
        task: the lessons are of.
        lessons: what was recorded.
        options: how.
        teachers: networks that teach in place of members to be trained.
        progress: told how it goes on.

    Raises:
        MbplError: nothing to learn from, a teacher that does not fit the task, or a training that fails.
    """
    if teachers and options.members > 1:
        raise InvalidFieldError("distillation", "members", str(options.members), "1 beside teachers that are given")
    for teacher in teachers:
        check_policy(teacher, task)
    count = options.members if options.members > 1 and not teachers else 0
    progress("targets", 0, count + 2)
    data = split_targets(
        task,
        lessons.lessons,
        neighbours=options.neighbours,
        share=options.held_out,
        clone_std=options.clone_std,
        temperature=options.temperature,
        combination=options.combination,
        seed=options.seed,
    )
    trained: list[dict[str, Any]] = []
    members = list(teachers)
    for k in range(count):
        progress(f"member {k + 1} of {count}", k + 1, count + 2)
        policy, rows = _train(task, data, options, options.architecture, k)
        members.append(policy)
        trained += [{"network": f"member {k + 1}", **row} for row in rows]
    progress("student" if members else "policy", count + 1, count + 2)
    architecture, taught = options.architecture, data
    if members:
        if options.share is not None:
            most = math.floor(options.share * sum(map(parameters_of, members)))
            architecture = smaller(architecture, members[0].features.size, task.action.size, most)
        judge = None if data.judge is None else _of_teachers(members, data, data.judge, options)
        taught = replace(data, train=_of_teachers(members, data, data.train, options), judge=judge)
    policy, rows = _train(task, taught, options, architecture, STUDENT if members else 0)
    trained += [{"network": "student" if members else "policy", **row} for row in rows]
    report = _report(task, lessons, options, data, policy, members, trained)
    assert policy.report is not None  # noqa: S101 - it is trained
    policy.report = replace(policy.report, about=report)
    progress("done", count + 2, count + 2)
    return Distilled(policy, tuple(members), report)


def _of_teachers(
    members: Sequence[GaussianPolicy], data: Split, targets: PolicyTargets, options: DistillationOptions
) -> PolicyTargets:
    """What the teachers say together where targets are.

    A member with one Σ for everything has forgotten where its laws were sure. Where all targets are laws, theirs count
    in its place: an error of the student weighs what it weighed for its teachers.
    """
    said = [member.distribution(targets.observations) for member in members]
    covariances, temperature = np.array([covariance for _, covariance in said]), options.temperature
    if not data.cloned and not any(member.architecture.state_dependent for member in members):
        # these are softened already
        covariances = np.tile(np.linalg.inv(targets.precisions), (len(members), 1, 1, 1))
        temperature = 1.0
    means = np.array([mean for mean, _ in said])
    return gaussian_targets(targets.observations, *combine(means, covariances, temperature, options.combination))


def _train(
    task: Task, data: Split, options: DistillationOptions, architecture: PolicyArchitecture, number: int
) -> tuple[GaussianPolicy, list[dict[str, Any]]]:
    """A policy by the optimizer, or the better of two, and a row for each that was tried."""
    rows: list[dict[str, Any]] = []
    best: tuple[float, GaussianPolicy] | None = None
    for name in OPTIMIZERS if options.optimizer == BOTH else (options.optimizer,):
        policy = GaussianPolicy(
            task.observation,
            task.action,
            task.dt,
            seed=trial_seed(options.seed, number, 0, WEIGHTS) % 2**32,
            architecture=architecture,
            task=task.name,
            task_hash=task.hash,
        )
        longer = LONGER if number == STUDENT else 1
        stopping = None if data.judge is None else EarlyStopping(data.judge, longer * options.patience)
        seed = trial_seed(options.seed, number, 0, TRAINING)
        patient = replace(options, iterations=longer * options.iterations)
        report = _trainer(name, patient).train(policy, data.train, seed, stopping)
        # taught at the temperature, asked at one
        policy.assign(policy.parameters, policy.covariance / options.temperature)
        rows.append(_row(policy, report, data))
        loss = report.loss_after if data.judge is None else report.held_out_after
        if best is None or loss < best[0]:
            best = loss, policy
    assert best is not None  # noqa: S101 - there is an optimizer
    for row in rows:
        row["taken"] = row["trainer"] == (best[1].report.trainer if best[1].report else "")
    return best[1], rows


def _trainer(name: str, options: DistillationOptions) -> PolicyTrainer:
    if name == "adam":
        return AdamTrainer(options.iterations, BATCH, held_out=0.0)
    return NaturalGradientTrainer(options.natural_iterations, held_out=0.0)


def _row(policy: GaussianPolicy, report: TrainingReport, data: Split) -> dict[str, Any]:
    """What a training did; losses as docs/policies.md defines them, disagreements in deviations of the targets."""
    plain = report.to_dict()
    plain.pop("about")
    plain.pop("kl")
    plain["parameters"] = parameters_of(policy)
    plain["disagreement"] = disagreement(policy, data.train)
    plain["disagreement_held_out"] = None if data.judge is None else disagreement(policy, data.judge)
    return plain


def disagreement(policy: GaussianPolicy, targets: PolicyTargets) -> float:
    """Root mean square of Λ_i^½ (μ_θ − μ_i) over targets and actions: 1 is as far as a target's own noise."""
    error = policy.means(targets.observations) - targets.means
    square = np.einsum("bi,bij,bj->b", error, targets.precisions, error)
    return float(np.sqrt(square.mean() / error.shape[1]))


def _report(
    task: Task,
    lessons: Lessons,
    options: DistillationOptions,
    data: Split,
    policy: GaussianPolicy,
    members: Sequence[GaussianPolicy],
    trained: list[dict[str, Any]],
) -> dict[str, Any]:
    """All of it as JSON data."""
    total = sum(map(parameters_of, members))
    return {
        "task": task.name,
        "task_hash": task.hash,
        "options": {**asdict(options), "hidden": list(options.hidden)},
        "trials": lessons.trials,
        "soft_trials": data.soft,
        "cloned_trials": data.cloned,
        "held_out_trials": list(data.held_out),
        "discarded": [{"bag": source, "why": why} for source, why in lessons.discarded],
        "lessons": [
            {"condition": x.condition, "law": x.name, "laws": len(x.laws), "trials": len(x.states)}
            for x in lessons.lessons
        ],
        "targets": data.train.count,
        "targets_held_out": 0 if data.judge is None else data.judge.count,
        "trainings": trained,
        "teachers": len(members),
        "teachers_parameters": total,
        "parameters": parameters_of(policy),
        "share": parameters_of(policy) / total if members else None,
        "notes": list(data.notes),
    }
