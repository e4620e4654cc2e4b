"""What a learner is: it says which trials it wants, and learns from what happened in them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mbpl_control.core import ExecutionMode, LinearGaussianController, Trial
from mbpl_control.tasks.task import Task

if TYPE_CHECKING:
    from mbpl_control.policies.policy import GaussianPolicy


@dataclass(frozen=True)
class TrialRequest:
    """A trial a learner wants.

    Attributes:
        law: what runs: a controller over the horizon, or a neural policy that is asked at each step.
        mode: open loop, mean, or sampled.
        condition: start condition of the task.
        seed: of all noise in it.
        iteration: that it is for, from 1; 0 for none.
    """

    law: LinearGaussianController | GaussianPolicy
    mode: ExecutionMode
    condition: int
    seed: int
    iteration: int = 0


@dataclass(frozen=True)
class IterationReport:
    """What an iteration did.

    Attributes:
        iteration: from 1.
        rows: one mapping a condition, of numbers and texts, the same keys in each; `condition` is one of them, and
            `cost`, `kl`, `eta` and `success` (fraction of the trials) are among them.
        events: what was out of the ordinary, in words: trials discarded, steps shrunk, searches that failed.
        seconds: time by part: trials, fit, optimise, policy.
    """

    iteration: int
    rows: tuple[Mapping[str, float | int | str], ...]
    events: tuple[str, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)

    def mean(self, key: str) -> float:
        """Mean of a number over the conditions; NaN rows do not count, and NaN when there are only such."""
        values = np.array([float(row[key]) for row in self.rows])
        values = values[~np.isnan(values)]
        return float(values.mean()) if values.size else float("nan")


class Learner(ABC):
    """Learns a task by iterations: `requests` → trials → `learn`, and again.

    A learner draws no random number that does not follow from its seed and the iteration, so the same trials give
    the same learner to the last bit, and one that was saved goes on as if it had never stopped.

    Attributes:
        task: what is learned.
        seed: of everything drawn.
        iteration: iterations that are behind it.
    """

    task: Task
    seed: int
    iteration: int

    @abstractmethod
    def requests(self) -> list[TrialRequest]:
        """The trials of the next iteration."""

    @abstractmethod
    def evaluation_requests(self) -> list[TrialRequest]:
        """Trials without exploration that show what was learned; nothing is learned from them."""

    @abstractmethod
    def learn(self, trials: Sequence[Trial], evaluation: Sequence[Trial] = ()) -> IterationReport:
        """Learn from the trials, in the order of the requests; one iteration.

        Args:
            trials: what became of `requests()`. One whose `stop_reason` is not "completed", or that diverged, is
                discarded and named in the report.
            evaluation: what became of `evaluation_requests()`, for the report.
        """

    @abstractmethod
    def save(self, directory: Path) -> None:
        """Write all that `restore` needs, and all a user may want to use, into an empty directory."""

    @abstractmethod
    def restore(self, directory: Path) -> None:
        """Become what `save` wrote.

        Raises:
            FileFormatError: not written by `save`, or for another task or other options.
        """


def trial_seed(seed: int, iteration: int, condition: int, sample: int) -> int:
    """Seed of one trial, below 2⁶²; distinct for distinct arguments for all practical purposes."""
    words = np.random.SeedSequence([seed, iteration, condition, sample]).generate_state(2, np.uint64)
    return int(words[0] >> np.uint64(2))
