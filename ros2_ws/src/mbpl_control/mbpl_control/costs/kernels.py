"""What costs compile.

Loaded by those that ask for one, and kept in one file, since what a compiled function calls must be in its own.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mbpl_control.core.compiled import compiled
from mbpl_control.costs.one_pass import ACTION, COSINE, DISTANCE, LIMITS, ORIENTATION, POSITION, STATE


@compiled
def add_diagonal(
    weights: Any,
    columns: Any,
    value: Any,
    gradient: Any,
    diagonal: Any,
    total: Any,
    lx: Any,
    lxx: Any,
) -> None:
    """See `accumulation.add`: second derivatives as their diagonal."""
    for b in range(len(weights)):
        w = weights[b]
        total[b] += w * value[b]
        for i in range(len(columns)):
            c = columns[i]
            lx[b, c] += w * gradient[b, i]
            lxx[b, c, c] += w * diagonal[b, i]


@compiled
def add_block(
    weights: Any,
    columns: Any,
    value: Any,
    gradient: Any,
    block: Any,
    total: Any,
    lx: Any,
    lxx: Any,
) -> None:
    """See `accumulation.add`: all second derivatives."""
    count = len(columns)
    for b in range(len(weights)):
        w = weights[b]
        total[b] += w * value[b]
        for i in range(count):
            row = columns[i]
            lx[b, row] += w * gradient[b, i]
            for j in range(count):
                lxx[b, row, columns[j]] += w * block[b, i, j]


@compiled
def squares_of(e: Any, j: Any, w: Any) -> Any:
    """See `accumulation.squares`."""
    count, rows, columns = j.shape
    gradient, hessian = np.zeros((count, columns)), np.zeros((count, columns, columns))
    for b in range(count):
        for r in range(rows):
            weight = w[b, r]
            pull = weight * e[b, r]
            for i in range(columns):
                entry = j[b, r, i]
                if entry == 0.0 or weight == 0.0:
                    continue
                gradient[b, i] += pull * entry
                f = weight * entry
                for k in range(i + 1):
                    hessian[b, i, k] += f * j[b, r, k]
        for i in range(columns):
            for k in range(i):
                hessian[b, k, i] = hessian[b, i, k]
    return gradient, hessian


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
def one_pass(
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
