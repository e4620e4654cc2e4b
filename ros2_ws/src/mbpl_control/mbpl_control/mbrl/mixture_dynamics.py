"""A Gaussian mixture over transitions as dynamics; with one cluster they are linear-Gaussian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.cluster.vq import kmeans2
from scipy.special import logsumexp

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_positive, check_whole
from mbpl_control.fitting.mixture import GaussianMixture
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics, Transitions

OWNER = "MixtureDynamics"


class MixtureDynamics(LearnedDynamics):
    r"""p(x' | x, u) of a mixture over (z, x' − x), z = (x, u), fitted by expectation-maximisation.

        x' ~ Σ_k r_k(z) N( x + F_k z + f_k, S_k ),   r_k(z) ∝ w_k N(z; μ_k, Σ_k,zz)
        F_k = Σ_k,dz Σ_k,zz⁻¹,   S_k = Σ_k,dd − F_k Σ_k,zd

    With one cluster this is linear regression with Gaussian noise, exact where dynamics are linear. More clusters are a
    linear model for each region, blended by how likely z is in it. It says nothing of its doubt: S is noise, and what
    the lines leave over.

    Args:
        n: numbers of x.
        m: numbers of u.
        seed: of where clusters are laid.
        clusters: K at most; there are fewer while there are less than twice n + m + 1 transitions for each.
        iterations: of expectation-maximisation each time.
        ridge: on the diagonal of each covariance, in units of the data's own variance.

    Source: Ghahramani and Jordan 1994, "Supervised learning from incomplete data via an EM approach".
    """

    def __init__(self, n: int, m: int, seed: int, clusters: int = 1, iterations: int = 50, ridge: float = 1e-9) -> None:
        """Nothing is known."""
        self.n, self.m = check_whole(OWNER, "n", n, 1, 10**6), check_whole(OWNER, "m", m, 0, 10**6)
        self._clusters = check_whole(OWNER, "clusters", clusters, 1, 10**4)
        self._iterations = check_whole(OWNER, "iterations", iterations, 1, 10**6)
        self._ridge = check_positive(OWNER, "ridge", ridge)
        self._seed = seed
        self._data = Transitions(np.zeros((0, n)), np.zeros((0, m)), np.zeros((0, n)))
        self._mixture: GaussianMixture | None = None

    @property
    def clusters(self) -> int:
        """K; 0 before anything was learned."""
        return 0 if self._mixture is None else self._mixture.clusters

    def learn(self, more: Transitions) -> None:
        """See `LearnedDynamics.learn`; the mixture is laid anew on all transitions, and fitted.

        Raises:
            InvalidFieldError: other sizes, or fewer than 2 transitions in all.
        """
        if more.states.shape[1] != self.n or more.actions.shape[1] != self.m:
            found = f"{more.states.shape[1]} and {more.actions.shape[1]} numbers"
            raise InvalidFieldError(OWNER, "transitions", found, f"{self.n} and {self.m}")
        data = self._data.joined(more)
        if len(data) < 2:
            raise InvalidFieldError(OWNER, "transitions", str(len(data)), "at least 2")
        self._data = data
        points = np.concatenate([data.states, data.actions, data.successors - data.states], axis=1)
        self._offset, scale = points.mean(axis=0), points.std(axis=0)
        # a number that never changed tells nothing, and is left as it is
        self._scale = np.where(scale > 0.0, scale, 1.0)
        points = (points - self._offset) / self._scale
        count = min(self._clusters, max(1, len(points) // (2 * (self.n + self.m + 1))))
        labels = np.zeros(len(points), dtype=np.intp)
        if count > 1:
            _, found = kmeans2(points, count, minit="++", seed=np.random.default_rng(self._seed))
            labels = np.unique(found, return_inverse=True)[1].astype(np.intp)
        mixture = GaussianMixture.laid_on(points, labels, int(labels.max()) + 1, self._ridge)
        if mixture.clusters > 1:
            mixture.improve(points, self._iterations, self._ridge)
        self._mixture = mixture
        size = self.n + self.m
        inner = mixture.covariances[:, :size, :size]
        self._inverse = np.linalg.inv(inner)
        self._log_scale = np.log(mixture.weights) - 0.5 * np.linalg.slogdet(inner)[1]
        self._gains = mixture.covariances[:, size:, :size] @ self._inverse
        noise = mixture.covariances[:, size:, size:] - self._gains @ mixture.covariances[:, :size, size:]
        self._noise = 0.5 * (noise + noise.transpose(0, 2, 1))
        self._factors = np.linalg.cholesky(self._noise)

    def _split(self, states: Array, actions: Array) -> tuple[Array, Array, Array]:
        """r (B, K), standardised means of the clusters (B, K, n), and −∂ ln N(z)/∂z (B, K, n + m)."""
        if self._mixture is None:
            raise InvalidFieldError(OWNER, "transitions", "none yet", "at least 2 before it is asked")
        size = self.n + self.m
        z = (np.concatenate([states, actions], axis=1) - self._offset[:size]) / self._scale[:size]
        away = z[:, None, :] - self._mixture.means[:, :size]
        pull = np.einsum("kij,bkj->bki", self._inverse, away)
        logs = self._log_scale - 0.5 * np.einsum("bki,bki->bk", away, pull)
        shares = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
        means = self._mixture.means[:, size:] + np.einsum("kij,bkj->bki", self._gains, away)
        return shares, means, pull

    def _unscaled(self, standardised: Array, states: Array) -> Array:
        size = self.n + self.m
        return np.asarray(states + self._offset[size:] + self._scale[size:] * standardised)

    ARRAYS = ("states", "actions", "successors")

    def parts(self) -> tuple[dict[str, Any], dict[str, Array]]:
        """JSON data, and the transitions it is laid on, by the names in `ARRAYS`."""
        header = {
            "n": self.n,
            "m": self.m,
            "seed": self._seed,
            "clusters": self._clusters,
            "iterations": self._iterations,
            "ridge": self._ridge,
        }
        return header, {name: getattr(self._data, name) for name in self.ARRAYS}

    @classmethod
    def of_parts(cls, header: Mapping[str, Any], arrays: Mapping[str, Array]) -> MixtureDynamics:
        """Inverse of `parts`: it is laid anew, as `learn` does each time.

        Raises:
            InvalidFieldError: they do not fit each other.
        """
        names = ("n", "m", "seed", "clusters", "iterations", "ridge")
        dynamics = cls(**{name: header[name] for name in names})
        data = Transitions(*(arrays[name] for name in cls.ARRAYS))
        if len(data):
            dynamics.learn(data)
        return dynamics

    def moments(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `LearnedDynamics.moments`."""
        shares, means, _ = self._split(states, actions)
        mean = np.einsum("bk,bki->bi", shares, means)
        noise = np.diagonal(self._noise, axis1=1, axis2=2)
        variance = np.einsum("bk,bki->bi", shares, noise + np.square(means - mean[:, None, :]))
        return self._unscaled(mean, states), self._scale[self.n + self.m :] * np.sqrt(variance)

    def sample(self, states: Array, actions: Array, rng: np.random.Generator) -> Array:
        """See `LearnedDynamics.sample`."""
        lots = rng.random(len(states))
        return self._drawn(states, actions, rng.standard_normal(states.shape), lots)

    def realise(self, states: Array, actions: Array, noise: Array, lots: Array) -> Array:
        """See `LearnedDynamics.realise`; there is one hypothesis, and lots choose the cluster."""
        return self._drawn(states[0], actions[0], noise[0], lots[0])[None]

    def _drawn(self, states: Array, actions: Array, noise: Array, lots: Array) -> Array:
        shares, means, _ = self._split(states, actions)
        who = np.minimum((shares.cumsum(axis=1) < lots[:, None]).sum(axis=1), self.clusters - 1)
        away = np.einsum("bij,bj->bi", self._factors[who], noise)
        return self._unscaled(means[np.arange(len(states)), who] + away, states)

    def log_likelihood(self, states: Array, actions: Array, successors: Array) -> Array:
        """See `LearnedDynamics.log_likelihood`."""
        shares, means, _ = self._split(states, actions)
        size = self.n + self.m
        found = (successors - states - self._offset[size:]) / self._scale[size:]
        white = np.linalg.solve(self._factors, (found[:, None, :] - means)[..., None])[..., 0]
        logs = -0.5 * np.square(white).sum(axis=2) - np.log(np.diagonal(self._factors, axis1=1, axis2=2)).sum(axis=1)
        with np.errstate(divide="ignore"):
            each = np.log(shares) + logs
        units = np.log(self._scale[size:]).sum() + 0.5 * self.n * np.log(2.0 * np.pi)
        return np.asarray(logsumexp(each, axis=1) - units)

    def jacobian(self, states: Array, actions: Array) -> tuple[Array, Array]:
        r"""See `LearnedDynamics.jacobian`.

        ∂/∂z Σ_k r_k m_k = Σ_k r_k ( F_k + m_k (g_k − Σ_j r_j g_j)ᵀ ),   g_k = ∂ ln N(z; μ_k, Σ_k,zz) / ∂z
        """
        shares, means, pull = self._split(states, actions)
        slopes = np.einsum("bk,bki->bi", shares, pull)[:, None, :] - pull
        by_z = np.einsum("bk,kij->bij", shares, self._gains) + np.einsum("bk,bki,bkj->bij", shares, means, slopes)
        size = self.n + self.m
        by_z *= self._scale[size:, None] / self._scale[None, :size]
        return by_z[:, :, : self.n] + np.eye(self.n), by_z[:, :, self.n :]
