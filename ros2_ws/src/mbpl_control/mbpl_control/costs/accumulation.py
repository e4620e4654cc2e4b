"""Expansions of terms added up, and the quadratic of squared residuals."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.compiled import plain
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
    # compiled: what only reads a task does not pay for loading it
    from mbpl_control.costs.kernels import add_block, add_diagonal

    value, gradient, curvature = (plain(each) for each in part)
    function = add_diagonal if curvature.ndim == 2 else add_block
    function(plain(weights), columns, value, gradient, curvature, *total)


def squares(residuals: Array, jacobians: Array, weights: Array) -> tuple[Array, Array]:
    """Gradient and Gauss-Newton second derivative of ½ Σ_i w_i e_i²: Jᵀ W e (N, c), Jᵀ W J (N, c, c).

    Args:
        residuals: e (N, r).
        jacobians: J (N, r, c).
        weights: w (r,), or (N, r).
    """
    from mbpl_control.costs.kernels import squares_of

    e = plain(residuals)
    each = np.empty_like(e)
    each[:] = weights
    return squares_of(e, plain(jacobians), each)
