"""Learners that try, learn and are judged in turns, and how many steps of the environment they needed."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import gymnasium

from mbpl_control.core.validation import Array, check_whole
from mbpl_control.mbrl.problem import LearningProblem, run_episode

#: Evaluations begin where no trial of learning does: their seeds are counted from here.
EVALUATION_SEEDS = 10_000


class StepLearner(ABC):
    """Learns a `LearningProblem` from its own steps in the environment.

    Attributes:
        problem: what is learned.
        steps: of the environment taken so far.
    """

    problem: LearningProblem
    steps: int = 0

    @abstractmethod
    def advance(self) -> None:
        """Take some steps in the environment, at least one, and learn from them."""

    @abstractmethod
    def act(self, state: Array, step: int) -> Array:
        """u (m,) at x (n,) and a step of the episode, as the learner does it best by now: without exploring.

        Step 0 begins an episode: a planner then forgets what it planned before.
        """


@dataclass(frozen=True)
class Evaluation:
    """How good a learner is after some steps.

    Attributes:
        steps: of the environment, those of evaluations not counted.
        seconds: of wall time spent learning.
        returns: of each episode it was judged by, start after start.
        successes: whether each met the task's own rule of success; none where it has no such rule.
    """

    steps: int
    seconds: float
    returns: tuple[float, ...]
    successes: tuple[bool, ...] = ()

    @property
    def mean(self) -> float:
        """Mean return."""
        return sum(self.returns) / len(self.returns)

    def solves(self, enough: float) -> bool:
        """Whether every episode met the task's rule; without one, whether the mean return is enough."""
        return all(self.successes) if self.successes else self.mean >= enough


def learn(
    learner: StepLearner,
    budget: int,
    episodes: int = 1,
    seed: int = 0,
    on_evaluation: Callable[[Evaluation], None] | None = None,
    in_a_row: int | None = 3,
    every: int = 1,
) -> list[Evaluation]:
    """Let a learner go on until its budget is spent, or it has solved the problem so many times in a row.

    Args:
        learner: new.
        budget: steps of the environment; one `advance` may go beyond it.
        episodes: of an evaluation, from each of `LearningProblem.starts`.
        seed: of the evaluations' starts: the same for every method.
        on_evaluation: told each.
        in_a_row: evaluations that solve the problem (`Evaluation.solves`) end it; none do when None.
        every: steps after which it is judged; `advance` by `advance` when 1, and always at the end.
    """
    check_whole("learn", "budget", budget, 1, 10**12)
    check_whole("learn", "episodes", episodes, 1, 10**6)
    check_whole("learn", "every", every, 1, 10**12)
    problem = learner.problem
    environment = (problem.judge or problem.make)()
    found: list[Evaluation] = []
    spent, due = 0.0, every
    try:
        while learner.steps < budget:
            begin = time.perf_counter()
            learner.advance()
            spent += time.perf_counter() - begin
            if learner.steps < min(due, budget):
                continue
            due = learner.steps + every
            found.append(evaluate(learner, environment, spent, episodes, seed, len(found)))
            if on_evaluation is not None:
                on_evaluation(found[-1])
            if in_a_row is not None and solved_at(found, problem.enough, in_a_row) is not None:
                break
    finally:
        environment.close()
    return found


def evaluate(
    learner: StepLearner, environment: gymnasium.Env, seconds: float, episodes: int, seed: int, number: int
) -> Evaluation:
    """Judge a learner as it is: episodes from each start, the same for every method.

    Args:
        learner: that acts.
        environment: of its problem, which pays what it is judged by.
        seconds: of wall time it has spent learning.
        episodes: from each start.
        seed: of the starts.
        number: of evaluations before this one.
    """
    problem = learner.problem
    begun = [start for start in problem.starts for _ in range(episodes)]
    first = EVALUATION_SEEDS + 1000 * seed + number * len(begun)
    ran = [run_episode(environment, learner.act, first + k, problem.steps, start) for k, start in enumerate(begun)]
    judged = [bool(episode.info["success"]) for episode in ran if "success" in episode.info]
    successes = tuple(judged) if len(judged) == len(ran) else ()
    return Evaluation(learner.steps, seconds, tuple(episode.total for episode in ran), successes)


def solved_by(evaluations: Sequence[Evaluation], enough: float, in_a_row: int = 3) -> Evaluation | None:
    """The last of the first so many evaluations in a row that all solve the problem; None where none did."""
    for last in range(in_a_row, len(evaluations) + 1):
        if all(each.solves(enough) for each in evaluations[last - in_a_row : last]):
            return evaluations[last - 1]
    return None


def solved_at(evaluations: Sequence[Evaluation], enough: float, in_a_row: int = 3) -> int | None:
    """Steps at `solved_by`; None where none did."""
    found = solved_by(evaluations, enough, in_a_row)
    return None if found is None else found.steps
