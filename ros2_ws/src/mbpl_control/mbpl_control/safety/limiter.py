"""The last word on every command: effort, effort rate, joint position and velocity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, float_array
from mbpl_control.models.robot import RobotModel
from mbpl_control.tasks.task import Task

OWNER = "Limits"

#: Without a better figure, an effort may cross its whole range in this time, s.
FULL_RANGE_TIME = 0.02
#: Without a better figure, the soft zone is this fraction of a joint's range.
SOFT_ZONE_FRACTION = 0.02


@dataclass(frozen=True, eq=False)
class Limits:
    """Limits of the driven joints (m,), +inf where there is none.

    Attributes:
        names: of the joints.
        effort_lower: N·m or N.
        effort_upper: N·m or N.
        effort_rate: N·m/s or N/s.
        velocity: rad/s or m/s.
        position_lower: rad or m; −inf where there is none.
        position_upper: rad or m.
        soft_zone: rad or m before a position limit in which the allowed speed falls to zero.
    """

    names: tuple[str, ...]
    effort_lower: Array
    effort_upper: Array
    effort_rate: Array
    velocity: Array
    position_lower: Array
    position_upper: Array
    soft_zone: Array

    @classmethod
    def of_task(cls, task: Task) -> Limits:
        """Limits of the model, tightened by the task."""
        robot, action, spec = task.robot, task.action, task.limits
        _check_one_number(robot)
        driven = robot.actuated
        m = action.size
        span = action.upper - action.lower
        rate = span / FULL_RANGE_TIME
        if spec.effort_rate is not None:
            rate = _spread("effort_rate", spec.effort_rate, m)
        lower, upper = robot.position_lower[driven], robot.position_upper[driven]
        width = np.where(np.isfinite(upper - lower), upper - lower, 0.0)
        zone = SOFT_ZONE_FRACTION * width
        if spec.position_soft_zone is not None:
            zone = np.full(m, spec.position_soft_zone)
            over = np.flatnonzero((width > 0.0) & (2.0 * zone >= width))
            if over.size:
                i = int(over[0])
                raise InvalidFieldError(
                    OWNER,
                    "soft_zone",
                    f"{zone[i]} for '{action.joint_names[i]}'",
                    f"below half its range, {0.5 * width[i]:.6g}",
                )
        return cls(
            action.joint_names,
            action.lower,
            action.upper,
            rate,
            task.velocity_limits()[driven],
            lower,
            upper,
            zone,
        )


class CommandLimiter:
    r"""Applies limits to effort commands, in this order, and counts what it changed.

    1. rate: |u − u_last| ≤ u̇_max dt
    2. velocity and soft position limits, as a bound on effort relative to gravity g(q):

        v_high = clip( κ (q_upper − zone − q), −v_max, v_max ),   u ≤ g + β (v_high − v)

       and likewise below. κ stops the joint within the zone from its top speed; β takes the whole effort range for a tenth of
       the top speed. Beyond the zone the bound pushes the joint back.
    3. effort: u_lower ≤ u ≤ u_upper

    Effort is last: whatever the others ask, the robot never gets more than it can take.

    Source: the soft joint limits of the PR2 controllers, as in joint_limits_interface.
    """

    KINDS = ("effort_rate", "position_velocity", "effort")

    def __init__(self, limits: Limits, robot: RobotModel) -> None:
        """Precompute what does not change from tick to tick."""
        self.limits = limits
        self._robot = robot
        self._driven = robot.actuated
        self.counts = dict.fromkeys(self.KINDS, 0)
        self.last_reason = ""
        m = len(limits.names)
        speed = np.where(np.isfinite(limits.velocity), limits.velocity, 0.0)
        range_ = np.where(
            np.isfinite(limits.effort_upper - limits.effort_lower),
            limits.effort_upper - limits.effort_lower,
            0.0,
        )
        self._speed_limited = (speed > 0.0) & (range_ > 0.0)
        self._beta = np.where(self._speed_limited, range_ / np.maximum(0.1 * speed, 1e-12), 0.0)
        self._kappa = np.where(limits.soft_zone > 0.0, speed / np.maximum(limits.soft_zone, 1e-12), 0.0)
        self._soft_low = limits.position_lower + limits.soft_zone
        self._soft_high = limits.position_upper - limits.soft_zone
        # nothing binds while every joint is slower than this and this far from its zones: the common case is one comparison
        self._calm_speed = np.where(self._speed_limited, 0.85 * limits.velocity, np.inf)
        zone = 2.0 * limits.soft_zone
        self._calm_low = np.where(self._speed_limited, self._soft_low + zone, -np.inf)
        self._calm_high = np.where(self._speed_limited, self._soft_high - zone, np.inf)
        self._gravity = np.zeros(m)

    def apply(self, wanted: Array, last: Array, q: Array, v: Array, dt: float) -> tuple[Array, bool]:
        """The command that may be sent, and whether it differs from what was wanted.

        Args:
            wanted: u (m,), finite.
            last: the last applied command (m,).
            q: positions of all joints (nv,).
            v: velocities of all joints (nv,).
            dt: s since the last command.
        """
        limits = self.limits
        step = limits.effort_rate * dt
        u = np.minimum(np.maximum(wanted, last - step), last + step)
        rated = bool((u != wanted).any())
        qd, vd = q[self._driven], v[self._driven]
        calm = (
            (np.abs(vd) < self._calm_speed) & (qd > self._calm_low) & (qd < self._calm_high)
        ).all()
        softened = False
        if not calm:
            before = u
            u = self._soften(u, q, qd, vd)
            softened = bool((u != before).any())
        clipped = np.minimum(np.maximum(u, limits.effort_lower), limits.effort_upper)
        cut = bool((clipped != u).any())
        if rated or softened or cut:
            self._count(rated, softened, cut, wanted, clipped)
            return clipped, True
        return clipped, False

    def _soften(self, u: Array, q: Array, qd: Array, vd: Array) -> Array:
        limits = self.limits
        speed = limits.velocity
        with np.errstate(invalid="ignore"):
            high = np.where(self._kappa > 0.0, self._kappa * (self._soft_high - qd), speed)
            low = np.where(self._kappa > 0.0, self._kappa * (self._soft_low - qd), -speed)
        high = np.minimum(np.maximum(high, -speed), speed)
        low = np.minimum(np.maximum(low, -speed), speed)
        gravity = self._robot.gravity(q)
        with np.errstate(invalid="ignore"):
            most = np.where(self._speed_limited, gravity + self._beta * (high - vd), np.inf)
            least = np.where(self._speed_limited, gravity + self._beta * (low - vd), -np.inf)
        return np.maximum(np.minimum(u, most), least)

    def _count(self, rated: bool, softened: bool, cut: bool, wanted: Array, given: Array) -> None:
        for kind, happened in zip(self.KINDS, (rated, softened, cut)):
            self.counts[kind] += happened
        i = int(np.argmax(np.abs(given - wanted)))
        kinds = [k for k, happened in zip(self.KINDS, (rated, softened, cut)) if happened]
        self.last_reason = (
            f"{', '.join(kinds)}: '{self.limits.names[i]}' {wanted[i]:.4g} became {given[i]:.4g}"
        )


def _check_one_number(robot: RobotModel) -> None:
    if not robot.is_one_number_per_joint:
        raise InvalidFieldError(
            OWNER, "robot", "a robot with ball or free joints", "one of hinges and slides"
        )


def _spread(name: str, value: float | Sequence[float], count: int) -> Array:
    if isinstance(value, float):
        return np.full(count, value)
    return float_array(OWNER, name, value, (count,))
