"""Learned dynamics where a model of a robot is asked for, and a learning problem's cost where a task's is."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import DefinitionMismatchError
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.validation import Array, check_choice, check_positive
from mbpl_control.costs.cost import Cost, Quadratization
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.policies.network import one_thread

#: Cost of each step from the one on with which an episode is expected to end.
PENALTY = 100.0


class LearnedModel(Dynamics):
    """x_{t+1} = E[x' | x_t, u_t] of learned dynamics, with the definitions of what x and u are.

    Args:
        learned: p(x' | x, u).
        state: what x is; plain numbers or angles.
        action: what u is.
        dt: s of a step; the model holds for no other.

    Raises:
        DefinitionMismatchError: the dynamics have other sizes, or x holds a rotation, which is no plain number.
    """

    def __init__(self, learned: LearnedDynamics, state: StateDefinition, action: ActionDefinition, dt: float) -> None:
        """Check that they speak of the same numbers."""
        sizes, wanted = (learned.n, learned.m), (state.size, action.size)
        if sizes != wanted:
            raise DefinitionMismatchError(
                f"the learned dynamics are of {sizes[0]} and {sizes[1]} numbers; state and action have "
                f"{wanted[0]} and {wanted[1]}"
            )
        if state.size != state.tangent_size:
            raise DefinitionMismatchError("the state holds a rotation; learned dynamics take plain numbers and angles")
        self.learned, self.state, self.action = learned, state, action
        self.dt = check_positive("LearnedModel", "dt", dt, "s")
        # as many trajectories as a line search ever asks for
        self.line_search_batch = 16
        self._newest: tuple[Array, Array, tuple[Array, Array]] | None = None

    @classmethod
    def of(cls, learned: LearnedDynamics, problem: LearningProblem) -> LearnedModel:
        """The model of a problem, whose numbers have no names of their own."""
        names = tuple(f"x{i}" for i in range(problem.n))
        block = StateBlock("observation", names, ("euclidean",) * problem.n, ("1",) * problem.n)
        actions = tuple(f"u{i}" for i in range(problem.m))
        action = ActionDefinition(actions, actions, "effort", ("1",) * problem.m, problem.lower, problem.upper)
        return cls(learned, StateDefinition((block,)), action, problem.dt)

    def step(self, states: Array, actions: Array) -> Array:
        """See `Dynamics.step`."""
        return self.learned.mean(states, actions)

    def linearize(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `Dynamics.linearize`; along the same trajectory once more it costs nothing."""
        newest = self._newest
        if newest is None or not (np.array_equal(newest[0], states) and np.array_equal(newest[1], actions)):
            found = self.learned.jacobian(states, actions)
            newest = self._newest = (np.array(states), np.array(actions), found)
        return newest[2]

    def forget_derivatives(self) -> None:
        """The dynamics have learned; what they said before counts no more."""
        self._newest = None


class LearningCost(Cost):
    r"""`LearningProblem.cost` along trajectories: l_t(x_t, u_t) = c(x_t, u_t, x_{t+1}), and no final cost.

    c is of the successor, too, which the states of a trajectory hold. Its expansion goes through the model's mean,

        l(x + δx, u + δu) ≈ c + gᵀ Jᵀ (δx, δu) + ½ (δx, δu)ᵀ J H Jᵀ (δx, δu),   Jᵀ = [ I 0; 0 I; A B ]

    with g and H of c in (x, u, x'), exact by automatic differentiation; second derivatives of the dynamics are left
    out, as iLQR leaves them out. "gauss_newton" is its nearest positive semidefinite matrix.

    With a penalty, each step from the one on with which the episode is expected to end costs that in place of c: a
    fall counts the more the earlier it comes. The penalty is a constant, and no derivative knows of it.

    Args:
        problem: whose cost.
        model: whose mean the expansion goes through.
        penalty: of each step after an end; none when None.
    """

    def __init__(self, problem: LearningProblem, model: LearnedModel, penalty: float | None = PENALTY) -> None:
        """Keep them."""
        self.problem, self.model = problem, model
        self.penalty = None if penalty is None else check_positive("LearningCost", "penalty", penalty)

    def window(self, offset: int, horizon: int) -> LearningCost:
        """Itself: it is the same at each step."""
        return self

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Cost.evaluate`."""
        *batch, steps, _ = actions.shape
        before, after = states[..., :-1, :], states[..., 1:, :]
        with torch.no_grad(), one_thread():
            rows = [torch.tensor(part.reshape(-1, part.shape[-1])) for part in (before, actions, after)]
            costs = self.problem.cost(*rows).numpy().reshape(*batch, steps)
            if self.penalty is not None:
                ended = self.problem.ended(rows[2]).numpy().reshape(*batch, steps)
                costs = np.where(np.logical_or.accumulate(ended, axis=-1), self.penalty, costs)
        out = np.zeros((*batch, steps + 1))
        out[..., :-1] = costs
        return out

    def quadratize(self, states: Array, actions: Array, hessian: str = "exact") -> Quadratization:
        """See `Cost.quadratize`."""
        check_choice("LearningCost", "hessian", hessian, ("exact", "gauss_newton"))
        steps, n, m = len(actions), self.problem.n, self.problem.m
        a, b = self.model.linearize(states[:-1], actions)
        first, second = self._derivatives(np.concatenate([states[:-1], actions, states[1:]], axis=1))
        chain = np.concatenate([np.tile(np.eye(n + m), (steps, 1, 1)), np.concatenate([a, b], axis=2)], axis=1)
        gradient = np.einsum("tij,ti->tj", chain, first)
        curvature = np.einsum("tij,tik,tkl->tjl", chain, second, chain, optimize=True)
        curvature = 0.5 * (curvature + curvature.transpose(0, 2, 1))
        if hessian == "gauss_newton":
            values, vectors = np.linalg.eigh(curvature)
            curvature = np.einsum("tij,tj,tkj->tik", vectors, np.maximum(values, 0.0), vectors)
        lx, lxx = np.zeros((steps + 1, n)), np.zeros((steps + 1, n, n))
        lx[:-1], lxx[:-1] = gradient[:, :n], curvature[:, :n, :n]
        lux, luu = curvature[:, n:, :n], curvature[:, n:, n:]
        return Quadratization(self.evaluate(states, actions), lx, gradient[:, n:], lxx, lux, luu)

    def _derivatives(self, points: Array) -> tuple[Array, Array]:
        """g (T, k) and H (T, k, k) of c at points (x, u, x') (T, k)."""
        n, m = self.problem.n, self.problem.m
        with one_thread(), torch.enable_grad():
            leaves = [torch.tensor(part, requires_grad=True) for part in np.split(points, (n, n + m), axis=1)]
            total = self.problem.cost(*leaves).sum()
            found = torch.autograd.grad(total, leaves, create_graph=True, allow_unused=True)
            # what the cost does not ask of takes no time, and no more does what is linear
            first = [torch.zeros_like(leaf) if g is None else g for leaf, g in zip(leaves, found, strict=True)]
            second = [self._rows(gradient, leaves) for gradient in first]
        return torch.cat(first, dim=1).detach().numpy(), np.concatenate(second, axis=1)

    @staticmethod
    def _rows(gradient: Tensor, leaves: list[Tensor]) -> Array:
        """Derivatives of a part of the gradient (T, i) by all leaves (T, i, k)."""
        if not gradient.requires_grad:
            return np.zeros((*gradient.shape, sum(leaf.shape[1] for leaf in leaves)))
        # each row is a matter of its own: the derivative of a sum over rows is that of each
        return np.stack(
            [
                torch.cat(
                    torch.autograd.grad(column.sum(), leaves, retain_graph=True, materialize_grads=True), dim=1
                ).numpy()
                for column in gradient.unbind(dim=1)
            ],
            axis=1,
        )
