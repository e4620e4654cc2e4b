"""A Cholesky factor from numbers a network gives."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array

#: Entries of the unit triangular factor stay within ± this of where they began.
SLOPE_RANGE = 4.0


class CovarianceHead:
    r"""Σ = L Lᵀ with L = diag(d) N, N unit lower triangular.

        log d_i = log d⁰_i + r tanh(y_i / r),   N_ij = N⁰_ij + 4 tanh(y_ij / 4),   i > j

    y is what the network gives, m numbers for d and m (m − 1) / 2 for N, row by row; y = 0 gives the centre Σ⁰. Both
    are bounded, so that an observation far from all that was seen gets neither a singular nor an endless Σ, and y is
    free of units.

    Args:
        centre: Σ⁰ (m, m), positive definite.
        log_std_range: r.

    Attributes:
        log_range: r.
        log_scale: log d⁰ (m,).
        slopes: N⁰_ij, i > j, row by row.

    Raises:
        InvalidFieldError: Σ⁰ is not positive definite.
    """

    def __init__(self, centre: Array, log_std_range: float) -> None:
        """Factor the centre."""
        try:
            factor = np.linalg.cholesky(centre)
        except np.linalg.LinAlgError as error:
            raise InvalidFieldError("GaussianPolicy", "covariance", "a singular matrix", "positive definite") from error
        m = centre.shape[0]
        self.rows, self.columns = np.tril_indices(m, -1)
        self.log_range = log_std_range
        self.log_scale = np.log(np.diag(factor))
        self.slopes = (factor / np.diag(factor)[:, None])[self.rows, self.columns]

    def factors(self, y: Array) -> Array:
        """L of network outputs. (B, m (m + 1) / 2) → (B, m, m)."""
        m = self.log_scale.size
        d = np.exp(self.log_scale + self.log_range * np.tanh(y[:, :m] / self.log_range))
        n = np.zeros((y.shape[0], m, m))
        n[:, np.arange(m), np.arange(m)] = 1.0
        n[:, self.rows, self.columns] = self.slopes + SLOPE_RANGE * np.tanh(y[:, m:] / SLOPE_RANGE)
        return d[:, :, None] * n
