"""Dynamics that are fitted while a trial goes on: recursive least squares that forgets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array, float_array

OWNER = "OnlineDynamics"


@dataclass(frozen=True)
class OnlineOptions:
    """How an online fit forgets.

    Attributes:
        forgetting: λ in (0, 1]: a transition counts λ less with each that follows; 1 / (1 − λ) of them are remembered.
        kept: κ in [0, 1], share of what was known at the start that is never forgotten.
    """

    forgetting: float = 0.98
    kept: float = 0.05

    def __post_init__(self) -> None:
        """Check the ranges."""
        if not 0.0 < self.forgetting <= 1.0:
            raise InvalidFieldError("OnlineOptions", "forgetting", str(self.forgetting), "above 0, at most 1")
        if not 0.0 <= self.kept <= 1.0:
            raise InvalidFieldError("OnlineOptions", "kept", str(self.kept), "in 0 .. 1")


class OnlineDynamics:
    r"""x' ~ N( A x + B u + c, N ), learned anew with each transition.

    With φ = (x, u, 1) and θ = (A B c)ᵀ, after t transitions θ is the minimum of

        Σ_i λ^(t−i) |x'_i − θᵀ φ_i|²  +  w_t tr (θ − θ₀)ᵀ R₀ (θ − θ₀),     w_t = κ + (1 − κ) λ^t,

    which is plain exponential forgetting for κ = 0. There, directions that are not excited lose their information
    like λ^t until noise alone decides them; κ > 0 keeps the information above κ R₀, and such directions go back to θ₀.
    The triangular root of the information is updated by orthogonal transformations, so it stays positive definite
    and twice the digits are there. N is the mean of residuals, weighted the same way and freed of what θ took of them:

        S ← λ S + (1 − λ) κ ν N₀ + e eᵀ (1 − φᵀ R⁻¹ φ),   e = x' − θᵀ φ before the update,   N = S / (sum of weights).

    Args:
        a: A (n, n) at the start.
        b: B (n, m).
        c: c (n,).
        noise: N₀ (n, n).
        information: R₀ (n+m+1, n+m+1), positive definite; see `information_of`.
        weight: ν > 0, how many transitions N₀ counts for.
        options: see `OnlineOptions`.

    Raises:
        InvalidFieldError: a shape is wrong, a number is not finite, or the information is not positive definite.

    Source: Ljung 1999, "System identification", section 11.2; the root form as in Haykin, "Adaptive filter theory",
    on square-root filters.
    """

    def __init__(
        self,
        a: Array,
        b: Array,
        c: Array,
        noise: Array,
        information: Array,
        weight: float = 5.0,
        options: OnlineOptions | None = None,
    ) -> None:
        """Begin with what is known."""
        self.options = OnlineOptions() if options is None else options
        b = float_array(OWNER, "b", b, (None, None))
        n, m = b.shape
        size = n + m + 1
        a = float_array(OWNER, "a", a, (n, n))
        c = float_array(OWNER, "c", c, (n,))
        self._start_noise = float_array(OWNER, "noise", noise, (n, n))
        information = float_array(OWNER, "information", information, (size, size))
        if not 0.0 < weight < np.inf:
            raise InvalidFieldError(OWNER, "weight", str(weight), "finite and above 0")
        try:
            root = np.linalg.cholesky(information).T
        except np.linalg.LinAlgError as error:
            raise InvalidFieldError(OWNER, "information", "a singular matrix", "positive definite") from error
        self._theta = np.concatenate([a, b, c[:, None]], axis=1).T
        # rows (U, U θ) with Uᵀ U = R
        self._start = np.concatenate([root, root @ self._theta], axis=1)
        self._rows = self._start
        self._start_weight = self._weight = float(weight)
        self._scatter = self._start_noise * weight

    @property
    def a(self) -> Array:
        """A (n, n)."""
        return self._theta[: self.state_size].T

    @property
    def b(self) -> Array:
        """B (n, m)."""
        return self._theta[self.state_size : -1].T

    @property
    def c(self) -> Array:
        """c (n,)."""
        return self._theta[-1]

    @property
    def noise(self) -> Array:
        """N (n, n)."""
        return self._scatter / self._weight

    @property
    def information(self) -> Array:
        """R (n+m+1, n+m+1); the parameters of output i have the covariance N_ii R⁻¹."""
        root = self._rows[:, : self._rows.shape[0]]
        return root.T @ root

    @property
    def state_size(self) -> int:
        """n."""
        return self._theta.shape[1]

    def predict(self, state: Array, action: Array) -> Array:
        """A x + B u + c. (n,), (m,) → (n,)."""
        mean: Array = np.concatenate([state, action, [1.0]]) @ self._theta
        return mean

    def update(self, state: Array, action: Array, following: Array) -> Array:
        """Learn from one transition; what `predict` was wrong by before it, x' − (A x + B u + c).

        Args:
            state: x (n,).
            action: u (m,).
            following: x' (n,).

        Raises:
            InvalidFieldError: a shape is wrong or a number is not finite; nothing is learned then.
            SolverError: all information is forgotten, which takes κ = 0; nothing is learned then.
        """
        size, n = self._theta.shape
        state = float_array(OWNER, "state", state, (n,))
        action = float_array(OWNER, "action", action, (size - n - 1,))
        following = float_array(OWNER, "following", following, (n,))
        phi = np.concatenate([state, action, [1.0]])
        error = following - phi @ self._theta
        forgetting, kept = self.options.forgetting, self.options.kept
        rows = [np.sqrt(forgetting) * self._rows, np.concatenate([phi, following])[None]]
        regain = (1.0 - forgetting) * kept
        if regain > 0.0:
            rows.append(np.sqrt(regain) * self._start)
        updated: Array = np.linalg.qr(np.concatenate(rows)).R[:size]
        root = updated[:, :size]
        # numbers below this have lost digits of their own
        if np.abs(np.diagonal(root)).min() < np.finfo(np.float64).tiny / np.finfo(np.float64).eps:
            raise SolverError(
                f"online fit: with forgetting {forgetting} and kept {kept} nothing is left of what was known; "
                "keep a share of it, or forget more slowly"
            )
        theta: Array = solve_triangular(root, updated[:, size:])
        leverage = solve_triangular(root, phi, trans="T")
        self._rows, self._theta = updated, theta
        share = max(0.0, 1.0 - float(leverage @ leverage))
        self._scatter = (
            forgetting * self._scatter
            + regain * self._start_weight * self._start_noise
            + share * np.outer(error, error)
        )
        self._weight = forgetting * self._weight + regain * self._start_weight + 1.0
        return error


def information_of(mean: Array, covariance: Array, weight: float, ridge: float = 1e-6) -> Array:
    r"""What a fit to inputs (x, u) of a mean and covariance knows of (A B c): the information R₀ of `OnlineDynamics`.

        R = weight · [ [C + ρ I + μ μᵀ, μ], [μᵀ, 1] ]

    Args:
        mean: μ (n+m,).
        covariance: C (n+m, n+m).
        weight: how many transitions the fit counts for.
        ridge: ρ, as in the fit.
    """
    size = len(mean)
    information = np.empty((size + 1, size + 1))
    information[:size, :size] = covariance + ridge * np.eye(size) + np.outer(mean, mean)
    information[:size, size] = information[size, :size] = mean
    information[size, size] = 1.0
    return weight * information
