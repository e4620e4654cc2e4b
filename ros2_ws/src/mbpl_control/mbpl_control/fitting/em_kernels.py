"""The two steps of expectation-maximisation of a Gaussian mixture, and its moments, compiled.

Many points are worked on side by side, a number of all of them after the other, so that the compiler uses the
processor's vectors.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mbpl_control.core.compiled import compiled

#: Points worked on side by side.
TILE = 64
#: Numbers after each row of a tile, so that the rows do not fall on the same places of the cache.
GAP = 8
#: Coordinates added up at once; sizes are padded by zeros to a multiple of it.
UNROLL = 4


@compiled
def _block(size: int) -> int:
    """Whitened coordinates between two looks at which points still need the others: about a third, even, at least 8."""
    return max(8, (size + 11) // 12 * 4)


@compiled
def whitening(factors: Any) -> Any:
    """Inverses of lower triangular factors (K, D, D), padded by zeros to a multiple of `UNROLL`."""
    clusters, size, _ = factors.shape
    padded = (size + UNROLL - 1) // UNROLL * UNROLL
    inverses = np.zeros((clusters, padded, padded))
    for k in range(clusters):
        for i in range(size):
            row = inverses[k, i]
            row[i] = 1.0
            for j in range(i):
                weight, other = factors[k, i, j], inverses[k, j]
                for c in range(j + 1):
                    row[c] -= weight * other[c]
            scale = 1.0 / factors[k, i, i]
            for c in range(i + 1):
                row[c] *= scale
    return inverses


@compiled
def _add_squares(inverse: Any, away: Any, first: int, stop: int, width: int, z: Any, sums: Any) -> None:
    """Add the squares of whitened coordinates first .. stop − 1 of the first `width` points (columns) to `sums`.

    Two coordinates at a time, each from `UNROLL` numbers at a time; `first` is even, and a padded one is zero.
    """
    z0, z1 = z[0], z[1]
    for i in range(first, stop, 2):
        v, w = inverse[i], inverse[i + 1]
        for p in range(width):
            z0[p] = 0.0
            z1[p] = 0.0
        for j in range(0, i + 2, UNROLL):
            v0, v1, v2, v3 = v[j], v[j + 1], v[j + 2], v[j + 3]
            w0, w1, w2, w3 = w[j], w[j + 1], w[j + 2], w[j + 3]
            y0, y1, y2, y3 = away[j], away[j + 1], away[j + 2], away[j + 3]
            for p in range(width):
                a, b, c, d = y0[p], y1[p], y2[p], y3[p]
                z0[p] += (v0 * a + v1 * b) + (v2 * c + v3 * d)
                z1[p] += (w0 * a + w1 * b) + (w2 * c + w3 * d)
        for p in range(width):
            sums[p] += z0[p] * z0[p] + z1[p] * z1[p]


@compiled
def _gather(points: Any, rows: Any, mean: Any, first: int, stop: int, away: Any) -> None:
    """Put numbers first .. stop − 1 of some points, less the mean, into the columns of `away`."""
    for p in range(len(rows)):
        row = points[rows[p]]
        for j in range(first, stop):
            away[j, p] = row[j] - mean[j]


@compiled
def responsibilities_of(points: Any, means: Any, inverses: Any, offsets: Any, negligible: float) -> Any:
    """Shares (P, K) of clusters in points, and the log-likelihood; see `GaussianMixture.expect`.

    A squared distance grows with each whitened coordinate, so a cluster is given up for a point as soon as those
    seen put it below what counts. The cluster that is best by the first block comes first: it tells how good the
    point gets.

    Args:
        points: (P, D).
        means: (K, D).
        inverses: of `whitening`.
        offsets: log of weight and normalisation (K,).
        negligible: how far below the best log density a cluster no longer counts.
    """
    count, size = points.shape
    clusters, padded = inverses.shape[0], inverses.shape[2]
    block = _block(size)
    head = min(size, block)
    logs = np.empty((clusters, count))
    best = np.full(count, -np.inf)
    likely = np.zeros(count, np.intp)
    away, z, sums = np.zeros((padded, TILE + GAP)), np.empty((2, TILE)), np.empty(TILE)
    columns = np.ascontiguousarray(points[:, :head].T)
    for begin in range(0, count, TILE):
        width = min(TILE, count - begin)
        for k in range(clusters):
            sums[:] = 0.0
            for j in range(head):
                mean, column, out = means[k, j], columns[j], away[j]
                for p in range(width):
                    out[p] = column[begin + p] - mean
            _add_squares(inverses[k], away, 0, head, width, z, sums)
            for p in range(width):
                bound = offsets[k] - 0.5 * sums[p]
                logs[k, begin + p] = bound
                if bound > best[begin + p]:
                    best[begin + p] = bound
                    likely[begin + p] = k
    best[:] = -np.inf
    rows = np.empty(count, np.intp)
    for others in range(2):
        for k in range(clusters):
            used = 0
            for p in range(count):
                if (likely[p] == k) != (others == 1):
                    if logs[k, p] > best[p] - negligible:
                        rows[used] = p
                        used += 1
                    else:
                        logs[k, p] = -np.inf
            for begin in range(0, used, TILE):
                mine = rows[begin : min(used, begin + TILE)]
                _finish(points, mine, means[k], inverses[k], negligible, best, logs[k], away, z, sums)
    shares = np.zeros((count, clusters))
    total = 0.0
    for p in range(count):
        mass = 0.0
        for k in range(clusters):
            if logs[k, p] > best[p] - negligible:
                shares[p, k] = np.exp(logs[k, p] - best[p])
                mass += shares[p, k]
        for k in range(clusters):
            shares[p, k] /= mass
        total += best[p] + np.log(mass)
    return shares, total


@compiled
def _finish(
    points: Any, mine: Any, mean: Any, inverse: Any, negligible: float, best: Any, logs: Any, away: Any, z: Any,
    sums: Any,
) -> None:  # fmt: skip
    """Take the log densities of some points from the first block to all, or to minus infinity when they do not count.

    `mine` holds the points, at most `TILE`; it, `logs` and `best` change.
    """
    size, width = len(mean), len(mine)
    keep = np.empty(width, np.intp)
    away[size:] = 0.0
    block = _block(size)
    _gather(points, mine[:width], mean, 0, min(size, block), away)
    for first in range(block, size, block):
        stop = min(size, first + block)
        _gather(points, mine[:width], mean, first, stop, away)
        sums[:width] = 0.0
        _add_squares(inverse, away, first, stop, width, z, sums)
        kept = 0
        for p in range(width):
            row = mine[p]
            logs[row] -= 0.5 * sums[p]
            if logs[row] > best[row] - negligible:
                keep[kept] = p
                kept += 1
            else:
                logs[row] = -np.inf
        if kept < width:
            for p in range(kept):
                mine[p] = mine[keep[p]]
            for j in range(stop if stop < size else 0):
                for p in range(kept):
                    away[j, p] = away[j, keep[p]]
        width = kept
    for p in range(width):
        best[mine[p]] = max(best[mine[p]], logs[mine[p]])


@compiled
def weighted_moments(points: Any, shares: Any, smallest: float) -> Any:
    """Means (K, D) and covariances (K, D, D) of points under their shares (P, K).

    A cluster whose part of all points is below `smallest` takes the moments of all.
    """
    count, size = points.shape
    clusters = shares.shape[1]
    means, covariances = np.zeros((clusters, size)), np.empty((clusters, size, size))
    rows, weights = np.empty(count, np.intp), np.empty(count)
    for k in range(clusters):
        used, mass = 0, 0.0
        for p in range(count):
            if shares[p, k] > 0.0:
                rows[used] = p
                weights[used] = shares[p, k]
                mass += shares[p, k]
                used += 1
        if mass < smallest * count:
            used, mass = count, float(count)
            for p in range(count):
                rows[p] = p
                weights[p] = 1.0
        mean = means[k]
        for i in range(used):
            weight, row = weights[i] / mass, points[rows[i]]
            for j in range(size):
                mean[j] += weight * row[j]
        centred = np.empty((used, size))
        for i in range(used):
            root, row, out = np.sqrt(weights[i] / mass), points[rows[i]], centred[i]
            for j in range(size):
                out[j] = root * (row[j] - mean[j])
        np.dot(centred.T, centred, covariances[k])
    return means, covariances


@compiled
def moments_of(shares: Any, means: Any, covariances: Any) -> Any:
    """Means (B, D) and covariances (B, D, D) of mixtures of the same clusters with weights `shares` (B, K)."""
    count, clusters = shares.shape
    size = means.shape[1]
    centres, spreads = np.zeros((count, size)), np.zeros((count, size, size))
    away = np.empty(size)
    for b in range(count):
        centre = centres[b]
        for k in range(clusters):
            share, mean = shares[b, k], means[k]
            if share > 0.0:
                for i in range(size):
                    centre[i] += share * mean[i]
        for k in range(clusters):
            share = shares[b, k]
            if share > 0.0:
                for i in range(size):
                    away[i] = means[k, i] - centre[i]
                for i in range(size):
                    weighted, row, out = share * away[i], covariances[k, i], spreads[b, i]
                    for j in range(size):
                        out[j] += share * row[j] + weighted * away[j]
    return centres, spreads
