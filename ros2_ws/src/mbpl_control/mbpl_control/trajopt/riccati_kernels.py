"""What the backward pass compiles, and the quadratic programmes with limits inside it."""

from __future__ import annotations

from typing import Any

import numpy as np

from mbpl_control.core.compiled import compiled


@compiled
def factor(matrix: Any, n: int) -> bool:
    """Cholesky factor L of the leading n × n block, in place of its lower triangle; False when it has none."""
    for j in range(n):
        entry = matrix[j, j]
        s = entry
        for k in range(j):
            s -= matrix[j, k] * matrix[j, k]
        # relative to the entry itself: rounding must not pass for curvature
        if not s > 1e-14 * abs(entry):
            return False
        d = np.sqrt(s)
        matrix[j, j] = d
        for i in range(j + 1, n):
            s = matrix[i, j]
            for k in range(j):
                s -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = s / d
    return True


@compiled
def solve_factored(lower: Any, n: int, right: Any) -> None:
    """Solve L Lᵀ X = right in place, for the leading n × n block of L and the leading n rows of `right` (_, c)."""
    columns = right.shape[1]
    for i in range(n):
        for k in range(i):
            f = lower[i, k]
            for c in range(columns):
                right[i, c] -= f * right[k, c]
        f = 1.0 / lower[i, i]
        for c in range(columns):
            right[i, c] *= f
    for i in range(n - 1, -1, -1):
        for k in range(i + 1, n):
            f = lower[k, i]
            for c in range(columns):
                right[i, c] -= f * right[k, c]
        f = 1.0 / lower[i, i]
        for c in range(columns):
            right[i, c] *= f


@compiled
def box_qp(h: Any, g: Any, low: Any, high: Any, x: Any, free: Any) -> bool:
    r"""argmin ½ xᵀHx + gᵀx with low ≤ x ≤ high by projected Newton.

    Args:
        h: H (m, m), symmetric.
        g: (m,).
        low: (m,), −inf for no limit.
        high: (m,).
        x: (m,) where to start; holds the result.
        free: (m,) bool; told which variables end off their limits.

    Returns:
        Whether H is positive definite on the free variables; x is of no use otherwise.

    Source: Tassa, Mansard and Todorov 2014, "Control-limited differential dynamic programming", section III.
    """
    m = len(g)
    part, right = np.empty((m, m)), np.empty((m, 1))
    gradient, trial = np.empty(m), np.empty(m)
    index = np.empty(m, dtype=np.int64)
    scale = 0.0
    for i in range(m):
        x[i] = min(max(x[i], low[i]), high[i])
        scale = max(scale, abs(g[i]))
    for _ in range(100):
        count = 0
        norm = 0.0
        for i in range(m):
            s = g[i]
            for j in range(m):
                s += h[i, j] * x[j]
            gradient[i] = s
            free[i] = not ((x[i] <= low[i] and s > 0.0) or (x[i] >= high[i] and s < 0.0))
            if free[i]:
                index[count] = i
                right[count, 0] = -s
                count += 1
                norm = max(norm, abs(s))
        if count == 0:
            return True
        for i in range(count):
            for j in range(count):
                part[i, j] = h[index[i], index[j]]
        if not factor(part, count):
            return False
        if norm <= 1e-12 * (1.0 + scale):
            return True
        solve_factored(part, count, right)
        step = 1.0
        while step > 1e-9:
            # the change of the value, from the gradient: the value itself would lose it to rounding
            change = 0.0
            slope = 0.0
            trial[:] = x
            for i in range(count):
                j = index[i]
                trial[j] = min(max(x[j] + step * right[i, 0], low[j]), high[j])
            for i in range(m):
                s = 0.0
                for j in range(m):
                    s += h[i, j] * (trial[j] - x[j])
                change += (trial[i] - x[i]) * (gradient[i] + 0.5 * s)
                slope += (trial[i] - x[i]) * gradient[i]
            if change <= 0.1 * slope:
                break
            step *= 0.6
        if step <= 1e-9:
            return True
        x[:] = trial
    return True


@compiled
def _transposed_products(matrix: Any, x: Any, y: Any, x_out: Any, y_out: Any) -> None:
    """Add matrixᵀ x and matrixᵀ y to `x_out` and `y_out`."""
    for k in range(matrix.shape[0]):
        f, g = x[k], y[k]
        for i in range(matrix.shape[1]):
            x_out[i] += f * matrix[k, i]
            y_out[i] += g * matrix[k, i]


