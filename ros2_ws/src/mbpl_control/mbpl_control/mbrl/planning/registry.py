"""Planners by name."""

from __future__ import annotations

from collections.abc import Callable

from mbpl_control.core.validation import check_choice
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics
from mbpl_control.mbrl.learned_model import LearnedModel, LearningCost
from mbpl_control.mbrl.planning.cem import CEM, CEMOptions
from mbpl_control.mbrl.planning.ilqr import ILQRPlanner
from mbpl_control.mbrl.planning.mppi import MPPI
from mbpl_control.mbrl.planning.planner import Planner
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.trajopt.mpc import WindowedCost

Build = Callable[[Dynamics, WindowedCost, int], Planner]

#: Each with its own options; from a model, a cost and the steps of a task.
PLANNERS: dict[str, Build] = {
    "cem": CEM,
    "icem": lambda model, cost, steps: CEM(model, cost, steps, CEMOptions.icem()),
    "mppi": MPPI,
    "ilqr": ILQRPlanner,
}


def build_planner(name: str, model: Dynamics, cost: WindowedCost, steps: int) -> Planner:
    """A planner with its own options.

    Raises:
        InvalidFieldError: no planner has that name.
    """
    return PLANNERS[check_choice("Planner", "name", name, tuple(PLANNERS))](model, cost, steps)


def problem_planner(name: str, learned: LearnedDynamics, problem: LearningProblem) -> Planner:
    """A planner for a learning problem; all but iLQR, which needs derivatives, count a penalty after an end.

    Raises:
        InvalidFieldError: no planner has that name.
    """
    model = LearnedModel.of(learned, problem)
    cost = LearningCost(problem, model, None) if name == "ilqr" else LearningCost(problem, model)
    return build_planner(name, model, cost, problem.steps)
