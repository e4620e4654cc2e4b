"""Expansions of terms added up, and the quadratic of squared residuals; compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from mbpl_control.core.compiled import compiled, plain
from mbpl_control.core.validation import Array, Indices


def add(
    weights: Array,
    columns: Indices,
    part: tuple[Array, Array, Array],
    total: tuple[Array, Array, Array],
) -> None:
    """Add N weighed values, gradients and second derivatives over k numbers to totals over n numbers.

    Args:
        weights: (N,).
        columns: the k numbers among the n.
        part: value (N,), gradient (N, k), and the diagonal (N, k) or all (N, k, k) of the second derivatives.
        total: value (N,), gradient (N, n), second derivatives (N, n, n): added to in place.
    """
    value, gradient, curvature = (plain(each) for each in part)
    function = _add_diagonal if curvature.ndim == 2 else _add_block
    function(plain(weights), columns, value, gradient, curvature, *total)


@compiled
def _add_diagonal(
    weights: Any,
    columns: Any,
    value: Any,
    gradient: Any,
    diagonal: Any,
    total: Any,
    lx: Any,
    lxx: Any,
) -> None:
    for b in range(len(weights)):
        w = weights[b]
        total[b] += w * value[b]
        for i in range(len(columns)):
            c = columns[i]
            lx[b, c] += w * gradient[b, i]
            lxx[b, c, c] += w * diagonal[b, i]


@compiled
def _add_block(
    weights: Any,
    columns: Any,
    value: Any,
    gradient: Any,
    block: Any,
    total: Any,
    lx: Any,
    lxx: Any,
) -> None:
    count = len(columns)
    for b in range(len(weights)):
        w = weights[b]
        total[b] += w * value[b]
        for i in range(count):
            row = columns[i]
            lx[b, row] += w * gradient[b, i]
            for j in range(count):
                lxx[b, row, columns[j]] += w * block[b, i, j]


def squares(residuals: Array, jacobians: Array, weights: Array) -> tuple[Array, Array]:
    """Gradient and Gauss-Newton second derivative of ½ Σ_i w_i e_i²: Jᵀ W e (N, c), Jᵀ W J (N, c, c).

    Args:
        residuals: e (N, r).
        jacobians: J (N, r, c).
        weights: w (r,), or (N, r).
    """
    e = plain(residuals)
    each = np.empty_like(e)
    each[:] = weights
    return _squares(e, plain(jacobians), each)


@compiled
def _squares(e: Any, j: Any, w: Any) -> Any:
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
