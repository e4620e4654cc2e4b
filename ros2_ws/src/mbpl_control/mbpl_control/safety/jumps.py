"""Positions that change as no joint can: the robot was put somewhere else, or a sensor failed."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.tasks.task import Task

#: A position may change by this much, rad or m, beyond `SPEED_FACTOR` times what the speed limit allows.
JUMP_MARGIN = 0.05
#: Times the speed limit that still counts as motion.
SPEED_FACTOR = 10.0


class JumpCheck:
    """Compares successive positions of all joints with what their speed limits allow.

    Args:
        task: whose robot and speed limits are meant; a joint without a speed limit never jumps.
        margin: rad or m beyond what the speed allows.
        factor: times the speed limit.
    """

    def __init__(self, task: Task, margin: float = JUMP_MARGIN, factor: float = SPEED_FACTOR) -> None:
        """Keep the limits."""
        self._names = task.robot.joint_names
        self._space = task.robot.position_space
        self._fastest = factor * task.velocity_limits()
        self._margin = margin

    def joint(self, before: Array, after: Array, dt: float) -> str:
        """Name of the joint that jumped between positions (nv,) dt > 0 s apart; empty when none did."""
        moved = np.abs(self._space.difference(after, before)) - self._fastest * dt
        worst = int(np.argmax(moved))
        return self._names[worst] if moved[worst] >= self._margin else ""
