"""Teachers that can be asked anywhere: a student that learns what they say where it goes itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.validation import Array, check_choice, check_whole
from mbpl_control.distill.ensemble import combine
from mbpl_control.distill.targets import gaussian_targets
from mbpl_control.multitask.batch_problem import BatchProblem, Distribution, run_batch
from mbpl_control.policies import GaussianPolicy, PolicyTargets
from mbpl_control.policies.training import PolicyTrainer

#: Whose states are learned from.
VISITORS = ("student", "teacher")

#: States (B, n) → what a student is to agree with there.
Labels = Callable[[Array], PolicyTargets]


def together(
    teachers: Sequence[GaussianPolicy], temperature: float = 1.0, combination: str = "mixture"
) -> Distribution:
    """Teachers as one distribution of actions; see `combine`."""

    def said(observations: Array) -> tuple[Array, Array]:
        means, covariances = zip(*(teacher.distribution(observations) for teacher in teachers), strict=True)
        return combine(np.array(means), np.array(covariances), temperature, combination)

    return said


def soft(teacher: Distribution) -> Labels:
    """Mean and covariance of what a teacher would do: how far an error counts is part of the lesson."""
    return lambda observations: gaussian_targets(observations, *teacher(observations))


def hard(teacher: Distribution, rng: np.random.Generator | None) -> Labels:
    """One action at each state, as if it were certain: every error counts the same.

    Args:
        teacher: whose actions.
        rng: draws them; None for the most likely ones, which are the means.
    """

    def labels(observations: Array) -> PolicyTargets:
        means, covariances = teacher(observations)
        if rng is not None:
            noise = rng.standard_normal(means.shape)
            means = means + np.einsum("bij,bj->bi", np.linalg.cholesky(covariances), noise)
        # one Σ for all: only its size relative to itself would matter, and it is the same everywhere
        return gaussian_targets(observations, means, np.tile(covariances.mean(axis=0), (len(means), 1, 1)))

    return labels


@dataclass(frozen=True)
class OnPolicyOptions:
    """How a student is taught by teachers that can be asked.

    Attributes:
        visitor: whose states they are asked at from the second round on: "student" or "teacher".
        rounds: of visiting, asking, and training on all answers so far.
        episodes: of a round.

    Raises:
        InvalidFieldError: a field has a wrong value.
    """

    visitor: str = "student"
    rounds: int = 5
    episodes: int = 8

    def __post_init__(self) -> None:
        """Check each field."""
        owner = "OnPolicyOptions"
        check_choice(owner, "visitor", self.visitor, VISITORS)
        check_whole(owner, "rounds", self.rounds, 1, 10**6)
        check_whole(owner, "episodes", self.episodes, 1, 10**6)


def distil_on_policy(
    problem: BatchProblem,
    student: GaussianPolicy,
    teacher: Distribution,
    labels: Labels,
    trainer: PolicyTrainer,
    options: OnPolicyOptions,
    seed: int,
) -> PolicyTargets:
    """Train a student, in place, on what teachers say at visited states.

    The first round's states are those of the teacher. From then on they are the student's: where its errors lead it,
    and no teacher would have gone. All rounds' answers count alike.

    Args:
        problem: where states are visited.
        student: is trained.
        teacher: visits states first.
        labels: of the states; see `soft` and `hard`.
        trainer: of each round.
        options: how.
        seed: of starts, noise and training.

    Returns:
        All that was said.

    Source: Ross, Gordon, Bagnell 2011, "A reduction of imitation learning and structured prediction to no-regret
    online learning" (DAgger, with β = 1 in the first round and 0 after it).
    """
    rng = np.random.default_rng(seed)
    said: list[PolicyTargets] = []
    for k in range(options.rounds):
        visitor = student.distribution if k and options.visitor == "student" else teacher
        batch = run_batch(problem, visitor, problem.starts(options.episodes, rng), rng)
        said.append(labels(batch.visited))
        trainer.train(student, PolicyTargets.joined(said), int(rng.integers(2**32)))
    return PolicyTargets.joined(said)
