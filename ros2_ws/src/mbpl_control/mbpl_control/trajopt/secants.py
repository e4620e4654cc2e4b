"""What steps have shown of the curvature: a quasi-Newton method around another one's inverse Hessian."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array

#: Steps that are remembered.
MEMORY = 3
#: A step along which the slope hardly changes, relative to both, tells nothing.
LEAST = 1e-10


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
