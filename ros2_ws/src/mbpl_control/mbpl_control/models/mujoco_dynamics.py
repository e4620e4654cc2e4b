"""Dynamics of anything MuJoCo simulates."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError, ModelError
from mbpl_control.core.validation import Array, check_positive
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.models.robot import RobotModel


def substeps_of(owner: str, dt: float, timestep: float) -> int:
    """How many physics steps make a step of dt.

    Raises:
        InvalidFieldError: dt is not a whole multiple of the physics step, within 1e-6.
    """
    dt = check_positive(owner, "dt", dt, "s")
    timestep = check_positive(owner, "timestep", timestep, "s")
    count = round(dt / timestep)
    if count < 1 or abs(count * timestep - dt) > 1e-6 * dt:
        raise InvalidFieldError(
            owner, "dt", f"{dt} s", f"a whole multiple of the physics step of {timestep} s"
        )
    return count


class MujocoDynamics(Dynamics):
    r"""x_{t+1} = f(x_t, u_t) by MuJoCo, the action held over the physics steps that make a step.

    Derivatives are centred finite differences in the tangent space (`mjd_transitionFD`), chained over the h physics steps:

        A = A_h … A_1,   B = Σ_i A_h … A_{i+1} B_i

    and computed by a pool of threads over the steps of the trajectory. The result does not depend on the number of threads.

    Args:
        robot: what to simulate.
        dt: duration of a step, s.
        timestep: s of a physics step; that of the robot's file when None.
        action: what u is; the robot's own when None.
        threads: for `linearize`.

    Raises:
        ModelError: the integrator is RK4, which cannot be differentiated in this way.
        InvalidFieldError: dt is not a whole multiple of the physics step.
    """

    #: Step of the finite differences; centred, so the error is of second order.
    EPSILON = 1e-6

    def __init__(
        self,
        robot: RobotModel,
        dt: float,
        timestep: float | None = None,
        action: ActionDefinition | None = None,
        threads: int = 2,
    ) -> None:
        """Compile a model of one's own."""
        self.robot = robot
        self.state = robot.state
        self.action = robot.action if action is None else action
        self._model = robot.mujoco_model(timestep)
        if self._model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4:
            raise ModelError(
                f"{robot.path}: integrator RK4 has no derivatives; use Euler, implicit or implicitfast"
            )
        self.dt = float(dt)
        self.substeps = substeps_of("MujocoDynamics", dt, self._model.opt.timestep)
        self._scale = _control_per_action(robot)
        self._threads = max(1, int(threads))
        self._data = [mujoco.MjData(self._model) for _ in range(self._threads)]

    def step(self, states: Array, actions: Array) -> Array:
        """See `Dynamics.step`."""
        out = np.empty_like(states, dtype=np.float64)
        data = self._data[0]
        for i, (x, u) in enumerate(zip(states, actions)):
            self._load(data, x, u)
            mujoco.mj_step(self._model, data, self.substeps)
            out[i, : self.robot.nq] = data.qpos
            out[i, self.robot.nq :] = data.qvel
        return out

    def linearize(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `Dynamics.linearize`."""
        steps, ndx, m = len(actions), self.state.tangent_size, self.action.size
        a = np.empty((steps, ndx, ndx))
        b = np.empty((steps, ndx, m))

        def work(worker: int) -> None:
            for t in range(worker, steps, self._threads):
                self._linearize_one(self._data[worker], states[t], actions[t], a[t], b[t])

        if self._threads == 1 or steps < 4:
            for worker in range(self._threads):
                work(worker)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(work, range(self._threads)))
        return a, b

    def _linearize_one(
        self, data: mujoco.MjData, x: Array, u: Array, a: Array, b: Array
    ) -> None:
        model = self._model
        self._load(data, x, u)
        part_a = np.empty((2 * model.nv, 2 * model.nv))
        part_b = np.empty((2 * model.nv, model.nu))
        a[:] = np.eye(len(a))
        b[:] = 0.0
        for _ in range(self.substeps):
            mujoco.mjd_transitionFD(model, data, self.EPSILON, True, part_a, part_b, None, None)
            a[:] = part_a @ a
            b[:] = part_a @ b + part_b * self._scale
            mujoco.mj_step(model, data)

    def _load(self, data: mujoco.MjData, x: Array, u: Array) -> None:
        mujoco.mj_resetData(self._model, data)
        data.qpos[:] = x[: self.robot.nq]
        data.qvel[:] = x[self.robot.nq :]
        data.ctrl[:] = u * self._scale


def _control_per_action(robot: RobotModel) -> Array:
    """MuJoCo's control per unit of action (m,): for a motor, effort at the joint over its gear."""
    return 1.0 / robot.gears if robot.action.interface == "effort" else np.ones(robot.action.size)
