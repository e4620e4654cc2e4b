"""Going over from one command to another without a step."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array


class Blend:
    r"""Lets the difference between what was applied and what the new law asks for die out.

        u = u_law + (1 − s(τ/T)) (u_applied − u_law)|_{τ=0},   s(p) = p³ (10 − 15 p + 6 p²)

    The first command equals the last one applied, the law's feedback is in force from the first tick on, and after T the
    command is the law's own. s has zero slope and curvature at both ends; its steepest slope is 15/8, so a difference d adds
    at most 15 d dt / (8 T) a tick.

    Args:
        duration: T, s; zero blends nothing.
    """

    def __init__(self, duration: float) -> None:
        """Wait for the first command."""
        self._duration_ns = 1e9 * duration
        self._start_ns: int | None = None
        self._offset: Array | None = None
        self.over = duration == 0.0

    def apply(self, wanted: Array, last: Array, stamp_ns: int) -> Array:
        """The blended command; `last` is what was applied before the first one."""
        if self.over:
            return wanted
        if self._start_ns is None or self._offset is None:
            self._start_ns = stamp_ns
            self._offset = last - wanted
            return np.array(last)
        p = (stamp_ns - self._start_ns) / self._duration_ns
        if p >= 1.0:
            self.over = True
            return wanted
        return wanted + (1.0 - p**3 * (10.0 - 15.0 * p + 6.0 * p * p)) * self._offset
