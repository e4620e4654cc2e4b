"""Joint states of a driver in the robot's own order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbpl_control.core.errors import RefusedError
from mbpl_control.core.validation import Array


class JointReading:
    """Picks the robot's joints out of messages that hold them in any order, with others, and NaN for what is unknown.

    Args:
        joints: of the robot, in its order.
    """

    def __init__(self, joints: Sequence[str]) -> None:
        """Know no order yet."""
        self._joints = list(joints)
        self._names: Sequence[str] | None = None
        self._picks = np.arange(0)

    def read(
        self, names: Sequence[str], positions: Sequence[float], velocities: Sequence[float], efforts: Sequence[float]
    ) -> tuple[Array, Array, Array | None]:
        """Positions and velocities (nv,), and efforts where all of them are measured.

        Raises:
            RefusedError: a joint is missing, or its position or velocity is not measured.
        """
        if names != self._names:
            known = list(names)
            missing = [name for name in self._joints if name not in known]
            if missing:
                raise RefusedError(f"no joint '{missing[0]}' among {', '.join(known) or 'none'}")
            self._picks = np.array([known.index(name) for name in self._joints], dtype=np.intp)
            self._names = list(names)
        q = self._part("position", names, positions)
        v = self._part("velocity", names, velocities)
        if len(efforts) != len(names):
            return q, v, None
        measured = np.array(efforts)[self._picks]
        return q, v, measured if np.isfinite(measured).all() else None

    def _part(self, what: str, names: Sequence[str], values: Sequence[float]) -> Array:
        if len(values) != len(names):
            raise RefusedError(f"{len(values)} numbers for {what}; must be {len(names)}, one a joint")
        picked = np.array(values)[self._picks]
        unknown = np.flatnonzero(~np.isfinite(picked))
        if unknown.size:
            i = int(unknown[0])
            raise RefusedError(f"{what} of '{self._joints[i]}' is {picked[i]}; the bridge needs it measured")
        return np.asarray(picked, dtype=np.float64)