@compiled
def _symmetric_sum(x: Any, y: Any, out: Any) -> None:
    """x + y, symmetric but for rounding, by the upper half."""
    n = x.shape[0]
    # whole rows, of which half is for nothing, take less time than halves
    for i in range(n):
        for j in range(n):
            out[i, j] = x[i, j] + y[i, j]
    for i in range(n):
        for j in range(i):
            out[i, j] = out[j, i]


@compiled
def _restricted_gains(free: Any, q_uu: Any, q_ux: Any, part: Any, side: Any, gain: Any) -> bool:
    """K = −Q_uu⁻¹ Q_ux on the free actions, zero on the others; False when Q_uu is not positive definite there."""
    m, n = gain.shape
    count = 0
    for i in range(m):
        if free[i]:
            column = 0
            for j in range(m):
                if free[j]:
                    part[count, column] = q_uu[i, j]
                    column += 1
            for j in range(n):
                side[count, j] = -q_ux[i, j]
            count += 1
    if not factor(part, count):
        return False
    solve_factored(part, count, side)
    row = 0
    for i in range(m):
        if free[i]:
            gain[i] = side[row]
            row += 1
        else:
            gain[i] = 0.0
    return True


@compiled
def _leap_products(h: float, vxx: Any, at: Any, bt: Any, y: Any, wy: Any, q: Any) -> None:
    r"""[A B]ᵀ V [A B] of a step whose q' = q + h v', from the half of A and B that is of v'.

    With W the second derivatives of V(q + h y, y) by q and y = v', and Y = [A B]_v by z = (x, u),

        Q_zz = Yᵀ W_yy Y + E W_qy Y + (E W_qy Y)ᵀ + E W_qq Eᵀ,   E = [I 0 0]ᵀ
    """
    n, size = y.shape
    nx = 2 * n
    wqy, wyy = np.empty((n, n)), np.empty((n, n))
    for i in range(n):
        for j in range(nx):
            y[i, j] = at[n + i, j]
        for j in range(nx, size):
            y[i, j] = bt[n + i, j - nx]
        for j in range(n):
            wqy[i, j] = h * vxx[i, j] + vxx[i, n + j]
            wyy[i, j] = h * (h * vxx[i, j] + vxx[i, n + j] + vxx[n + i, j]) + vxx[n + i, n + j]
    np.dot(wyy, y, wy)
    np.dot(y.T, wy, q)
    np.dot(wqy, y, wy)
    for i in range(n):
        for j in range(size):
            q[i, j] += wy[i, j]
            q[j, i] += wy[i, j]
        for j in range(n):
            q[i, j] += vxx[i, j]


