"""What a planner may ask of a cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from mbpl_control.core.validation import Array


@dataclass(frozen=True)
class Quadratization:
    r"""Second-order expansion of a cost along a trajectory, in the tangent space of the state.

        l(x ⊕ δx, u + δu) ≈ l + lxᵀδx + luᵀδu + ½ δxᵀ lxx δx + δuᵀ lux δx + ½ δuᵀ luu δu

    Attributes:
        value: l (T+1,); the last entry is the final cost, which has no action.
        lx: (T+1, ndx).
        lu: (T, m).
        lxx: (T+1, ndx, ndx).
        lux: (T, m, ndx).
        luu: (T, m, m).
    """

    value: Array
    lx: Array
    lu: Array
    lxx: Array
    lux: Array
    luu: Array


class Cost(ABC):
    """A cost of a trajectory, Σ_t l_t(x_t, u_t) + l_T(x_T), with exact derivatives.

    Attributes:
        separable: whether it is one of states and one of each action by itself: lux is zero, luu diagonal.
    """

    separable: bool = False

    @abstractmethod
    def evaluate(self, states: Array, actions: Array) -> Array:
        """Costs of each step. (..., T+1, nx), (..., T, m) → (..., T+1)."""

    @abstractmethod
    def quadratize(self, states: Array, actions: Array, hessian: str = "exact") -> Quadratization:
        """Second-order expansion along one trajectory. (T+1, nx), (T, m).

        Args:
            states: (T+1, nx).
            actions: (T, m).
            hessian: "exact", or "gauss_newton", which drops second derivatives of the residuals and so stays
                positive semidefinite.
        """
