"""Holding still: the built-in controller that every other one falls back to."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array, Indices
from mbpl_control.models.robot import RobotModel
from mbpl_control.runtime.executors import Executor, RobotSample


class HoldGains:
    r"""Gains of a critically damped joint at natural frequency ω with the inertia the joint sees.

        K_p = M_ii ω²,   K_d = 2 M_ii ω

    M is the joint-space inertia at the positions given; both are capped so that `reach` (rad or m) of error takes at
    most the whole effort. A robot that is not driven by efforts holds by itself: its gains are zero.

    Args:
        robot: the robot.
        positions: (nq,) where the inertia is taken.
        frequency: ω, rad/s.
        reach: error at which K_p alone may ask for the whole effort.
    """

    def __init__(self, robot: RobotModel, positions: Array, frequency: float = 12.0, reach: float = 0.1) -> None:
        """Compute the gains."""
        self.stiffness = self.damping = np.zeros(robot.action.size)
        if robot.action.interface != "effort":
            return
        diagonal = np.diag(robot.inertia(positions))[robot.actuated]
        effort = np.minimum(-robot.action.lower, robot.action.upper)
        self.stiffness = np.minimum(diagonal * frequency**2, effort / reach)
        self.damping = 2.0 * np.sqrt(self.stiffness * diagonal)


class HoldExecutor(Executor):
    r"""A damped hold at a position, with gravity compensation.

        u = g(q) + K_p (q* ⊖ q) − K_d v

    on the driven joints. The position is that of the first sample; with `soft` there is no spring, and the robot
    comes to rest where it may. A robot whose actuators take positions holds q*, one that takes velocities gets zero.

    Args:
        robot: the robot.
        gains: see `HoldGains`.
        soft: leave the spring out.
        pick: takes the joints it holds out of those the robot's command drives; all of them when None.
    """

    def __init__(
        self, robot: RobotModel, gains: HoldGains, soft: bool = False, pick: slice | Indices | None = None
    ) -> None:
        """Keep the gains."""
        self._robot, self._gains, self._soft = robot, gains, soft
        self._pick = slice(None) if pick is None else pick
        self._driven = robot.actuated[self._pick]
        self._stiffness = np.zeros(len(self._driven)) if soft else gains.stiffness[self._pick]
        self._damping = gains.damping[self._pick]
        self._position: Array | None = None

    def narrowed(self, pick: slice | Indices) -> HoldExecutor:
        """The hold of fewer joints, where they are held already."""
        narrow = HoldExecutor(self._robot, self._gains, self._soft, pick)
        narrow._position = self._position
        return narrow

    def evaluate(self, sample: RobotSample) -> Array:
        """See `Executor.evaluate`."""
        robot, driven = self._robot, self._driven
        if self._position is None:
            self._position = sample.q.copy()
        if robot.action.interface != "effort":
            return robot.holding_action(self._position)[self._pick]
        away = robot.position_space.difference(self._position, sample.q)[driven]
        return robot.gravity(sample.q)[self._pick] + self._stiffness * away - self._damping * sample.v[driven]
