"""Receding-horizon control: plan again and again from where the robot will be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from mbpl_control.core import LinearGaussianController
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.costs.cost import Cost
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.trajopt.ilqr import ILQR
from mbpl_control.trajopt.options import ILQROptions
from mbpl_control.trajopt.result import ILQRResult


class WindowedCost(Protocol):
    """A cost of a whole task, of which a planner that looks less far takes a part."""

    def window(self, offset: int, horizon: int) -> Cost:
        """The same cost for a trajectory that begins at step `offset` of a horizon of T steps."""


class RecedingHorizon:
    r"""Plans a window of H steps from a given state and time, starting from what the last plan's law would do there.

    The delay of planning is compensated: a state measured at time t is first carried to t + delay under the law that
    will be in force until then, and the plan begins there. Between replans the robot follows the plan's own feedback.

    Args:
        dynamics: the model.
        cost: over the whole task of `task_horizon` steps; the window takes its part of it, as `SumCost.window` does.
        task_horizon: T.
        horizon: H, steps of the window.
        options: of the planner; `max_iterations` is the budget of one plan that goes on from the last.
        first_iterations: budget of a plan with nothing to go on from, which a few iterations leave far too violent;
            that of the options when None.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        cost: WindowedCost,
        task_horizon: int,
        horizon: int,
        options: ILQROptions,
        first_iterations: int | None = None,
    ) -> None:
        """Start without a plan."""
        if horizon < 2:
            raise InvalidFieldError("RecedingHorizon", "horizon", str(horizon), "2 or more")
        self.dynamics, self._cost, self._task_horizon = dynamics, cost, task_horizon
        self._horizon = horizon
        self._options = options
        self._first_options = options if first_iterations is None else replace(options, max_iterations=first_iterations)
        self._plan: ILQRResult | None = None
        self._plan_time = 0.0

    @property
    def plan_in_force(self) -> ILQRResult | None:
        """The newest plan; None before the first."""
        return self._plan

    def forget(self) -> None:
        """Drop the plan: the robot was put somewhere else."""
        self._plan = None

    def pursue(self, cost: WindowedCost) -> None:
        """Plan for another cost from now on; the plan in force is where the next one starts from."""
        self._cost = cost

    def predict(self, state: Array, time: float, delay: float, held: Array | None = None) -> Array:
        """The state `delay` s after `time`, under the plan in force, or under zero actions without one. (nx,) → (nx,).

        Whole steps of the model are taken, the last one blended in by its fraction.

        Args:
            state: (nx,).
            time: s since the task began.
            delay: s.
            held: action (m,) that stays in force instead: another controller commands the robot.
        """
        dt = self.dynamics.dt
        x = np.asarray(state, dtype=np.float64)
        left = delay / dt
        while left > 1e-9:
            u = self._law_action(x, time) if held is None else held
            after = self.dynamics.step(x[None], u[None])[0]
            part = min(left, 1.0)
            x = after if part == 1.0 else self.dynamics.state.space.interpolate(x, after, part)
            left -= part
            time += part * dt
        return x

    def plan(self, state: Array, time: float, guess: Array | Callable[[], Array] | None = None) -> ILQRResult:
        """Plan from `state` at `time` since the task began.

        Args:
            state: (nx,).
            time: s, at which the plan begins.
            guess: first actions (H, m), or what makes them, where there is no plan to go on from: none was made yet, or
                its law leads nowhere from here. Zeros when None.

        Raises:
            SolverError: no plan was found; the one in force stays.
        """
        warm = None if self._plan is None else self._warm_start(state, time)
        states, actions = (None, None) if warm is None else warm
        options = self._first_options if warm is None else self._options
        if actions is None:
            actions = guess() if callable(guess) else guess
        if actions is None:
            actions = np.zeros((self._horizon, self.dynamics.action.size))
        offset = round(time / self.dynamics.dt)
        cost = self._cost.window(offset, self._task_horizon)
        result = ILQR(self.dynamics, cost, options).solve(state, actions, states=states)
        self._plan, self._plan_time = result, time
        return result

    def law(self, result: ILQRResult, name: str = "ilqr_mpc") -> LinearGaussianController:
        """The plan as a law that begins at a stamp of its own."""
        return result.controller("continuous", "fallback", 0.0, name, anchor="stamp")

    def _law_action(self, x: Array, time: float) -> Array:
        plan = self._plan
        action = self.dynamics.action
        if plan is None:
            return np.clip(np.zeros(action.size), action.lower, action.upper)
        t = min(max(int((time - self._plan_time) / plan.dt + 1e-9), 0), len(plan.actions) - 1)
        error = plan.state.space.difference(x, plan.states[t])
        return np.clip(plan.actions[t] + plan.gains[t] @ error, action.lower, action.upper)

    def _warm_start(self, state: Array, time: float) -> tuple[Array, Array] | None:
        """States (H+1, nx) and actions (H, m) of the last plan's law on the model, from a state and time on.

        Beyond its end its last step counts.

        None where that diverges: the robot is so far from the plan that its feedback leads nowhere.

        The law, not its actions alone: those would lead an unstable robot away from the plan as soon as it is not
        exactly where the plan has it.
        """
        plan = self._plan
        assert plan is not None  # noqa: S101 - the caller sees to it
        space, last = self.dynamics.state.space, len(plan.actions) - 1
        position = np.clip((time - self._plan_time) / plan.dt + np.arange(self._horizon), 0.0, float(last))
        # a time within rounding of a step belongs to it
        before = np.minimum((position + 1e-9).astype(np.intp), last)
        after, fraction = np.minimum(before + 1, last), np.maximum(position - before, 0.0)[:, None]
        reference = space.interpolate(plan.states[before], plan.states[before + 1], fraction)
        wanted = (1.0 - fraction) * plan.actions[before] + fraction * plan.actions[after]
        start, limits = np.asarray(state)[None], (self.dynamics.action.lower, self.dynamics.action.upper)
        with np.errstate(all="ignore"):
            states, actions = self.dynamics.follow(start, wanted[None], reference, plan.gains[before], *limits)
        return (states[0], actions[0]) if np.isfinite(states).all() and np.isfinite(actions).all() else None
