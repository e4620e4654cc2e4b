"""What goes from the simulation to the viewer's process: snapshots of fixed size."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.validation import Array

#: What the viewer says, with the address behind it, once the page can be opened.
READY = "viewer:"


@dataclass(frozen=True)
class Snapshot:
    """The robot at one instant.

    Attributes:
        time: simulated, s.
        positions: (nq,).
        body: that is pushed; −1 when none is.
        force: (3,) N, world axes; None when there is no push.
    """

    time: float
    positions: Array
    body: int = -1
    force: Array | None = None

    def pack(self) -> bytes:
        """As bytes, `size(nq)` of them."""
        force = np.zeros(3) if self.force is None else self.force
        return struct.pack(_layout(len(self.positions)), self.time, self.body, *force, *self.positions)

    @classmethod
    def unpack(cls, data: bytes, nq: int) -> Snapshot:
        """From bytes."""
        time, body, fx, fy, fz, *positions = struct.unpack(_layout(nq), data)
        force = np.array([fx, fy, fz]) if body >= 0 else None
        return cls(time, np.array(positions), body, force)


def size(nq: int) -> int:
    """Bytes of a snapshot of nq positions."""
    return struct.calcsize(_layout(nq))


def _layout(nq: int) -> str:
    return f"<dq3d{nq}d"
