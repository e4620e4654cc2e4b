"""LQR kept close to the controller that produced the data: the optimisation of LQR with fitted local models."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array, float_array
from mbpl_control.costs.cost import Quadratization
from mbpl_control.trajopt.marginals import Marginals, marginals
from mbpl_control.trajopt.riccati import Backward, backward_pass

OWNER = "KLProblem"
#: η lives in this range; outside it costs and KL terms no longer share the digits of a double.
ETA_RANGE = (1e-8, 1e16)
#: Grow η by this when Q_uu is not positive definite, and when the bound is far away.
ETA_FACTOR = 10.0


@dataclass(frozen=True)
class LinearLaw:
    r"""u ~ N(K x + k, Σ) at each step, in the coordinates of the problem it belongs to.

    Attributes:
        gains: K (T, m, n).
        feedforward: k (T, m).
        covariances: Σ (T, m, m), positive definite.
        precisions: Σ⁻¹ (T, m, m).
    """

    gains: Array
    feedforward: Array
    covariances: Array
    precisions: Array

    @classmethod
    def of(cls, gains: Array, feedforward: Array, covariances: Array) -> LinearLaw:
        """A law from K, k and Σ.

        Raises:
            InvalidFieldError: Σ is singular at some step, so that there is no KL divergence to this law.
        """
        try:
            np.linalg.cholesky(covariances)
            precisions = np.linalg.inv(covariances)
        except np.linalg.LinAlgError as error:
            raise InvalidFieldError("LinearLaw", "covariances", "a singular matrix", "positive definite") from error
        return cls(gains, feedforward, covariances, 0.5 * (precisions + precisions.transpose(0, 2, 1)))

    def minus_log(self, weights: Array | float = 1.0) -> Quadratization:
        r"""−w_t log p(u|x) without its constant: w_t ½ (u − K x − k)ᵀ Σ⁻¹ (u − K x − k).

        Args:
            weights: w, a number or (T,).
        """
        steps, m, n = self.gains.shape
        w = np.broadcast_to(np.asarray(weights, dtype=np.float64), (steps,))
        luu = w[:, None, None] * self.precisions
        lux = -luu @ self.gains
        lu = -np.einsum("tij,tj->ti", luu, self.feedforward)
        lxx, lx, value = np.zeros((steps + 1, n, n)), np.zeros((steps + 1, n)), np.zeros(steps + 1)
        lxx[:-1] = -self.gains.transpose(0, 2, 1) @ lux
        lx[:-1] = -np.einsum("tji,tj->ti", self.gains, lu)
        value[:-1] = -0.5 * np.einsum("ti,ti->t", lu, self.feedforward)
        return Quadratization(value, lx, lu, lxx, lux, luu)


@dataclass(frozen=True)
class KLProblem:
    r"""min_p E_p[ Σ l(x, u) ] − β H(p) + Σ_t ν_t KL(p_t ‖ π_t)   subject to   KL( p(τ) ‖ p̄(τ) ) ≤ ε.

    Everything is in deviations from one reference trajectory.

    Attributes:
        a: A (T, n, n) of x_{t+1} = A x + B u + c + noise.
        b: B (T, n, m).
        c: c (T, n).
        noise: N (T, n, n).
        start_mean: of x_0 (n,).
        start_covariance: of x_0 (n, n).
        cost: l, a quadratic; T steps and a final cost.
        previous: p̄(u|x).
        entropy: β ≥ 0, weight of the entropy of the law (maximum-entropy control).
        attraction: π(u|x), a law p is drawn towards; None for none.
        attraction_weights: ν (T,), not negative.
    """

    a: Array
    b: Array
    c: Array
    noise: Array
    start_mean: Array
    start_covariance: Array
    cost: Quadratization
    previous: LinearLaw
    entropy: float = 0.0
    attraction: LinearLaw | None = None
    attraction_weights: Array | None = None

    def __post_init__(self) -> None:
        """Check shapes against each other."""
        steps, n, m = np.shape(self.b)
        shapes = {
            "a": (steps, n, n),
            "b": (steps, n, m),
            "c": (steps, n),
            "noise": (steps, n, n),
            "start_mean": (n,),
            "start_covariance": (n, n),
        }
        for name, shape in shapes.items():
            object.__setattr__(self, name, float_array(OWNER, name, getattr(self, name), shape))
        if self.previous.gains.shape != (steps, m, n):
            found = f"gains of shape {self.previous.gains.shape}"
            raise InvalidFieldError(OWNER, "previous", found, f"of shape {(steps, m, n)}")
        if not 0.0 <= self.entropy < math.inf:
            raise InvalidFieldError(OWNER, "entropy", str(self.entropy), "finite, from 0")
        if (self.attraction is None) != (self.attraction_weights is None):
            raise InvalidFieldError(OWNER, "attraction_weights", "one without the other", "given with attraction")


@dataclass(frozen=True)
class KLSolution:
    """A law and what is expected of it.

    Attributes:
        law: p(u|x), in the coordinates of the problem.
        eta: multiplier of the bound.
        kl: KL(p(τ) ‖ p̄(τ)), nats.
        bound: ε, nats; infinite when there was none.
        expected: marginals of states under the law, expected cost, KL by step.
        evaluations: backward passes made.
        reason: "bound met", "bound inactive" (the KL stays below it for the smallest η), or "given eta".
    """

    law: LinearLaw
    eta: float
    kl: float
    bound: float
    expected: Marginals
    evaluations: int
    reason: str


class KLConstrainedLQR:
    r"""Solves a `KLProblem`.

    With a multiplier η ≥ 0 the problem is LQR on  l + η (−log p̄) + ν (−log π),  whose law has

        K, k from the backward pass,   Σ_t = (η + β + ν_t) Q_uu⁻¹,

    and the KL divergence falls as η grows. η is searched for on log KL against log η: a secant inside a bracket, so
    that a tolerance of a tenth takes two or three backward passes from a warm start.

    Args:
        tolerance: relative to the bound, within which the KL must come.
        max_evaluations: backward passes before the search gives up; also bounds the tries to make Q_uu positive
            definite.

    Source: Levine and Abbeel 2014, "Learning neural network policies with guided policy search under unknown
    dynamics", section 3 and appendix A.
    """

    def __init__(self, tolerance: float = 0.1, max_evaluations: int = 50) -> None:
        """Keep the options."""
        if not 0.0 < tolerance < 1.0:
            raise InvalidFieldError("KLConstrainedLQR", "tolerance", str(tolerance), "between 0 and 1")
        self.tolerance, self.max_evaluations = tolerance, max_evaluations

    def at(self, problem: KLProblem, eta: float) -> KLSolution:
        """The law for a given η.

        Raises:
            SolverError: Q_uu is not positive definite.
        """
        solution = _Search(problem).solve(eta)
        if solution is None:
            raise SolverError(f"LQR with KL penalty: Q_uu is not positive definite at eta {eta:.3g}")
        return solution

    def solve(self, problem: KLProblem, bound: float, eta: float = 1.0) -> KLSolution:
        """The law that meets the bound.

        Args:
            problem: what is minimised.
            bound: ε, nats over the whole trajectory, above 0.
            eta: where the search begins, e.g. that of the iteration before.

        Raises:
            InvalidFieldError: the bound is not above 0.
            SolverError: no η gives a positive definite Q_uu within the bound.
        """
        if not 0.0 < bound < math.inf:
            raise InvalidFieldError("KLConstrainedLQR", "bound", f"{bound} nats", "finite and above 0")
        search = _Search(problem)
        low, high = math.log(ETA_RANGE[0]), math.log(ETA_RANGE[1])
        # f = log(KL / bound) falls with log η: known points on either side of its zero
        above: tuple[float, float] | None = None
        below: tuple[float, float] | None = None
        last: tuple[float, float] | None = None
        best: KLSolution | None = None
        position = min(max(math.log(max(eta, ETA_RANGE[0])), low), high)
        jump = math.log(ETA_FACTOR)
        while search.evaluations < self.max_evaluations:
            solution = search.solve(math.exp(position))
            if solution is None:
                low = position
                position = 0.5 * (low + below[0]) if below else low + jump
                jump *= 2.0
                if position >= high:
                    break
                continue
            error = math.log(max(solution.kl, 1e-300) / bound)
            if abs(solution.kl - bound) <= self.tolerance * bound:
                return search.finished(solution, bound, "bound met")
            if error > 0.0:
                above = (position, error)
            else:
                flat = below is not None and below[0] - position > 1.0 and abs(error - below[1]) < 1e-3
                below, best = (position, error), solution
                if position <= low + 1e-9 or flat:
                    return search.finished(solution, bound, "bound inactive")
            position = _next(above, below, last, low, high, jump)
            last = (math.log(solution.eta), error)
            if above is None or below is None:
                jump *= 2.0
            elif below[0] - above[0] < 1e-12:
                break
        if best is None:
            raise SolverError(
                f"LQR with KL penalty: no eta up to {ETA_RANGE[1]:.0e} gives a positive definite Q_uu and a KL of "
                f"at most {bound:.3g} nats, after {search.evaluations} tries"
            )
        # within the bound, if not at it: a smaller step than allowed, never a larger one
        return search.finished(best, bound, "bound met")


def _next(
    above: tuple[float, float] | None,
    below: tuple[float, float] | None,
    last: tuple[float, float] | None,
    low: float,
    high: float,
    jump: float,
) -> float:
    """Where to look next: a secant inside the bracket, kept off its ends, or a step towards the other side.

    Without a bracket the slope is that between the last two points, or −2, which is that of log KL while the bound
    is tight.
    """
    if above is not None and below is not None:
        width = below[0] - above[0]
        share = above[1] / (above[1] - below[1])
        return above[0] + min(max(share, 0.05), 0.95) * width
    point = above or below
    assert point is not None
    slope = -2.0
    if last is not None and last[0] != point[0]:
        slope = min(max((point[1] - last[1]) / (point[0] - last[0]), -2.5), -0.05)
    # a little further than the slope says, so that the other side is reached
    step = min(max(-1.1 * point[1] / slope, -jump), jump)
    return min(max(point[0] + step, low), high)


class _Search:
    """Evaluations of one problem, in deviations v of the action from the previous law, u = K̄ x + k̄ + v.

    There −η log p̄ is η ½ vᵀ Σ̄⁻¹ v and nothing else, so that a large η does not drown the cost in rounding, and all
    but one array are the same for every η.
    """

    def __init__(self, problem: KLProblem) -> None:
        p, previous = problem, problem.previous
        self._problem = problem
        self._weights = np.full(len(p.b), p.entropy)
        self._expected = self._cost = _around(p.cost, previous)
        if p.attraction is not None and p.attraction_weights is not None:
            pull = p.attraction.minus_log(p.attraction_weights)
            self._cost = _around(_sum(p.cost, pull), previous)
            self._weights = self._weights + p.attraction_weights
        self._a = p.a + p.b @ previous.gains
        self._c = p.c + np.einsum("tij,tj->ti", p.b, previous.feedforward)
        self._unlimited = np.full(self._cost.lu.shape, np.inf)
        self.evaluations = 0

    def solve(self, eta: float) -> KLSolution | None:
        """The law at η; None when Q_uu is not positive definite."""
        self.evaluations += 1
        p, q, previous = self._problem, self._cost, self._problem.previous
        luu = q.luu + eta * previous.precisions
        backward: Backward = backward_pass(
            self._a, p.b, self._c, q.lx, q.lu, q.lxx, q.lux, luu, -self._unlimited, self._unlimited, 0.0
        )
        if backward.failed_at >= 0:
            return None
        precisions = backward.q_uu / (eta + self._weights)[:, None, None]
        precisions = 0.5 * (precisions + precisions.transpose(0, 2, 1))
        covariances = np.linalg.inv(precisions)
        covariances = 0.5 * (covariances + covariances.transpose(0, 2, 1))
        e = self._expected
        expected = marginals(
            (self._a, p.b, self._c, p.noise),
            (p.start_mean, p.start_covariance),
            (backward.gains, backward.feedforward, covariances),
            (np.zeros_like(previous.gains), np.zeros_like(previous.feedforward), previous.precisions),
            (e.value, e.lx, e.lu, e.lxx, e.lux, e.luu),
        )
        gains, feedforward = previous.gains + backward.gains, previous.feedforward + backward.feedforward
        law = LinearLaw(gains, feedforward, covariances, precisions)
        return KLSolution(law, eta, expected.kl, math.inf, expected, self.evaluations, "given eta")

    def finished(self, solution: KLSolution, bound: float, reason: str) -> KLSolution:
        """The solution with what the search knows."""
        s = solution
        return KLSolution(s.law, s.eta, s.kl, bound, s.expected, self.evaluations, reason)


def evaluate_law(problem: KLProblem, law: LinearLaw) -> Marginals:
    """State marginals, expected cost and KL to the previous law of any law, under the dynamics of a problem."""
    p, q = problem, problem.cost
    return marginals(
        (p.a, p.b, p.c, p.noise),
        (p.start_mean, p.start_covariance),
        (law.gains, law.feedforward, law.covariances),
        (p.previous.gains, p.previous.feedforward, p.previous.precisions),
        (q.value, q.lx, q.lu, q.lxx, q.lux, q.luu),
    )


def _sum(one: Quadratization, other: Quadratization) -> Quadratization:
    return Quadratization(*(getattr(one, f.name) + getattr(other, f.name) for f in fields(Quadratization)))


def _around(cost: Quadratization, law: LinearLaw) -> Quadratization:
    """A cost as a function of x and v, with u = K x + k + v."""
    gains, k = law.gains, law.feedforward
    lu = cost.lu + np.einsum("tij,tj->ti", cost.luu, k)
    lux = cost.lux + cost.luu @ gains
    value, lx, lxx = cost.value.copy(), cost.lx.copy(), cost.lxx.copy()
    value[:-1] += 0.5 * np.einsum("ti,ti->t", cost.lu + lu, k)
    lx[:-1] += np.einsum("tji,tj->ti", gains, lu) + np.einsum("tji,tj->ti", cost.lux, k)
    # Kᵀ l_ux + l_uxᵀ K + Kᵀ l_uu K, symmetric to the last bit
    cross = gains.transpose(0, 2, 1) @ (0.5 * (cost.lux + lux))
    lxx[:-1] += cross + cross.transpose(0, 2, 1)
    return Quadratization(value, lx, lu, lxx, lux, cost.luu)
