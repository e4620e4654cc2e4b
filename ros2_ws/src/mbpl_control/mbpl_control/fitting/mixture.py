"""Gaussian mixtures, fitted by expectation-maximisation that goes on from where it was."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.compiled import plain
from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array, Indices
from mbpl_control.fitting.em_kernels import moments_of, responsibilities_of, weighted_moments, whitening

OWNER = "GaussianMixture"
#: A cluster less likely than the best one by a factor e to this has no share in a point.
NEGLIGIBLE = 32.0
#: A cluster with less than this part of its fair share of the points is empty.
EMPTY = 1e-4
#: Rounding errors of a covariance, relative to its largest number and its size.
ROUNDING = 4.0 * float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Expectation:
    """What an E-step says.

    Attributes:
        responsibilities: (P, K), each row sums to 1.
        log_likelihood: Σ_p log p(point), nats.
    """

    responsibilities: Array
    log_likelihood: float


class GaussianMixture:
    r"""p(y) = Σ_k w_k N(y; μ_k, Σ_k).

    Attributes:
        weights: w (K,), sum 1.
        means: μ (K, D).
        covariances: Σ (K, D, D), positive definite.
        points_at_start: points the clusters were first laid on, which scales the strength of a prior taken from here.
    """

    def __init__(self, weights: Array, means: Array, covariances: Array, points_at_start: int) -> None:
        """Take the parameters as they are."""
        self.weights, self.means, self.covariances = weights, means, covariances
        self.points_at_start = points_at_start

    @classmethod
    def laid_on(cls, points: Array, labels: Indices, clusters: int, ridge: float) -> GaussianMixture:
        """Clusters with the moments of the points that carry their label.

        Args:
            points: (P, D).
            labels: (P,), 0 .. clusters − 1.
            clusters: K.
            ridge: added to the diagonal of each covariance.

        Raises:
            InvalidFieldError: a label has no point, or a point is not finite.
        """
        if not np.isfinite(points).all():
            raise InvalidFieldError(OWNER, "points", "a number that is not finite", "finite")
        counts = np.bincount(labels, minlength=clusters)
        if len(counts) > clusters or (counts == 0).any():
            found = f"labels with counts {counts.tolist()}"
            raise InvalidFieldError(OWNER, "labels", found, f"0 .. {clusters - 1}, each at least once")
        mixture = cls(np.full(clusters, 1.0 / clusters), np.empty((0, 0)), np.empty((0, 0, 0)), len(points))
        responsibilities = np.zeros((len(points), clusters))
        responsibilities[np.arange(len(points)), labels] = 1.0
        mixture._maximise(points, responsibilities, ridge)
        return mixture

    @property
    def clusters(self) -> int:
        """K."""
        return len(self.weights)

    def improve(
        self,
        points: Array,
        iterations: int,
        ridge: float = 1e-6,
        tolerance: float = 1e-5,
        recent: int | None = None,
    ) -> Expectation:
        r"""Expectation-maximisation from here on, and what the result expects of the last points.

        Each iteration sets w_k, μ_k, Σ_k to the moments of the points weighted by their responsibilities. It ends
        early when the log-likelihood changes by less than `tolerance` of itself.

        Args:
            points: (P, D).
            iterations: at most.
            ridge: least number added to the diagonal of each covariance; more where rounding needs it.
            tolerance: relative change of the log-likelihood.
            recent: how many points, the last ones, an expectation is wanted of; None for all.

        Raises:
            SolverError: a covariance is not positive definite.

        Source: Dempster, Laird and Rubin 1977; Bishop 2006, section 9.2.
        """
        first = 0 if recent is None else len(points) - recent
        expectation = self.expect(points)
        for iteration in range(iterations):
            self._maximise(points, expectation.responsibilities, ridge)
            if iteration == iterations - 1:
                # nothing comes after it that would need the other points
                return self.expect(points[first:])
            before, expectation = expectation, self.expect(points)
            change = expectation.log_likelihood - before.log_likelihood
            if abs(change) < tolerance * abs(before.log_likelihood):
                break
        return expectation if first == 0 else self.expect(points[first:])

    def expect(self, points: Array) -> Expectation:
        r"""E-step: r_pk = w_k N(y_p; μ_k, Σ_k) / Σ_j w_j N(y_p; μ_j, Σ_j).

        A cluster whose density is found to lie a factor e^−`NEGLIGIBLE` below a point's best one, or more, has no share
        in the point: what is left out is less than rounding.

        Raises:
            SolverError: a covariance is not positive definite.
        """
        try:
            factors = np.linalg.cholesky(self.covariances)
        except np.linalg.LinAlgError as error:
            largest = float(np.abs(self.covariances).max())
            raise SolverError(
                f"Gaussian mixture: the covariance of a cluster is not positive definite, with numbers up to "
                f"{largest:.3g}; a larger ridge makes it so"
            ) from error
        with np.errstate(divide="ignore"):
            offsets = (
                np.log(self.weights)
                - np.log(np.diagonal(factors, axis1=1, axis2=2)).sum(axis=1)
                - 0.5 * points.shape[1] * np.log(2.0 * np.pi)
            )
        inverses = whitening(plain(factors))
        return Expectation(*responsibilities_of(plain(points), plain(self.means), inverses, offsets, NEGLIGIBLE))

    def _maximise(self, points: Array, responsibilities: Array, ridge: float) -> None:
        """M-step: the moments of the points under their responsibilities; an empty cluster takes those of all."""
        size, clusters = points.shape[1], responsibilities.shape[1]
        sums = responsibilities.sum(axis=0)
        self.weights = sums / sums.sum()
        self.means, covariances = weighted_moments(plain(points), plain(responsibilities), EMPTY / clusters)
        diagonal = covariances[:, np.arange(size), np.arange(size)]
        # numbers far from 1 need more than the ridge to stay positive definite in spite of rounding
        rounding = ROUNDING * size * diagonal.max(axis=1, keepdims=True)
        covariances[:, np.arange(size), np.arange(size)] = diagonal + np.maximum(ridge, rounding)
        self.covariances = covariances

    def moments(self, shares: Array) -> tuple[Array, Array]:
        r"""Mean and covariance of the mixture with other weights, many at once.

            μ₀ = Σ_k s_k μ_k,    Φ = Σ_k s_k ( Σ_k + (μ_k − μ₀)(μ_k − μ₀)ᵀ )

        Args:
            shares: s (B, K), each row sums to 1.

        Returns:
            (B, D) and (B, D, D).
        """
        mean, covariance = moments_of(plain(shares), plain(self.means), plain(self.covariances))
        return mean, covariance
