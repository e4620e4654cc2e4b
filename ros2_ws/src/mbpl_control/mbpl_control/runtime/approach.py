"""Going to a start position along a path that keeps to the speed limits."""

from __future__ import annotations

import mujoco
import numpy as np

from mbpl_control.core import LinearGaussianController
from mbpl_control.core.errors import RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.runtime.hold import HoldGains
from mbpl_control.tasks.task import Task

#: Speed of joints for which the model gives no limit, rad/s or m/s.
DEFAULT_SPEED = 1.0


def approach_law(
    task: Task,
    positions: Array,
    goal: Array,
    speed_fraction: float = 0.3,
    frequency: float = 12.0,
    dt: float = 0.02,
) -> LinearGaussianController:
    r"""A law that leads all joints from rest to rest along a straight line in joint space.

        q̂(s) = q₀ + s(τ) (q₁ − q₀),   s(p) = p³ (10 − 15 p + 6 p²),   p = τ / D

    whose steepest slope is 15 / (8 D), so D = 15/8 max_j |Δq_j| / (φ v_j). Actions are the inverse dynamics of the
    path, gains those of `HoldGains` taken at the goal.

    Args:
        task: robot, limits.
        positions: q₀ (nq,), where the robot is.
        goal: q₁ (nq,).
        speed_fraction: φ, fraction of the speed limits that is used.
        frequency: rad/s, stiffness along the path.
        dt: s, step of the law.

    Raises:
        RefusedError: the robot is not driven by efforts, has joints no actuator drives, or the goal is outside its
            limits.
    """
    robot, action = task.robot, task.action
    if action.interface != "effort":
        raise RefusedError(f"cannot move to the start: actuators take {action.interface}, not effort")
    passive = sorted(set(range(robot.nv)) - {int(i) for i in robot.actuated})
    # an angle without limits takes the short way
    change = robot.position_space.difference(goal, positions)
    moves = np.abs(change)
    for j in passive:
        if moves[j] > 0.05:
            raise RefusedError(
                f"cannot move to the start: no actuator drives '{robot.joint_names[j]}', which is {moves[j]:.3f} away "
                "from it"
            )
    outside = (goal < robot.position_lower) | (goal > robot.position_upper)
    if outside.any():
        j = int(np.argmax(outside))
        raise RefusedError(
            f"cannot move to the start: {goal[j]:.4g} of '{robot.joint_names[j]}' is outside "
            f"{robot.position_lower[j]:.4g} to {robot.position_upper[j]:.4g}"
        )
    limits = task.velocity_limits()
    speed = speed_fraction * np.where(np.isfinite(limits), limits, DEFAULT_SPEED)
    steps = max(10, int(np.ceil(float((15.0 / 8.0 * moves / speed).max()) / dt)))
    p = np.arange(steps + 1)[:, None] / steps
    duration = steps * dt
    q = positions + p**3 * (10.0 - 15.0 * p + 6.0 * p**2) * change
    v = 30.0 * p**2 * (1.0 - p) ** 2 * change / duration
    a = 60.0 * p * (1.0 - p) * (1.0 - 2.0 * p) * change / duration**2
    gains = HoldGains(robot, goal, frequency)
    m, n = action.size, robot.nv
    feedback = np.zeros((m, 2 * n))
    feedback[np.arange(m), robot.actuated] = -gains.stiffness
    feedback[np.arange(m), n + robot.actuated] = -gains.damping
    return LinearGaussianController(
        robot.state,
        action,
        dt,
        np.concatenate([q, v], axis=1),
        np.clip(_inverse_dynamics(task, q, v, a)[:-1], action.lower, action.upper),
        np.tile(feedback, (steps, 1, 1)),
        execution="continuous",
        end_rule="hold",
        name="approach",
    )


def _inverse_dynamics(task: Task, q: Array, v: Array, a: Array) -> Array:
    """Efforts of the driven joints along a path. (T+1, n) each → (T+1, m)."""
    model = task.robot.mujoco_model()
    data = mujoco.MjData(model)
    out = np.empty((len(q), task.action.size))
    for t in range(len(q)):
        data.qpos[:], data.qvel[:], data.qacc[:] = q[t], v[t], a[t]
        mujoco.mj_inverse(model, data)
        out[t] = data.qfrc_inverse[task.robot.actuated]
    return out
