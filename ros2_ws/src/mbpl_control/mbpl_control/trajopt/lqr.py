"""The linear-quadratic regulator over a finite horizon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import SolverError
from mbpl_control.core.validation import Array, float_array
from mbpl_control.trajopt.riccati import backward_pass

OWNER = "solve_lqr"


@dataclass(frozen=True)
class LQRSolution:
    r"""u = K x + k, with value V_t(x) = ½ xᵀ P_t x + p_tᵀ x + const.

    Attributes:
        gains: K (T, m, n).
        feedforward: k (T, m).
        covariances: Q_uu⁻¹ (T, m, m): the maximum-entropy controller's covariance at temperature 1.
        value_hessians: P (T+1, n, n).
        value_gradients: p (T+1, n).
    """

    gains: Array
    feedforward: Array
    covariances: Array
    value_hessians: Array
    value_gradients: Array

    def rollout(self, a: Array, b: Array, c: Array, start: Array) -> tuple[Array, Array]:
        """States (T+1, n) and actions (T, m) from `start` under x' = A x + B u + c."""
        states, actions = [np.asarray(start, dtype=np.float64)], []
        for t in range(len(self.gains)):
            actions.append(self.gains[t] @ states[-1] + self.feedforward[t])
            states.append(a[t] @ states[-1] + b[t] @ actions[-1] + c[t])
        return np.array(states), np.array(actions)


def solve_lqr(
    a: Array,
    b: Array,
    q: Array,
    r: Array,
    cross: Array | None = None,
    state_gradient: Array | None = None,
    action_gradient: Array | None = None,
    constant: Array | None = None,
) -> LQRSolution:
    r"""Minimise a quadratic cost over time-varying linear dynamics, exactly.

        min Σ_{t<T} [ ½ xᵀQ_t x + ½ uᵀR_t u + uᵀS_t x + q_tᵀx + r_tᵀu ] + ½ x_TᵀQ_T x_T + q_Tᵀx_T
        with x_{t+1} = A_t x_t + B_t u_t + c_t

    Args:
        a: A (T, n, n).
        b: B (T, n, m).
        q: Q (T+1, n, n), symmetric.
        r: R (T, m, m), symmetric.
        cross: S (T, m, n); zero when None.
        state_gradient: q (T+1, n); zero when None.
        action_gradient: r (T, m); zero when None.
        constant: c (T, n); zero when None.

    Raises:
        InvalidFieldError: shapes do not fit.
        SolverError: the problem has no minimum: Q_uu is not positive definite at the step named.

    Source: Bertsekas 2017, "Dynamic programming and optimal control", volume 1, section 3.1.
    """
    b = float_array(OWNER, "b", b, (None, None, None))
    steps, n, m = b.shape
    a = float_array(OWNER, "a", a, (steps, n, n))
    q = float_array(OWNER, "q", q, (steps + 1, n, n))
    r = float_array(OWNER, "r", r, (steps, m, m))

    def optional(name: str, value: Array | None, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape) if value is None else float_array(OWNER, name, value, shape)

    unlimited = np.full((steps, m), np.inf)
    backward = backward_pass(
        a,
        b,
        optional("constant", constant, (steps, n)),
        optional("state_gradient", state_gradient, (steps + 1, n)),
        optional("action_gradient", action_gradient, (steps, m)),
        q,
        optional("cross", cross, (steps, m, n)),
        r,
        -unlimited,
        unlimited,
        0.0,
    )
    if backward.failed_at >= 0:
        raise SolverError(
            f"LQR: Q_uu is not positive definite at step {backward.failed_at}; the cost has no minimum there"
        )
    return LQRSolution(
        backward.gains,
        backward.feedforward,
        np.asarray(np.linalg.inv(backward.q_uu), dtype=np.float64),
        backward.vxx,
        backward.vx,
    )
