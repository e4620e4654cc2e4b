"""Steps in an environment that go on where they were left, one episode after another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.mbrl.evaluation import EVALUATION_SEEDS
from mbpl_control.mbrl.learned_dynamics import Transitions
from mbpl_control.mbrl.problem import LearningProblem


@dataclass(frozen=True, eq=False)
class Stretch:
    """Steps of one episode, all of them or some.

    Attributes:
        transitions: of the steps.
        first: whether the episode begins with them.
        ended: whether it ended for good with the last of them.
    """

    transitions: Transitions
    first: bool
    ended: bool


class Walk:
    """Episodes that go on while a learner learns: what lies late in one is seen, too, however few steps it takes.

    Args:
        problem: whose environment it is in.
        rng: draws the seed of each episode, from those that evaluations leave.
    """

    def __init__(self, problem: LearningProblem, rng: np.random.Generator) -> None:
        """No episode is begun."""
        self._steps, self._rng = problem.steps, rng
        self._environment = problem.make()
        #: where the episode under way is; None: one is to begin
        self._state: Array | None = None
        self._step = 0

    def go(self, count: int, act: Callable[[Array, int], Array]) -> list[Stretch]:
        """Take some steps.

        Args:
            count: how many.
            act: x (n,) and the step of the episode → u (m,).
        """
        found: list[Stretch] = []
        rows: list[tuple[Array, Array, Array]] = []
        for taken in range(count):
            if self._state is None:
                begun, _ = self._environment.reset(seed=int(self._rng.integers(EVALUATION_SEEDS)))
                self._state, self._step = np.array(begun), 0
            action = act(self._state, self._step)
            successor, _, ended, cut, _ = self._environment.step(action)
            rows.append((self._state, action, np.array(successor)))
            self._step += 1
            over = ended or cut or self._step == self._steps
            self._state = None if over else rows[-1][2]
            if over or taken == count - 1:
                parts = Transitions(*(np.array(part) for part in zip(*rows, strict=True)))
                found.append(Stretch(parts, self._step == len(rows), bool(ended)))
                rows = []
        return found


def joined(stretches: list[Stretch]) -> Transitions:
    """The transitions of stretches, at least one, in turn."""
    found = stretches[0].transitions
    for stretch in stretches[1:]:
        found = found.joined(stretch.transitions)
    return found
