"""Planning a task: what the command line, the planner node and the examples share."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from mbpl_control.core import LinearGaussianController
from mbpl_control.core.errors import SolverError
from mbpl_control.core.validation import Array
from mbpl_control.tasks.task import Task
from mbpl_control.trajopt.feedback_kernels import load_kernels
from mbpl_control.trajopt.ilqr import ILQR
from mbpl_control.trajopt.mpc import RecedingHorizon
from mbpl_control.trajopt.options import ILQROptions
from mbpl_control.trajopt.result import ILQRResult, Iteration


def task_options(task: Task, **changes: Any) -> ILQROptions:
    """iLQR options as the task's file gives them, with `changes`."""
    p = task.planner
    values = {
        "max_iterations": p.max_iterations,
        "cost_tolerance": p.cost_tolerance,
        "gradient_tolerance": p.gradient_tolerance,
        "hessian": p.hessian,
        "form": p.form,
        "regularization": p.regularization,
    }
    return ILQROptions(**{**values, **changes})


def warm_up(task: Task) -> None:
    """Compile what a plan of this task needs, or load it from the cache, so that no controller waits for it."""
    dynamics, cost = task.dynamics(), task.cost(0).window(0, task.horizon)
    actions = task.initial_actions(0)[: min(2, task.horizon)]
    # where the first search meets no limit, a later one may, and go on in the forward form
    for form in ("auto", "forward"):
        options = task_options(task, max_iterations=1, gradient_tolerance=1e-300, form=form)
        with suppress(SolverError):
            # whether two steps of the task have a solution is not the question
            ILQR(dynamics, cost, options).solve(task.condition(0).state, actions)
    load_kernels()


def plan_task(
    task: Task,
    condition: int = 0,
    start: Array | None = None,
    seed: int = 0,
    callback: Callable[[Iteration], None] | None = None,
    **changes: Any,
) -> ILQRResult:
    """Plan a task over its whole horizon.

    Args:
        task: the task.
        condition: whose target counts, and whose state the plan starts from.
        start: another state to start from (nx,), of the robot.
        seed: of the first actions' noise.
        callback: told of each iteration.
        changes: options that differ from the task's.

    Raises:
        SolverError: no plan was found.
    """
    begin = task.condition(condition).state if start is None else start
    problem = ILQR(task.dynamics(condition=condition), task.cost(condition), task_options(task, **changes))
    return problem.solve(begin, task.initial_actions(condition, seed), callback)


def task_controller(task: Task, result: ILQRResult, name: str = "ilqr") -> LinearGaussianController:
    """The plan as the law the task's file asks for."""
    p = task.planner
    return result.controller(
        p.execution,
        p.end_rule,
        p.temperature,
        name,
        metadata={
            "task": task.name,
            "task_hash": task.hash,
            "cost": result.cost,
            "iterations": len(result.iterations),
            "stop_reason": result.stop_reason,
        },
    )


def task_receding_horizon(task: Task, condition: int) -> RecedingHorizon:
    """A receding-horizon planner for a task, with the task's own options."""
    mpc = task.planner.mpc
    options = task_options(task, max_iterations=mpc.iterations)
    return RecedingHorizon(
        task.dynamics(condition=condition),
        task.cost(condition),
        task.horizon,
        mpc.horizon,
        options,
        first_iterations=task.planner.max_iterations,
    )


def first_guess(task: Task, condition: int, start: Array) -> Array:
    """Actions (H, m) a receding horizon starts from: those that hold `start` still."""
    hold = task.robot.holding_action(start[: task.robot.nq])
    actions = np.tile(hold, (task.planner.mpc.horizon, 1))
    return np.clip(actions, task.action.lower, task.action.upper)
