"""What a policy is trained to agree with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.controller import LinearGaussianController
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

    @classmethod
    def along(
        cls,
        law: LinearGaussianController,
        states: Array,
        observations: Array,
        means: Array | None = None,
        weights: Array | None = None,
    ) -> PolicyTargets:
        """What a controller would do at states of its steps: its mean there, with Λ_t = Σ_t⁻¹.

        Args:
            law: with T steps.
            states: one for each step, (N, T, n).
            observations: what a policy sees there, (N, T, no).
            means: (N, T, m) in place of the law's own.
            weights: of the steps, (T,); ones when None.

        Raises:
            InvalidFieldError: a Σ_t is singular, so that the law does not say how sure it is.
        """
        count, steps = states.shape[:2]
        means = law.means_along(states) if means is None else means
        try:
            precisions = np.linalg.inv(law.covariances)
        except np.linalg.LinAlgError as error:
            found = f"singular in '{law.name}'"
            raise InvalidFieldError(OWNER, "covariances", found, "positive definite at every step") from error
        return cls(
            observations.reshape(count * steps, -1),
            means.reshape(count * steps, -1),
            np.tile(0.5 * (precisions + precisions.transpose(0, 2, 1)), (count, 1, 1)),
            np.tile(np.ones(steps) if weights is None else weights, count),
        )

    @classmethod
    def joined(cls, parts: Sequence[PolicyTargets]) -> PolicyTargets:
        """The targets of several, one behind the other."""
        names = ("observations", "means", "precisions", "weights")
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))

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