@compiled
def recursion(
    mu: float, leap: float, a: Any, b: Any, c: Any, lx: Any, lu: Any, lxx: Any, lux: Any, luu: Any, low: Any, high: Any
) -> Any:
    """See `riccati.backward_pass`, whose arguments these are in another order; what a `riccati.Backward` holds."""
    steps, n, m = b.shape
    gains = np.zeros((steps, m, n))
    feedforward = np.zeros((steps, m))
    q_uu_all = np.zeros((steps, m, m))
    free_all = np.ones((steps, m), dtype=np.bool_)
    vx_all = np.zeros((steps + 1, n))
    vxx_all = np.zeros((steps + 1, n, n))
    vx_all[steps] = lx[steps]
    vxx_all[steps] = lxx[steps]
    # the gradient of the total cost, without what k is about to change
    adjoint = lx[steps].copy()
    va, qxx, change_n = np.empty((n, n)), np.empty((n, n)), np.empty((n, n))
    vb, qux, quu = np.empty((n, m)), np.empty((m, n)), np.empty((m, m))
    reg_ux, reg_uu = np.empty((m, n)), np.empty((m, m))
    quu_gain, part, side = np.empty((m, n)), np.empty((m, m)), np.empty((m, n))
    right = np.empty((m, n + 1))
    vx, qx, qu = np.empty(n), np.empty(n), np.empty(m)
    gx, gu, quu_k = np.empty(n), np.empty(m), np.empty(m)
    y, wy, q = np.empty((n // 2, n + m)), np.empty((n // 2, n + m)), np.empty((n + m, n + m))
    linear = 0.0
    total = 0.0
    gradient_norm = 0.0
    failed_at = -1
    for t in range(steps - 1, -1, -1):
        at, bt = a[t], b[t]
        vxx = vxx_all[t + 1]
        for i in range(n):
            vx[i] = vx_all[t + 1, i]
            qx[i] = lx[t, i]
            gx[i] = lx[t, i]
        for j in range(n):
            offset = c[t, j]
            if offset != 0.0:
                for i in range(n):
                    vx[i] += offset * vxx[j, i]
        for i in range(m):
            qu[i] = lu[t, i]
            gu[i] = lu[t, i]
        _transposed_products(at, vx, adjoint, qx, gx)
        _transposed_products(bt, vx, adjoint, qu, gu)
        if leap > 0.0:
            _leap_products(leap, vxx, at, bt, y, wy, q)
            for i in range(n):
                for j in range(n):
                    qxx[i, j] = q[i, j] + lxx[t, i, j]
            for i in range(m):
                for j in range(n):
                    qux[i, j] = q[n + i, j] + lux[t, i, j]
                for j in range(m):
                    quu[i, j] = q[n + i, n + j] + luu[t, i, j]
        else:
            np.dot(vxx, at, va)
            np.dot(vxx, bt, vb)
            np.dot(at.T, va, qxx)
            np.dot(bt.T, va, qux)
            np.dot(bt.T, vb, quu)
            for i in range(n):
                for j in range(n):
                    qxx[i, j] += lxx[t, i, j]
            for i in range(m):
                for j in range(n):
                    qux[i, j] += lux[t, i, j]
                for j in range(m):
                    quu[i, j] += luu[t, i, j]
        q_uu_all[t] = quu
        if mu > 0.0:
            np.dot(bt.T, at, reg_ux)
            np.dot(bt.T, bt, reg_uu)
            for i in range(m):
                for j in range(n):
                    reg_ux[i, j] = qux[i, j] + mu * reg_ux[i, j]
                for j in range(m):
                    reg_uu[i, j] = quu[i, j] + mu * reg_uu[i, j]
                # an action without effect on the state still needs curvature
                reg_uu[i, i] += mu * 1e-6
        else:
            reg_ux[:] = qux
            reg_uu[:] = quu
        part[:] = reg_uu
        if not factor(part, m):
            failed_at = t
            break
        for i in range(m):
            right[i, 0] = -qu[i]
            for j in range(n):
                right[i, j + 1] = -reg_ux[i, j]
        solve_factored(part, m, right)
        k, gain, free = feedforward[t], gains[t], free_all[t]
        inside = True
        for i in range(m):
            k[i] = right[i, 0]
            inside = inside and low[t, i] <= k[i] <= high[t, i]
        if inside:
            for i in range(m):
                for j in range(n):
                    gain[i, j] = right[i, j + 1]
        elif not (
            box_qp(reg_uu, qu, low[t], high[t], k, free) and _restricted_gains(free, reg_uu, reg_ux, part, side, gain)
        ):
            failed_at = t
            break
        for i in range(m):
            held = (low[t, i] >= 0.0 and gu[i] > 0.0) or (high[t, i] <= 0.0 and gu[i] < 0.0)
            if not held:
                gradient_norm = max(gradient_norm, abs(gu[i]))
            s = 0.0
            for j in range(m):
                s += quu[i, j] * k[j]
            quu_k[i] = s
            linear += k[i] * gu[i]
            total += k[i] * (qu[i] + 0.5 * s)
            # what multiplies Kᵀ in V_x
            qu[i] += s
        vx_t, vxx_t = vx_all[t], vxx_all[t]
        vx_t[:] = qx
        adjoint[:] = gx
        _transposed_products(gain, qu, gu, vx_t, adjoint)
        for i in range(m):
            for j in range(n):
                vx_t[j] += qux[i, j] * k[i]
        if inside and mu == 0.0:
            # Kᵀ Q_uu K = −Kᵀ Q_ux
            np.dot(gain.T, qux, change_n)
            _symmetric_sum(qxx, change_n, vxx_t)
        else:
            np.dot(quu, gain, quu_gain)
            for i in range(m):
                for j in range(n):
                    quu_gain[i, j] += 2.0 * qux[i, j]
            np.dot(gain.T, quu_gain, change_n)
            for i in range(n):
                for j in range(i + 1):
                    s = 0.5 * (qxx[i, j] + qxx[j, i] + change_n[i, j] + change_n[j, i])
                    vxx_t[i, j] = s
                    vxx_t[j, i] = s
    return (
        failed_at,
        gains,
        feedforward,
        q_uu_all,
        free_all,
        vx_all,
        vxx_all,
        linear,
        total - linear,
        gradient_norm,
    )
