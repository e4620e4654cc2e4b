"""All terms of a cost that are of the usual kinds in one compiled pass along the trajectory.

Term by term, most of the time goes into the calls: a task has ten of them, and a step of each is a hundred operations.
The formulas are those of the terms, each written down where the term is; what a compiled function calls must be in its
own file.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.compiled import compiled, plain
from mbpl_control.core.validation import Array
from mbpl_control.models.kinematics import Kinematics

#: Kinds of terms.
STATE, ACTION, LIMITS, COSINE, POSITION, DISTANCE, ORIENTATION = range(7)
_NO_FRAME = np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros((0, 6, 0))
for _each in _NO_FRAME:
    # as the arrays of a frame are; compiled functions tell the two apart
    _each.setflags(write=False)


class Frame(NamedTuple):
    """A frame that terms ask for; x[begin:end] are the joints' positions, `column` the first in the tangent space."""

    kinematics: Kinematics
    name: str
    begin: int
    end: int
    column: int


class Instruction(NamedTuple):
    """A term as numbers.

    Attributes:
        kind: one of the constants above.
        floats: its parameters.
        ints: numbers of what it depends on.
        frames: likewise.
    """

    kind: int
    floats: Array
    ints: NDArray[np.int64] = np.zeros(0, np.int64)
    frames: tuple[Frame, ...] = ()


