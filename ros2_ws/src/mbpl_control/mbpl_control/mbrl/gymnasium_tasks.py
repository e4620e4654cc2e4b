"""Tasks of Gymnasium as learning problems."""

from __future__ import annotations

import gymnasium
import numpy as np
import torch
from torch import Tensor

from mbpl_control.core.validation import check_choice
from mbpl_control.mbrl.problem import LearningProblem

#: rad; the pole of InvertedPendulum has fallen beyond it.
FALLEN = 0.2
#: m; half of its rail.
RAIL = 1.0


def _inverted_pendulum() -> LearningProblem:
    """A pole on a cart: x = (position m, angle rad, and their rates), u a force; one for each step it stands."""

    def ended(successors: Tensor) -> Tensor:
        return (successors[:, 1].abs() > FALLEN) | ~torch.isfinite(successors).all(dim=1)

    def reward(_: Tensor, __: Tensor, successors: Tensor) -> Tensor:
        return (~ended(successors)).to(successors.dtype)

    def cost(_: Tensor, actions: Tensor, successors: Tensor) -> Tensor:
        # both in units of what ends it: the fall, and the end of the rail, where the cart hits a stop
        away = (successors[:, 1] / FALLEN).square() + (successors[:, 0] / RAIL).square()
        return away + 1e-3 * actions.square().sum(dim=1)

    return LearningProblem(
        name="InvertedPendulum-v5",
        make=lambda: gymnasium.make("InvertedPendulum-v5"),
        n=4,
        lower=np.array([-3.0]),
        upper=np.array([3.0]),
        dt=0.04,
        steps=1000,
        reward=reward,
        cost=cost,
        ended=ended,
        enough=1000.0,
    )


def _pendulum() -> LearningProblem:
    """A pendulum whose motor is too weak to lift it: x = (cos θ, sin θ, rate rad/s), θ from upright; u a torque N m."""

    def reward(states: Tensor, actions: Tensor, _: Tensor) -> Tensor:
        angle = torch.atan2(states[:, 1], states[:, 0])
        return -(angle.square() + 0.1 * states[:, 2].square() + 1e-3 * actions.square().sum(dim=1))

    def cost(_: Tensor, actions: Tensor, successors: Tensor) -> Tensor:
        # θ² has a kink at the bottom; this is the same near the top, and smooth all around
        height = 2.0 * (1.0 - successors[:, 0])
        return height + 0.1 * successors[:, 2].square() + 1e-3 * actions.square().sum(dim=1)

    def ended(successors: Tensor) -> Tensor:
        return torch.zeros(len(successors), dtype=torch.bool)

    return LearningProblem(
        name="Pendulum-v1",
        make=lambda: gymnasium.make("Pendulum-v1"),
        n=3,
        lower=np.array([-2.0]),
        upper=np.array([2.0]),
        dt=0.05,
        steps=200,
        reward=reward,
        cost=cost,
        ended=ended,
    )


GYMNASIUM_TASKS = {"InvertedPendulum-v5": _inverted_pendulum, "Pendulum-v1": _pendulum}


def gymnasium_problem(name: str) -> LearningProblem:
    """A task of Gymnasium whose reward is known as a function.

    Raises:
        InvalidFieldError: it is none of those.
    """
    return GYMNASIUM_TASKS[check_choice("Gymnasium", "task", name, tuple(GYMNASIUM_TASKS))]()
