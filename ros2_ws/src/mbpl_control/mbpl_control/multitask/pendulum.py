"""Pendulums of any mass, to be swung up: a family of tasks that one policy may do."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.validation import Array, check_positive
from mbpl_control.multitask.batch_problem import BatchProblem

GRAVITY, LENGTH, DAMPING = 9.81, 1.0, 0.1  # m/s², m, N m s
TORQUE = 15.0  # N m
DT, STEPS = 0.05, 60
#: Half widths of the starts about hanging at rest, rad and rad/s.
START = np.array([0.5, 0.5])

STATE = StateDefinition(
    (
        StateBlock("joint_positions", ("pivot",), ("angle",), ("rad",)),
        StateBlock("joint_velocities", ("pivot",), ("euclidean",), ("rad/s",)),
        StateBlock("target", ("mass",), ("euclidean",), ("kg",)),
    )
)
ACTION = ActionDefinition(("pivot",), ("pivot",), "effort", ("N*m",), np.array([-TORQUE]), np.array([TORQUE]))


def pendulum(mass: float) -> BatchProblem:
    r"""A point mass on a rod without mass, swung up from hanging and held.

    With the angle q from upright, x = (q, q̇, m),

        m l² q̈ = m g l sin q − b q̇ + u,   q̇' = q̇ + Δt q̈,   q' = q + Δt q̇',
        r = ½ (1 + cos q') − 10⁻³ q̇'² − 10⁻³ u².

    l = 1 m, b = 0.1 N m s, |u| ≤ 15 N m, Δt = 0.05 s, 60 steps. Up to 1.5 kg the torque lifts the rod from any angle;
    above that it must swing. The mass is seen: a policy for several can tell them apart.

    Args:
        mass: m, kg.

    Raises:
        InvalidFieldError: the mass is not above 0.
    """
    check_positive("pendulum", "mass", mass, "kg")

    def starts(count: int, rng: np.random.Generator) -> Array:
        around = START * rng.uniform(-1.0, 1.0, (count, 2))
        return np.column_stack([np.pi + around[:, 0], around[:, 1], np.full(count, mass)])

    def successors(x: Tensor, u: Tensor) -> Tensor:
        q, rate, m = x.unbind(dim=1)
        inertia = m * LENGTH**2
        rate = rate + DT * (m * GRAVITY * LENGTH * torch.sin(q) - DAMPING * rate + u[:, 0]) / inertia
        return torch.stack([q + DT * rate, rate, m], dim=1)

    def reward(_: Tensor, u: Tensor, after: Tensor) -> Tensor:
        return 0.5 * (1.0 + torch.cos(after[:, 0])) - 1e-3 * (after[:, 1].square() + u[:, 0].square())

    return BatchProblem(f"pendulum of {mass:g} kg", STATE, ACTION, DT, STEPS, starts, successors, reward)
