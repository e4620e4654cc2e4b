"""Iterative LQR on a model, of learned dynamics on their mean, again and again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.validation import Array, check_whole
from mbpl_control.mbrl.planning.planner import Plan, Planner, steps_since
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.trajopt.mpc import RecedingHorizon, WindowedCost
from mbpl_control.trajopt.options import ILQROptions

OWNER = "ILQRPlanner"


@dataclass(frozen=True)
class ILQRPlannerOptions:
    """How it searches.

    Attributes:
        horizon: H, steps.
        iterations: of a plan that goes on from the last.
        first_iterations: of a plan with nothing to go on from.

    Raises:
        InvalidFieldError: an option out of its range.
    """

    horizon: int = 30
    iterations: int = 3
    first_iterations: int = 30

    def __post_init__(self) -> None:
        """Check each."""
        check_whole(OWNER, "iterations", self.iterations, 1, 10**6)
        check_whole(OWNER, "first_iterations", self.first_iterations, 1, 10**6)


class ILQRPlanner(Planner):
    """`trajopt.mpc.RecedingHorizon` on the model, blind to noise and doubt of one that was learned. It gives feedback.

    Args:
        model: the dynamics, with the limits of the actions.
        cost: of the whole task, with derivatives; without a penalty, of which they know nothing.
        steps: T, of the task.
        options: see `ILQRPlannerOptions`.
    """

    def __init__(
        self, model: Dynamics, cost: WindowedCost, steps: int, options: ILQRPlannerOptions | None = None
    ) -> None:
        """Nothing is planned."""
        self.options = ILQRPlannerOptions() if options is None else options
        super().__init__(model, cost, self.options.horizon, steps)
        inner = ILQROptions(max_iterations=self.options.iterations)
        self._inner = RecedingHorizon(model, cost, steps, self.horizon, inner, self.options.first_iterations)
        self._last: int | None = None

    def forget(self) -> None:
        """See `Planner.forget`."""
        self._inner.forget()
        self._last = None

    def _plan(self, state: Array, rng: np.random.Generator, step: int) -> Plan:
        steps_since(OWNER, self._last, step)
        result = self._inner.plan(state, step * self.model.dt)
        self._last = step
        return Plan(result.actions, result.states, result.gains, result.cost)
