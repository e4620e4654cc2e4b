"""The backward pass, shared by LQR and iLQR."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.compiled import plain
from mbpl_control.core.validation import Array
from mbpl_control.trajopt.riccati_kernels import recursion


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
        linear: dJ/dα at α = 0 along u = û + α k + K δx.
        quadratic: the rest of the change the quadratic model gives for α = 1.
        gradient_norm: largest |dJ/dk_t| among actions that no limit holds back, the law's gains in force.
    """

    failed_at: int
    gains: Array
    feedforward: Array
    q_uu: Array
    free: NDArray[np.bool_]
    vx: Array
    vxx: Array
    linear: float
    quadratic: float
    gradient_norm: float

    def expected(self, step_size: Any) -> Any:
        """Reduction of the cost the quadratic model expects of a step α: −(linear α + quadratic α²)."""
        return -(self.linear * step_size + self.quadratic * step_size * step_size)


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
    leap: float = 0.0,
) -> Backward:
    r"""The Riccati recursion on a quadratic model, with limits on the change of the action.

        Q_x  = l_x + Aᵀ (V_x' + V_xx' c)      Q_xx = l_xx + Aᵀ V_xx' A
        Q_u  = l_u + Bᵀ (V_x' + V_xx' c)      Q_ux = l_ux + Bᵀ (V_xx' + μI) A
                                              Q_uu = l_uu + Bᵀ (V_xx' + μI) B
        k = argmin ½ δuᵀ Q_uu δu + Q_uᵀ δu  with  low ≤ δu ≤ high,   K = −Q_uu⁻¹ Q_ux on the free actions
        V_x  = Q_x + Kᵀ Q_uu k + Kᵀ Q_u + Q_uxᵀ k
        V_xx = Q_xx + Kᵀ Q_uu K + Kᵀ Q_ux + Q_uxᵀ K

    μ is in force wherever k and K are computed; the value is that of these gains on the true model, without μ.

    Beside it runs the adjoint of the law without its k, λ = l_x + Kᵀ l_u + (A + B K)ᵀ λ', which gives the exact
    gradient of the total cost, dJ/dk_t = l_u + Bᵀ λ'; limits and μ do not blur it.

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
        leap: h where half of A and B follows from the other half, `Dynamics.leap`; 0 where it does not.
        mu: Levenberg-Marquardt regularisation μ ≥ 0, of the state's tangent space.

    Source: Tassa, Erez and Todorov 2012; Tassa, Mansard and Todorov 2014.
    """
    arrays = (plain(v) for v in (a, b, c, lx, lu, lxx, lux, luu, low, high))
    return Backward(*recursion(float(mu), float(leap), *arrays))
