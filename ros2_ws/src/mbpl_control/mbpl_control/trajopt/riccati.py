"""The backward pass: compiled, shared by LQR and iLQR."""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np

from mbpl_control.core.validation import Array


class Backward(NamedTuple):
    """What the backward pass returns.

    Attributes:
        failed_at: step whose Q_uu was not positive definite, −1 when all were.
        gains: K (T, m, ndx).
        feedforward: k (T, m).
        q_uu: unregularised Q_uu (T, m, m).
        free: (T, m) whether an action is off its limits; gains of the others are zero.
        vx: (T+1, ndx) gradient of the value.
        vxx: (T+1, ndx, ndx) its second derivative.
        linear: Σ kᵀ Q_u, the first-order change of the cost for a full step.
        quadratic: Σ ½ kᵀ Q_uu k.
        gradient_norm: largest |Q_u| among free actions.
    """

    failed_at: int
    gains: Array
    feedforward: Array
    q_uu: Array
    free: Array
    vx: Array
    vxx: Array
    linear: float
    quadratic: float
    gradient_norm: float


@numba.njit(cache=True)
def _factor(matrix, lower):
    """Cholesky factor into `lower`; False when the matrix is not positive definite."""
    n = matrix.shape[0]
    for j in range(n):
        s = matrix[j, j]
        for k in range(j):
            s -= lower[j, k] * lower[j, k]
        # relative to the entry itself: rounding must not pass for curvature
        if not s > 1e-14 * abs(matrix[j, j]):
            return False
        d = np.sqrt(s)
        lower[j, j] = d
        for i in range(j + 1, n):
            s = matrix[i, j]
            for k in range(j):
                s -= lower[i, k] * lower[j, k]
            lower[i, j] = s / d
    return True


@numba.njit(cache=True)
def _solve_into(lower, n, right):
    """Solve L Lᵀ X = right in place, for the leading n × n block of L and (n, c) right sides."""
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


@numba.njit(cache=True)
def box_qp(h, g, low, high, x):
    """argmin ½ xᵀHx + gᵀx with low ≤ x ≤ high by projected Newton; x holds the start and the result.

    Returns (solved, free): whether H was positive definite on the free numbers, and which are off their limits.
    Source: Tassa, Mansard and Todorov 2014, "Control-limited differential dynamic programming".
    """
    m = len(g)
    free = np.ones(m, dtype=np.bool_)
    for i in range(m):
        x[i] = min(max(x[i], low[i]), high[i])
    factor = np.zeros((m, m))
    for _ in range(100):
        gradient = g + h @ x
        count = 0
        norm = 0.0
        for i in range(m):
            at_low = x[i] <= low[i] and gradient[i] > 0.0
            at_high = x[i] >= high[i] and gradient[i] < 0.0
            free[i] = not (at_low or at_high)
            if free[i]:
                count += 1
                norm = max(norm, abs(gradient[i]))
        if count == 0:
            return True, free
        index = np.empty(count, dtype=np.int64)
        j = 0
        for i in range(m):
            if free[i]:
                index[j] = i
                j += 1
        part = np.empty((count, count))
        right = np.empty((count, 1))
        for a in range(count):
            right[a, 0] = -gradient[index[a]]
            for b in range(count):
                part[a, b] = h[index[a], index[b]]
        if not _factor(part, factor):
            return False, free
        scale = 0.0
        for i in range(m):
            scale = max(scale, abs(g[i]))
        if norm <= 1e-12 * (1.0 + scale):
            return True, free
        _solve_into(factor, count, right)
        slope = 0.0
        for a in range(count):
            slope += right[a, 0] * gradient[index[a]]
        value = 0.5 * x @ (h @ x) + g @ x
        step = 1.0
        trial = x.copy()
        accepted = False
        for _line in range(40):
            for a in range(count):
                i = index[a]
                trial[i] = min(max(x[i] + step * right[a, 0], low[i]), high[i])
            new = 0.5 * trial @ (h @ trial) + g @ trial
            if new <= value + 0.1 * step * slope:
                accepted = True
                break
            step *= 0.6
        if not accepted:
            return True, free
        x[:] = trial
    return True, free


