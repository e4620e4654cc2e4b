"""Forward kinematics along a chain of joints, compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.compiled import compiled, plain
from mbpl_control.core.validation import Array
from mbpl_control.models.codegen.sine import COSINE, PARTS_OF_QUARTER, SINE, TWO_OVER_PI

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_SLIDE, _HINGE = int(mujoco.mjtJoint.mjJNT_SLIDE), int(mujoco.mjtJoint.mjJNT_HINGE)
_FIXED = -1

#: Positions are walked along the chain so many at a time, one beside the other in a row of one flat array: only that is
#: done for several at once by what is compiled. P is where the rows of the frame's place begin, behind its rotation.
LANES = 32
P = 9 * LANES
# numbers of another file, whose change this one's cache does not notice: touch this file, too
_QUARTER = PARTS_OF_QUARTER
_SINE, _COSINE = tuple(SINE), tuple(COSINE)


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
def _sine_and_cosine(angle: float) -> Any:
    """As `codegen.sine.sine_and_cosine`, by the same numbers: arithmetic alone, for several angles at once."""
    k = np.floor(angle * TWO_OVER_PI + 0.5)
    r = angle - k * _QUARTER[0] - k * _QUARTER[1] - k * _QUARTER[2]
    x = r * r
    s = _SINE[6]
    for i in range(5, -1, -1):
        s = s * x + _SINE[i]
    c = _COSINE[7]
    for i in range(6, -1, -1):
        c = c * x + _COSINE[i]
    s, c = r + r * x * s, 1.0 + x * c
    half = np.floor(k * 0.5)
    odd = k - 2.0 * half
    sign, even = 1.0 - 2.0 * (half - 2.0 * np.floor(half * 0.5)), 1.0 - odd
    return sign * (even * s + odd * c), sign * (even * c - odd * s)


@compiled
def _quaternion(q: Any, at: int) -> Any:
    """Rotation matrix of the quaternion w x y z at q[at:], of any length, row by row."""
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
def _shift(x: Any, place: Any, factor: float, n: int) -> None:
    """P ← p + factor R place."""
    a, b, c = factor * place[0], factor * place[1], factor * place[2]
    if a == 0.0 and b == 0.0 and c == 0.0:
        return
    for i in range(n):
        x[i + P] += x[i] * a + x[i + LANES] * b + x[i + 2 * LANES] * c
        x[i + P + LANES] += x[i + 3 * LANES] * a + x[i + 4 * LANES] * b + x[i + 5 * LANES] * c
        x[i + P + 2 * LANES] += x[i + 6 * LANES] * a + x[i + 7 * LANES] * b + x[i + 8 * LANES] * c


@compiled
def _turn(x: Any, m: Any, n: int) -> None:
    """R ← R M of one matrix for all lanes."""
    m00, m01, m02 = m[0, 0], m[0, 1], m[0, 2]
    m10, m11, m12 = m[1, 0], m[1, 1], m[1, 2]
    m20, m21, m22 = m[2, 0], m[2, 1], m[2, 2]
    for row in range(0, 9 * LANES, 3 * LANES):
        for i in range(n):
            a, b, c = x[i + row], x[i + row + LANES], x[i + row + 2 * LANES]
            x[i + row] = a * m00 + b * m10 + c * m20
            x[i + row + LANES] = a * m01 + b * m11 + c * m21
            x[i + row + 2 * LANES] = a * m02 + b * m12 + c * m22


@compiled
def _turn_about(x: Any, axis: Any, angles: Any, n: int) -> None:
    """R ← R M with M the rotation by an angle of each lane's own about a unit axis (Rodrigues)."""
    u, v, w = axis[0], axis[1], axis[2]
    for i in range(n):
        s, c = _sine_and_cosine(angles[i])
        d = 1.0 - c
        m00, m01, m02 = c + d * u * u, d * u * v - s * w, d * u * w + s * v
        m10, m11, m12 = d * u * v + s * w, c + d * v * v, d * v * w - s * u
        m20, m21, m22 = d * u * w - s * v, d * v * w + s * u, c + d * w * w
        a, b, e = x[i], x[i + LANES], x[i + 2 * LANES]
        x[i] = a * m00 + b * m10 + e * m20
        x[i + LANES] = a * m01 + b * m11 + e * m21
        x[i + 2 * LANES] = a * m02 + b * m12 + e * m22
        a, b, e = x[i + 3 * LANES], x[i + 4 * LANES], x[i + 5 * LANES]
        x[i + 3 * LANES] = a * m00 + b * m10 + e * m20
        x[i + 4 * LANES] = a * m01 + b * m11 + e * m21
        x[i + 5 * LANES] = a * m02 + b * m12 + e * m22
        a, b, e = x[i + 6 * LANES], x[i + 7 * LANES], x[i + 8 * LANES]
        x[i + 6 * LANES] = a * m00 + b * m10 + e * m20
        x[i + 7 * LANES] = a * m01 + b * m11 + e * m21
        x[i + 8 * LANES] = a * m02 + b * m12 + e * m22


