"""Going over from one command to another without a step."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.runtime.claims import Claim


class Blend:
    r"""Lets differences between what was commanded and what a new law asks for die out, each in its own time.

        u = u_law + Σ_i (1 − s(τ_i / T_i)) d_i,   s(p) = p³ (10 − 15 p + 6 p²)

    A difference d = u_before − u_law, added when a law takes over, makes its first command equal the one before; the
    law's feedback is in force from that tick on, and after T the command is the law's own. s has zero slope and
    curvature at both ends; its steepest slope is 15/8, so a difference adds at most 15 |d| dt / (8 T) a tick.

    Args:
        size: m, numbers of a command.
    """

    def __init__(self, size: int) -> None:
        """Start with nothing to die out."""
        self._size = size
        self._parts: list[tuple[Array, float, float]] = []

    @property
    def over(self) -> bool:
        """Whether the law's command is its own."""
        return not self._parts

    def clear(self, claim: Claim) -> None:
        """Forget all differences of the actuators of a claim."""
        if isinstance(claim.pick, slice):
            self._parts.clear()
        for difference, _, _ in self._parts:
            difference[claim.pick] = 0.0
        self._parts = [part for part in self._parts if part[0].any()]

    def add(self, claim: Claim, difference: Array, duration: float) -> None:
        """Let a difference die out within `duration` s in the part of u that is claimed; within 0 s it never counts."""
        if duration > 0.0:
            whole = np.zeros(self._size)
            whole[claim.pick] = difference
            self._parts.append((whole, 0.0, duration))

    def advance(self, dt: float) -> None:
        """Let dt seconds go by."""
        if self._parts:
            aged = [(d, elapsed + dt, duration) for d, elapsed, duration in self._parts]
            # stamps are whole nanoseconds: what is left of the duration below that is none
            self._parts = [part for part in aged if part[1] < part[2] - 1e-9]

    def apply(self, wanted: Array) -> Array:
        """The law's command with what is left of the differences. (m,) → (m,)."""
        for difference, elapsed, duration in self._parts:
            p = elapsed / duration
            wanted = wanted + (1.0 - p**3 * (10.0 - 15.0 * p + 6.0 * p * p)) * difference
        return wanted
