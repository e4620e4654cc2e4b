"""Dry friction at the joints, as MuJoCo has it; copied into the modules of robots that have some, as `drivers` is."""

from __future__ import annotations

from typing import Any

import numpy as np

from mbpl_control.models.codegen.drivers import BY_EFFORT, BY_Q, BY_V, N

#: Rows of the kernels `equation` and `inverse_derivatives`.
EQUATION_ROWS = INVERSE_ROWS = 0
INERTIA = BIAS = INVERSE_INERTIA = INVERSE_BY_Q = INVERSE_BY_V = np.zeros(0, np.int64)
#: Rows of `friction`: the most it gives, its force per unit of acceleration while it sticks, and how much the speed
#: counts, 1/s.
LOSS, STIFFNESS, DRAG = 0, 1, 2


def equation(x: Any, n: int) -> None:
    """Stand for the kernel `robot_kernels.equation`."""


def inverse_derivatives(x: Any, n: int) -> None:
    """Stand for the kernel `robot_kernels.inverse_derivatives`."""


def hold(matrix: Any, free: Any, slip: Any, friction: Any, a: Any, force: Any, sticks: Any) -> None:
    r"""Acceleration under dry friction, the minimum of a convex function.

        ½ aᵀ M a − freeᵀ a + Σ_i s_i(a_i + B_i v_i),    s(y) = ½ D y² while |D y| ≤ l, else l |y| − l² / 2D

    It is made of quadratic pieces, so that Newton steps of exact length come to an end.

    Args:
        matrix: M (n, n).
        free: (n,) the effort that is left for the acceleration, friction aside.
        slip: B v (n,).
        friction: see `LOSS`.
        a: (n,) is filled.
        force: (n,) −s'(a + B v), is filled.
        sticks: (n,) 1 where friction is below its limit, is filled.

    Source: MuJoCo's documentation, "Computation", constraint model.
    """
    largest = 1.0
    for i in range(N):
        largest = max(largest, abs(free[i]))
        a[i] = 0.0
    stiff, step, left, trial = np.empty((N, N)), np.empty((N, 1)), np.empty((N, 1)), np.empty(N)
    for _ in range(100):
        rub(matrix, free, slip, friction, a, force, sticks, step)
        rest = 0.0
        for i in range(N):
            for j in range(N):
                stiff[i, j] = matrix[i, j]
            stiff[i, i] += sticks[i] * friction[STIFFNESS, i]
            trial[i] = step[i, 0]
            rest = max(rest, abs(step[i, 0]))
        if rest <= 1e-13 * largest:
            break
        solve_symmetric(stiff, step)
        slope = 0.0
        for i in range(N):
            slope += trial[i] * step[i, 0]
        low, high, length = 0.0, 1.0, 1.0
        for _ in range(50):
            along = 0.0
            for i in range(N):
                trial[i] = a[i] + length * step[i, 0]
            rub(matrix, free, slip, friction, trial, force, sticks, left)
            for i in range(N):
                along += left[i, 0] * step[i, 0]
            # behind the minimum the force pulls back; at the end of a whole step it may still pull on
            if along < -1e-12 * slope:
                high = length
            elif length == 1.0:
                break
            else:
                low = length
            length = 0.5 * (low + high)
        for i in range(N):
            a[i] += length * step[i, 0]
    rub(matrix, free, slip, friction, a, force, sticks, step)


def rub(matrix: Any, free: Any, slip: Any, friction: Any, a: Any, force: Any, sticks: Any, left: Any) -> None:
    """Friction at an acceleration into `force` and `sticks`; into `left` (n, 1) what it leaves: free + force − M a."""
    for i in range(N):
        force[i] = sticks[i] = 0.0
        if friction[LOSS, i] > 0.0:
            wanted = -friction[STIFFNESS, i] * (a[i] + slip[i])
            force[i] = min(max(wanted, -friction[LOSS, i]), friction[LOSS, i])
            sticks[i] = 1.0 if force[i] == wanted else 0.0
        left[i, 0] = free[i] + force[i]
        for j in range(N):
            left[i, 0] -= matrix[i, j] * a[j]


