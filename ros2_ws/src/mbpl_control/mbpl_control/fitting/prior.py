"""The mixture prior over transitions of this and earlier iterations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.fitting.mixture import GaussianMixture
from mbpl_control.fitting.regression import NormalInverseWishart


@dataclass(frozen=True)
class PriorOptions:
    """How the mixture is kept.

    Attributes:
        clusters: at most.
        points_per_cluster: as many points for each cluster, or fewer clusters.
        window: trials kept, the latest.
        first_iterations: of expectation-maximisation when the clusters are laid.
        iterations: of expectation-maximisation after that, from where it was.
        ridge: on the diagonal of each cluster's covariance.
        strength: multiplies how many trials the prior counts for.
    """

    clusters: int = 20
    points_per_cluster: int = 40
    window: int = 80
    first_iterations: int = 10
    iterations: int = 3
    ridge: float = 1e-6
    strength: float = 1.0


class MixturePrior:
    r"""A normal-inverse-Wishart prior whose mean and scatter come from a mixture over all points seen lately.

    At a step whose N points have the mean responsibilities s,

        μ₀ = Σ_k s_k μ_k,   Φ = m Σ_k s_k ( Σ_k + (μ_k − μ₀)(μ_k − μ₀)ᵀ ),   m = strength,
        n₀ = strength · (P − 2 − D) / P

    with P the points the clusters were first laid on: prior and one trial weigh alike.

    Args:
        options: see `PriorOptions`.

    Source: Levine, Finn, Darrell and Abbeel 2016, "End-to-end training of deep visuomotor policies", appendix A.3.
    """

    def __init__(self, options: PriorOptions) -> None:
        """Begin without points."""
        self.options = options
        self.points: Array | None = None
        self.mixture: GaussianMixture | None = None

    def update(self, trials: Array) -> Array:
        """Take the points of new trials in, improve the mixture, say who is responsible for the new points.

        Args:
            trials: (N, T, D), at most the window.

        Returns:
            Responsibilities (N, T, K) of the new trials' points.

        Raises:
            InvalidFieldError: more trials than the window holds, or of another shape than before.
        """
        o = self.options
        if len(trials) > o.window:
            found = f"{len(trials)} trials"
            raise InvalidFieldError("MixturePrior", "trials", found, f"at most {o.window}, the window")
        if self.points is not None and self.points.shape[1:] != trials.shape[1:]:
            found, wanted = f"shape {trials.shape}", f"(N, {self.points.shape[1]}, {self.points.shape[2]})"
            raise InvalidFieldError("MixturePrior", "trials", found, wanted)
        kept = trials if self.points is None else np.concatenate([self.points, trials])[-o.window :]
        self.points = kept
        count, steps, size = kept.shape
        flat = kept.reshape(-1, size)
        clusters = max(2, min(o.clusters, len(flat) // o.points_per_cluster))
        iterations = o.iterations
        if self.mixture is None or self.mixture.clusters != clusters:
            # what is near in time is near in space: clusters begin as stretches of the horizon
            labels = np.tile(np.arange(steps) * clusters // steps, count)
            self.mixture = GaussianMixture.laid_on(flat, labels.astype(np.intp), clusters, o.ridge)
            iterations = o.first_iterations
        expectation = self.mixture.improve(flat, iterations, o.ridge, recent=len(trials) * steps)
        return expectation.responsibilities.reshape(len(trials), steps, clusters)

    def at(self, responsibilities: Array) -> NormalInverseWishart:
        """The prior for trials whose points have these responsibilities (N, T, K)."""
        if self.mixture is None:
            raise InvalidFieldError("MixturePrior", "mixture", "none yet", "one: update comes first")
        mean, scatter = self.mixture.moments(responsibilities.mean(axis=0))
        points, strength = self.mixture.points_at_start, self.options.strength
        scatter *= strength
        n0 = strength * max(points - 2 - mean.shape[1], 0) / points
        return NormalInverseWishart(mean, scatter, strength, n0)

    def arrays(self) -> dict[str, Array]:
        """All it knows, for `restore`."""
        if self.points is None or self.mixture is None:
            return {}
        mix = self.mixture
        return {
            "points": self.points,
            "weights": mix.weights,
            "means": mix.means,
            "covariances": mix.covariances,
            "points_at_start": np.array(float(mix.points_at_start)),
        }

    def restore(self, arrays: dict[str, Array]) -> None:
        """Become what `arrays` came from."""
        self.points = self.mixture = None
        if arrays:
            self.points = arrays["points"]
            self.mixture = GaussianMixture(
                arrays["weights"], arrays["means"], arrays["covariances"], int(arrays["points_at_start"])
            )
