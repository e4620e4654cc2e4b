"""What a policy is trained to agree with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, Indices, check_covariances, float_array

OWNER = "PolicyTargets"


@dataclass(frozen=True, eq=False)
class PolicyTargets:
    """A distribution of actions N(μ_i, Λ_i⁻¹) for each of B observations.

    Attributes:
        observations: o (B, no).
        means: μ (B, m).
        precisions: Λ (B, m, m), symmetric and positive semidefinite.
        weights: w (B,), at least 0, not all 0; only their ratios matter. Ones when None was given.

    Raises:
        InvalidFieldError: a field has a wrong shape or value.
    """

    observations: Array
    means: Array
    precisions: Array
    weights: Array = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        """Check each field."""
        observations = float_array(OWNER, "observations", self.observations, (None, None))
        count = observations.shape[0]
        if count == 0:
            raise InvalidFieldError(OWNER, "observations", "none", "at least 1")
        means = float_array(OWNER, "means", self.means, (count, None))
        m = means.shape[1]
        precisions = float_array(OWNER, "precisions", self.precisions, (count, m, m))
        check_covariances(OWNER, "precisions", precisions)
        weights = np.ones(count) if self.weights is None else self.weights
        weights = float_array(OWNER, "weights", weights, (count,))
        if weights.min() < 0.0 or weights.max() == 0.0:
            raise InvalidFieldError(
                OWNER, "weights", f"{weights.min():g} to {weights.max():g}", "at least 0 and not all 0"
            )
        for name, value in (
            ("observations", observations),
            ("means", means),
            ("precisions", precisions),
            ("weights", weights),
        ):
            object.__setattr__(self, name, value)

    @property
    def count(self) -> int:
        """B."""
        return int(self.observations.shape[0])

    def take(self, rows: Indices) -> PolicyTargets:
        """The targets of some rows."""
        return PolicyTargets(self.observations[rows], self.means[rows], self.precisions[rows], self.weights[rows])

    def mean_precision(self) -> Array:
        """Weighted mean of Λ. (m, m).

        Its inverse is the constant covariance Σ that minimises Σ_i w_i KL( N(·, Σ) ‖ N(μ_i, Λ_i⁻¹) ).

        Source: Levine and Abbeel 2014, section 5.
        """
        return np.tensordot(self.weights / self.weights.sum(), self.precisions, axes=1)
