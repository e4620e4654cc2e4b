"""What a planner is told, and what it gives."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_whole, float_array
from mbpl_control.mbrl.learned_model import LearnedModel
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.trajopt.mpc import WindowedCost


@dataclass(frozen=True, eq=False)
class Plan:
    """Actions over a horizon of H steps, and what they are expected to lead to.

    Attributes:
        actions: u (H, m), within the limits.
        states: E[x] (H+1, nx), the start first.
        gains: K (H, m, ndx) of u = u_t + K_t (x ⊖ x_t); zero where a planner gives none.
        cost: expected.
    """

    actions: Array
    states: Array
    gains: Array
    cost: float


class Planner(ABC):
    """Plans on a model again and again, each time from what it planned before.

    Args:
        model: the dynamics, a robot's own or learned ones, with the limits of the actions.
        cost: of the whole task; the horizon takes its part of it.
        horizon: H, steps of a plan.
        steps: T, of the task.
    """

    def __init__(self, model: Dynamics, cost: WindowedCost, horizon: int, steps: int) -> None:
        """Keep the problem."""
        self.model, self.cost = model, cost
        self.horizon = check_whole(type(self).__name__, "horizon", horizon, 2, 10**6)
        self.steps = check_whole(type(self).__name__, "steps", steps, 1, 10**9)

    @abstractmethod
    def forget(self) -> None:
        """Drop what was planned before: an episode begins."""

    def plan(self, state: Array, rng: np.random.Generator, step: int = 0) -> Plan:
        """Plan from a state.

        Args:
            state: x (nx,).
            rng: of what is drawn.
            step: of the episode. A plan goes on from the last one, moved by the steps that went by since.

        Raises:
            InvalidFieldError: no such state, or a step before that of the last plan.
            SolverError: no plan was found.
        """
        state = float_array(type(self).__name__, "state", state, (self.model.state.size,))
        if isinstance(self.model, LearnedModel):
            # it may have learned since
            self.model.forget_derivatives()
        return self._plan(state, rng, check_whole(type(self).__name__, "step", step, 0, 10**9))

    @abstractmethod
    def _plan(self, state: Array, rng: np.random.Generator, step: int) -> Plan:
        """See `plan`, of a state and a step that were checked."""


def steps_since(owner: str, last: int | None, step: int) -> int:
    """Steps since the last plan; 0 when there was none.

    Raises:
        InvalidFieldError: time went backwards.
    """
    if last is not None and step < last:
        raise InvalidFieldError(owner, "step", str(step), f"at least {last}, that of the last plan; or forget it first")
    return 0 if last is None else step - last
