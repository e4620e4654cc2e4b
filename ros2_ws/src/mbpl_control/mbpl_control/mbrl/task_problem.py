"""Learning problems by name: tasks of ours, and of Gymnasium."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from mbpl_control.mbrl.gymnasium_tasks import gymnasium_problem
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.task_environment import TaskEnvironment
from mbpl_control.mbrl.task_view import MeanCost, TaskView
from mbpl_control.mbrl.torch_cost import torch_cost
from mbpl_control.tasks.task import Task, load_task

#: Before the name of a task of Gymnasium.
GYMNASIUM = "gym:"


def load_problem(name: str | Path) -> LearningProblem:
    """A learning problem by name: "gym:InvertedPendulum-v5" of Gymnasium, or one of our tasks, or its file.

    Raises:
        InvalidFieldError: no such task of Gymnasium.
        TaskError: no such task, or none to learn so, see `TaskView`.
    """
    text = str(name)
    if text.startswith(GYMNASIUM):
        return gymnasium_problem(text.removeprefix(GYMNASIUM))
    return task_problem(load_task(name))


def task_problem(task: Task) -> LearningProblem:
    r"""A task, learned from all its training conditions.

    x is the view of `TaskView`, with the sine and cosine of an angle that winds in its place (numbers first, then
    sines, then cosines, as in `FeatureMap`): networks and models see no jump and need not learn each turn anew. What a
    model makes of the two is an angle by arctan, whatever their length.

    The reward is −c̄(x, u) of `MeanCost`, and that is what the environment of `make` pays: the same at each step. The
    cost is c̄ with state terms at the successor, for which a planner's last action counts, too. Who judges pays the
    task's own cost, ramps and all (`LearningProblem.judge`), from each training condition.

    Raises:
        TaskError: see `TaskView`.
    """
    environment = TaskEnvironment(task)
    view, conditions = environment.view, environment.conditions
    cost = MeanCost(view)

    def reward(states: Tensor, actions: Tensor, _: Tensor) -> Tensor:
        return -torch_cost(cost, plain(view, states), actions)

    def planned(_: Tensor, actions: Tensor, successors: Tensor) -> Tensor:
        return torch_cost(cost, plain(view, successors), actions)

    def ended(successors: Tensor) -> Tensor:
        return torch.zeros(len(successors), dtype=torch.bool)

    return LearningProblem(
        name=task.name,
        make=lambda: TaskEnvironment(task, conditions, features=True, ramps=False),
        n=view.features.size,
        lower=task.action.lower,
        upper=task.action.upper,
        dt=task.dt,
        steps=task.horizon,
        reward=reward,
        cost=planned,
        ended=ended,
        starts=tuple({"condition": c} for c in conditions),
        judge=lambda: TaskEnvironment(task, conditions, features=True),
    )


def plain(view: TaskView, features: Tensor) -> Tensor:
    """o of φ(o), angles within ±π. (N, nf) → (N, n).

    Where sine and cosine are both zero, which no state has and where arctan has no derivative, the angle is that of
    cosine 1: whoever expands about x = 0 gets numbers.
    """
    spaces = view.definition.space.spaces
    turns = spaces.count("angle")
    if not turns:
        return features
    lines = len(spaces) - turns
    sines, cosines = features[:, lines : lines + turns], features[:, lines + turns :]
    nowhere = (sines == 0.0) & (cosines == 0.0)
    angles = torch.atan2(sines, torch.where(nowhere, torch.ones_like(cosines), cosines))
    order = [i for i, space in enumerate(spaces) if space != "angle"]
    order += [i for i, space in enumerate(spaces) if space == "angle"]
    back = sorted(range(len(order)), key=order.__getitem__)
    return torch.cat([features[:, :lines], angles], dim=1)[:, back]
