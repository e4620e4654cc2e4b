"""What a law of feedback makes of a linearised trajectory, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from mbpl_control.core.compiled import compiled


@compiled
def slopes_by_push(a: Any, b: Any, lx: Any, lu: Any, gains: Any) -> Any:
    r"""dJ/dp_t (T, m) of pushes p beside a law, δu_t = p_t + K_t δx_t; exact along the trajectory.

    λ_T = l_x,   dJ/dp_t = l_u + Bᵀ λ_{t+1},   λ_t = l_x + Aᵀ λ_{t+1} + Kᵀ dJ/dp_t
    """
    steps, n, m = b.shape
    out = np.empty((steps, m))
    adjoint, before = lx[steps].copy(), np.empty(n)
    for t in range(steps - 1, -1, -1):
        for i in range(m):
            out[t, i] = lu[t, i]
        for j in range(n):
            before[j] = lx[t, j]
        for k in range(n):
            f = adjoint[k]
            for i in range(m):
                out[t, i] += f * b[t, k, i]
            for j in range(n):
                before[j] += f * a[t, k, j]
        for i in range(m):
            f = out[t, i]
            for j in range(n):
                before[j] += f * gains[t, i, j]
        adjoint[:] = before
    return out


@compiled
def response(a: Any, b: Any, pushes: Any, gains: Any) -> Any:
    """δx_t (T, n) before each step and δu_t (T, m), of δu_t = p_t + K_t δx_t and δx_{t+1} = A δx_t + B δu_t."""
    steps, n, m = b.shape
    dx, du = np.zeros((steps, n)), pushes.copy()
    for t in range(steps):
        for i in range(m):
            s = 0.0
            for j in range(n):
                s += gains[t, i, j] * dx[t, j]
            du[t, i] += s
        if t + 1 < steps:
            for k in range(n):
                s = 0.0
                for j in range(n):
                    s += a[t, k, j] * dx[t, j]
                for i in range(m):
                    s += b[t, k, i] * du[t, i]
                dx[t + 1, k] = s
    return dx, du


def load_kernels() -> None:
    """Compile both, or load them from the cache: a search may come to need them late, where nobody can wait."""
    matrix, rows = np.zeros((1, 1, 1)), np.zeros((1, 1))
    slopes_by_push(matrix, matrix, np.zeros((2, 1)), rows, matrix)
    response(matrix, matrix, rows, matrix)
