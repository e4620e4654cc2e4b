"""A robot whose every joint is driven, with the acceleration as the control."""

from __future__ import annotations

from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.compiled import plain
from mbpl_control.core.validation import Array


class InverseDynamics:
    r"""The step of `GeneratedDynamics` the other way round.

        v' = v + h a        q' = q + h v'        τ = (M(q) + I_a + h D) a + b(q, v) + D v

    It leads from an acceleration to the effort that brings it about, so that trajectories are those of the forward
    dynamics to rounding. Such a trajectory is a sum, its efforts are asked for all at once, and so are their
    derivatives, which need no inverse of M.

    Args:
        module: of the robot, compiled.
        driven: (n,) the joint of each effort.
        h: s of a step.
    """

    def __init__(self, module: ModuleType, driven: NDArray[np.int64], h: float) -> None:
        """Keep them."""
        self._module, self._driven, self._h = module, driven, h
        self.size = len(driven)

    def accelerations(self, states: Array) -> Array:
        """Accelerations a (T, n) along a trajectory (T+1, 2n)."""
        return np.diff(states[:, self.size :], axis=0) / self._h

    def along(self, states: Array, accelerations: Array) -> tuple[Array, Array]:
        """Efforts along a trajectory, and their derivatives.

        Args:
            states: (T+1, 2n).
            accelerations: (T, n).

        Returns:
            τ (T, n), and ∂τ/∂(q, v, a) (T, n, w) with w ≥ 3n and zeros beyond 3n.
        """
        efforts = np.empty_like(accelerations)
        jacobians = np.empty((*accelerations.shape, self._module.WIDTH))
        self._module.efforts_along(plain(states), plain(accelerations), self._driven, self._h, efforts, jacobians)
        return efforts, jacobians

    def lead(
        self, states: Array, accelerations: Array, feedforward: Array, gains: Array, size: float
    ) -> tuple[Array, Array]:
        """States (T+1, 2n) and accelerations (T, n) under a = â + α k + K (x − x̂), from the first state of x̂.

        Args:
            states: x̂ (T+1, 2n).
            accelerations: â (T, n).
            feedforward: k (T, n).
            gains: K (T, n, 2n).
            size: α.
        """
        new_states, new_accelerations = np.empty_like(states), np.empty_like(accelerations)
        given = (plain(states), plain(accelerations), plain(feedforward), plain(gains))
        self._module.lead(*given, size, self._h, new_states, new_accelerations)
        return new_states, new_accelerations

    def slopes(self, jacobians: Array, lx: Array, lu: Array) -> Array:
        """First derivatives (T+1, 3n) of a cost by (q, v, a): l_z + Gᵀ l_u, and l_x at the end.

        Args:
            jacobians: G = ∂τ/∂(q, v, a) as `along` gives it.
            lx: (T+1, 2n).
            lu: by the efforts (T, n).
        """
        out = np.empty((len(lx), 3 * self.size))
        self._module.slopes_along(plain(jacobians), plain(lx), plain(lu), out)
        return out

    def backward(
        self, mu: float, jacobians: Array, slopes: Array, aims: Array, lxx: Array, luu: Array
    ) -> tuple[Array, Array, Array, Array]:
        """The Riccati recursion with the acceleration as the control: `codegen.inverse_drivers.inverse_backward`.

        Args:
            mu: regularisation μ ≥ 0.
            jacobians: ∂τ/∂(q, v, a) as `along` gives them.
            slopes: (T+1, 3n).
            aims: what the law goes down in their place (T+1, 3n).
            lxx: (T+1, 2n, 2n).
            luu: diagonal (T, n).

        Returns:
            K (T, n, 2n), k (T, n) and Q_aa (T, n, n) of the acceleration; then four numbers: the step whose Q_aa was
            not positive definite or −1, and `linear`, `quadratic` and `gradient_norm` of `trajopt.riccati.Backward`,
            the last per unit of effort.
        """
        steps, n = luu.shape
        gains, feedforward, curvature = np.empty((steps, n, 2 * n)), np.empty((steps, n)), np.empty((steps, n, n))
        told = np.empty(4)
        arrays = (plain(each) for each in (jacobians, slopes, aims, lxx, luu))
        self._module.inverse_backward(mu, self._h, *arrays, self._driven, gains, feedforward, curvature, told)
        return gains, feedforward, curvature, told

    def action_law(self, jacobians: Array, gains: Array, curvature: Array) -> tuple[Array, Array]:
        """What `backward` returned as K (T, n, 2n) and Q_uu (T, n, n) of the action, driven by the same joints.

        Args:
            jacobians: ∂τ/∂(q, v, a) as `along` gives them.
            gains: K (T, n, 2n) of the acceleration.
            curvature: Q_aa (T, n, n).
        """
        action_gains, q_uu = np.empty_like(gains), np.empty_like(curvature)
        arrays = (plain(each) for each in (jacobians, gains, curvature))
        self._module.action_law(*arrays, self._driven, action_gains, q_uu)
        return action_gains, q_uu
