"""What is expected of a linear-Gaussian law under linear-Gaussian dynamics, in closed form; compiled."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from mbpl_control.core.compiled import compiled, plain
from mbpl_control.core.validation import Array


@dataclass(frozen=True)
class Marginals:
    r"""Distribution of the trajectory under a law.

    Attributes:
        means: of x (T+1, n).
        covariances: of x (T+1, n, n).
        costs: expected quadratic cost by step (T+1,).
        kl_steps: E[ KL(p(u|x) ‖ p̄(u|x)) ] by step (T,), nats.
    """

    means: Array
    covariances: Array
    costs: Array
    kl_steps: Array

    @property
    def kl(self) -> float:
        """KL(p(τ) ‖ p̄(τ)), nats: the dynamics cancel, the terms of the actions remain."""
        return float(self.kl_steps.sum())

    @property
    def cost(self) -> float:
        """Expected cost of the trajectory."""
        return float(self.costs.sum())


@compiled
def _marginals(
    a: Any, b: Any, c: Any, noise: Any, mean0: Any, cov0: Any,
    gains: Any, feed: Any, sigma: Any, old_gains: Any, old_feed: Any, old_prec: Any, log_ratio: Any,
    value: Any, lx: Any, lu: Any, lxx: Any, lux: Any, luu: Any,
) -> Any:  # fmt: skip
    steps, n, m = b.shape
    means = np.zeros((steps + 1, n))
    covs = np.zeros((steps + 1, n, n))
    costs = np.zeros(steps + 1)
    kls = np.zeros(steps)
    means[0], covs[0] = mean0, cov0
    ks, kx, dk, dks = np.empty((m, n)), np.empty(m), np.empty((m, n)), np.empty((m, n))
    uu, closed, step1, bs = np.empty((m, m)), np.empty((n, n)), np.empty((n, n)), np.empty((n, m))
    du = np.empty(m)
    for t in range(steps):
        gain, cov, x = gains[t], covs[t], means[t]
        for i in range(m):
            s, d = feed[t, i], feed[t, i] - old_feed[t, i]
            for j in range(n):
                dk[i, j] = gain[i, j] - old_gains[t, i, j]
                s += gain[i, j] * x[j]
                d += dk[i, j] * x[j]
            kx[i], du[i] = s, d
        np.dot(gain, cov, ks)
        np.dot(dk, cov, dks)
        np.dot(ks, gain.T, uu)
        kl, cost = log_ratio[t] - m, 0.0
        for i in range(m):
            cost += lu[t, i] * kx[i]
            for j in range(m):
                s = du[i] * du[j] + sigma[t, i, j]
                for k in range(n):
                    s += dks[i, k] * dk[j, k]
                kl += old_prec[t, i, j] * s
                uu[i, j] += sigma[t, i, j]
                cost += 0.5 * luu[t, i, j] * (uu[i, j] + kx[i] * kx[j])
            for j in range(n):
                cost += lux[t, i, j] * (ks[i, j] + kx[i] * x[j])
        for i in range(n):
            cost += lx[t, i] * x[i]
            for j in range(n):
                cost += 0.5 * lxx[t, i, j] * (cov[i, j] + x[i] * x[j])
        kls[t] = 0.5 * kl
        costs[t] = value[t] + cost
        np.dot(b[t], gain, closed)
        for i in range(n):
            s = c[t, i]
            for j in range(n):
                closed[i, j] += a[t, i, j]
                s += a[t, i, j] * x[j]
            for j in range(m):
                s += b[t, i, j] * kx[j]
            means[t + 1, i] = s
        np.dot(closed, cov, step1)
        np.dot(b[t], sigma[t], bs)
        after = covs[t + 1]
        np.dot(step1, closed.T, after)
        for i in range(n):
            for j in range(i + 1):
                s = 0.5 * (after[i, j] + after[j, i]) + noise[t, i, j]
                for k in range(m):
                    s += bs[i, k] * b[t, j, k]
                after[i, j] = s
                after[j, i] = s
    cost = value[steps]
    for i in range(n):
        cost += lx[steps, i] * means[steps, i]
        for j in range(n):
            cost += 0.5 * lxx[steps, i, j] * (covs[steps, i, j] + means[steps, i] * means[steps, j])
    costs[steps] = cost
    return means, covs, costs, kls


def marginals(
    dynamics: tuple[Array, Array, Array, Array],
    start: tuple[Array, Array],
    law: tuple[Array, Array, Array],
    previous: tuple[Array, Array, Array],
    cost: tuple[Array, Array, Array, Array, Array, Array],
) -> Marginals:
    r"""Forward pass of a law u ~ N(K x + k, Σ).

        μ' = A μ + B (K μ + k) + c
        S' = (A + B K) S (A + B K)ᵀ + B Σ Bᵀ + N
        KL_t = ½ [ ln |Σ̄| − ln |Σ| − m + tr Σ̄⁻¹ ( Σ + ΔK S ΔKᵀ + Δu Δuᵀ ) ],  ΔK = K − K̄,  Δu = ΔK μ + k − k̄

    Args:
        dynamics: A (T, n, n), B (T, n, m), c (T, n), N (T, n, n).
        start: mean (n,) and covariance (n, n) of x_0.
        law: K (T, m, n), k (T, m), Σ (T, m, m).
        previous: K̄, k̄ and Σ̄⁻¹ of the law it is compared with.
        cost: value (T+1,), lx, lu, lxx, lux, luu of a quadratic cost.

    Source: Levine and Abbeel 2014, appendix A.
    """
    log_ratio = -np.linalg.slogdet(law[2])[1] - np.linalg.slogdet(previous[2])[1]
    arrays = [plain(v) for v in (*dynamics, *start, *law, *previous, log_ratio, *cost)]
    return Marginals(*_marginals(*arrays))
