"""Plans that are followed blindly against plans that are made anew: what it costs where all is linear and Gaussian."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array, check_covariances, check_whole, float_array
from mbpl_control.trajopt.lqr import solve_lqr

OWNER = "expected_cost"


def expected_cost(a: Array, b: Array, q: Array, r: Array, noise: Array, start: Array, every: int) -> float:
    r"""Expected cost of the best actions for the steps until one looks again, when one looks every so many steps.

        min E[ Σ_{t<T} ½ xᵀQ_t x + ½ uᵀR_t u + ½ x_TᵀQ_T x_T ],   x_{t+1} = A_t x_t + B_t u_t + w_t,   w_t ~ N(0, N)

    every = 1 is closed loop, LQR; every = T is open loop, all actions chosen at the start. By certainty equivalence
    both play the same actions as long as nothing happens; they differ in what noise does until one looks,

        J = ½ x_0ᵀ P_0 x_0 + Σ_t ½ tr( W_t Σ_t ),   Σ_{t+1} = A_t Σ_t A_tᵀ + N,   Σ = 0 wherever one looks,

    where W_t = P_t, the value of a state that is known, where one looks and at the end, and Q_t where one does not.

    Args:
        a: A (T, n, n).
        b: B (T, n, m).
        q: Q (T+1, n, n).
        r: R (T, m, m).
        noise: N (n, n).
        start: x_0 (n,), known.
        every: steps, 1 to T.

    Raises:
        InvalidFieldError: shapes do not fit, or every is out of its range.
        SolverError: the problem has no minimum.

    Source: Bertsekas 2017, "Dynamic programming and optimal control", volume 1, section 3.1.
    """
    values = solve_lqr(a, b, q, r).value_hessians
    steps, n = len(a), values.shape[1]
    noise, start = float_array(OWNER, "noise", noise, (n, n)), float_array(OWNER, "start", start, (n,))
    check_covariances(OWNER, "noise", noise)
    check_whole(OWNER, "every", every, 1, steps)
    cost = 0.5 * float(start @ values[0] @ start)
    spread = np.zeros((n, n))
    for t in range(steps):
        spread = a[t] @ spread @ a[t].T + noise
        known = (t + 1) % every == 0 or t + 1 == steps
        cost += 0.5 * float(np.sum((values if known else q)[t + 1] * spread))
        if known:
            spread = np.zeros((n, n))
    return cost
