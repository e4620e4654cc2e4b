"""What planners share that draw sequences of actions: limits, a mean that moves on, the expectation they compare by."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.learned_model import LearnedModel
from mbpl_control.mbrl.planning.coloured_noise import coloured_noise
from mbpl_control.mbrl.planning.planner import Plan, Planner, steps_since
from mbpl_control.mbrl.planning.propagation import Expectation, Propagation, Scenarios
from mbpl_control.trajopt.mpc import WindowedCost


class SamplingPlanner(Planner):
    """Draws sequences around a mean, clips them to the limits, and moves the mean by what they cost.

    The first mean is zero, or the limit nearest to it; later ones begin where the last plan was, moved on by the steps
    that went by, its last action repeated.

    Args:
        model: the dynamics, with finite limits of the actions.
        cost: of the whole task.
        horizon: H.
        steps: T, of the task.
        propagation: how sequences are followed.

    Raises:
        InvalidFieldError: an action has no limit.
    """

    def __init__(
        self, model: LearnedModel, cost: WindowedCost, horizon: int, steps: int, propagation: Propagation
    ) -> None:
        """Nothing is planned."""
        super().__init__(model, cost, horizon, steps)
        lower, upper = model.action.lower, model.action.upper
        if not np.isfinite([lower, upper]).all():
            raise InvalidFieldError(type(self).__name__, "limits", f"{lower} to {upper}", "finite: samples are drawn")
        self.propagation = propagation
        self.half_range = 0.5 * (upper - lower)
        self.forget()

    def forget(self) -> None:
        """See `Planner.forget`."""
        self._mean = self.clipped(np.zeros((self.horizon, self.model.action.size)))
        self._last: int | None = None

    def clipped(self, actions: Array) -> Array:
        """Within the limits."""
        return np.clip(actions, self.model.action.lower, self.model.action.upper)

    def _plan(self, state: Array, rng: np.random.Generator, step: int) -> Plan:
        passed = steps_since(type(self).__name__, self._last, step)
        self._mean, self._last = moved_on(self._mean, passed), step
        learned = self.model.learned
        scenarios = Scenarios.drawn(learned, self.propagation, self.horizon, rng)
        expectation = Expectation(learned, self.cost.window(step, self.steps), state, scenarios)
        actions, states, cost = self._search(expectation, rng, passed)
        if not np.isfinite(cost):
            raise SolverError(f"{type(self).__name__}: whatever is done from {state}, the learned dynamics diverge")
        return Plan(actions, states, np.zeros((*actions.shape, len(state))), cost)

    @abstractmethod
    def _search(self, expectation: Expectation, rng: np.random.Generator, passed: int) -> tuple[Array, Array, float]:
        """Move the mean; actions (H, m) of the plan, mean states (H+1, n), and the expected cost."""

    def noise(self, count: int, exponent: float, rng: np.random.Generator) -> Array:
        """Coloured over time (count, H, m)."""
        return coloured_noise(exponent, (count, self.model.action.size, self.horizon), rng).transpose(0, 2, 1)


def moved_on(sequences: Array, steps: int) -> Array:
    """Sequences (..., H, m) some steps later; the last action is repeated."""
    horizon = sequences.shape[-2]
    return np.asarray(sequences[..., np.minimum(np.arange(horizon) + steps, horizon - 1), :])
