"""Imagined transitions to learn from: short rollouts of the policy that branch off from what was really seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_whole
from mbpl_control.mbrl.imagination import Draw, imagine
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.replay import ReplayBuffer

OWNER = "BranchedRollouts"


@dataclass(frozen=True)
class RolloutLength:
    """k, which goes from `first` to `last` along a line between two numbers of steps, as the model sees more.

    Attributes:
        first: k until `begin`.
        last: k from `end` on.
        begin: steps of the environment.
        end: steps of the environment, not before `begin`.
    """

    first: int = 1
    last: int = 1
    begin: int = 0
    end: int = 1

    def __post_init__(self) -> None:
        """Check each."""
        check_whole(OWNER, "first", self.first, 1, 10**4)
        check_whole(OWNER, "last", self.last, 1, 10**4)
        check_whole(OWNER, "begin", self.begin, 0, 10**12)
        check_whole(OWNER, "end", self.end, self.begin + 1, 10**12)

    def at(self, steps: int) -> int:
        """k after so many steps of the environment; a whole number, rounded down."""
        share = min(max((steps - self.begin) / (self.end - self.begin), 0.0), 1.0)
        return int(self.first + share * (self.last - self.first) + 1e-9)


@dataclass(frozen=True)
class BranchOptions:
    """How much is imagined, and from where.

    Attributes:
        length: k, steps of a rollout.
        rollouts: that branch off each time.
        every: steps of the environment between two times.
        retention: times that imagined transitions are kept for.
        newest: states to start from are those of so many of the newest real transitions, near those the policy itself
            comes to (on-policy); all that were ever seen when None (off-policy).
        real_share: of the transitions of a batch, that are real.

    Raises:
        InvalidFieldError: an option out of its range.
    """

    length: RolloutLength = RolloutLength()
    rollouts: int = 400
    every: int = 10
    retention: int = 20
    newest: int | None = None
    real_share: float = 0.05

    def __post_init__(self) -> None:
        """Check each."""
        for name in ("rollouts", "every", "retention"):
            check_whole(OWNER, name, getattr(self, name), 1, 10**9)
        if self.newest is not None:
            check_whole(OWNER, "newest", self.newest, 1, 10**12)
        if not 0.0 <= self.real_share <= 1.0:
            raise InvalidFieldError(OWNER, "real_share", str(self.real_share), "within 0 .. 1")


class BranchedRollouts:
    """A buffer of imagined transitions that is kept fresh: k-step rollouts of the policy from real states.

    Args:
        problem: knows reward and end.
        options: how much, and from where.
        seed: of starts and of the dynamics' noise.

    Attributes:
        buffer: imagined transitions of the last `BranchOptions.retention` times.

    Source: Janner, Fu, Zhang, Levine 2019, "When to trust your model: model-based policy optimization", algorithm 2;
    with k fixed and starts on-policy, Gu, Lillicrap, Sutskever, Levine 2016, "Continuous deep Q-learning with
    model-based acceleration", algorithm 2.
    """

    def __init__(self, problem: LearningProblem, options: BranchOptions, seed: int) -> None:
        """Nothing is imagined."""
        self._problem, self.options = problem, options
        self._rng = np.random.default_rng(seed)
        self.buffer = ReplayBuffer(problem.n, problem.m, self._capacity(options.length.first))

    def _capacity(self, length: int) -> int:
        return self.options.rollouts * self.options.retention * length

    def branch(self, real: ReplayBuffer, dynamics: LearnedDynamics, draw: Draw, steps: int) -> None:
        """Imagine once more.

        Args:
            real: holds the states to start from.
            dynamics: learned.
            draw: the policy.
            steps: of the environment so far.

        Raises:
            InvalidFieldError: nothing real is held, or the dynamics left the finite numbers.
        """
        length = self.options.length.at(steps)
        if self._capacity(length) != self.buffer.capacity:
            self.buffer = self.buffer.resized(self._capacity(length))
        rows = real.draw(self.options.rollouts, self._rng, self.options.newest)
        starts = rows[:, : self._problem.n]
        moved, rewards, ended = imagine(self._problem, dynamics, draw, starts, length, self._rng).transitions()
        self.buffer.add(moved, rewards, ended)
