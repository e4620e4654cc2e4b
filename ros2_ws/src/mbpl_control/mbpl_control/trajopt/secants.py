"""What steps have shown of the curvature: a quasi-Newton method around another one's inverse Hessian."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

import numpy as np

from mbpl_control.core.validation import Array

#: Steps that are remembered.
MEMORY = 3
#: A step along which the slope hardly changes, relative to both, tells nothing.
LEAST = 1e-10
#: Near the end is where a step lowers the cost by less than this fraction of 1 + |cost|.
NEAR = 1e-2


class Costly(Protocol):
    """Where a search is."""

    @property
    def cost(self) -> float:
        """What it costs there."""


T = TypeVar("T", bound=Costly)


class Secants:
    r"""Pairs of a step s and the change y of the gradient along it, newest last, and L-BFGS by them.

    The direction of L-BFGS is made in two halves, between which the inverse of a first guess of the Hessian is applied,
    usually a number. Here it is a whole minimisation of a quadratic model by its Riccati recursion, which is right but
    for what the model leaves out; a few pairs are enough for that. With r the gradient and ρ = 1 / yᵀs,

        from the newest pair:    c_i = ρ_i s_iᵀ q,  q ← q − c_i y_i      starting at q = r
        d = −H₀⁻¹ q
        from the oldest pair:    d ← d − (c_i + ρ_i y_iᵀ d) s_i

    Source: Nocedal 1980, "Updating quasi-Newton matrices with limited storage".
    """

    def __init__(self) -> None:
        """Know nothing."""
        self._pairs: list[tuple[Array, Array, float]] = []

    def __len__(self) -> int:
        """How many pairs are known."""
        return len(self._pairs)

    def forget(self) -> None:
        """Know nothing again."""
        self._pairs.clear()

    def add(self, step: Array, change: Array) -> None:
        """Learn from a step s and the change y of the gradient; nothing without positive curvature along it."""
        curvature = float(np.vdot(step, change))
        if curvature > LEAST * float(np.linalg.norm(step) * np.linalg.norm(change)):
            self._pairs = [*self._pairs[1 - MEMORY :], (step, change, 1.0 / curvature)]

    def aims(self, gradient: Array) -> tuple[Array, list[float]]:
        """What the first guess of the Hessian is inverted on, q, and the c_i; the gradient itself without pairs."""
        shares: list[float] = []
        aims = gradient
        for step, change, reciprocal in reversed(self._pairs):
            shares.append(reciprocal * float(np.vdot(step, aims)))
            aims = aims - shares[-1] * change
        return aims, shares

    def rest(self, direction: Array, shares: list[float]) -> Array:
        """What is to be added to d = −H₀⁻¹ q."""
        more = np.zeros_like(direction)
        for (step, change, reciprocal), share in zip(self._pairs, reversed(shares), strict=True):
            more -= (share + reciprocal * float(np.vdot(change, direction + more))) * step
        return more


class LearnedCurvature(Generic[T]):
    """The secants of a search, from where its steps change little.

    Attributes:
        pairs: that are known by now.
    """

    def __init__(self) -> None:
        """Nothing was seen."""
        self.pairs = Secants()
        #: where the last law was asked for, and its regularisation
        self._last: tuple[T | None, float] = None, 0.0

    def forget(self) -> None:
        """What the last steps showed is of no use to the next."""
        self.pairs.forget()
        self._last = None, 0.0

    def see(self, now: T, mu: float, between: Callable[[T, T], tuple[Array, Array] | None]) -> None:
        """Learn from the step that led here; forget all while steps still change much.

        Args:
            now: where the search is.
            mu: regularisation of the law that is asked for.
            between: from where and to where → s and y; None where the two have no curvature in common.
        """
        (last, before), self._last = self._last, (now, mu)
        if last is None:
            return
        if last is now:
            if mu > before:
                # a step by them was not taken, and it is for the regularisation now to find one that is
                self.pairs.forget()
            return
        pair = between(last, now) if last.cost - now.cost <= NEAR * (1.0 + abs(now.cost)) else None
        if pair is None:
            self.pairs.forget()
        else:
            self.pairs.add(*pair)
