"""Forward kinematics along a chain of joints, compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.compiled import compiled, plain
from mbpl_control.core.validation import Array

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_SLIDE, _HINGE = int(mujoco.mjtJoint.mjJNT_SLIDE), int(mujoco.mjtJoint.mjJNT_HINGE)
_FIXED = -1


@dataclass(frozen=True)
class Chain:
    """The joints between the world and a frame, in order, as tables for `walk`.

    Attributes:
        kinds: (S,) a joint type of MuJoCo, or −1 for the fixed step at the end.
        places: (S, 3) from the link before to this one, at rest.
        turns: (S, 3, 3) likewise.
        anchors: (S, 3) of the joint in its link.
        axes: (S, 3) likewise.
        addresses: (S,) first number of the joint's position in q.
        rest: (S,) position of a hinge or slide at which the link is as the file has it.
        dofs: (D,) the velocities the chain depends on, in order.
        turning: (D,) whether that degree of freedom turns what follows, or shifts it.
    """

    kinds: NDArray[np.int64]
    places: Array
    turns: Array
    anchors: Array
    axes: Array
    addresses: NDArray[np.int64]
    rest: Array
    dofs: NDArray[np.int64]
    turning: NDArray[np.bool_]

    @classmethod
    def to_body(cls, model: mujoco.MjModel, body: int, offset: Array, quaternion: Array) -> Chain:
        """The chain to a frame at `offset` (3,) in a body, turned there by a quaternion w x y z."""
        bodies: list[int] = []
        while body:
            bodies.append(body)
            body = int(model.body_parentid[body])
        rows: list[tuple[int, Array, Array, Array, Array, int, float]] = []
        dofs: list[int] = []
        turning: list[bool] = []
        place, turn = np.zeros(3), np.eye(3)
        none = np.zeros(3)
        for b in reversed(bodies):
            place = place + turn @ model.body_pos[b]
            turn = turn @ _matrix(model.body_quat[b])
            first = int(model.body_jntadr[b])
            for j in range(first, first + int(model.body_jntnum[b])):
                kind, address = int(model.jnt_type[j]), int(model.jnt_qposadr[j])
                rest = float(model.qpos0[address]) if kind in (_HINGE, _SLIDE) else 0.0
                rows.append((kind, place, turn, np.array(model.jnt_pos[j]), np.array(model.jnt_axis[j]), address, rest))
                place, turn = np.zeros(3), np.eye(3)
                width, turns = {_FREE: (6, (3, 6)), _BALL: (3, (0, 3)), _SLIDE: (1, (1, 1)), _HINGE: (1, (0, 1))}[kind]
                dofs += [int(model.jnt_dofadr[j]) + i for i in range(width)]
                turning += [turns[0] <= i < turns[1] for i in range(width)]
        rows.append((_FIXED, place + turn @ offset, turn @ _matrix(quaternion), none, none, 0, 0.0))
        kinds, places, turns_, anchors, axes, addresses, rests = zip(*rows, strict=True)
        return cls(
            np.array(kinds, dtype=np.int64),
            np.array(places),
            np.array(turns_),
            np.array(anchors),
            np.array(axes),
            np.array(addresses, dtype=np.int64),
            np.array(rests),
            np.array(dofs, dtype=np.int64),
            np.array(turning, dtype=np.bool_),
        )

    def walk(self, q: Array, nv: int) -> tuple[Array, Array, Array, Array]:
        """Where the frame is at B positions q (B, nq).

        Returns:
            p (B, 3), R (B, 3, 3), J (B, 6, nv) as `FrameMotion` has them, and the axes of the chain's degrees of
            freedom (B, D, 3), all in world axes.
        """
        return _walk(
            plain(q),
            self.kinds,
            self.places,
            self.turns,
            self.anchors,
            self.axes,
            self.addresses,
            self.rest,
            self.dofs,
            self.turning,
            nv,
        )


@compiled
def _times(r: Any, m: Any) -> Any:
    """R m of 3 × 3 matrices as tuples, row by row: unlike an array, the processor holds them in its registers."""
    return (
        r[0] * m[0] + r[1] * m[3] + r[2] * m[6],
        r[0] * m[1] + r[1] * m[4] + r[2] * m[7],
        r[0] * m[2] + r[1] * m[5] + r[2] * m[8],
        r[3] * m[0] + r[4] * m[3] + r[5] * m[6],
        r[3] * m[1] + r[4] * m[4] + r[5] * m[7],
        r[3] * m[2] + r[4] * m[5] + r[5] * m[8],
        r[6] * m[0] + r[7] * m[3] + r[8] * m[6],
        r[6] * m[1] + r[7] * m[4] + r[8] * m[7],
        r[6] * m[2] + r[7] * m[5] + r[8] * m[8],
    )


@compiled
def _apply(r: Any, v: Any) -> Any:
    """R v of three numbers."""
    x, y, z = v[0], v[1], v[2]
    return r[0] * x + r[1] * y + r[2] * z, r[3] * x + r[4] * y + r[5] * z, r[6] * x + r[7] * y + r[8] * z


@compiled
def _quaternion(q: Any, at: int) -> Any:
    """Rotation matrix of the quaternion w x y z at q[at:], of any length."""
    w, x, y, z = q[at], q[at + 1], q[at + 2], q[at + 3]
    s = 2.0 / (w * w + x * x + y * y + z * z)
    return (
        1.0 - s * (y * y + z * z),
        s * (x * y - w * z),
        s * (x * z + w * y),
        s * (x * y + w * z),
        1.0 - s * (x * x + z * z),
        s * (y * z - w * x),
        s * (x * z - w * y),
        s * (y * z + w * x),
        1.0 - s * (x * x + y * y),
    )


@compiled
def _rodrigues(axis: Any, angle: float) -> Any:
    """Rotation by `angle` about a unit axis."""
    s, c = np.sin(angle), np.cos(angle)
    x, y, z = axis[0], axis[1], axis[2]
    d = 1.0 - c
    return (
        c + d * x * x,
        d * x * y - s * z,
        d * x * z + s * y,
        d * x * y + s * z,
        c + d * y * y,
        d * y * z - s * x,
        d * x * z - s * y,
        d * y * z + s * x,
        c + d * z * z,
    )


@compiled
def _walk(
    q: Any,
    kinds: Any,
    places: Any,
    turns: Any,
    anchors: Any,
    axes: Any,
    addresses: Any,
    rest: Any,
    dofs: Any,
    turning: Any,
    nv: int,
) -> Any:
    count, depth = q.shape[0], len(dofs)
    positions, rotations = np.empty((count, 3)), np.empty((count, 3, 3))
    jacobians = np.zeros((count, 6, nv))
    world = np.empty((count, depth, 3))
    origins = np.empty((depth, 3))
    for b in range(count):
        r = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
        p = (0.0, 0.0, 0.0)
        d = 0
        for s in range(len(kinds)):
            shift = _apply(r, places[s])
            p = (p[0] + shift[0], p[1] + shift[1], p[2] + shift[2])
            t = turns[s]
            turn = (t[0, 0], t[0, 1], t[0, 2], t[1, 0], t[1, 1], t[1, 2], t[2, 0], t[2, 1], t[2, 2])
            r = _times(r, turn)
            kind, at = kinds[s], addresses[s]
            if kind == _FIXED:
                continue
            if kind == _FREE:
                r = _quaternion(q[b], at + 3)
                p = (q[b, at], q[b, at + 1], q[b, at + 2])
                for i in range(3):
                    for j in range(3):
                        world[b, d + i, j] = 1.0 if i == j else 0.0
                        world[b, d + 3 + i, j] = r[3 * j + i]
                        origins[d + 3 + i, j] = p[j]
                d += 6
                continue
            arm = _apply(r, anchors[s])
            anchor = (p[0] + arm[0], p[1] + arm[1], p[2] + arm[2])
            if kind == _BALL:
                r = _times(r, _quaternion(q[b], at))
                for i in range(3):
                    for j in range(3):
                        world[b, d + i, j] = r[3 * j + i]
                        origins[d + i, j] = anchor[j]
                d += 3
            else:
                axis = _apply(r, axes[s])
                for i in range(3):
                    world[b, d, i] = axis[i]
                    origins[d, i] = anchor[i]
                d += 1
                moved = q[b, at] - rest[s]
                if kind == _SLIDE:
                    p = (p[0] + moved * axis[0], p[1] + moved * axis[1], p[2] + moved * axis[2])
                    continue
                r = _times(r, _rodrigues(axes[s], moved))
            arm = _apply(r, anchors[s])
            p = (anchor[0] - arm[0], anchor[1] - arm[1], anchor[2] - arm[2])
        for i in range(3):
            positions[b, i] = p[i]
            for j in range(3):
                rotations[b, i, j] = r[3 * i + j]
        for k in range(depth):
            x, y, z = world[b, k, 0], world[b, k, 1], world[b, k, 2]
            column = dofs[k]
            if turning[k]:
                dx, dy, dz = p[0] - origins[k, 0], p[1] - origins[k, 1], p[2] - origins[k, 2]
                jacobians[b, 0, column] = y * dz - z * dy
                jacobians[b, 1, column] = z * dx - x * dz
                jacobians[b, 2, column] = x * dy - y * dx
                jacobians[b, 3, column] = x
                jacobians[b, 4, column] = y
                jacobians[b, 5, column] = z
            else:
                jacobians[b, 0, column] = x
                jacobians[b, 1, column] = y
                jacobians[b, 2, column] = z
    return positions, rotations, jacobians, world


def _matrix(quaternion: Array) -> Array:
    flat = np.empty(9)
    mujoco.mju_quat2Mat(flat, np.array(quaternion))
    return flat.reshape(3, 3)
