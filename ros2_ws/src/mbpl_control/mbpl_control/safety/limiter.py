"""The last word on every command: its size, its rate, joint position and velocity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.validation import Array, check_positive
from mbpl_control.models.robot import RobotModel
from mbpl_control.safety.limits import Limits

#: A joint without a speed limit may approach its soft zone at so many of its ranges per second.
RANGES_PER_SECOND = 1.0
#: Part of the way to the speed allowed that a joint may go in one period: stable even when commands act a period late.
RESPONSE = 0.5
#: Part of the way to a soft limit that a joint may go in one period, for the same reason.
APPROACH = 0.25
#: How much lighter the joints may be elsewhere than in the middle of their ranges.
LIGHTER = 2.0


class CommandLimiter:
    r"""Applies limits to commands, in this order, and counts what it changed.

    1. rate: |u − u_last| ≤ u̇_max dt
    2. velocity and soft position limits. The speed a joint may have is

        v_high(q) = min( κ (q_upper − zone − q), v_max ),   κ = min( v_max / zone, ¼ / h )

       and likewise below: beyond the zone it points back. An effort is bounded relative to gravity g(q),

        u_i ≤ g_i + β_i (v_high,i − v_i),   β_i = min( range_i / (v_max,i / 10), ½ / (h λ N_ii) ),   N = M(q)⁻¹

       so that a tenth of the top speed takes the whole range of effort, if the joint is heavy enough: a light one would
       jump past its limit and back within a period h. λ is the largest eigenvalue of N scaled to ones on the diagonal,
       over the joints that come near a bound; with it h N diag(β) has eigenvalues of ½ at most, so that they approach
       the speed allowed without overshoot, and without oscillation when a command acts a period late. A velocity is
       bounded by v_high itself, and a position by the limits of position.
    3. the command's own range: u_lower ≤ u ≤ u_upper

    The range is last: whatever the others ask, the robot never gets more than it can take.

    Args:
        limits: what to keep to.
        robot: its gravity and inertia.
        period: h, s from command to command.

    Source: the soft joint limits of the PR2 controllers, as in joint_limits_interface; β for light joints is ours.
    """

    KINDS = ("effort_rate", "position_velocity", "effort")

    def __init__(self, limits: Limits, robot: RobotModel, period: float = 0.005) -> None:
        """Precompute what does not change from tick to tick."""
        self.limits = limits
        self._robot = robot
        self._interface = robot.action.interface
        self._driven = robot.actuated
        self._period = check_positive("CommandLimiter", "period", period, "s")
        self.counts = dict.fromkeys(self.KINDS, 0)
        self._last_change: tuple[str, int, float, float] | None = None
        # the driven joints in a vector and in M(q)⁻¹; where every joint is driven, all of it, which needs no copy
        whole = np.array_equal(self._driven, np.arange(robot.nv))
        self._select = slice(None) if whole else self._driven
        self._block = (slice(None), slice(None)) if whole else np.ix_(self._driven, self._driven)
        zone = limits.soft_zone
        zoned = zone > 0.0
        # where only the position is limited, the zone still needs a speed that falls to zero in it
        width = np.where(zoned, limits.position_upper - limits.position_lower, 0.0)
        speed = np.where(np.isfinite(limits.velocity), limits.velocity, RANGES_PER_SECOND * width)
        self._limited = speed > 0.0
        self._binds = bool(self._limited.any())
        self._stiffest = (limits.upper - limits.lower) / np.where(self._limited, 0.1 * speed, np.inf)
        self._kappa = np.where(zoned, np.minimum(speed / np.where(zoned, zone, 1.0), APPROACH / period), 0.0)
        self._soft_low, self._soft_high = limits.position_lower + zone, limits.position_upper - zone
        # lower and upper bounds, one below the other
        self._zoned, self._top = zoned, np.stack([-limits.velocity, limits.velocity])
        # finite where there is no zone, for products that are thrown away there
        self._zones = np.where(zoned, np.stack([self._soft_low, self._soft_high]), 0.0)
        # nothing binds while every joint is so far from its zones, so slow, and not pushed to more within a period
        reach = 2.0 * speed / np.where(zoned, self._kappa, np.inf)
        self._calm_low, self._calm_high = self._soft_low + reach, self._soft_high - reach
        unlimited = np.where(self._limited, 1.85 * speed, np.inf)
        self._calm_speed = np.where(np.isfinite(limits.velocity), 0.85 * speed, unlimited)
        lower = np.nan_to_num(robot.position_lower, neginf=0.0)
        middle = 0.5 * (lower + np.nan_to_num(robot.position_upper, posinf=0.0))
        self._kick = LIGHTER / RESPONSE * self._period * np.diag(self._mobility(middle))

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
        step = limits.rate * dt
        u = np.minimum(np.maximum(wanted, last - step), last + step)
        rated = bool(np.count_nonzero(u != wanted))
        before = u
        if self._interface == "effort":
            if self._binds:
                u = self._soften_effort(u, q, v)
        elif self._interface == "velocity":
            low, high = self._speeds(q[self._select])
            u = np.maximum(np.minimum(u, high), low)
        else:
            u = np.maximum(np.minimum(u, limits.position_upper), limits.position_lower)
        softened = u is not before and bool(np.count_nonzero(u != before))
        clipped = np.minimum(np.maximum(u, limits.lower), limits.upper)
        cut = bool(np.count_nonzero(clipped != u))
        if rated or softened or cut:
            self._count(rated, softened, cut, wanted, clipped)
            return clipped, True
        return clipped, False

    def _soften_effort(self, u: Array, q: Array, v: Array) -> Array:
        qd, vd = q[self._select], v[self._select]
        gravity = self._robot.gravity(q)
        fast = np.abs(vd) + self._kick * np.abs(u - gravity) >= self._calm_speed
        near = self._limited & (fast | (qd <= self._calm_low) | (qd >= self._calm_high))
        count = np.count_nonzero(near)
        if not count:
            return u
        # a mask copies what it picks; at low rates every joint is near a bound most of the time
        pick = slice(None) if count == len(near) else near
        least, most = self._effort_range(q, v, gravity, pick)
        out = u.copy()
        out[pick] = np.maximum(np.minimum(u[pick], most), least)
        return out

    def _effort_range(self, q: Array, v: Array, gravity: Array, pick: Any) -> tuple[Array, Array]:
        """Least and most effort of the joints that come near a bound."""
        mobility = self._mobility(q)[pick][:, pick]
        alone = np.diagonal(mobility)
        together = np.linalg.eigvalsh(mobility / np.sqrt(alone[:, None] * alone))[-1]
        beta = np.minimum(self._stiffest[pick], RESPONSE / (self._period * together * alone))
        least, most = gravity[pick] + beta * (self._speeds(q[self._select]) - v[self._select])[:, pick]
        return least, most

    def effort_range(self, q: Array, v: Array, near: NDArray[np.bool_]) -> tuple[Array, Array]:
        """Efforts that the limits of speed and position leave, where these joints come near a bound: least, most (m,).

        Which ones do depends on the command that is limited: what `apply` makes of its own result may differ.

        Args:
            q: positions of all joints (nv,).
            v: velocities of all joints (nv,).
            near: which driven joints (m,); the others, and those without such a limit, are left alone.
        """
        pick = near & self._limited
        least, most = np.full(len(pick), -np.inf), np.full(len(pick), np.inf)
        if pick.any():
            least[pick], most[pick] = self._effort_range(q, v, self._robot.gravity(q), pick)
        return least, most

    def _mobility(self, q: Array) -> Array:
        """N, the part of M(q)⁻¹ that belongs to the driven joints (m, m), 1/(kg m²) or 1/kg."""
        inverse = np.linalg.inv(self._robot.inertia(q))
        return np.asarray(inverse[self._block], dtype=np.float64)

    def _speeds(self, qd: Array) -> Array:
        """Lowest and highest speed allowed at positions of the driven joints (2, m)."""
        speeds = np.where(self._zoned, self._kappa * (self._zones - qd), self._top)
        # beyond the zone of one side, both bounds point back, but no faster than the joint may move
        return np.minimum(np.maximum(speeds, self._top[0]), self._top[1])

    @property
    def last_reason(self) -> str:
        """What was changed last, why and by how much; empty when nothing was."""
        if self._last_change is None:
            return ""
        kinds, i, wanted, given = self._last_change
        return f"{kinds}: '{self.limits.names[i]}' {wanted:.4g} became {given:.4g}"

    def _count(self, rated: bool, softened: bool, cut: bool, wanted: Array, given: Array) -> None:
        kinds = [kind for kind, yes in zip(self.KINDS, (rated, softened, cut), strict=True) if yes]
        for kind in kinds:
            self.counts[kind] += 1
        i = int(np.abs(given - wanted).argmax())
        # in words only when somebody asks: this runs in every tick of a law that is held back
        self._last_change = (", ".join(kinds), i, wanted[i], given[i])
