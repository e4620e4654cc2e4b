"""What a learner with a model is told of a task, and how it tries something there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_positive, check_whole
from mbpl_control.mbrl.learned_dynamics import Transitions

OWNER = "LearningProblem"

#: Numbers of B rows, from states (B, n), actions (B, m) and successors (B, n).
Rated = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class LearningProblem:
    """A task whose dynamics are to be found out; what is wanted of them is known.

    The environment's observation is the state x: a Markov state of n plain numbers. All tensors are float64.

    Attributes:
        name: of the task.
        make: a new environment, whose observations are x and whose actions u lie within the limits.
        n: numbers of x.
        lower: of each action (m,).
        upper: of each action (m,).
        dt: s of a step.
        steps: after which an episode is cut off.
        reward: r (B,) of what happened, as the environment pays it.
        cost: c (B,) that planners and gradients lower instead; smooth, and differentiable by torch.
        ended: whether the episode ends for good at a successor (B, n) → (B,) of booleans.
        enough: return of an episode that counts as solved; NaN where none does.
        starts: options of `reset` for each start an evaluation begins from; one without any where lots decide.
        judge: a new environment that pays what a learner is judged by, where that cannot be told as a function of x and
            u; as `make` when None.

    Raises:
        InvalidFieldError: limits that are no limits, or a wrong size.
    """

    name: str
    make: Callable[[], gymnasium.Env]
    n: int
    lower: Array
    upper: Array
    dt: float
    steps: int
    reward: Rated
    cost: Rated
    ended: Callable[[Tensor], Tensor]
    enough: float = float("nan")
    starts: tuple[Mapping[str, Any], ...] = ({},)
    judge: Callable[[], gymnasium.Env] | None = None

    def __post_init__(self) -> None:
        """Check them."""
        check_whole(OWNER, "n", self.n, 1, 10**6)
        check_whole(OWNER, "steps", self.steps, 1, 10**9)
        check_positive(OWNER, "dt", self.dt, "s")
        if self.lower.shape != self.upper.shape or self.lower.ndim != 1 or not (self.lower < self.upper).all():
            found = f"{self.lower} to {self.upper}"
            raise InvalidFieldError(OWNER, "limits", found, "(m,) each, finite, the lower below the upper")
        if not np.isfinite([self.lower, self.upper]).all():
            raise InvalidFieldError(OWNER, "limits", f"{self.lower} to {self.upper}", "finite")
        if not self.starts:
            raise InvalidFieldError(OWNER, "starts", "none", "at least one")

    @property
    def m(self) -> int:
        """Numbers of u."""
        return len(self.lower)


@dataclass(frozen=True, eq=False)
class Episode:
    """What happened from a start to an end.

    Attributes:
        transitions: of its steps.
        rewards: (N,).
        ended: whether it ended for good with the last of them, rather than being cut off.
        info: what the environment told with the last of them.
    """

    transitions: Transitions
    rewards: Array
    ended: bool
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def total(self) -> float:
        """Its return, not discounted."""
        return float(self.rewards.sum())


def run_episode(
    environment: gymnasium.Env,
    act: Callable[[Array, int], Array],
    seed: int,
    steps: int | None = None,
    start: Mapping[str, Any] | None = None,
) -> Episode:
    """One episode.

    Args:
        environment: reset with the seed.
        act: x (n,) and the number of the step → u (m,).
        seed: of the start and of the environment's noise.
        steps: after which it is left; as long as the environment lasts when None.
        start: options of `reset`.

    Raises:
        InvalidFieldError: an action that is not finite.
    """
    state, _ = environment.reset(seed=seed, options=None if start is None else dict(start))
    rows: list[tuple[Array, Array, Array]] = []
    rewards = []
    ended = cut = False
    info: Mapping[str, Any] = {}
    while not (ended or cut) and (steps is None or len(rows) < steps):
        action = np.asarray(act(state, len(rows)), dtype=np.float64)
        if not np.isfinite(action).all():
            raise InvalidFieldError("run_episode", "action", f"{action} at step {len(rows)}", "finite")
        successor, reward, ended, cut, info = environment.step(action)
        rows.append((np.array(state), action, np.array(successor)))
        rewards.append(float(reward))
        state = successor
    states, actions, successors = (np.array(part) for part in zip(*rows, strict=True))
    return Episode(Transitions(states, actions, successors), np.array(rewards), bool(ended), info)
