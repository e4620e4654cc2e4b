"""One knot of linear-Gaussian feedback."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import Array, check_covariances, float_array

OWNER = "FeedbackLaw"


@dataclass(frozen=True, eq=False)
class FeedbackLaw:
    """One knot of feedback, as a neural policy or an MPC sends it: action and Jacobian by the state.

        u ~ N( û + K (x ⊖ x̂), Σ )

    Attributes:
        state: what x is; nx numbers, ndx in the tangent space.
        action: what u is; m numbers.
        reference_state: x̂ (nx,).
        nominal_action: û (m,), feedforward included.
        gain: K (m, ndx).
        covariance: Σ (m, m); zero when None was given.

    Raises:
        InvalidFieldError: a field has a wrong shape, is not finite, or the covariance is not positive semidefinite.
    """

    state: StateDefinition
    action: ActionDefinition
    reference_state: Array
    nominal_action: Array
    gain: Array
    covariance: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Check each field."""
        nx, ndx, m = self.state.size, self.state.tangent_size, self.action.size

        def put(name: str, value: Any, shape: tuple[int, ...]) -> None:
            object.__setattr__(self, name, float_array(OWNER, name, value, shape))

        put("reference_state", self.reference_state, (nx,))
        self.state.space.check(OWNER, "reference_state", self.reference_state)
        put("nominal_action", self.nominal_action, (m,))
        put("gain", self.gain, (m, ndx))
        sigma = np.zeros((m, m)) if self.covariance is None else self.covariance
        put("covariance", sigma, (m, m))
        check_covariances(OWNER, "covariance", self.covariance)

    def mean(self, x: Array) -> Array:
        """û + K (x ⊖ x̂). (..., nx) → (..., m)."""
        error = self.state.space.difference(x, self.reference_state)
        return self.nominal_action + error @ self.gain.T

    @cached_property
    def noise_factor(self) -> Array:
        """Symmetric square root S (m, m) with S S = Σ."""
        values, vectors = np.linalg.eigh(self.covariance)
        return (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T

    def sample(self, x: Array, rng: np.random.Generator) -> Array:
        """A draw of u ~ N(mean, Σ). (..., nx) → (..., m)."""
        mean = self.mean(x)
        return mean + rng.standard_normal(mean.shape) @ self.noise_factor
