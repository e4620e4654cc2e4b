"""What was tried, kept to be learned from again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_whole
from mbpl_control.mbrl.learned_dynamics import Transitions

OWNER = "ReplayBuffer"
#: Rows that memory is taken for at first; it doubles until the capacity is reached.
FIRST_ROWS = 1024


@dataclass(frozen=True, eq=False)
class Batch:
    """B transitions with what was paid for them.

    Attributes:
        states: x (B, n).
        actions: u (B, m).
        successors: x' (B, n).
        rewards: r (B,).
        ended: 1 where the episode ended for good with x', else 0 (B,); one that was merely cut off goes on.
    """

    states: Tensor
    actions: Tensor
    successors: Tensor
    rewards: Tensor
    ended: Tensor

    def __len__(self) -> int:
        """B."""
        return len(self.rewards)


class ReplayBuffer:
    """Transitions x, u, x', r and whether it ended there; the oldest give way to new ones when it is full.

    Args:
        n: numbers of x.
        m: numbers of u.
        capacity: transitions it holds at most. Memory is taken as it fills.

    Attributes:
        added: transitions since it began.
    """

    def __init__(self, n: int, m: int, capacity: int) -> None:
        """Hold nothing."""
        self.n, self.m = check_whole(OWNER, "n", n, 1, 10**6), check_whole(OWNER, "m", m, 0, 10**6)
        self.capacity = check_whole(OWNER, "capacity", capacity, 1, 10**9)
        # one row a transition, so that a batch is gathered at once
        self._rows = np.zeros((min(FIRST_ROWS, capacity), 2 * n + m + 2))
        self.added = 0

    def __len__(self) -> int:
        """Transitions held."""
        return min(self.added, self.capacity)

    def add(self, transitions: Transitions, rewards: Array, ended: Array | NDArray[np.bool_]) -> None:
        """Take in N transitions with r (N,) and whether the episode ended for good with each (N,).

        Raises:
            InvalidFieldError: other sizes, or a reward that is not finite.
        """
        found = transitions.states.shape[1], transitions.actions.shape[1]
        if found != (self.n, self.m):
            raise InvalidFieldError(OWNER, "transitions", f"{found[0]} and {found[1]} numbers", f"{self.n}, {self.m}")
        count = len(transitions)
        for name, array in (("rewards", rewards), ("ended", ended)):
            if np.shape(array) != (count,) or not np.isfinite(array).all():
                raise InvalidFieldError(OWNER, name, f"shape {np.shape(array)}", f"finite, of shape ({count},)")
        rows = np.column_stack([transitions.states, transitions.actions, transitions.successors, rewards, ended])
        self._put(rows)

    def _put(self, rows: Array) -> None:
        self.added += max(0, len(rows) - self.capacity)
        rows = rows[-self.capacity :]
        while len(self._rows) < min(self.added + len(rows), self.capacity):
            more = min(len(self._rows), self.capacity - len(self._rows))
            self._rows = np.concatenate([self._rows, np.zeros((more, self._rows.shape[1]))])
        self._rows[(self.added + np.arange(len(rows))) % self.capacity] = rows
        self.added += len(rows)

    def newest(self, count: int) -> Array:
        """Rows of the newest `count` transitions held, or of all where it holds fewer; the oldest first."""
        count = min(count, len(self))
        return self._rows[(self.added - count + np.arange(count)) % self.capacity]

    def resized(self, capacity: int) -> ReplayBuffer:
        """One of another capacity that holds the newest of these."""
        other = ReplayBuffer(self.n, self.m, capacity)
        other._put(self.newest(capacity))
        return other

    def draw(self, count: int, rng: np.random.Generator, newest: int | None = None) -> Array:
        """Rows of transitions by lot, each as likely as any, with repetition.

        Args:
            count: how many.
            rng: draws.
            newest: only of so many of the newest, when it is given.

        Raises:
            InvalidFieldError: nothing is held.
        """
        if not len(self):
            raise InvalidFieldError(OWNER, "transitions", "none", "at least 1 to draw from")
        reach = len(self) if newest is None else min(check_whole(OWNER, "newest", newest, 1, 10**12), len(self))
        return self._rows[(self.added - 1 - rng.integers(reach, size=count)) % self.capacity]

    def batch(self, rows: Array, dtype: torch.dtype = torch.float64) -> Batch:
        """Rows of this or of another buffer of these sizes, as tensors."""
        tensor = torch.as_tensor(rows, dtype=dtype)
        states, actions, successors, paid = tensor.split([self.n, self.m, self.n, 2], dim=1)
        return Batch(states, actions, successors, paid[:, 0], paid[:, 1])


def draw_mixed(
    real: ReplayBuffer, imagined: ReplayBuffer, count: int, real_share: float, rng: np.random.Generator
) -> Array:
    """Rows of `count` transitions, round(real_share · count) of them real and the rest imagined; real ones first.

    While nothing was imagined yet, all are real.

    Raises:
        InvalidFieldError: a share that is none, or no real transition where one is wanted.
    """
    if not 0.0 <= real_share <= 1.0:
        raise InvalidFieldError(OWNER, "real_share", str(real_share), "within 0 .. 1")
    wanted = round(real_share * count) if len(imagined) else count
    parts = [buffer.draw(k, rng) for buffer, k in ((real, wanted), (imagined, count - wanted)) if k]
    return np.concatenate(parts)
