"""What a robot's commands must keep to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.tasks.task import Task

OWNER = "Limits"

#: Without a better figure, a command may cross its whole range in this time, s.
FULL_RANGE_TIME = 0.02
#: Without a better figure, the soft zone is this fraction of a joint's range.
SOFT_ZONE_FRACTION = 0.02


@dataclass(frozen=True, eq=False)
class Limits:
    """Limits of the driven joints, (m,) each, +inf where there is none.

    Attributes:
        names: of the joints.
        lower: of the command, in the unit of the actuators' interface: N·m or N, rad/s or m/s, rad or m.
        upper: of the command.
        rate: of the command, its unit per second.
        velocity: rad/s or m/s.
        position_lower: rad or m; −inf where there is none.
        position_upper: rad or m.
        soft_zone: rad or m before a position limit in which the allowed speed falls to zero.
    """

    names: tuple[str, ...]
    lower: Array
    upper: Array
    rate: Array
    velocity: Array
    position_lower: Array
    position_upper: Array
    soft_zone: Array

    @classmethod
    def of_task(cls, task: Task) -> Limits:
        """Limits of the model, tightened by the task.

        Raises:
            InvalidFieldError: the robot has ball or free joints, or an actuator has no limit.
        """
        robot, action = task.robot, task.action
        if not robot.is_one_number_per_joint:
            raise InvalidFieldError(
                OWNER, "robot", f"{robot.path.name} with ball or free joints", "one of hinges and slides"
            )
        unlimited = np.flatnonzero(~np.isfinite(action.upper - action.lower))
        if unlimited.size:
            raise InvalidFieldError(
                OWNER,
                "upper",
                f"no limit of actuator '{action.actuator_names[unlimited[0]]}'",
                f"finite: give its range in {robot.path.name}, or limits.effort in {task.path.name}",
            )
        driven = robot.actuated
        velocity = task.velocity_limits()[driven]
        rate = (action.upper - action.lower) / FULL_RANGE_TIME
        if action.interface == "position":
            rate = np.minimum(rate, velocity)
        given = task.effort_rate_limits()
        if given is not None:
            rate = given
        lower, upper = robot.position_lower[driven], robot.position_upper[driven]
        width = np.where(np.isfinite(upper - lower), upper - lower, 0.0)
        wanted = task.limits.position_soft_zone
        share = 0.0 if wanted == "none" else SOFT_ZONE_FRACTION
        zone = np.where(width > 0.0, wanted if isinstance(wanted, float) else share * width, 0.0)
        return cls(action.joint_names, action.lower, action.upper, rate, velocity, lower, upper, zone)
