"""Planners by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mbpl_control.core.validation import check_choice
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics
from mbpl_control.mbrl.learned_model import LearnedModel, LearningCost
from mbpl_control.mbrl.planning.cem import CEM, CEMOptions
from mbpl_control.mbrl.planning.ilqr import ILQRPlanner, ILQRPlannerOptions
from mbpl_control.mbrl.planning.mppi import MPPI, MPPIOptions
from mbpl_control.mbrl.planning.planner import Planner
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.trajopt.mpc import WindowedCost

#: From a model, a cost, the steps of a task and options of its kind.
Build = Callable[[Dynamics, WindowedCost, int, Any], Planner]

#: Each with its own options.
PLANNERS: dict[str, tuple[Build, Any]] = {
    "cem": (CEM, CEMOptions()),
    "icem": (CEM, CEMOptions.icem()),
    "mppi": (MPPI, MPPIOptions()),
    "ilqr": (ILQRPlanner, ILQRPlannerOptions()),
}


def build_planner(name: str, model: Dynamics, cost: WindowedCost, steps: int, options: Any = None) -> Planner:
    """A planner with options of its kind; with its own when None.

    Raises:
        InvalidFieldError: no planner has that name.
    """
    build, its = PLANNERS[check_choice("Planner", "name", name, tuple(PLANNERS))]
    return build(model, cost, steps, its if options is None else options)


def problem_planner(name: str, learned: LearnedDynamics, problem: LearningProblem, options: Any = None) -> Planner:
    """A planner for a learning problem; all but iLQR, which needs derivatives, count a penalty after an end.

    Raises:
        InvalidFieldError: no planner has that name.
    """
    model = LearnedModel.of(learned, problem)
    cost = LearningCost(problem, model, None) if name == "ilqr" else LearningCost(problem, model)
    return build_planner(name, model, cost, problem.steps, options)
