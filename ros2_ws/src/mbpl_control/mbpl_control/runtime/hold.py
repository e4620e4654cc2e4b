"""Holding still: the built-in controller that every other one falls back to."""

from __future__ import annotations

import mujoco
import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.models.robot import RobotModel
from mbpl_control.runtime.executors import Executor, RobotSample


class HoldGains:
    r"""Gains of a critically damped joint at natural frequency ω with the inertia the joint sees.

        K_p = M_ii ω²,   K_d = 2 M_ii ω

    M is the joint-space inertia at the positions given; both are capped so that `reach` (rad or m) of error takes at most the
    whole effort.

    Args:
        robot: a robot driven by efforts.
        positions: (nq,) where the inertia is taken.
        frequency: ω, rad/s.
        reach: error at which K_p alone may ask for the whole effort.
    """

    def __init__(
        self, robot: RobotModel, positions: Array, frequency: float = 12.0, reach: float = 0.1
    ) -> None:
        """Compute the gains."""
        model = robot.mujoco_model()
        data = mujoco.MjData(model)
        data.qpos[:] = positions
        mujoco.mj_forward(model, data)
        inertia = np.zeros((model.nv, model.nv))
        mujoco.mj_fullM(model, data, inertia)
        diagonal = np.diag(inertia)[robot.actuated]
        effort = np.minimum(-robot.action.lower, robot.action.upper)
        stiffness = np.minimum(diagonal * frequency**2, effort / reach)
        self.stiffness = stiffness
        self.damping = 2.0 * np.sqrt(stiffness * diagonal)


class HoldExecutor(Executor):
    r"""A damped hold at a position, with gravity compensation.

        u = g(q) + K_p (q* − q) − K_d v

    on the driven joints. The position is that of the first sample; with `soft` there is no spring, and the robot comes to rest
    where it may. A robot whose actuators take positions holds q*, one that takes velocities gets zero.

    Args:
        robot: the robot.
        gains: see `HoldGains`.
        soft: leave the spring out.
    """

    def __init__(self, robot: RobotModel, gains: HoldGains, soft: bool = False) -> None:
        """Keep the gains."""
        self._robot = robot
        self._driven = robot.actuated
        self._stiffness = np.zeros_like(gains.stiffness) if soft else gains.stiffness
        self._damping = gains.damping
        self._position: Array | None = None

    def evaluate(self, sample: RobotSample) -> Array:
        """See `Executor.evaluate`."""
        q = sample.q[self._driven]
        if self._position is None:
            self._position = q.copy()
        interface = self._robot.action.interface
        if interface == "position":
            return self._position
        if interface == "velocity":
            return np.zeros_like(q)
        u = self._robot.gravity(sample.q)
        return u + self._stiffness * (self._position - q) - self._damping * sample.v[self._driven]
