"""What planners, gradients and imagined rollouts may ask of dynamics that were learned from transitions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import norm

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.trial import Trial
from mbpl_control.core.validation import Array


@dataclass(frozen=True, eq=False)
class Transitions:
    """What happened: x_i, u_i, x'_i.

    Attributes:
        states: x (N, n).
        actions: u (N, m).
        successors: x' (N, n).

    Raises:
        InvalidFieldError: the arrays do not fit each other, or hold a number that is not finite.
    """

    states: Array
    actions: Array
    successors: Array

    def __post_init__(self) -> None:
        """Check the shapes."""
        count = len(self.states)
        for name in ("states", "actions", "successors"):
            array = np.asarray(getattr(self, name), dtype=np.float64)
            if array.ndim != 2 or len(array) != count:
                raise InvalidFieldError("Transitions", name, f"shape {array.shape}", f"({count}, any)")
            if not np.isfinite(array).all():
                raise InvalidFieldError("Transitions", name, "a number that is not finite", "finite")
            object.__setattr__(self, name, array)
        if self.states.shape != self.successors.shape:
            found = f"shape {self.successors.shape}"
            raise InvalidFieldError("Transitions", "successors", found, f"{self.states.shape}, as states")

    def __len__(self) -> int:
        """N."""
        return len(self.states)

    def joined(self, more: Transitions) -> Transitions:
        """These and more."""
        return Transitions(
            np.concatenate([self.states, more.states]),
            np.concatenate([self.actions, more.actions]),
            np.concatenate([self.successors, more.successors]),
        )


class LearnedDynamics(ABC):
    """p(x' | x, u), learned. States are plain vectors here: their difference is x' − x.

    Attributes:
        n: numbers of x.
        m: numbers of u.
        hypotheses: M, models that each could be the true one; 1 where there is no such doubt.
    """

    n: int
    m: int
    hypotheses: int = 1

    @abstractmethod
    def learn(self, more: Transitions) -> None:
        """Take in more transitions; what was learned before is kept.

        Raises:
            InvalidFieldError: they are of other sizes.
        """

    @abstractmethod
    def moments(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """E[x'] (B, n) and the standard deviation of each of its numbers (B, n), noise and doubt together."""

    @abstractmethod
    def sample(self, states: Array, actions: Array, rng: np.random.Generator) -> Array:
        """x' drawn for each of (B, n), (B, m); (B, n)."""

    def realise(self, states: Array, actions: Array, noise: Array, lots: Array) -> Array:
        """x' of each hypothesis for rows of its own, as a function of numbers that were drawn before.

        Here as a Gaussian of its moments; a model that knows better says so.

        Args:
            states: (M, B, n).
            actions: (M, B, m).
            noise: standard normal (M, B, n).
            lots: uniform on 0 .. 1 (M, B), for what is drawn besides.

        Returns:
            (M, B, n).
        """
        mean, deviation = self.moments(states[0], actions[0])
        return np.asarray(mean + deviation * noise[0])[None]

    @abstractmethod
    def log_likelihood(self, states: Array, actions: Array, successors: Array) -> Array:
        """ln p(x' | x, u), nats (B,)."""

    @abstractmethod
    def jacobian(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """Of E[x'] by x (B, n, n) and by u (B, n, m)."""

    def mean(self, states: Array, actions: Array) -> Array:
        """E[x'] (B, n)."""
        return self.moments(states, actions)[0]


def coverage(dynamics: LearnedDynamics, transitions: Transitions, levels: tuple[float, ...] = (0.5, 0.9)) -> Array:
    """How many numbers of x' lie within the central interval of a level; a calibrated model has that level.

    Args:
        dynamics: whose intervals, as of a Gaussian of its moments.
        transitions: that it did not learn from.
        levels: from 0 to 1.

    Returns:
        Fractions (levels, n).

    Source: Kuleshov, Fenner, Ermon 2018, "Accurate uncertainties for deep learning using calibrated regression".
    """
    mean, deviation = dynamics.moments(transitions.states, transitions.actions)
    away = np.abs(transitions.successors - mean) / deviation
    return np.array([(away <= norm.ppf(0.5 + 0.5 * level)).mean(axis=0) for level in levels])


def transitions_of(trials: Sequence[Trial]) -> Transitions:
    """What happened in trials of one state and action, step after step.

    Raises:
        InvalidFieldError: there is none, or their sizes differ.
    """
    sizes = {(trial.state.size, trial.action.size) for trial in trials}
    if len(sizes) != 1:
        raise InvalidFieldError("Transitions", "trials", f"{len(sizes)} kinds of sizes", "at least 1 trial, all alike")
    return Transitions(
        np.concatenate([trial.states[:-1] for trial in trials]),
        np.concatenate([trial.actions for trial in trials]),
        np.concatenate([trial.states[1:] for trial in trials]),
    )
