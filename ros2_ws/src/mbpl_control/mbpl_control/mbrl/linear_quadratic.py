"""One linear model and the regulator of it: what every other learner is to be held against."""

from __future__ import annotations

import numpy as np
import scipy.linalg

from mbpl_control.core.errors import SolverError
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.learned_model import LearnedModel, LearningCost
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics
from mbpl_control.mbrl.model_learner import Collection, ModelLearner
from mbpl_control.mbrl.problem import LearningProblem


class LinearQuadraticLearner(ModelLearner):
    """u = K x + k of a linear model of all transitions, and of the cost's expansion at the origin.

    It is the best there is where dynamics are linear and the cost is quadratic around x = 0, u = 0, and knows nothing
    of limits, to which its actions are clipped.

    Args:
        problem: what is learned.
        seed: of what is drawn.
        collection: see `Collection`.

    Attributes:
        gain: K (m, n); zero before the first `advance`.
        offset: k (m,).
    """

    def __init__(self, problem: LearningProblem, seed: int, collection: Collection | None = None) -> None:
        """Nothing is known."""
        super().__init__(problem, MixtureDynamics(problem.n, problem.m, seed), seed, collection)
        self._model = LearnedModel.of(self.dynamics, problem)
        self._cost = LearningCost(problem, self._model, None)
        self.gain, self.offset = np.zeros((problem.m, problem.n)), np.zeros(problem.m)

    def _learned(self) -> None:
        model, origin, rest = self._model, np.zeros((1, self.problem.n)), np.zeros((1, self.problem.m))
        model.forget_derivatives()
        (a,), (b,) = model.linearize(origin, rest)
        (c,) = model.step(origin, rest)
        q = self._cost.quadratize(np.array([origin[0], c]), rest)
        self.gain, self.offset = stationary_law(a, b, c, q.lxx[0], q.luu[0], q.lux[0], q.lx[0], q.lu[0])

    def _decide(self, state: Array, step: int, judged: bool) -> Array:
        return np.clip(self.gain @ state + self.offset, self.problem.lower, self.problem.upper)


def stationary_law(
    a: Array, b: Array, c: Array, q: Array, r: Array, cross: Array, by_state: Array, by_action: Array
) -> tuple[Array, Array]:
    r"""u = K x + k with the least mean cost over an endless horizon.

        min lim 1/T Σ ½ xᵀQx + ½ uᵀRu + uᵀSx + qᵀx + rᵀu,   x' = A x + B u + c

        P: the stabilising solution of the discrete algebraic Riccati equation,
        K = −(R + BᵀPB)⁻¹ (BᵀPA + S),   p = q + Kᵀr + (A + BK)ᵀ (P c + p),
        k = −(R + BᵀPB)⁻¹ (r + Bᵀ (P c + p))

    Args:
        a: A (n, n).
        b: B (n, m).
        c: c (n,).
        q: Q (n, n).
        r: R (m, m).
        cross: S (m, n).
        by_state: q (n,).
        by_action: r (m,).

    Raises:
        SolverError: no law stabilises the model at a finite cost.

    Source: Bertsekas 2017, "Dynamic programming and optimal control", volume 1, section 3.1.
    """
    try:
        p = np.asarray(scipy.linalg.solve_discrete_are(a, b, q, r, s=cross.T))
    except np.linalg.LinAlgError as error:
        raise SolverError(f"LQR: no law stabilises the learned model at a finite cost: {error}") from error
    curvature = r + b.T @ p @ b
    gain = -np.linalg.solve(curvature, b.T @ p @ a + cross)
    closed = a + b @ gain
    value = np.linalg.solve(np.eye(len(a)) - closed.T, by_state + gain.T @ by_action + closed.T @ p @ c)
    return gain, -np.linalg.solve(curvature, by_action + b.T @ (p @ c + value))
