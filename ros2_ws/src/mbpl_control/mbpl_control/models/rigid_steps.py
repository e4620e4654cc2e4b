"""What happens between two calls of the articulated-body algorithm, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np

from mbpl_control.core.compiled import compiled

#: Rows of `joints`: damping, and 1 for a joint whose angle wraps.
DAMPING, WRAPS = 0, 1


@compiled
def set_effort(point: Any, action: Any, joints: Any, driven: Any) -> None:
    """Effort at the joints, the third row of `point` (3, n) beside q and v: τ = S u − D v."""
    for j in range(point.shape[1]):
        point[2, j] = -joints[DAMPING, j] * point[1, j]
    for i in range(len(driven)):
        point[2, driven[i]] += action[i]


@compiled
def set_action(t: int, point: Any, joints: Any, plan: Any, nominal: Any, gains: Any, limits: Any, actions: Any) -> None:
    """u_t = clip( plan_t + K_t (x ⊖ x̂_t) ) at the state in `point`, into row t of `actions`."""
    n, m = point.shape[1], plan.shape[1]
    for i in range(m):
        actions[t, i] = plan[t, i]
    for j in range(2 * n):
        row, column = j // n, j % n
        error = point[row, column] - nominal[t, j]
        if row == 0 and joints[WRAPS, column] > 0.0:
            error = (error + np.pi) % (2.0 * np.pi) - np.pi
        for i in range(m):
            actions[t, i] += gains[t, i, j] * error
    for i in range(m):
        actions[t, i] = min(max(actions[t, i], limits[0, i]), limits[1, i])


@compiled
def begin(
    point: Any,
    joints: Any,
    driven: Any,
    plan: Any,
    nominal: Any,
    gains: Any,
    limits: Any,
    states: Any,
    actions: Any,
) -> None:
    """Put the first state of `states` into `point`, and the first action into `actions`."""
    n = point.shape[1]
    for j in range(n):
        point[0, j], point[1, j] = states[0, j], states[0, n + j]
    set_action(0, point, joints, plan, nominal, gains, limits, actions)
    set_effort(point, actions[0], joints, driven)


@compiled
def advance(
    t: int,
    last: bool,
    h: float,
    acceleration: Any,
    point: Any,
    joints: Any,
    driven: Any,
    plan: Any,
    nominal: Any,
    gains: Any,
    limits: Any,
    states: Any,
    actions: Any,
) -> None:
    """One substep v ← v + h a, q ← q + h v; after the last one of step t, the state and the next action."""
    n = point.shape[1]
    for j in range(n):
        point[1, j] += h * acceleration[j]
        point[0, j] += h * point[1, j]
    if last:
        for j in range(n):
            states[t + 1, j], states[t + 1, n + j] = point[0, j], point[1, j]
        if t + 1 == len(actions):
            return
        t += 1
        set_action(t, point, joints, plan, nominal, gains, limits, actions)
    set_effort(point, actions[t], joints, driven)


@compiled
def collect(first: bool, h: float, by_q: Any, by_v: Any, minv: Any, joints: Any, driven: Any, a: Any, b: Any) -> None:
    """Chain one substep's derivatives onto A (2n, 2n) and B (2n, m) of its step.

    Args:
        first: whether it is the first substep, before which A = I and B = 0.
        h: its duration, s.
        by_q: ∂a/∂q (n, n).
        by_v: ∂a/∂v (n, n).
        minv: ∂a/∂τ (n, n), of which the upper triangle counts.
        joints: see `DAMPING`.
        driven: (m,) the joint of each action.
        a: A so far; holds the result.
        b: B so far; holds the result.
    """
    n, m = by_q.shape[0], b.shape[1]
    # the lower half first, [h a_q, I + h (a_v − a_τ D)] and h a_τ S; then q' = q + h v' gives the upper
    if first:
        for i in range(n):
            for j in range(n):
                effort = minv[i, j] if j >= i else minv[j, i]
                a[n + i, j] = h * by_q[i, j]
                a[n + i, n + j] = h * (by_v[i, j] - effort * joints[DAMPING, j])
                a[i, j] = h * a[n + i, j]
            a[n + i, n + i] += 1.0
            for j in range(n):
                a[i, n + j] = h * a[n + i, n + j]
            a[i, i] += 1.0
            for j in range(m):
                k = driven[j]
                b[n + i, j] = h * (minv[i, k] if k >= i else minv[k, i])
                b[i, j] = h * b[n + i, j]
        return
    q_part, v_part = np.empty((n, n)), np.empty((n, n))
    for i in range(n):
        for j in range(n):
            effort = minv[i, j] if j >= i else minv[j, i]
            q_part[i, j] = h * by_q[i, j]
            v_part[i, j] = h * (by_v[i, j] - effort * joints[DAMPING, j])
    change_a = q_part @ a[:n] + v_part @ a[n:]
    change_b = q_part @ b[:n] + v_part @ b[n:]
    for i in range(n):
        for j in range(m):
            k = driven[j]
            change_b[i, j] += h * (minv[i, k] if k >= i else minv[k, i])
    a[n:] += change_a
    b[n:] += change_b
    a[:n] += h * a[n:]
    b[:n] += h * b[n:]


@compiled
def advance_and_collect(
    t: int,
    first: bool,
    last: bool,
    h: float,
    acceleration: Any,
    by_q: Any,
    by_v: Any,
    minv: Any,
    point: Any,
    joints: Any,
    driven: Any,
    plan: Any,
    nominal: Any,
    gains: Any,
    limits: Any,
    states: Any,
    actions: Any,
    a: Any,
    b: Any,
) -> None:
    """`collect` into A_t and B_t, then `advance`."""
    collect(first, h, by_q, by_v, minv, joints, driven, a[t], b[t])
    advance(t, last, h, acceleration, point, joints, driven, plan, nominal, gains, limits, states, actions)
