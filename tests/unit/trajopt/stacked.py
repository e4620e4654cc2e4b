"""Linear-Gaussian trajectories as one Gaussian over all states and actions, by dense linear algebra."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from mbpl_control.costs.cost import Quadratization
from mbpl_control.trajopt.kl_lqr import KLProblem, LinearLaw


def random_law(rng: np.random.Generator, steps: int, n: int, m: int) -> LinearLaw:
    factor = rng.normal(size=(steps, m, m))
    covariances = factor @ factor.transpose(0, 2, 1) + 0.3 * np.eye(m)
    return LinearLaw.of(0.3 * rng.normal(size=(steps, m, n)), rng.normal(size=(steps, m)), covariances)


def random_problem(seed: int, steps: int = 6, n: int = 3, m: int = 2, **fields: object) -> KLProblem:
    """Time-varying, every term there is, a cost that is convex in (x, u) jointly; any field may be given."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(steps, n + m, n + m))
    joint = factor @ factor.transpose(0, 2, 1) + 0.2 * np.eye(n + m)
    last, noise, start = (rng.normal(size=(*shape, n, n)) for shape in ((), (steps,), ()))
    cost = Quadratization(
        rng.normal(size=steps + 1),
        rng.normal(size=(steps + 1, n)),
        rng.normal(size=(steps, m)),
        np.concatenate([joint[:, :n, :n], (last @ last.T)[None]]),
        joint[:, n:, :n],
        joint[:, n:, n:],
    )
    problem = KLProblem(
        np.eye(n) + 0.2 * rng.normal(size=(steps, n, n)),
        rng.normal(size=(steps, n, m)),
        rng.normal(size=(steps, n)),
        0.1 * noise @ noise.transpose(0, 2, 1) + 0.05 * np.eye(n),
        rng.normal(size=n),
        0.2 * start @ start.T + 0.1 * np.eye(n),
        cost,
        random_law(rng, steps, n, m),
    )
    return replace(problem, **fields)  # type: ignore[arg-type]


class Stacked:
    """The distribution of τ = (x_0, u_0, x_1, … u_{T−1}, x_T) under a law.

    Attributes:
        mean: of τ.
        covariance: of τ, positive definite.
    """

    def __init__(self, problem: KLProblem, law: LinearLaw) -> None:
        """Solve L τ = h + noise, where each row says how a state or an action follows from those before."""
        steps, n, m = problem.b.shape
        self.steps, self.n, self.m = steps, n, m
        size = steps * (n + m) + n
        lower, right, noise = np.eye(size), np.zeros(size), np.zeros((size, size))
        right[self.x(0)], noise[self.x(0), self.x(0)] = problem.start_mean, problem.start_covariance
        for t in range(steps):
            x, u, after = self.x(t), self.u(t), self.x(t + 1)
            lower[u, x], right[u], noise[u, u] = -law.gains[t], law.feedforward[t], law.covariances[t]
            lower[after, x], lower[after, u] = -problem.a[t], -problem.b[t]
            right[after], noise[after, after] = problem.c[t], problem.noise[t]
        inverse = np.linalg.inv(lower)
        self.mean = inverse @ right
        self.covariance = inverse @ noise @ inverse.T

    def x(self, t: int) -> slice:
        """Where x_t stands in τ."""
        return slice(t * (self.n + self.m), t * (self.n + self.m) + self.n)

    def u(self, t: int) -> slice:
        """Where u_t stands in τ."""
        return slice(t * (self.n + self.m) + self.n, (t + 1) * (self.n + self.m))

    def kl(self, other: Stacked) -> float:
        """KL divergence between two Gaussians, nats."""
        away, solved = other.mean - self.mean, np.linalg.solve(other.covariance, self.covariance)
        squared = away @ np.linalg.solve(other.covariance, away)
        logs = np.linalg.slogdet(other.covariance)[1] - np.linalg.slogdet(self.covariance)[1]
        return float(0.5 * (np.trace(solved) + squared - len(away) + logs))

    def expected(self, cost: Quadratization) -> float:
        """Expected value of a quadratic cost."""
        size = len(self.mean)
        hessian, gradient = np.zeros((size, size)), np.zeros(size)
        for t in range(self.steps + 1):
            hessian[self.x(t), self.x(t)], gradient[self.x(t)] = cost.lxx[t], cost.lx[t]
        for t in range(self.steps):
            x, u = self.x(t), self.u(t)
            hessian[u, u], gradient[u], hessian[u, x], hessian[x, u] = (
                cost.luu[t],
                cost.lu[t],
                cost.lux[t],
                cost.lux[t].T,
            )
        second = self.covariance + np.outer(self.mean, self.mean)
        return float(cost.value.sum() + gradient @ self.mean + 0.5 * np.sum(hessian * second))
