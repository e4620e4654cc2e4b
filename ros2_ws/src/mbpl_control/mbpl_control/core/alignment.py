r"""What was measured and commanded, at the ticks of control: by the stamps of the robot's clock alone.

A trial of T steps of dt that starts at t₀ has its knots at t₀ + k dt, k = 0 .. T. A state belongs to the knot whose
stamp it carries, one that got lost is joined from its neighbours; the action of a step is the mean of what was
commanded in it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.errors import RefusedError
from mbpl_control.core.state_space import StateSpace
from mbpl_control.core.validation import Array

#: States further apart than this, s, and than two steps, are not bridged; so long a silence ends in the fallback.
LONGEST_GAP = 0.1
#: Two stamps this close are the same instant, ns.
SAME_INSTANT = 1000

Stamps = NDArray[np.int64]


def knots_of(start_ns: int, dt: float, steps: int) -> Stamps:
    """Stamps (steps + 1,) of the ticks at which the steps begin, and of the end, ns."""
    return start_ns + round(1e9 * dt) * np.arange(steps + 1, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Placement:
    """Where knots lie among stamps.

    Attributes:
        after: (K,) index of the first stamp that is not before the knot.
        fraction: (K,) of the way from the stamp before; 1 where the knot has a stamp of its own.
    """

    after: NDArray[np.intp]
    fraction: Array

    @property
    def joined(self) -> int:
        """Knots without a stamp of their own."""
        return int((self.fraction != 1.0).sum())

    def of(self, values: Array, space: StateSpace) -> Array:
        """Values at the knots, (N, nx) → (K, nx): to the bit where a knot has its own, else along the shortest path."""
        out: Array = np.array(values[self.after])
        for k in np.flatnonzero(self.fraction != 1.0):
            i = self.after[k]
            out[k] = space.interpolate(values[i - 1], values[i], float(self.fraction[k]))
        return out


def place(knots: Stamps, stamps: Stamps, dt: float) -> Placement:
    """Find the knots (K,) among growing stamps (N,), ns.

    Raises:
        RefusedError: a knot has no stamp of its own, and its neighbours are further apart than `LONGEST_GAP` and two
            steps of dt, or it has only one.
    """
    longest = max(2.0 * dt, LONGEST_GAP)
    after = np.searchsorted(stamps, knots - SAME_INSTANT)
    inside = np.minimum(after, len(stamps) - 1)
    own = (after < len(stamps)) & (stamps[inside] <= knots + SAME_INSTANT)
    before = np.maximum(after - 1, 0)
    lost = ~own & ((after == 0) | (after == len(stamps)) | (stamps[inside] - stamps[before] > 1e9 * longest))
    if lost.any():
        since = 1e-9 * float(knots[np.argmax(lost)] - knots[0])
        raise RefusedError(
            f"the states around {since:.3f} s of the trial got lost; gaps of at most {longest:g} s are bridged"
        )
    width = np.where(own, 1, stamps[inside] - stamps[before])
    return Placement(after, np.where(own, 1.0, (knots - stamps[before]) / width))


def step_means(knots: Stamps, stamps: Stamps, values: Array) -> tuple[Array, int]:
    """The mean (T, m) of the values (N, m) stamped in each step, and the number of steps without any.

    A step in which nothing was stamped keeps the value before it, which stayed in force.
    """
    bounds = np.searchsorted(stamps, knots - SAME_INSTANT)
    counts = np.diff(bounds)
    stamped = counts > 0
    # the last value before each step; the first one before there is any
    out: Array = np.array(values[np.maximum(bounds[:-1] - 1, 0)])
    if stamped.any():
        first, within = bounds[:-1][stamped], values[: bounds[-1]]
        means = np.add.reduceat(within, first) / counts[stamped, None]
        # a command that was held is kept to the bit, which a mean of many would not
        changes = (within[first[0] :] != np.repeat(within[first], counts[stamped], axis=0)).any(axis=1)
        held = ~np.logical_or.reduceat(changes, first - first[0])
        out[stamped] = np.where(held[:, None], within[first], means)
    return out, int((~stamped).sum())