@compiled
def _turn_by_quaternions(x: Any, q: Any, at: int, n: int) -> None:
    """R ← R M with M of the quaternions q[:, at:at + 4]."""
    for i in range(n):
        m = _quaternion(q[i], at)
        for row in range(0, 9 * LANES, 3 * LANES):
            a, b, c = x[i + row], x[i + row + LANES], x[i + row + 2 * LANES]
            for j in range(3):
                x[i + row + j * LANES] = a * m[j] + b * m[3 + j] + c * m[6 + j]


@compiled
def _note_axis(x: Any, axis: Any, out: Any, n: int) -> None:
    """R axis and p, as a degree of freedom that begins here is kept."""
    a, b, c = axis[0], axis[1], axis[2]
    for i in range(n):
        out[i] = x[i] * a + x[i + LANES] * b + x[i + 2 * LANES] * c
        out[i + LANES] = x[i + 3 * LANES] * a + x[i + 4 * LANES] * b + x[i + 5 * LANES] * c
        out[i + 2 * LANES] = x[i + 6 * LANES] * a + x[i + 7 * LANES] * b + x[i + 8 * LANES] * c
        for j in range(3):
            out[i + (3 + j) * LANES] = x[i + P + j * LANES]


@compiled
def _column(x: Any, axis: Any, out: Any, n: int) -> None:
    """A × (p − o) of an axis a through o."""
    for i in range(n):
        a, b, c = axis[i], axis[i + LANES], axis[i + 2 * LANES]
        dx = x[i + P] - axis[i + 3 * LANES]
        dy = x[i + P + LANES] - axis[i + 4 * LANES]
        dz = x[i + P + 2 * LANES] - axis[i + 5 * LANES]
        out[i] = b * dz - c * dy
        out[i + LANES] = c * dx - a * dz
        out[i + 2 * LANES] = a * dy - b * dx


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
    """See `Chain.walk`. x holds R row by row and p, and a row of it one number of each lane: see `LANES`."""
    count, depth = q.shape[0], len(dofs)
    positions, rotations = np.empty((count, 3)), np.empty((count, 3, 3))
    jacobians, world = np.zeros((count, 6, nv)), np.empty((count, depth, 3))
    x, known, moved, column = np.empty(12 * LANES), np.empty((depth, 6 * LANES)), np.empty(LANES), np.empty(3 * LANES)
    units = np.eye(3)
    for begin in range(0, count, LANES):
        n = min(LANES, count - begin)
        part = q[begin : begin + n]
        for k in range(12):
            x[k * LANES : k * LANES + n] = 1.0 if k < 9 and k % 4 == 0 else 0.0
        d = 0
        for s in range(len(kinds)):
            _shift(x, places[s], 1.0, n)
            _turn(x, turns[s], n)
            kind, at = kinds[s], addresses[s]
            if kind == _FIXED:
                continue
            if kind == _FREE:
                for k in range(9):
                    x[k * LANES : k * LANES + n] = units[k // 3, k % 3]
                for k in range(3):
                    for i in range(n):
                        x[i + P + k * LANES] = part[i, at + k]
                    _note_axis(x, units[k], known[d + k], n)
                d += 3
                at += 3
            else:
                _shift(x, anchors[s], 1.0, n)
            if kind == _FREE or kind == _BALL:
                _turn_by_quaternions(x, part, at, n)
                for k in range(3):
                    _note_axis(x, units[k], known[d + k], n)
                d += 3
            else:
                _note_axis(x, axes[s], known[d], n)
                for i in range(n):
                    moved[i] = part[i, at] - rest[s]
                if kind == _SLIDE:
                    for k in range(P, P + 3 * LANES, LANES):
                        for i in range(n):
                            x[i + k] += moved[i] * known[d, i + k - P]
                else:
                    _turn_about(x, axes[s], moved, n)
                d += 1
            if kind != _FREE:
                _shift(x, anchors[s], -1.0, n)
        for i in range(n):
            for k in range(3):
                positions[begin + i, k] = x[i + P + k * LANES]
            for k in range(9):
                rotations[begin + i, k // 3, k % 3] = x[i + k * LANES]
        for d in range(depth):
            axis, j = known[d], dofs[d]
            _column(x, axis, column, n)
            for i in range(n):
                for k in range(3):
                    along = axis[i + k * LANES]
                    world[begin + i, d, k] = along
                    jacobians[begin + i, k, j] = column[i + k * LANES] if turning[d] else along
                    jacobians[begin + i, 3 + k, j] = along if turning[d] else 0.0
    return positions, rotations, jacobians, world


def _matrix(quaternion: Array) -> Array:
    flat = np.empty(9)
    mujoco.mju_quat2Mat(flat, np.array(quaternion))
    return flat.reshape(3, 3)
