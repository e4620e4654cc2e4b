"""Tangent-space arithmetic on states."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array

#: Numbers a coordinate of each kind of space takes in the state, and in its tangent space.
SPACE_SIZES = {"euclidean": (1, 1), "angle": (1, 1), "quaternion": (4, 3)}


class StateSpace:
    r"""A product of lines, circles and rotations with x ⊖ y and x ⊕ dx.

    | space | in x | tangent | y ⊕ d |
    | --- | --- | --- | --- |
    | euclidean | 1 | 1 | y + d |
    | angle | 1, rad | 1, rad | y + d; the difference is wrapped into [−π, π] |
    | quaternion | 4 (w x y z, unit) | 3, rad, in the body's axes | y · exp(d / 2) |

    `difference` and `integrate` are inverse to each other: y ⊕ (x ⊖ y) = x up to whole turns of an angle and the
    sign of a quaternion, for rotations below half a turn. Both are vectorised over leading dimensions.

    Attributes:
        size: nx, numbers in a state.
        tangent_size: ndx, numbers in a difference of states.
        is_euclidean: whether ⊖ and ⊕ are plain subtraction and addition.

    Source: Solà, Deray and Atchuthan 2018, "A micro Lie theory for state estimation in robotics".
    """

    def __init__(self, spaces: Sequence[str]) -> None:
        """Build the product of `spaces`, in order, one name of a space per coordinate.

        Raises:
            InvalidFieldError: a space has an unknown name.
        """
        self.spaces = tuple(spaces)
        angles: list[tuple[int, int]] = []
        lines: list[tuple[int, int]] = []
        quaternions: list[tuple[int, int]] = []
        kinds = {"euclidean": lines, "angle": angles, "quaternion": quaternions}
        size = tangent = 0
        for space in self.spaces:
            if space not in SPACE_SIZES:
                allowed = "one of " + ", ".join(SPACE_SIZES)
                raise InvalidFieldError("StateSpace", "spaces", repr(space), allowed)
            kinds[space].append((size, tangent))
            size += SPACE_SIZES[space][0]
            tangent += SPACE_SIZES[space][1]
        self.size = size
        self.tangent_size = tangent
        self.is_euclidean = not angles and not quaternions
        additive = sorted(lines + angles)
        self._additive = np.array(additive, dtype=np.intp).reshape(-1, 2)
        self._angle_tangent = np.array([t for _, t in angles], dtype=np.intp)
        self._quaternions = quaternions

    def __eq__(self, other: object) -> bool:
        """Two spaces are equal when their coordinates are."""
        return isinstance(other, StateSpace) and self.spaces == other.spaces

    def __hash__(self) -> int:
        """Hash of the coordinates."""
        return hash(self.spaces)

    def difference(self, x: Array, y: Array) -> Array:
        """Difference x ⊖ y: the tangent vector at y that leads to x. (..., nx), (..., nx) → (..., ndx)."""
        x = np.asarray(x, dtype=np.float64)
        y = np.asarray(y, dtype=np.float64)
        if not self._quaternions:
            # every number has its own place in the tangent space; angles alone may have gone round
            out = x - y
            turns = self._angle_tangent
            if turns.size:
                turned = out[..., turns]
                if np.count_nonzero(np.abs(turned) <= np.pi) != turned.size:
                    out[..., turns] = wrap_angle(turned)
            return out
        shape = np.broadcast_shapes(x.shape[:-1], y.shape[:-1])
        out = np.empty((*shape, self.tangent_size))
        rows, columns = self._additive[:, 0], self._additive[:, 1]
        out[..., columns] = x[..., rows] - y[..., rows]
        turns = self._angle_tangent
        if turns.size:
            out[..., turns] = wrap_angle(out[..., turns])
        for row, column in self._quaternions:
            out[..., column : column + 3] = quaternion_difference(x[..., row : row + 4], y[..., row : row + 4])
        return out

    def integrate(self, x: Array, dx: Array) -> Array:
        """Point x ⊕ dx. (..., nx), (..., ndx) → (..., nx)."""
        x = np.asarray(x, dtype=np.float64)
        dx = np.asarray(dx, dtype=np.float64)
        if not self._quaternions:
            return x + dx
        shape = np.broadcast_shapes(x.shape[:-1], dx.shape[:-1])
        out = np.empty((*shape, self.size))
        rows, columns = self._additive[:, 0], self._additive[:, 1]
        out[..., rows] = x[..., rows] + dx[..., columns]
        for row, column in self._quaternions:
            out[..., row : row + 4] = quaternion_integrate(x[..., row : row + 4], dx[..., column : column + 3])
        return out

    def interpolate(self, x: Array, y: Array, fraction: float | Array) -> Array:
        """Point x ⊕ fraction · (y ⊖ x): along the shortest path from x (0) to y (1), fractions (..., 1)."""
        return self.integrate(x, fraction * self.difference(y, x))

    def neutral(self) -> Array:
        """The state of zeros, with identity rotations. (nx,)."""
        x = np.zeros(self.size)
        for row, _ in self._quaternions:
            x[row] = 1.0
        return x

    def check(self, owner: str, field: str, x: Array) -> None:
        """Raise `InvalidFieldError` when a quaternion in (..., nx) is off unit length by over 1e-6."""
        for row, _ in self._quaternions:
            norms = np.linalg.norm(x[..., row : row + 4], axis=-1)
            if (np.abs(norms - 1.0) > 1e-6).any():
                worst = norms.flat[np.argmax(np.abs(norms - 1.0))]
                found = f"a quaternion of length {worst:.6g} at number {row}"
                raise InvalidFieldError(owner, field, found, "of unit length within 1e-6")


def wrap_angle(angle: Array) -> Array:
    """The same angle within half a turn, in [−π, π], rad; one that is there already comes back unchanged."""
    wrapped = (angle + np.pi) % (2.0 * np.pi) - np.pi
    return np.where(np.abs(angle) <= np.pi, angle, wrapped)


def quaternion_product(a: Array, b: Array) -> Array:
    """Hamilton product of quaternions (..., 4), w x y z."""
    aw, av = a[..., :1], a[..., 1:]
    bw, bv = b[..., :1], b[..., 1:]
    w = aw * bw - np.sum(av * bv, axis=-1, keepdims=True)
    return np.concatenate([w, aw * bv + bw * av + np.cross(av, bv)], axis=-1)


def quaternion_difference(x: Array, y: Array) -> Array:
    """Rotation vector in y's axes from y to x, rad: log(y⁻¹ x), the shorter way. (..., 4) → (..., 3)."""
    conjugate = y * np.array([1.0, -1.0, -1.0, -1.0])
    relative = quaternion_product(conjugate, x)
    relative = np.where(relative[..., :1] < 0.0, -relative, relative)
    sine = np.linalg.norm(relative[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, relative[..., :1])
    # angle / sine → 2 as sine → 0 (relative error sine²/6 is below rounding there)
    scale = np.where(sine > 1e-9, angle / np.maximum(sine, 1e-300), 2.0)
    return scale * relative[..., 1:]


def quaternion_integrate(x: Array, rotation: Array) -> Array:
    """Product x · exp(rotation / 2), of unit length. (..., 4), (..., 3) rad in x's axes → (..., 4)."""
    angle = np.linalg.norm(rotation, axis=-1, keepdims=True)
    # sin(angle / 2) / angle, smooth at zero
    scale = 0.5 * np.sinc(angle / (2.0 * np.pi))
    turned = quaternion_product(x, np.concatenate([np.cos(0.5 * angle), scale * rotation], axis=-1))
    return turned / np.linalg.norm(turned, axis=-1, keepdims=True)
