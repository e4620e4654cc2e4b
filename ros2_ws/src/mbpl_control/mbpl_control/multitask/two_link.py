"""A planar arm of two links that reaches for goals all around it."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.validation import Array, Indices
from mbpl_control.multitask.batch_problem import BatchProblem

#: Of each link: m, and kg at its end.
LENGTH, MASS = 0.5, 1.0
DAMPING = 0.2  # N m s
TORQUE = np.array([4.0, 2.0])  # N m
DT, STEPS = 0.05, 40
#: Of the start: rad, its half width rad; radii of the goals, m.
POSE, AROUND, RADII = np.array([0.0, 1.5]), 0.1, (0.4, 0.9)
QUADRANTS = 4

STATE = StateDefinition(
    (
        StateBlock("joint_positions", ("shoulder", "elbow"), ("angle", "angle"), ("rad", "rad")),
        StateBlock("joint_velocities", ("shoulder", "elbow"), ("euclidean", "euclidean"), ("rad/s", "rad/s")),
        StateBlock("target", ("goal.x", "goal.y"), ("euclidean", "euclidean"), ("m", "m")),
    )
)
ACTION = ActionDefinition(
    ("shoulder", "elbow"), ("shoulder", "elbow"), "effort", ("N*m", "N*m"), -TORQUE, np.array(TORQUE)
)


def tip(q: Tensor) -> Tensor:
    """Position of the tip, m. (N, 2) → (N, 2)."""
    both = q[:, 0] + q[:, 1]
    return LENGTH * torch.stack([torch.cos(q[:, 0]) + torch.cos(both), torch.sin(q[:, 0]) + torch.sin(both)], dim=1)


def accelerations(q: Tensor, rates: Tensor, torques: Tensor) -> Tensor:
    r"""q̈ of M(q) q̈ + c(q, q̇) + b q̇ = u, the masses at the ends of the links and no gravity. (N, 2) each.

    M = a [[3 + 2 cos q_2, 1 + cos q_2], [1 + cos q_2, 1]],   a = m l²,
    c = a sin q_2 (−2 q̇_1 q̇_2 − q̇_2², q̇_1²)
    """
    a, cosine, sine = MASS * LENGTH**2, torch.cos(q[:, 1]), torch.sin(q[:, 1])
    first, second = rates[:, 0], rates[:, 1]
    m11, m12, m22 = a * (3.0 + 2.0 * cosine), a * (1.0 + cosine), a
    f1 = torques[:, 0] - DAMPING * first + a * sine * (2.0 * first * second + second.square())
    f2 = torques[:, 1] - DAMPING * second - a * sine * first.square()
    determinant = m11 * m22 - m12.square()
    return torch.stack([m22 * f1 - m12 * f2, m11 * f2 - m12 * f1], dim=1) / determinant[:, None]


def quadrant(states: Array) -> Indices:
    """Quadrant of each state's goal about the shoulder, 0 to 3 counter-clockwise. (N, 6) → (N,)."""
    where = states[:, 4:]
    return np.where(where[:, 1] >= 0.0, np.where(where[:, 0] >= 0.0, 0, 1), np.where(where[:, 0] < 0.0, 2, 3))


def two_link_reacher() -> BatchProblem:
    r"""The tip goes to a goal between 0.4 and 0.9 m from the shoulder and stays; x = (q, q̇, goal).

        q̇' = q̇ + Δt q̈,   q' = q + Δt q̇',   r = −‖goal − tip'‖ − 10⁻² ‖u / u_max‖²

    Links of 0.5 m, 1 kg at the end of each, u_max = (4, 2) N m, Δt = 0.05 s, 40 steps. The arm begins near one pose,
    the goal lies anywhere around.
    """

    def starts(count: int, rng: np.random.Generator) -> Array:
        q = POSE + AROUND * rng.uniform(-1.0, 1.0, (count, 2))
        angle, radius = rng.uniform(-np.pi, np.pi, count), rng.uniform(*RADII, count)
        goal = radius[:, None] * np.column_stack([np.cos(angle), np.sin(angle)])
        return np.column_stack([q, np.zeros((count, 2)), goal])

    def successors(x: Tensor, u: Tensor) -> Tensor:
        q, rates, goal = x[:, :2], x[:, 2:4], x[:, 4:]
        rates = rates + DT * accelerations(q, rates, u)
        return torch.cat([q + DT * rates, rates, goal], dim=1)

    def reward(_: Tensor, u: Tensor, after: Tensor) -> Tensor:
        effort = (u / torch.from_numpy(TORQUE)).square().sum(dim=1)
        return -(after[:, 4:] - tip(after[:, :2])).norm(dim=1) - 1e-2 * effort

    return BatchProblem("two-link reacher", STATE, ACTION, DT, STEPS, starts, successors, reward)