def solve_symmetric(matrix: Any, right: Any) -> None:
    """Solve matrix X = right in place, by L D Lᵀ of a positive definite matrix, which is lost. (n, n), (n, c)."""
    columns = right.shape[1]
    for k in range(N):
        for i in range(k + 1, N):
            share = matrix[i, k] / matrix[k, k]
            for j in range(i, N):
                matrix[j, i] -= share * matrix[j, k]
            for c in range(columns):
                right[i, c] -= share * right[k, c]
    for k in range(N - 1, -1, -1):
        for c in range(columns):
            for i in range(k + 1, N):
                right[k, c] -= matrix[i, k] * right[i, c]
            right[k, c] /= matrix[k, k]


def add_friction(rows: Any, effort: Any, friction: Any, lanes: int, x: Any, held: Any, sticks: Any) -> None:
    """Efforts with friction into the rows of a kernel.

    Args:
        rows: of a kernel with inputs q, v, effort.
        effort: (n, STRIDE) without friction.
        friction: see `LOSS`.
        lanes: how many.
        x: rows of the kernel `equation`, scratch.
        held: (n, STRIDE) acceleration under friction, is filled.
        sticks: (n, STRIDE) is filled.
    """
    matrix, free, slip = np.empty((N, N)), np.empty(N), np.empty(N)
    a, force, stuck = np.zeros(N), np.zeros(N), np.zeros(N)
    for j in range(2 * N):
        for lane in range(lanes):
            x[j, lane] = rows[j, lane]
    equation(x.reshape(-1), lanes)
    for lane in range(lanes):
        for i in range(N):
            for j in range(N):
                matrix[i, j] = x[INERTIA[i, j], lane]
            free[i] = effort[i, lane] - x[BIAS[i], lane]
            slip[i] = friction[DRAG, i] * rows[N + i, lane]
        hold(matrix, free, slip, friction, a, force, stuck)
        for i in range(N):
            rows[2 * N + i, lane] = effort[i, lane] + force[i]
            held[i, lane], sticks[i, lane] = a[i], stuck[i]


def differentiate_friction(rows: Any, friction: Any, lanes: int, x: Any, held: Any, sticks: Any) -> None:
    r"""Add what friction contributes to ∂a/∂q, ∂a/∂v and ∂a/∂τ.

    Where friction slips it is constant. Where it sticks, with D_s there and zero elsewhere, and a' its acceleration,

        (M + D_s) δa' = δτ − ∂τ/∂q δq − (∂τ/∂v + D_s B) δv,    δf = −D_s (δa' + B δv),    δa += ∂a/∂τ δf

    Args:
        rows: of the kernel `forward_derivatives`, after it was run, no two of whose outputs share a row; changed.
        friction: see `LOSS`.
        lanes: how many.
        x: rows of the kernel `inverse_derivatives`, scratch.
        held: (n, STRIDE) from `add_friction`.
        sticks: (n, STRIDE) likewise.
    """
    matrix, force, change = np.empty((N, N)), np.empty((N, 3 * N)), np.empty(3 * N)
    for j in range(2 * N):
        for lane in range(lanes):
            x[j, lane] = rows[j, lane]
    for j in range(N):
        for lane in range(lanes):
            x[2 * N + j, lane] = held[j, lane]
    inverse_derivatives(x.reshape(-1), lanes)
    for lane in range(lanes):
        for i in range(N):
            stiff = sticks[i, lane] * friction[STIFFNESS, i]
            for j in range(N):
                matrix[i, j] = x[INVERSE_INERTIA[i, j], lane]
                force[i, j] = -x[INVERSE_BY_Q[i, j], lane]
                force[i, N + j] = -x[INVERSE_BY_V[i, j], lane]
                force[i, 2 * N + j] = 1.0 if i == j else 0.0
            matrix[i, i] += stiff
            force[i, N + i] -= stiff * friction[DRAG, i]
        solve_symmetric(matrix, force)
        for i in range(N):
            force[i, N + i] += friction[DRAG, i]
            for j in range(3 * N):
                force[i, j] *= -sticks[i, lane] * friction[STIFFNESS, i]
        for i in range(N):
            for j in range(3 * N):
                change[j] = 0.0
                for k in range(N):
                    change[j] += rows[BY_EFFORT[i, k], lane] * force[k, j]
            for j in range(N):
                rows[BY_Q[i, j], lane] += change[j]
                rows[BY_V[i, j], lane] += change[N + j]
                rows[BY_EFFORT[i, j], lane] += change[2 * N + j]