class OnePass:
    """Instructions of several terms, run together.

    Args:
        instructions: one a term.
        ndx: numbers of a difference of states.
        m: numbers of an action.
    """

    def __init__(self, instructions: list[Instruction], ndx: int, m: int) -> None:
        """Lay the parameters of all of them one after another."""
        self._ndx, self._m = ndx, m
        self._frames = list(dict.fromkeys(frame for each in instructions for frame in each.frames))
        table, floats, ints = [], [np.zeros(1)], [np.zeros(1, np.int64)]
        for each in instructions:
            frames = [self._frames.index(frame) for frame in each.frames]
            numbers = np.concatenate([np.array(frames, np.int64), each.ints])
            sizes = len(each.frames), sum(map(len, ints)), len(each.ints), sum(map(len, floats))
            table.append((each.kind, *sizes))
            floats.append(np.asarray(each.floats, np.float64))
            ints.append(numbers)
        self._table = np.array(table, np.int64)
        self._floats, self._ints = np.concatenate(floats), np.concatenate(ints)
        self._columns = np.array([frame.column for frame in self._frames] or [0], np.int64)
        #: which terms ask for each frame
        self._users = [[i for i, each in enumerate(instructions) if frame in each.frames] for frame in self._frames]

    def values(self, weights: Array, states: Array, actions: Array) -> Array:
        """Costs (L, T+1) of L trajectories.

        Args:
            weights: of each term at each state (terms, T+1).
            states: (L, T+1, nx).
            actions: (L, T, m).
        """
        value = np.zeros(states.shape[:2])
        none = np.zeros((0, 0)), np.zeros((0, 0, 0))
        self._run(False, weights, states, actions, value, (*none, *none))
        return value

    def expand(self, weights: Array, states: Array, actions: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Values l (T+1,), lx (T+1, ndx), lu (T, m), lxx and luu along one trajectory, Gauss-Newton."""
        steps, ndx, m = len(actions), self._ndx, self._m
        value = np.zeros((1, steps + 1))
        lx, lxx = np.zeros((steps + 1, ndx)), np.zeros((steps + 1, ndx, ndx))
        lu, luu = np.zeros((steps, m)), np.zeros((steps, m, m))
        self._run(True, weights, states[None], actions[None], value, (lx, lxx, lu, luu))
        return value[0], lx, lu, lxx, luu

    def _run(
        self,
        derive: bool,
        weights: Array,
        states: Array,
        actions: Array,
        value: Array,
        totals: tuple[Array, Array, Array, Array],
    ) -> None:
        count, length, nx = states.shape
        begins, motions = [], []
        for frame, users in zip(self._frames, self._users, strict=True):
            asked = np.flatnonzero(weights[users].any(axis=0))
            begin, end = (int(asked[0]), int(asked[-1]) + 1) if asked.size else (0, 0)
            q = states[:, begin:end, frame.begin : frame.end].reshape(count * (end - begin), -1)
            motion = frame.kinematics.motion(frame.name, q)
            begins.append((begin, end))
            motions.append((motion.positions, motion.rotations, motion.jacobians))
        positions, rotations, jacobians = zip(*(motions or [_NO_FRAME]), strict=True)
        _one_pass(
            derive,
            self._table,
            self._floats,
            self._ints,
            plain(weights),
            plain(states),
            plain(actions),
            positions,
            rotations,
            jacobians,
            np.array(begins or [(0, 0)], np.int64),
            self._columns,
            value,
            *totals,
        )


@compiled
def barrier(z: float, d: float) -> Any:
    """β of `JointLimitCost` and its derivatives."""
    if z >= d:
        return -np.log(z), -1.0 / z, 1.0 / (z * z)
    u = (z - 2.0 * d) / d
    return 0.5 * (u * u - 1.0) - np.log(d), u / d, 1.0 / (d * d)


@compiled
def barriers(q: Any, lower: Any, upper: Any, d: float) -> Any:
    """Both barriers of joints q (N, k), and their first and second derivatives by them."""
    value, first, second = np.empty_like(q), np.empty_like(q), np.empty_like(q)
    for b in range(q.shape[0]):
        for j in range(q.shape[1]):
            half = 0.5 * (upper[j] - lower[j])
            low, high = barrier((q[b, j] - lower[j]) / half, d), barrier((upper[j] - q[b, j]) / half, d)
            value[b, j] = low[0] + high[0]
            first[b, j] = (low[1] - high[1]) / half
            second[b, j] = (low[2] + high[2]) / (half * half)
    return value, first, second


@compiled
def logarithm(rotation: Any, reference: Any) -> Any:
    """Rotation vector log R R*ᵀ of (3, 3) and nine numbers, row by row."""
    r, q = np.empty((3, 3)), np.empty(4)
    for i in range(3):
        for j in range(3):
            r[i, j] = 0.0
            for k in range(3):
                r[i, j] += rotation[i, k] * reference[3 * j + k]
    # the largest of the four squares, so that nothing is divided by a small number
    best, largest = 0, r[0, 0] + r[1, 1] + r[2, 2]
    for i in range(3):
        if r[i, i] > largest:
            best, largest = 1 + i, r[i, i]
    if best == 0:
        q[0] = 1.0 + largest
        q[1], q[2], q[3] = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
    else:
        i = best - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        q[0] = r[k, j] - r[j, k]
        q[1 + i] = 1.0 + r[i, i] - r[j, j] - r[k, k]
        q[1 + j], q[1 + k] = r[j, i] + r[i, j], r[k, i] + r[i, k]
    norm = np.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    if q[0] < 0.0:
        norm = -norm
    for i in range(4):
        q[i] /= norm
    sine = np.sqrt(q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
    # angle / sine → 2 as sine → 0
    scale = 2.0 * np.arctan2(sine, q[0]) / sine if sine > 1e-9 else 2.0
    return scale * q[1], scale * q[2], scale * q[3]


@compiled
def logarithms(rotations: Any, reference: Any) -> Any:
    """Rotation vectors (B, 3) of matrices (B, 3, 3) as seen from a reference, nine numbers."""
    out = np.empty((len(rotations), 3))
    for b in range(len(rotations)):
        out[b, 0], out[b, 1], out[b, 2] = logarithm(rotations[b], reference)
    return out


@compiled
def _add_residuals(e: Any, weight: Any, jacobian: Any, begin: int, first: int, t: int, lx: Any, lxx: Any) -> None:
    """Add Jᵀ W e and Jᵀ W J of three residuals, rows `begin` on of J, to the columns from `first` on; lower half."""
    columns = jacobian.shape[1]
    for r in range(3):
        w = weight[r]
        if w == 0.0:
            continue
        for i in range(columns):
            entry = w * jacobian[begin + r, i]
            if entry == 0.0:
                continue
            row = first + i
            lx[t, row] += entry * e[r]
            for k in range(i + 1):
                lxx[t, row, first + k] += entry * jacobian[begin + r, k]


@compiled
def _one_pass(
    derive: bool,
    table: Any,
    floats: Any,
    ints: Any,
    weights: Any,
    states: Any,
    actions: Any,
    positions: Any,
    rotations: Any,
    jacobians: Any,
    begins: Any,
    columns: Any,
    value: Any,
    lx: Any,
    lxx: Any,
    lu: Any,
    luu: Any,
) -> None:
    """Values, and where `derive` is set the derivatives of one trajectory; totals begin as zeros."""
    e, weight = np.empty(3), np.empty(3)
    count, length, nx = states.shape
    m = actions.shape[2]
    for lane in range(count):
        for t in range(length):
            for term in range(len(table)):
                ramp = weights[term, t]
                if ramp == 0.0:
                    continue
                kind, frames, at, k, f = table[term, 0], table[term, 1], table[term, 2], table[term, 3], table[term, 4]
                at_ints = at + frames
                total = 0.0
                if kind == STATE:
                    for i in range(nx):
                        w = floats[f + i]
                        if w == 0.0:
                            continue
                        d = states[lane, t, i] - floats[f + nx + i]
                        if floats[f + 2 * nx + i] > 0.0 and abs(d) > np.pi:
                            d = (d + np.pi) % (2.0 * np.pi) - np.pi
                        total += 0.5 * w * d * d
                        if derive:
                            lx[t, i] += ramp * w * d
                            lxx[t, i, i] += ramp * w
                elif kind == ACTION:
                    for i in range(m):
                        w = floats[f + i]
                        d = actions[lane, t, i] - floats[f + m + i]
                        total += 0.5 * w * d * d
                        if derive:
                            lu[t, i] += ramp * w * d
                            luu[t, i, i] += ramp * w
                elif kind == LIMITS:
                    size = k // 2
                    w, delta = floats[f], floats[f + 1]
                    for i in range(size):
                        lower, upper = floats[f + 2 + i], floats[f + 2 + size + i]
                        q = states[lane, t, ints[at_ints + i]]
                        half = 0.5 * (upper - lower)
                        low, high = barrier((q - lower) / half, delta), barrier((upper - q) / half, delta)
                        total += w * (low[0] + high[0])
                        if derive:
                            column = ints[at_ints + size + i]
                            lx[t, column] += ramp * w * (low[1] - high[1]) / half
                            lxx[t, column, column] += ramp * w * (low[2] + high[2]) / (half * half)
                elif kind == COSINE:
                    size = k // 2
                    for i in range(size):
                        w = floats[f + i]
                        d = states[lane, t, ints[at_ints + i]] - floats[f + size + i]
                        total += w * (1.0 - np.cos(d))
                        if derive:
                            column = ints[at_ints + size + i]
                            half = np.cos(0.5 * d)
                            lx[t, column] += ramp * w * np.sin(d)
                            lxx[t, column, column] += ramp * w * half * half
                elif kind == ORIENTATION:
                    frame = ints[at]
                    row = lane * (begins[frame, 1] - begins[frame, 0]) + t - begins[frame, 0]
                    w = floats[f]
                    e[0], e[1], e[2] = logarithm(rotations[frame][row], floats[f + 1 : f + 10])
                    total += 0.5 * w * (e[0] * e[0] + e[1] * e[1] + e[2] * e[2])
                    if derive:
                        weight[:] = ramp * w
                        _add_residuals(e, weight, jacobians[frame][row], 3, columns[frame], t, lx, lxx)
                elif kind == POSITION:
                    frame = ints[at]
                    row = lane * (begins[frame, 1] - begins[frame, 0]) + t - begins[frame, 0]
                    for i in range(3):
                        e[i] = positions[frame][row, i] - floats[f + 3 + i]
                        weight[i] = ramp * floats[f + i]
                        total += 0.5 * floats[f + i] * e[i] * e[i]
                    if derive:
                        _add_residuals(e, weight, jacobians[frame][row], 0, columns[frame], t, lx, lxx)
                elif kind == DISTANCE:
                    s = 0.0
                    for j in range(frames):
                        frame = ints[at + j]
                        row = lane * (begins[frame, 1] - begins[frame, 0]) + t - begins[frame, 0]
                        for i in range(3):
                            d = positions[frame][row, i] - floats[f + 4 + 3 * j + i]
                            s += d * d
                    l1, l2, log = floats[f], floats[f + 1], floats[f + 2]
                    z = s + floats[f + 3]
                    root = np.sqrt(z)
                    total += l2 * s + l1 * root + log * np.log(z)
                    if derive:
                        weight[:] = ramp * 2.0 * (l2 + 0.5 * l1 / root + log / z)
                        for j in range(frames):
                            frame = ints[at + j]
                            row = lane * (begins[frame, 1] - begins[frame, 0]) + t - begins[frame, 0]
                            for i in range(3):
                                e[i] = positions[frame][row, i] - floats[f + 4 + 3 * j + i]
                            _add_residuals(e, weight, jacobians[frame][row], 0, columns[frame], t, lx, lxx)
                value[lane, t] += ramp * total
            if derive:
                # of the tangent space, which is smaller than the state where that holds rotations
                for i in range(lx.shape[1]):
                    for k in range(i):
                        lxx[t, k, i] = lxx[t, i, k]
