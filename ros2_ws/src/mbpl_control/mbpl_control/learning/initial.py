"""First controllers: what the robot does before anything is learned."""

from __future__ import annotations

import numpy as np

from mbpl_control.core import LinearGaussianController
from mbpl_control.core.errors import InvalidFieldError, MbplError, TaskError
from mbpl_control.core.validation import Array, Indices
from mbpl_control.tasks.learning_schema import InitialSection
from mbpl_control.tasks.task import Task
from mbpl_control.trajopt.lqr import solve_lqr


def first_controller(task: Task, condition: int, options: InitialSection, smoothing: float) -> LinearGaussianController:
    r"""A controller that stays near the start condition, with noise to learn from.

    hold: u = ū. pd: u = ū − p (q − q₀) − d v, with p the stiffness and d the damping. lqr_init: LQR on a double
    integrator v' = v + dt g u a joint, with g the guessed inverse inertia, for the cost

        ½ / variance · Σ_t [ s |q − q₀|² + s d |v|² + |u − ū|² ],   the last step weighted by `final_weight`,

    and Σ = Q_uu⁻¹. For hold and pd, Σ is diagonal with the given standard deviations. ū is the effort that holds the
    start still, or zero.

    Each actuator is matched with the joint it drives by name, wherever that stands in the state.

    Args:
        task: robot, start conditions, horizon.
        condition: start condition.
        options: which one, and its figures.
        smoothing: of the noise over time, steps.

    Raises:
        TaskError: the state holds no position or velocity of a joint that an actuator drives.
        InvalidFieldError: a list of figures has not one number an actuator.
    """
    start = task.task_state(task.condition(condition).state[None])[0]
    steps, n, m = task.horizon, task.state.size, task.action.size
    positions, velocities = _columns(task, "joint_positions"), _columns(task, "joint_velocities")
    bias = np.zeros(m)
    if options.bias == "gravity":
        bias = task.robot.holding_action(task.condition(condition).state[: task.robot.nq])
    still = start.copy()
    still[velocities] = 0.0
    if options.kind == "lqr_init":
        inertia = _per_actuator("inverse_inertia", options.inverse_inertia, m)
        gains, covariances = _lqr(options, inertia, positions, velocities, (steps, n, m), task.dt)
    else:
        gains = np.zeros((steps, m, n))
        if options.kind == "pd":
            gains[:, np.arange(m), positions] = -options.stiffness
            gains[:, np.arange(m), velocities] = -options.damping
        variance = _per_actuator("std", options.std, m) ** 2
        covariances = np.tile(np.diag(variance), (steps, 1, 1))
    return LinearGaussianController(
        task.state,
        task.action,
        task.dt,
        np.tile(still, (steps + 1, 1)),
        np.tile(bias, (steps, 1)),
        gains,
        covariances=covariances,
        noise_smoothing=smoothing,
        name=options.kind,
        metadata={"condition": condition, "iteration": 0},
    )


def _lqr(
    options: InitialSection,
    inertia: Array,
    positions: Indices,
    velocities: Indices,
    sizes: tuple[int, int, int],
    dt: float,
) -> tuple[Array, Array]:
    """K and Σ of LQR on one double integrator an actuator."""
    steps, n, m = sizes
    joint = np.arange(m)
    a, b = np.eye(2 * m), np.zeros((2 * m, m))
    a[joint, m + joint] = dt
    b[joint, joint], b[m + joint, joint] = dt**2 * inertia, dt * inertia
    stiffness = options.stiffness / options.variance
    q = np.diag(np.concatenate([np.full(m, stiffness), np.full(m, stiffness * options.damping)]))
    weights = np.ones(steps + 1)
    weights[-1] = options.final_weight
    solution = solve_lqr(
        np.tile(a, (steps, 1, 1)),
        np.tile(b, (steps, 1, 1)),
        weights[:, None, None] * q,
        np.tile(np.eye(m) / options.variance, (steps, 1, 1)),
    )
    gains = np.zeros((steps, m, n))
    gains[:, :, positions] = solution.gains[:, :, :m]
    gains[:, :, velocities] = solution.gains[:, :, m:]
    return gains, 0.5 * (solution.covariances + solution.covariances.transpose(0, 2, 1))


def _columns(task: Task, kind: str) -> Indices:
    """Where in the state the joint of each actuator stands."""
    try:
        return np.concatenate([task.state.indices(kind, [joint]) for joint in task.action.joint_names])
    except MbplError as error:
        raise TaskError(
            f"{task.path.name}: a first controller needs {kind} of every driven joint in 'state'"
        ) from error


def _per_actuator(field: str, value: float | list[float], m: int) -> Array:
    values = np.full(m, value) if isinstance(value, float) else np.array(value, dtype=np.float64)
    if len(values) != m:
        raise InvalidFieldError("learning.initial", field, f"{len(values)} numbers", f"1 number, or {m}")
    return values
