"""Linear models and quadratic costs, whose optima are known by other means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import ActionDefinition, StateBlock, StateDefinition
from mbpl_control.costs.cost import Cost, Quadratization
from mbpl_control.models import MujocoDynamics, RobotModel
from mbpl_control.models.dynamics import Dynamics


class LinearDynamics(Dynamics):
    """x' = A x + B u + c, with coordinates and actuators named by number."""

    def __init__(self, a: np.ndarray, b: np.ndarray, c: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> None:
        """Keep the matrices."""
        n, m = b.shape
        names = tuple(f"x{i}" for i in range(n))
        self.state = StateDefinition((StateBlock("joint_positions", names, ("euclidean",) * n, ("rad",) * n),))
        motors = tuple(f"u{i}" for i in range(m))
        self.action = ActionDefinition(motors, motors, "effort", ("N*m",) * m, lower, upper)
        self.dt = 0.1
        self.a, self.b, self.c = a, b, c

    def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """See `Dynamics.step`."""
        return states @ self.a.T + actions @ self.b.T + self.c

    def linearize(self, states: np.ndarray, actions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """See `Dynamics.linearize`."""
        return np.tile(self.a, (len(actions), 1, 1)), np.tile(self.b, (len(actions), 1, 1))


@dataclass
class QuadraticCost(Cost):
    """½ [x, u]ᵀ W_t [x, u] + w_tᵀ [x, u] at each step, ½ xᵀ Q x + qᵀ x at the end."""

    running: np.ndarray
    slope: np.ndarray
    final: np.ndarray
    final_slope: np.ndarray

    def evaluate(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        """See `Cost.evaluate`."""
        z = np.concatenate([states[..., :-1, :], actions], axis=-1)
        running = 0.5 * np.einsum("...ti,tij,...tj->...t", z, self.running, z) + np.einsum(
            "...ti,ti->...t", z, self.slope
        )
        x = states[..., -1, :]
        final = 0.5 * np.einsum("...i,ij,...j->...", x, self.final, x) + x @ self.final_slope
        return np.concatenate([running, final[..., None]], axis=-1)

    def quadratize(self, states: np.ndarray, actions: np.ndarray, hessian: str = "exact") -> Quadratization:
        """See `Cost.quadratize`; exact at any rate."""
        n = states.shape[1]
        z = np.concatenate([states[:-1], actions], axis=1)
        gradient = np.einsum("tij,tj->ti", self.running, z) + self.slope
        last = self.final @ states[-1] + self.final_slope
        return Quadratization(
            self.evaluate(states, actions),
            np.concatenate([gradient[:, :n], last[None]]),
            gradient[:, n:],
            np.concatenate([self.running[:, :n, :n], self.final[None]]),
            self.running[:, n:, :n],
            self.running[:, n:, n:],
        )


@dataclass
class LinearProblem:
    """A linear-quadratic problem of T steps."""

    dynamics: LinearDynamics
    cost: QuadraticCost
    start: np.ndarray
    steps: int

    @property
    def zero(self) -> np.ndarray:
        """No action at all (T, m)."""
        return np.zeros((self.steps, self.dynamics.action.size))

    def total(self, actions: np.ndarray) -> float:
        """The cost of actions (T · m,) or (T, m) from the start, by rolling them out."""
        actions = np.reshape(actions, (self.steps, -1))
        return float(self.cost.evaluate(self.dynamics.rollout(self.start, actions), actions).sum())


@pytest.fixture(scope="session")
def make_linear_problem() -> Callable[..., LinearProblem]:
    """Random strictly convex problems with cross terms, gradients and a constant in the dynamics."""

    def make(seed: int, steps: int = 12, n: int = 4, m: int = 2, limit: float = np.inf) -> LinearProblem:
        rng = np.random.default_rng(seed)
        a = 0.8 * np.eye(n) + 0.1 * rng.normal(size=(n, n))
        b = rng.normal(size=(n, m))
        bound = np.full(m, limit)
        dynamics = LinearDynamics(a, b, 0.1 * rng.normal(size=n), -bound, bound)
        factor = rng.normal(size=(steps, n + m, n + m))
        running = factor @ factor.transpose(0, 2, 1) + 0.2 * np.eye(n + m)
        last = rng.normal(size=(n, n))
        cost = QuadraticCost(running, rng.normal(size=(steps, n + m)), last @ last.T + np.eye(n), rng.normal(size=n))
        return LinearProblem(dynamics, cost, rng.normal(size=n), steps)

    return make


@pytest.fixture(scope="session")
def pendulum(robot_files: Path) -> MujocoDynamics:
    """The pendulum that ships, in steps of 0.05 s."""
    return MujocoDynamics(RobotModel.from_file(robot_files / "pendulum.xml"), 0.05)
