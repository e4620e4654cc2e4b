"""Learners that try, learn and are judged in turns, and how many steps of the environment they needed."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

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
        returns: of each episode it was judged by.
    """

    steps: int
    seconds: float
    returns: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean return."""
        return sum(self.returns) / len(self.returns)


def learn(
    learner: StepLearner,
    budget: int,
    episodes: int = 1,
    seed: int = 0,
    on_evaluation: Callable[[Evaluation], None] | None = None,
    in_a_row: int = 3,
) -> list[Evaluation]:
    """Let a learner go on until its budget is spent, or it has solved the problem so many times in a row.

    Args:
        learner: new.
        budget: steps of the environment; one `advance` may go beyond it.
        episodes: of an evaluation, which follows each `advance`.
        seed: of the evaluations' starts: the same for every method.
        on_evaluation: told each.
        in_a_row: evaluations whose mean reaches `LearningProblem.enough` end it.
    """
    check_whole("learn", "budget", budget, 1, 10**12)
    check_whole("learn", "episodes", episodes, 1, 10**6)
    environment = learner.problem.make()
    found: list[Evaluation] = []
    spent = 0.0
    try:
        while learner.steps < budget and solved_at(found, learner.problem.enough, in_a_row) is None:
            begin = time.perf_counter()
            learner.advance()
            spent += time.perf_counter() - begin
            seeds = [EVALUATION_SEEDS + 1000 * seed + len(found) * episodes + k for k in range(episodes)]
            steps = learner.problem.steps
            returns = tuple(run_episode(environment, learner.act, each, steps).total for each in seeds)
            found.append(Evaluation(learner.steps, spent, returns))
            if on_evaluation is not None:
                on_evaluation(found[-1])
    finally:
        environment.close()
    return found


def solved_at(evaluations: list[Evaluation], enough: float, in_a_row: int = 3) -> int | None:
    """Steps at the last of the first so many evaluations in a row that all reach `enough`; None where none did."""
    for last in range(in_a_row, len(evaluations) + 1):
        row = evaluations[last - in_a_row : last]
        if all(each.mean >= enough for each in row):
            return row[-1].steps
    return None
