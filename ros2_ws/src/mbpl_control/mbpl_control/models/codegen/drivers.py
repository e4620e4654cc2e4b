"""What runs the kernels over time: the text of these functions is copied into each robot's module, and compiled there.

In that module the names below stand for the robot's own: they are known when it is compiled, and so the loops are of
known length. As a module of its own this one only lets them be read and checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: Numbers of a row of a kernel's array.
STRIDE = 0
#: Joints.
N = 0
#: Whether any has dry friction.
DRY = False
#: Rows of the kernels that friction takes.
EQUATION_ROWS = INVERSE_ROWS = 0
#: Rows of the kernels' arrays, and in them of inputs and outputs; inputs are q, v, effort and h in this order.
FORWARD_ROWS = DERIVATIVES_ROWS = FORWARD_ACCELERATION = ACCELERATION = BY_Q = BY_V = BY_EFFORT = np.zeros(0, np.int64)


def forward(x: Any, n: int) -> None:
    """Stand for the kernel `robot_kernels.forward`."""


def forward_derivatives(x: Any, n: int) -> None:
    """Stand for the kernel `robot_kernels.forward_derivatives`."""


def add_friction(rows: Any, effort: Any, friction: Any, lanes: int, x: Any, held: Any, sticks: Any) -> None:
    """Stand for `friction.add_friction`."""


def differentiate_friction(rows: Any, friction: Any, lanes: int, x: Any, held: Any, sticks: Any) -> None:
    """Stand for `friction.differentiate_friction`."""


def follow(
    starts: Any,
    nominal: Any,
    plan: Any,
    gains: Any,
    limits: Any,
    wraps: Any,
    driven: Any,
    friction: Any,
    h: float,
    substeps: int,
    states: Any,
    actions: Any,
) -> None:
    """Trajectories side by side, one a lane, under u_t = clip( plan_t + K_t (x_t ⊖ x̂_t) ).

    Args:
        starts: (L, 2n) where each begins.
        nominal: x̂ (T+1, 2n).
        plan: (L, T, m).
        gains: K (T, m, 2n); (0, m, 2n) for no feedback.
        limits: (2, m) of the action.
        wraps: (n,) 1 for a joint whose angle wraps.
        driven: (m,) the joint of each action.
        friction: (3, n) see `friction.LOSS`; not looked at without.
        h: s of a substep.
        substeps: in a step.
        states: (L, T+1, 2n) is filled.
        actions: (L, T, m) is filled.
    """
    steps, m = plan.shape[1], plan.shape[2]
    feedback = len(gains) > 0
    rows = np.zeros((FORWARD_ROWS, STRIDE))
    x = rows.reshape(-1)
    rows[3 * N] = h
    u = np.empty((m, STRIDE))
    effort, held, sticks = np.zeros((N, STRIDE)), np.empty((N, STRIDE)), np.empty((N, STRIDE))
    scratch = np.empty((EQUATION_ROWS, STRIDE))
    error = np.empty(STRIDE)
    for begin in range(0, len(starts), STRIDE):
        lanes = min(STRIDE, len(starts) - begin)
        for lane in range(lanes):
            for j in range(2 * N):
                rows[j, lane] = starts[begin + lane, j]
                states[begin + lane, 0, j] = starts[begin + lane, j]
        for t in range(steps):
            for i in range(m):
                for lane in range(lanes):
                    u[i, lane] = plan[begin + lane, t, i]
            if feedback:
                for j in range(2 * N):
                    for lane in range(lanes):
                        error[lane] = rows[j, lane] - nominal[t, j]
                    if j < N and wraps[j] > 0.0:
                        for lane in range(lanes):
                            error[lane] = (error[lane] + np.pi) % (2.0 * np.pi) - np.pi
                    for i in range(m):
                        gain = gains[t, i, j]
                        for lane in range(lanes):
                            u[i, lane] += gain * error[lane]
            for i in range(m):
                row = 2 * N + driven[i]
                for lane in range(lanes):
                    value = min(max(u[i, lane], limits[0, i]), limits[1, i])
                    rows[row, lane] = effort[driven[i], lane] = value
                    actions[begin + lane, t, i] = value
            for _ in range(substeps):
                if DRY:
                    add_friction(rows, effort, friction, lanes, scratch, held, sticks)
                forward(x, lanes)
                for j in range(N):
                    a = FORWARD_ACCELERATION[j]
                    for lane in range(lanes):
                        rows[N + j, lane] += h * rows[a, lane]
                        rows[j, lane] += h * rows[N + j, lane]
            for lane in range(lanes):
                for j in range(2 * N):
                    states[begin + lane, t + 1, j] = rows[j, lane]


def linearize(states: Any, actions: Any, driven: Any, friction: Any, h: float, substeps: int, a: Any, b: Any) -> None:
    """Derivatives A and B of each step, steps side by side, one a lane.

    Args:
        states: (T, 2n).
        actions: (T, m).
        driven: (m,) the joint of each action.
        friction: (3, n) see `friction.LOSS`; not looked at without.
        h: s of a substep.
        substeps: in a step.
        a: A (T, 2n, 2n) is filled.
        b: B (T, 2n, m) is filled.
    """
    steps, m = actions.shape
    rows = np.zeros((DERIVATIVES_ROWS, STRIDE))
    x = rows.reshape(-1)
    rows[3 * N] = h
    # derivatives by (q, v, u) of q and v after the substeps so far; changes of v in one substep
    chain = np.empty((2 * N, 2 * N + m, STRIDE))
    change = np.empty((N, 2 * N + m, STRIDE))
    effort, held, sticks = np.zeros((N, STRIDE)), np.empty((N, STRIDE)), np.empty((N, STRIDE))
    scratch = np.empty((EQUATION_ROWS, STRIDE)), np.empty((INVERSE_ROWS, STRIDE))
    for begin in range(0, steps, STRIDE):
        lanes = min(STRIDE, steps - begin)
        for lane in range(lanes):
            for j in range(2 * N):
                rows[j, lane] = states[begin + lane, j]
            for i in range(m):
                rows[2 * N + driven[i], lane] = effort[driven[i], lane] = actions[begin + lane, i]
        for s in range(substeps):
            if DRY:
                add_friction(rows, effort, friction, lanes, scratch[0], held, sticks)
            forward_derivatives(x, lanes)
            if DRY:
                differentiate_friction(rows, friction, lanes, scratch[1], held, sticks)
            if substeps == 1:
                write(rows, driven, h, a[begin : begin + lanes], b[begin : begin + lanes])
                break
            multiply(rows, driven, h, s == 0, lanes, chain, change)
            for j in range(N):
                for lane in range(lanes):
                    rows[N + j, lane] += h * rows[ACCELERATION[j], lane]
                    rows[j, lane] += h * rows[N + j, lane]
        if substeps > 1:
            for lane in range(lanes):
                for i in range(2 * N):
                    for j in range(2 * N):
                        a[begin + lane, i, j] = chain[i, j, lane]
                    for j in range(m):
                        b[begin + lane, i, j] = chain[i, 2 * N + j, lane]


def write(rows: Any, driven: Any, h: float, a: Any, b: Any) -> None:
    """A = [I + h² a_q, h I + h² a_v; h a_q, I + h a_v] and B = [h² a_τ S; h a_τ S] of one substep for all lanes."""
    m = b.shape[2]
    for lane in range(len(a)):
        for i in range(N):
            for j in range(N):
                by_q, by_v = h * rows[BY_Q[i, j], lane], h * rows[BY_V[i, j], lane]
                if i == j:
                    by_v += 1.0
                a[lane, N + i, j] = by_q
                a[lane, N + i, N + j] = by_v
                a[lane, i, j] = h * by_q
                a[lane, i, N + j] = h * by_v
            a[lane, i, i] += 1.0
            for j in range(m):
                by_effort = h * rows[BY_EFFORT[i, driven[j]], lane]
                b[lane, N + i, j] = by_effort
                b[lane, i, j] = h * by_effort


def multiply(rows: Any, driven: Any, h: float, first: bool, lanes: int, chain: Any, change: Any) -> None:
    """Chain a substep's derivatives onto those of the ones before: v ← v + h δa, q ← q + h v."""
    m = len(driven)
    if first:
        for i in range(2 * N):
            for j in range(2 * N + m):
                for lane in range(lanes):
                    chain[i, j, lane] = 1.0 if i == j else 0.0
    for i in range(N):
        for j in range(2 * N + m):
            for lane in range(lanes):
                change[i, j, lane] = 0.0
            for k in range(N):
                by_q, by_v = BY_Q[i, k], BY_V[i, k]
                for lane in range(lanes):
                    change[i, j, lane] += (
                        rows[by_q, lane] * chain[k, j, lane] + rows[by_v, lane] * chain[N + k, j, lane]
                    )
        for j in range(m):
            by_effort = BY_EFFORT[i, driven[j]]
            for lane in range(lanes):
                change[i, 2 * N + j, lane] += rows[by_effort, lane]
    for i in range(N):
        for j in range(2 * N + m):
            for lane in range(lanes):
                chain[N + i, j, lane] += h * change[i, j, lane]
                chain[i, j, lane] += h * chain[N + i, j, lane]
