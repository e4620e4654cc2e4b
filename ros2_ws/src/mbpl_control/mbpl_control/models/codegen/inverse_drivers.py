"""The acceleration as the control: what iLQR needs of a robot whose every joint is driven. Copied as `drivers` is.

    v' = v + h a        q' = q + h v'        τ = (M(q) + I_a + h D) a + b(q, v) + D v

The dynamics are linear then, and the robot's own are in the effort τ alone, which all steps are asked for at once.
With y = v', which the rest of the trajectory sees as q' = q + h y and v' = y, there is no product with A or B left.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: See `drivers`.
STRIDE = 0
N = 0
#: 3 N, and 2 N + 1, made multiples of eight.
WIDTH = SIDE = 0
#: Of each joint, N·m·s/rad or N·s/m.
DAMPING = np.zeros(0)
#: Rows of the kernel's array, and in them of its outputs; inputs are q, v and acceleration in this order.
INVERSE_ROWS = 0
INVERSE_EFFORT = INVERSE_BY_Q = INVERSE_BY_V = INVERSE_INERTIA = np.zeros(0, np.int64)


def inverse_derivatives(x: Any, n: int) -> None:
    """Stand for the kernel `robot_kernels.inverse_derivatives`."""


def efforts_along(states: Any, accelerations: Any, driven: Any, h: float, efforts: Any, jacobians: Any) -> None:
    """Efforts along a trajectory and their derivatives by (q, v, a), steps side by side, one a lane.

    Args:
        states: (T, 2n) or more.
        accelerations: (T, n).
        driven: (n,) the joint of each effort.
        h: s of a step.
        efforts: τ (T, n) is filled.
        jacobians: (T, n, WIDTH) is filled, with zeros beyond 3n.
    """
    rows = np.zeros((INVERSE_ROWS, STRIDE))
    x = rows.reshape(-1)
    steps = len(accelerations)
    for begin in range(0, steps, STRIDE):
        lanes = min(STRIDE, steps - begin)
        for lane in range(lanes):
            for j in range(2 * N):
                rows[j, lane] = states[begin + lane, j]
            for j in range(N):
                rows[2 * N + j, lane] = accelerations[begin + lane, j]
        inverse_derivatives(x, lanes)
        for lane in range(lanes):
            t = begin + lane
            for i in range(N):
                joint = driven[i]
                damped = h * DAMPING[joint]
                efforts[t, i] = rows[INVERSE_EFFORT[joint], lane] + damped * rows[2 * N + joint, lane]
                for j in range(N):
                    jacobians[t, i, j] = rows[INVERSE_BY_Q[joint, j], lane]
                    jacobians[t, i, N + j] = rows[INVERSE_BY_V[joint, j], lane]
                    jacobians[t, i, 2 * N + j] = rows[INVERSE_INERTIA[joint, j], lane]
                jacobians[t, i, 2 * N + joint] += damped
                for j in range(3 * N, WIDTH):
                    jacobians[t, i, j] = 0.0


def lead(
    states: Any,
    accelerations: Any,
    feedforward: Any,
    gains: Any,
    size: float,
    h: float,
    new_states: Any,
    new_accelerations: Any,
) -> None:
    """The trajectory from the same start under a_t = â_t + α k_t + K_t (x_t − x̂_t).

    Args:
        states: x̂ (T+1, 2n).
        accelerations: â (T, n).
        feedforward: k (T, n).
        gains: K (T, n, 2n).
        size: α.
        h: s of a step.
        new_states: x (T+1, 2n) is filled.
        new_accelerations: a (T, n) is filled.
    """
    error = np.empty(2 * N)
    for j in range(2 * N):
        new_states[0, j] = states[0, j]
    for t in range(len(accelerations)):
        for j in range(2 * N):
            error[j] = new_states[t, j] - states[t, j]
        for i in range(N):
            a = accelerations[t, i] + size * feedforward[t, i]
            for j in range(2 * N):
                a += gains[t, i, j] * error[j]
            new_accelerations[t, i] = a
            v = new_states[t, N + i] + h * a
            new_states[t + 1, N + i] = v
            new_states[t + 1, i] = new_states[t, i] + h * v


def slopes_along(jacobians: Any, lx: Any, lu: Any, slopes: Any) -> None:
    """First derivatives of the cost by (q, v, a) at each step: l_z + Gᵀ l_u.

    Args:
        jacobians: G (T, n, WIDTH).
        lx: (T+1, 2n).
        lu: by the efforts (T, n).
        slopes: (T+1, 3n) is filled; nothing is accelerated at the last.
    """
    for t in range(len(lx)):
        for j in range(3 * N):
            slopes[t, j] = lx[t, j] if j < 2 * N else 0.0
    for t in range(len(lu)):
        for k in range(N):
            for j in range(3 * N):
                slopes[t, j] += lu[t, k] * jacobians[t, k, j]


def inverse_backward(
    mu: float,
    h: float,
    jacobians: Any,
    slopes: Any,
    aims: Any,
    lxx: Any,
    luu: Any,
    driven: Any,
    gains: Any,
    feedforward: Any,
    curvature: Any,
    told: Any,
) -> None:
    r"""The Riccati recursion of `trajopt.riccati.backward_pass` with the acceleration as the control, without limits.

    The cost by (q, v, a), G = ∂τ/∂(q, v, a), has second derivatives l_zz + Gᵀ diag(l_uu) G without those of τ,
    and with L Lᵀ = Q_aa, Z = L⁻¹ Q_ax:  V_xx = Q_xx − Zᵀ Z.

    Args:
        mu: regularisation, as there: V_xx' + μI wherever k and K are computed.
        h: s of a step.
        jacobians: G (T, n, WIDTH).
        slopes: first derivatives of the cost by (q, v, a), as `slopes_along` gives them (T+1, 3n).
        aims: what the law is to go down in their place (T+1, 3n): they, or what is left of them when what earlier steps
            showed of the curvature has been taken off.
        lxx: (T+1, 2n, 2n).
        luu: diagonal (T, n).
        driven: (n,) the joint of each effort.
        gains: K (T, n, 2n) is filled.
        feedforward: k (T, n) is filled.
        curvature: Q_aa (T, n, n) without regularisation is filled.
        told: (4,) is filled: step whose Q_aa was not positive definite, or −1; `linear`, `quadratic` and
            `gradient_norm`, the last per unit of effort, as of `riccati.Backward`.
    """
    steps = len(luu)
    s, square = np.zeros((WIDTH, WIDTH)), np.zeros((SIDE, SIDE))
    weighed = np.zeros((N, WIDTH))
    # only its blocks qq, qv and vv are kept
    p = np.empty((2 * N, 2 * N))
    wqy, wyy = np.empty((N, N)), np.empty((N, N))
    # columns: by x, then the gradient
    right, side, gain = np.zeros((N, SIDE)), np.zeros((N, SIDE)), np.zeros((N, SIDE))
    factor, undone, inertia = np.empty((N, N)), np.zeros((N, N)), np.empty((N, N))
    vx, adjoint = np.empty(2 * N), np.empty(2 * N)
    pull = np.empty(N)
    for i in range(2 * N):
        vx[i], adjoint[i] = aims[steps, i], slopes[steps, i]
        for j in range(2 * N):
            p[i, j] = lxx[steps, i, j]
    linear = quadratic = norm = 0.0
    told[0] = -1.0
    for t in range(steps - 1, -1, -1):
        g = jacobians[t]
        # the cost of the step by z = (q, v, a)
        for k in range(N):
            f = luu[t, k]
            for j in range(WIDTH):
                weighed[k, j] = f * g[k, j]
        np.dot(weighed.T, g, s)
        # what comes after it, by q and y
        for i in range(N):
            for j in range(N):
                wqy[i, j] = h * p[i, j] + p[i, N + j]
                wyy[i, j] = h * (h * p[i, j] + p[i, N + j] + p[j, N + i]) + p[N + i, N + j]
        # control: Q_ax and Q_a in one, Q_aa; the regularisation as if p were p + μI
        step = mu * h * h
        for i in range(N):
            for j in range(N):
                right[i, j] = s[2 * N + i, j] + h * wqy[j, i]
                right[i, N + j] = s[2 * N + i, N + j] + h * wyy[i, j]
                factor[i, j] = s[2 * N + i, 2 * N + j] + h * h * wyy[i, j]
                curvature[t, i, j] = factor[i, j]
            right[i, i] += step
            right[i, N + i] += mu * h + h * step
            factor[i, i] += step + h * h * step + 1e-6 * mu
            right[i, 2 * N] = aims[t, 2 * N + i] + h * (h * vx[i] + vx[N + i])
            pull[i] = slopes[t, 2 * N + i] + h * (h * adjoint[i] + adjoint[N + i])
        if not cholesky(factor):
            told[0] = t
            return
        inverse_of_lower(factor, undone)
        np.dot(undone, right, side)
        np.dot(undone.T, side, gain)
        own = step + h * h * step + 1e-6 * mu
        for i in range(N):
            for j in range(2 * N):
                gain[i, j] = -gain[i, j]
                gains[t, i, j] = gain[i, j]
            k = gain[i, 2 * N] = -gain[i, 2 * N]
            feedforward[t, i] = k
            linear += k * pull[i]
            # the gradient at V_x, k_i the solution with regularisation: ½ kᵀ Q_aa k + kᵀ Q_a without it
            q = aims[t, 2 * N + i] + h * (h * vx[i] + vx[N + i])
            quadratic += 0.5 * k * q - 0.5 * own * k * k
        # value and adjoint of this state
        for i in range(N):
            vx[N + i] += aims[t, N + i] + h * vx[i]
            adjoint[N + i] += slopes[t, N + i] + h * adjoint[i]
            vx[i] += aims[t, i]
            adjoint[i] += slopes[t, i]
        for i in range(N):
            z = side[i, 2 * N]
            k = gain[i, 2 * N]
            for j in range(2 * N):
                vx[j] -= z * side[i, j]
                adjoint[j] += pull[i] * gain[i, j]
            if mu > 0.0:
                # V is that of these gains without the regularisation
                vx[i] -= step * k
                vx[N + i] -= (mu * h + h * step) * k
                for j in range(2 * N):
                    vx[j] -= own * k * gain[i, j]
        np.dot(side.T, side, square)
        for i in range(N):
            for j in range(N):
                p[i, j] += lxx[t, i, j] + s[i, j] - square[i, j]
                p[i, N + j] = lxx[t, i, N + j] + s[i, N + j] + wqy[i, j] - square[i, N + j]
                p[N + i, N + j] = lxx[t, N + i, N + j] + s[N + i, N + j] + wyy[i, j] - square[N + i, N + j]
        if mu > 0.0:
            np.dot(gain.T, gain, square)
            for i in range(2 * N):
                for j in range(2 * N):
                    p[i, j] -= own * square[i, j]
                for k in range(N):
                    p[i, k] -= step * gain[k, i]
                    p[k, i] -= step * gain[k, i]
                    p[i, N + k] -= (mu * h + h * step) * gain[k, i]
                    p[N + k, i] -= (mu * h + h * step) * gain[k, i]
        # the gradient per unit of effort: (∂τ/∂a)ᵀ g = pull
        for i in range(N):
            for j in range(N):
                inertia[driven[i], j] = g[i, 2 * N + j]
        if cholesky(inertia):
            for i in range(N):
                for k in range(i):
                    pull[i] -= inertia[i, k] * pull[k]
                pull[i] /= inertia[i, i]
            for i in range(N - 1, -1, -1):
                for k in range(i + 1, N):
                    pull[i] -= inertia[k, i] * pull[k]
                pull[i] /= inertia[i, i]
                norm = max(norm, abs(pull[i]))
        else:
            norm = np.inf
    told[1], told[2], told[3] = linear, quadratic - linear, norm


def action_law(jacobians: Any, gains: Any, curvature: Any, driven: Any, action_gains: Any, q_uu: Any) -> None:
    r"""The law of the acceleration as one of the action, and Q_uu likewise: what changes is the name of the control.

    With G = [τ_x M] as it is along the trajectory, u = û + τ_x δx + M δa, so K_u = τ_x + M K and Q_uu = M⁻ᵀ Q_aa M⁻¹.

    Args:
        jacobians: G (T, n, WIDTH), M with h D.
        gains: K (T, n, 2n) of the acceleration.
        curvature: Q_aa (T, n, n).
        driven: (n,) the joint of each effort.
        action_gains: K_u (T, n, 2n) is filled.
        q_uu: (T, n, n) is filled; with NaN where M is not positive definite.
    """
    inertia, undone = np.empty((N, N)), np.zeros((N, N))
    inverse, half = np.empty((N, N)), np.empty((N, N))
    for t in range(len(gains)):
        for i in range(N):
            for j in range(2 * N):
                action_gains[t, i, j] = jacobians[t, i, j]
            for k in range(N):
                f = jacobians[t, i, 2 * N + k]
                for j in range(2 * N):
                    action_gains[t, i, j] += f * gains[t, k, j]
                inertia[driven[i], k] = f
        if not cholesky(inertia):
            q_uu[t] = np.nan
            continue
        inverse_of_lower(inertia, undone)
        np.dot(undone.T, undone, half)
        for i in range(N):
            for j in range(N):
                inverse[i, j] = half[i, driven[j]]
        np.dot(curvature[t], inverse, half)
        np.dot(inverse.T, half, q_uu[t])


def inverse_of_lower(lower: Any, out: Any) -> None:
    """L⁻¹ (n, n) of a lower triangle; what is above it in `out` is left as it is."""
    for i in range(N):
        out[i, i] = 1.0 / lower[i, i]
        for j in range(i):
            s = 0.0
            for k in range(j, i):
                s += lower[i, k] * out[k, j]
            out[i, j] = -s * out[i, i]


def cholesky(matrix: Any) -> bool:
    """Cholesky factor of (n, n) in place of its lower triangle; False when it has none."""
    for j in range(N):
        entry = matrix[j, j]
        s = entry
        for k in range(j):
            s -= matrix[j, k] * matrix[j, k]
        # relative to the entry itself: rounding must not pass for curvature
        if not s > 1e-14 * abs(entry):
            return False
        d = np.sqrt(s)
        matrix[j, j] = d
        for i in range(j + 1, N):
            s = matrix[i, j]
            for k in range(j):
                s -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = s / d
    return True
