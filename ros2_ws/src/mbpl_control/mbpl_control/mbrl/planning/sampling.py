"""What planners share that draw sequences: limits, a reference that moves on, the expectation they compare by."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array
from mbpl_control.costs.cost import Cost
from mbpl_control.mbrl.planning.coloured_noise import coloured_noise
from mbpl_control.mbrl.planning.planner import Plan, Planner, steps_since
from mbpl_control.mbrl.planning.propagation import Expectation, Judged, Propagation, Reference, Scenarios, propagate
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.trajopt.lqr import LQRSolution, solve_lqr
from mbpl_control.trajopt.mpc import WindowedCost


class SamplingPlanner(Planner):
    r"""Draws sequences of offsets to a law, and takes those that cost less.

        u_t = clip( ū_t + k_t + K_t (x ⊖ x̄_t) + ε_t )

    x̄, ū is what the last plan, moved on by the steps that went by, does from here in the mean; its last action is
    repeated. The first ū is zero, or the limit nearest to it. k and K are LQR's of the expansion along it: see
    `Reference`. They are zero where x̄ diverges or the cost has no minimum along it, and without `feedback`.

    Args:
        model: the dynamics, with finite limits of the actions.
        cost: of the whole task.
        horizon: H.
        steps: T, of the task.
        propagation: how sequences are followed.
        feedback: whether k and K are LQR's.

    Raises:
        InvalidFieldError: an action has no limit.
    """

    def __init__(
        self,
        model: Dynamics,
        cost: WindowedCost,
        horizon: int,
        steps: int,
        propagation: Propagation,
        feedback: bool,
    ) -> None:
        """Nothing is planned."""
        super().__init__(model, cost, horizon, steps)
        lower, upper = model.action.lower, model.action.upper
        if not np.isfinite([lower, upper]).all():
            raise InvalidFieldError(type(self).__name__, "limits", f"{lower} to {upper}", "finite: samples are drawn")
        self.propagation, self.feedback = propagation, feedback
        self.half_range = 0.5 * (upper - lower)
        self.forget()

    def forget(self) -> None:
        """See `Planner.forget`."""
        self._newest: tuple[int, Plan] | None = None
        #: K of the newest plan, with which its sequences were followed
        self._gains: Array = np.zeros((self.horizon, self.model.action.size, self.model.state.tangent_size))

    def _plan(self, state: Array, rng: np.random.Generator, step: int) -> Plan:
        passed = steps_since(type(self).__name__, self._newest and self._newest[0], step)
        cost = self.cost.window(step, self.steps)
        reference = self._reference(state, passed, cost)
        scenarios = Scenarios.drawn(self.model, self.propagation, self.horizon, rng)
        found = self._search(Expectation(self.model, cost, state, scenarios, reference), rng, passed)
        (total,), (actions,), (states,) = found.costs, found.actions, found.states
        if not np.isfinite(total):
            raise SolverError(f"{type(self).__name__}: whatever is done from {state}, the dynamics diverge")
        nothing = np.zeros((*actions.shape, self.model.state.tangent_size))
        # the gains are for what is imagined: who executes the plan gets the actions that were compared
        plan = Plan(actions, states, nothing, float(total))
        self._newest = (step, plan)
        self._gains = nothing if reference.gains is None else reference.gains
        return plan

    def _reference(self, state: Array, passed: int, cost: Cost) -> Reference:
        space, limits = self.model.state.space, (self.model.action.lower, self.model.action.upper)
        if self._newest is None:
            rest = np.clip(np.zeros((self.horizon, len(limits[0]))), *limits)
            last = Reference(space, rest, np.tile(state, (self.horizon + 1, 1)), None, *limits)
        else:
            plan = self._newest[1]
            gains = moved_on(self._gains.transpose(1, 0, 2), passed).transpose(1, 0, 2)
            actions, expected = moved_on(plan.actions, passed), moved_on(plan.states, passed)
            last = Reference(space, actions, expected, gains if self.feedback else None, *limits)
        if not self.feedback:
            return last
        found = propagate(self.model, state, np.zeros((1, *last.actions.shape)), None, last)
        states, actions = found.states[0, 0], found.actions[0, 0]
        law = self._regulator(states, actions, cost)
        if law is None:
            return Reference(space, actions, states, None, *limits)
        return Reference(space, actions + law.feedforward, states, law.gains, *limits)

    def _regulator(self, states: Array, actions: Array, cost: Cost) -> LQRSolution | None:
        """LQR along a trajectory; None where there is none."""
        if not np.isfinite(states).all():
            return None
        a, b = self.model.linearize(states[:-1], actions)
        q = cost.quadratize(states, actions, "gauss_newton")
        try:
            return solve_lqr(a, b, q.lxx, q.luu, q.lux, q.lx, q.lu)
        except SolverError:
            return None

    @abstractmethod
    def _search(self, expectation: Expectation, rng: np.random.Generator, passed: int) -> Judged:
        """The one sequence that is the plan."""

    def noise(self, count: int, exponent: float, rng: np.random.Generator) -> Array:
        """Coloured over time (count, H, m)."""
        return coloured_noise(exponent, (count, self.model.action.size, self.horizon), rng).transpose(0, 2, 1)


def moved_on(sequences: Array, steps: int) -> Array:
    """Sequences (..., H, m) some steps later; the last row is repeated."""
    horizon = sequences.shape[-2]
    return np.asarray(sequences[..., np.minimum(np.arange(horizon) + steps, horizon - 1), :])
