"""Where points of the robot are, as functions of the state: by its kinematics, or because the state holds them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.validation import Array, Indices
from mbpl_control.costs.one_pass import Frame
from mbpl_control.models.kinematics import Kinematics


@dataclass(frozen=True)
class JointColumns:
    """Where a state holds the positions of all joints of a robot.

    Attributes:
        in_state: their numbers in x (nq).
        in_tangent: their numbers in the tangent space of x (nv).
        tangent_size: ndx.
    """

    in_state: slice
    in_tangent: slice
    tangent_size: int

    @property
    def columns(self) -> Indices:
        """The numbers of `in_tangent` one by one."""
        return np.arange(self.in_tangent.start, self.in_tangent.stop, dtype=np.intp)

    def frame(self, kinematics: Kinematics, name: str) -> Frame:
        """A frame that hangs on these joints."""
        return Frame(kinematics, name, self.in_state.start, self.in_state.stop, self.in_tangent.start)

    @classmethod
    def leading(cls, nq: int, nv: int, tangent_size: int) -> JointColumns:
        """Positions lead the state, as they do in a robot's own."""
        return cls(slice(0, nq), slice(0, nv), tangent_size)


class PointMap(ABC):
    """p(x): k points of the robot in world axes, m, one after another.

    Attributes:
        count: k.
        tangent_size: ndx.
        columns: the c numbers of the tangent space that the points depend on.
    """

    count: int
    tangent_size: int
    columns: Indices

    def frames(self) -> tuple[Frame, ...]:
        """The frames the points are, by kinematics; none where the state itself holds them."""
        return ()

    @abstractmethod
    def positions(self, states: Array) -> Array:
        """Points p. (N, nx) → (N, 3k)."""

    @abstractmethod
    def motion(self, states: Array) -> tuple[Array, Array]:
        """Points (N, 3k), and their Jacobian by `columns` (N, 3k, c). (N, nx)."""

    @abstractmethod
    def curvature(self, states: Array, weights: Array) -> Array | None:
        """Second derivatives Σ_i w_i ∂²p_i by `columns` (N, c, c), None where all are zero. (N, nx), (N, 3k)."""


class KinematicPoints(PointMap):
    """Frames of the robot, by its kinematics.

    Args:
        kinematics: of the robot.
        frames: names of bodies, sites or links.
        joints: where x holds the positions of the joints.

    Raises:
        ModelError: the robot has no such frame.
    """

    def __init__(self, kinematics: Kinematics, frames: Sequence[str], joints: JointColumns) -> None:
        """Check the frames."""
        for frame in frames:
            kinematics.check(frame)
        self.kinematics, self.names, self.joints = kinematics, tuple(frames), joints
        self.count, self.tangent_size, self.columns = len(self.names), joints.tangent_size, joints.columns

    def frames(self) -> tuple[Frame, ...]:
        """See `PointMap.frames`."""
        return tuple(self.joints.frame(self.kinematics, name) for name in self.names)

    def positions(self, states: Array) -> Array:
        """See `PointMap.positions`."""
        q = states[:, self.joints.in_state]
        return _side_by_side([self.kinematics.positions(frame, q) for frame in self.names])

    def motion(self, states: Array) -> tuple[Array, Array]:
        """See `PointMap.motion`."""
        q = states[:, self.joints.in_state]
        motions = [self.kinematics.motion(frame, q) for frame in self.names]
        return (
            _side_by_side([m.positions for m in motions]),
            _side_by_side([m.jacobians[:, :3] for m in motions]),
        )

    def curvature(self, states: Array, weights: Array) -> Array:
        """See `PointMap.curvature`."""
        q = states[:, self.joints.in_state]
        parts = weights.reshape(len(q), self.count, 3)
        return sum(
            np.einsum("bk,bkij->bij", parts[:, i], self.kinematics.position_hessians(frame, q))
            for i, frame in enumerate(self.names)
        )


class StatePoints(PointMap):
    """Points that the state itself holds: the map is a selection, and its derivatives are ones and zeros.

    Args:
        in_state: (3k,) where x holds the points.
        in_tangent: (3k,) the same numbers in the tangent space of x.
        tangent_size: ndx.
    """

    def __init__(self, in_state: Indices, in_tangent: Indices, tangent_size: int) -> None:
        """Keep the selection."""
        self._in_state = np.asarray(in_state, dtype=np.intp)
        self.columns = np.ascontiguousarray(in_tangent, dtype=np.intp)
        self.count, self.tangent_size = len(self.columns) // 3, tangent_size
        self._jacobian = np.eye(len(self.columns))

    def positions(self, states: Array) -> Array:
        """See `PointMap.positions`."""
        return states[:, self._in_state]

    def motion(self, states: Array) -> tuple[Array, Array]:
        """See `PointMap.motion`."""
        shape = (len(states), *self._jacobian.shape)
        return states[:, self._in_state], np.broadcast_to(self._jacobian, shape)

    def curvature(self, states: Array, weights: Array) -> None:
        """See `PointMap.curvature`; a selection has none."""
        return


def _side_by_side(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