@numba.njit(cache=True)
def _backward(a, b, c, lx, lu, lxx, lux, luu, low, high, mu):
    steps, ndx, m = b.shape[0], b.shape[1], b.shape[2]
    gains = np.zeros((steps, m, ndx))
    feedforward = np.zeros((steps, m))
    q_uu_all = np.zeros((steps, m, m))
    free_all = np.ones((steps, m), dtype=np.bool_)
    vx_all = np.zeros((steps + 1, ndx))
    vxx_all = np.zeros((steps + 1, ndx, ndx))
    vx_all[steps] = lx[steps]
    vxx_all[steps] = lxx[steps]
    factor = np.zeros((m, m))
    right = np.empty((m, ndx + 1))
    linear = 0.0
    quadratic = 0.0
    gradient_norm = 0.0
    for t in range(steps - 1, -1, -1):
        vxx = vxx_all[t + 1]
        vx = vx_all[t + 1] + vxx @ c[t]
        at = a[t].T
        bt = b[t].T
        va = vxx @ a[t]
        vb = vxx @ b[t]
        qx = lx[t] + at @ vx
        qu = lu[t] + bt @ vx
        qxx = lxx[t] + at @ va
        qux = lux[t] + bt @ va
        quu = luu[t] + bt @ vb
        if mu > 0.0:
            quu_reg = quu + mu * (bt @ b[t])
            qux_reg = qux + mu * (bt @ a[t])
            for i in range(m):
                # an action without effect on the state still needs curvature
                quu_reg[i, i] += mu * 1e-6
        else:
            quu_reg = quu
            qux_reg = qux
        if not _factor(quu_reg, factor):
            return t, gains, feedforward, q_uu_all, free_all, vx_all, vxx_all, 0.0, 0.0, 0.0
        for i in range(m):
            right[i, 0] = -qu[i]
            for j in range(ndx):
                right[i, j + 1] = -qux_reg[i, j]
        _solve_into(factor, m, right)
        inside = True
        for i in range(m):
            if not low[t, i] <= right[i, 0] <= high[t, i]:
                inside = False
        k = feedforward[t]
        if inside:
            for i in range(m):
                k[i] = right[i, 0]
                for j in range(ndx):
                    gains[t, i, j] = right[i, j + 1]
        else:
            for i in range(m):
                k[i] = right[i, 0]
            solved, free = box_qp(quu_reg, qu, low[t], high[t], k)
            if not solved:
                return t, gains, feedforward, q_uu_all, free_all, vx_all, vxx_all, 0.0, 0.0, 0.0
            free_all[t] = free
            count = 0
            for i in range(m):
                if free[i]:
                    count += 1
            if count:
                index = np.empty(count, dtype=np.int64)
                j = 0
                for i in range(m):
                    if free[i]:
                        index[j] = i
                        j += 1
                part = np.empty((count, count))
                side = np.empty((count, ndx))
                for p in range(count):
                    for q in range(count):
                        part[p, q] = quu_reg[index[p], index[q]]
                    for q in range(ndx):
                        side[p, q] = -qux_reg[index[p], q]
                if not _factor(part, factor):
                    return t, gains, feedforward, q_uu_all, free_all, vx_all, vxx_all, 0.0, 0.0, 0.0
                _solve_into(factor, count, side)
                for p in range(count):
                    gains[t, index[p]] = side[p]
        for i in range(m):
            if free_all[t, i]:
                gradient_norm = max(gradient_norm, abs(qu[i]))
        q_uu_all[t] = quu
        gain = gains[t]
        gain_t = gain.T
        quu_k = quu @ k
        linear += k @ qu
        quadratic += 0.5 * (k @ quu_k)
        vx_all[t] = qx + gain_t @ (quu_k + qu) + qux.T @ k
        cross = gain_t @ qux
        new = qxx + gain_t @ (quu @ gain) + cross + cross.T
        vxx_all[t] = 0.5 * (new + new.T)
    return (
        -1,
        gains,
        feedforward,
        q_uu_all,
        free_all,
        vx_all,
        vxx_all,
        linear,
        quadratic,
        gradient_norm,
    )


def backward_pass(
    a: Array,
    b: Array,
    c: Array,
    lx: Array,
    lu: Array,
    lxx: Array,
    lux: Array,
    luu: Array,
    low: Array,
    high: Array,
    mu: float,
) -> Backward:
    r"""The Riccati recursion on a quadratic model, with limits on the change of the action.

        Q_x  = l_x + Aᵀ (V_x' + V_xx' c)      Q_xx = l_xx + Aᵀ V_xx' A
        Q_u  = l_u + Bᵀ (V_x' + V_xx' c)      Q_ux = l_ux + Bᵀ (V_xx' + μI) A
                                              Q_uu = l_uu + Bᵀ (V_xx' + μI) B
        k = argmin ½ δuᵀ Q_uu δu + Q_uᵀ δu  with  low ≤ δu ≤ high,   K = −Q_uu⁻¹ Q_ux on the free actions
        V_x  = Q_x + Kᵀ Q_uu k + Kᵀ Q_u + Q_uxᵀ k
        V_xx = Q_xx + Kᵀ Q_uu K + Kᵀ Q_ux + Q_uxᵀ K

    μ is in force wherever k and K are computed; the value is that of these gains on the true model, without μ.

    Args:
        a: (T, ndx, ndx).
        b: (T, ndx, m).
        c: (T, ndx) constant part of the dynamics; zero around a trajectory.
        lx: (T+1, ndx).
        lu: (T, m).
        lxx: (T+1, ndx, ndx).
        lux: (T, m, ndx).
        luu: (T, m, m).
        low: (T, m) lower limits of δu, at most zero; −inf for none.
        high: (T, m) upper limits of δu.
        mu: Levenberg-Marquardt regularisation μ ≥ 0, of the state's tangent space.

    Source: Tassa, Erez and Todorov 2012; Tassa, Mansard and Todorov 2014.
    """
    arrays = (np.ascontiguousarray(v, dtype=np.float64) for v in (a, b, c, lx, lu, lxx, lux, luu, low, high))
    return Backward(*_backward(*arrays, float(mu)))


def warm_up() -> None:
    """Compile the kernels, or load them from the cache, so that no controller waits for it."""
    one = np.ones((1, 1, 1))
    flat = np.ones((1, 1))
    two = np.ones((2, 1, 1))
    backward_pass(one, one, 0 * flat, np.ones((2, 1)), flat, two, 0 * one, one, -0.1 * flat, flat, 0.1)
