"""One linear model and the regulator of it: what every other learner is to be held against."""

from __future__ import annotations

import numpy as np
import torch

from mbpl_control.core.validation import Array
from mbpl_control.mbrl.learned_dynamics import Transitions
from mbpl_control.mbrl.learned_model import LearnedModel, LearningCost
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics
from mbpl_control.mbrl.model_learner import Collection, ModelLearner
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.trajopt.lqr import LQRSolution, solve_lqr


class LinearQuadraticLearner(ModelLearner):
    r"""u_t = K_t x + k_t: LQR over an episode of T steps, on a linear model of all transitions.

        x' ≈ A x + B u + c,   cost ≈ its expansion at (x_0, u_0), the cheapest transition that was tried

    It is the best there is where dynamics are linear and the cost is quadratic, and knows nothing of limits, to which
    its actions are clipped. Where the cost is not quadratic, it is expanded where the robot should be, as far as is
    known by now, and its Hessian is replaced by the nearest that is positive semidefinite. T is finite, as an episode
    is: a law is there, too, where none brings the whole state to rest, as where one number of it is a function of
    others.

    Args:
        problem: what is learned.
        seed: of what is drawn.
        collection: see `Collection`.

    Attributes:
        law: K (T, m, n) and k (T, m); none before the first `advance`.

    Raises:
        SolverError: the expansion has no minimum.
    """

    def __init__(self, problem: LearningProblem, seed: int, collection: Collection | None = None) -> None:
        """Nothing is known."""
        super().__init__(problem, MixtureDynamics(problem.n, problem.m, seed), seed, collection)
        self._model = LearnedModel.of(self.dynamics, problem)
        self._cost = LearningCost(problem, self._model, None)
        self._cheapest, self._around = np.inf, (np.zeros(problem.n), np.zeros(problem.m))
        self.law: LQRSolution | None = None

    def _learned(self, found: Transitions) -> None:
        states, actions, successors = (torch.as_tensor(p) for p in (found.states, found.actions, found.successors))
        costs = self.problem.cost(states, actions, successors).numpy()
        least = int(costs.argmin())
        if costs[least] < self._cheapest:
            self._cheapest, self._around = costs[least], (found.states[least], found.actions[least])
        (x, u), steps = self._around, self.problem.steps
        self._model.forget_derivatives()
        (a,), (b,) = self._model.linearize(x[None], u[None])
        (successor,) = self._model.step(x[None], u[None])
        cost = self._cost.quadratize(np.array([x, successor]), u[None], "gauss_newton")
        q, r, cross = cost.lxx[0], cost.luu[0], cost.lux[0]

        def each(part: Array) -> Array:
            return np.broadcast_to(part, (steps, *part.shape))

        def ended(part: Array) -> Array:
            return np.concatenate([each(part), np.zeros((1, *part.shape))])

        self.law = solve_lqr(
            each(a),
            each(b),
            ended(q),
            each(r),
            each(cross),
            ended(cost.lx[0] - q @ x - cross.T @ u),
            each(cost.lu[0] - r @ u - cross @ x),
            each(successor - a @ x - b @ u),
        )

    def _decide(self, state: Array, step: int, judged: bool) -> Array:
        if self.law is None:
            return np.clip(np.zeros(self.problem.m), self.problem.lower, self.problem.upper)
        wanted = self.law.gains[step] @ state + self.law.feedforward[step]
        return np.clip(wanted, self.problem.lower, self.problem.upper)
