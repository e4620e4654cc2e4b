"""A planner on a model as feedback by the state of a task, one knot after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mbpl_control.core.errors import DefinitionMismatchError
from mbpl_control.core.feedback_law import FeedbackLaw
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.learned_model import LearnedModel
from mbpl_control.mbrl.planning.registry import build_planner
from mbpl_control.models.dynamics import Dynamics

if TYPE_CHECKING:
    from mbpl_control.tasks.task import Task


def check_model(model: Dynamics, task: Task) -> None:
    """Refuse a model that is not of a task's robot.

    Raises:
        DefinitionMismatchError: its state is neither the task's nor the robot's own, it drives other actuators, or its
            step lasts otherwise.
    """
    if model.state not in (task.state, task.robot.state):
        raise DefinitionMismatchError(
            f"the model is of {', '.join(model.state.labels())}; the state of task '{task.name}' is "
            f"{', '.join(task.state.labels())}"
        )
    for what in ("actuator_names", "joint_names", "interface", "units"):
        have, want = getattr(model.action, what), getattr(task.action, what)
        if have != want:
            raise DefinitionMismatchError(f"the model's {what} are {have}; those of task '{task.name}' are {want}")
    if abs(model.dt - task.dt) > 1e-9 * task.dt:
        raise DefinitionMismatchError(
            f"a step of the model lasts {model.dt:g} s; one of task '{task.name}' lasts {task.dt:g} s"
        )


class PlannerFeedback:
    r"""u = û + K (x ⊖ x̂), with û and K the first of a plan from x̂; K is zero where the planner gives none.

    x is the model's: the task's state, or the robot's own, a part of it. The task's cost counts, and its limits. An
    episode begins with `begin`, or with a step before the last one; what is drawn begins anew with it, so that the same
    states are answered by the same laws. Each step is planned once: who asks again in it gets the same law, and later
    plans are the same however often somebody asked.

    Args:
        model: what is planned on: a learned one, or the task's own.
        task: whose cost.
        condition: start condition whose target is meant.
        planner: a name in `planning.registry.PLANNERS`.
        seed: of what the planner draws.

    Raises:
        DefinitionMismatchError: see `check_model`.
        InvalidFieldError: no such planner, or one that draws and has no limits to draw within.
        TaskError: no such condition.
    """

    def __init__(self, model: Dynamics, task: Task, condition: int, planner: str, seed: int = 0) -> None:
        """Check that they fit."""
        check_model(model, task)
        if isinstance(model, LearnedModel):
            # the limits are the task's
            model = LearnedModel(model.learned, model.state, task.action, task.dt)
        cost = task.learning_cost(condition) if model.state == task.state else task.cost(condition)
        self._planner = build_planner(planner, model, cost, task.horizon)
        self._state, self._action, self._selection = model.state, task.action, model.state.selection_from(task.state)
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._newest: tuple[int, FeedbackLaw] | None = None

    def begin(self) -> None:
        """An episode begins: nothing is planned."""
        self._planner.forget()
        self._rng = np.random.default_rng(self._seed)
        self._newest = None

    def at(self, x: Array, step: int) -> FeedbackLaw:
        """The knot around a state of the task (nx,).

        Raises:
            SolverError: there is no plan from there.
        """
        if self._newest is not None and self._newest[0] == step:
            return self._newest[1]
        if self._newest is None or step < self._newest[0]:
            self.begin()
        x = x[self._selection]
        plan = self._planner.plan(x, self._rng, step)
        law = FeedbackLaw(self._state, self._action, x, plan.actions[0], plan.gains[0])
        self._newest = (step, law)
        return law
