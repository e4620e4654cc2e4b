"""Dynamics of anything MuJoCo simulates."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
from mujoco.rollout import Rollout

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError, ModelError
from mbpl_control.core.validation import Array, check_positive, check_whole
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
        raise InvalidFieldError(owner, "dt", f"{dt} s", f"a whole multiple of the physics step of {timestep} s")
    return count


#: Of MuJoCo's warnings, those of numbers that are not finite, or huge: in positions, velocities or accelerations.
_DIVERGED = slice(int(mujoco.mjtWarning.mjWARN_BADQPOS), int(mujoco.mjtWarning.mjWARN_BADQACC) + 1)


def diverged(data: mujoco.MjData) -> bool:
    """Whether MuJoCo met a number that is not finite, or huge, since `data` was last reset."""
    return bool(np.count_nonzero(data.warning.number[_DIVERGED]))


class _Physics:
    """A simulation that can be put anywhere at once: the parts of its state, as views into MuJoCo's memory."""

    def __init__(self, model: mujoco.MjModel) -> None:
        self.model = model
        self.data = mujoco.MjData(model)
        data = self.data
        self.q, self.v, self.control, self.warmstart = data.qpos, data.qvel, data.ctrl, data.qacc_warmstart
        self.warnings = data.warning.number[_DIVERGED]

    def put(self, x: Array, control: Array) -> None:
        """Begin at a state, as if nothing had been before."""
        n = len(self.q)
        self.q[:], self.v[:], self.control[:] = x[:n], x[n:], control
        self.warmstart[:] = 0.0

    def step(self, count: int, out: Array) -> None:
        """`count` physics steps; the state into `out`, NaN when it diverges."""
        mujoco.mj_step(self.model, self.data, count)
        n = len(self.q)
        out[:n], out[n:] = self.q, self.v
        if np.count_nonzero(self.warnings):
            self.warnings[:] = 0
            out[:] = np.nan


class _Batch:
    """Physics steps of many states at once, by MuJoCo's own threads; each begins as if nothing had been before."""

    #: Beyond this a number is as good as infinite to what follows.
    FAR = 1e4

    def __init__(self, physics: list[_Physics]) -> None:
        self._model, self._data = physics[0].model, [each.data for each in physics]
        kinds = mujoco.mjtState
        self._inputs = int(kinds.mjSTATE_CTRL) | int(kinds.mjSTATE_MOCAP_POS) | int(kinds.mjSTATE_MOCAP_QUAT)
        self._size = mujoco.mj_stateSize(self._model, int(kinds.mjSTATE_FULLPHYSICS))
        self._given = np.empty(mujoco.mj_stateSize(self._model, self._inputs))
        mujoco.mj_getState(self._model, self._data[0], self._given, self._inputs)
        self._pool = Rollout(nthread=len(physics) if len(physics) > 1 else 0)

    def step(self, states: Array, controls: Array, count: int) -> tuple[Array, Array]:
        """States after `count` physics steps (B, nx), and which of them MuJoCo may have warned of (B,)."""
        batch, nx = states.shape
        begin, end = np.zeros((batch, self._size)), np.empty((batch, count, self._size))
        # time, positions, velocities; what a robot may have beside them is not part of its state and stays zero
        begin[:, 1 : 1 + nx] = states
        inputs = np.empty((batch, count, len(self._given)))
        inputs[:] = self._given
        inputs[:, :, : controls.shape[1]] = controls[:, None]
        self._pool.rollout(
            [self._model] * batch,
            self._data,
            begin,
            inputs,
            control_spec=self._inputs,
            skip_checks=True,
            nstep=count,
            state=end,
        )
        last = end[:, -1]
        # a warning ends a trajectory before its time, unless it comes with its last step
        early = last[:, 0] < (count - 0.5) * self._model.opt.timestep
        return last[:, 1 : 1 + nx], early | ~(np.abs(last[:, 1 : 1 + nx]) < self.FAR).all(axis=1)


class MujocoDynamics(Dynamics):
    r"""x_{t+1} = f(x_t, u_t) by MuJoCo, the action held over the physics steps that make a step.

    Derivatives are centred finite differences in the tangent space (`mjd_transitionFD`), chained over the h physics
    steps:

        A = A_h … A_1,   B = Σ_i A_h … A_{i+1} B_i

    and computed by a pool of threads over the steps of the trajectory; steps of many states are by MuJoCo's own. The
    result depends neither on the number of threads nor on how many states there are. A state that diverges comes back
    as NaN.

    Args:
        robot: what to simulate.
        dt: duration of a step, s.
        timestep: s of a physics step; that of the robot's file when None.
        action: what u is; the robot's own when None.
        threads: for derivatives, and for steps of many states.
        bodies: positions (3,) m of bodies of the scene by name; all others are where the robot's file has them.

    Raises:
        ModelError: the integrator is RK4, which cannot be differentiated in this way, or a body cannot be placed.
        InvalidFieldError: dt is not a whole multiple of the physics step, or there is no thread.
    """

    #: Step of the finite differences; centred, so the error is of second order.
    EPSILON = 1e-6
    #: So many states are stepped by MuJoCo's own threads.
    MANY = 16
    line_search_batch = 4

    def __init__(
        self,
        robot: RobotModel,
        dt: float,
        timestep: float | None = None,
        action: ActionDefinition | None = None,
        threads: int = 2,
        bodies: Mapping[str, Array] | None = None,
    ) -> None:
        """Compile a model of one's own."""
        self.robot = robot
        self.state = robot.state
        self.action = robot.action if action is None else action
        self._model = robot.mujoco_model(timestep)
        if self._model.opt.integrator == mujoco.mjtIntegrator.mjINT_RK4:
            raise ModelError(f"{robot.path}: integrator RK4 has no derivatives; use Euler, implicit or implicitfast")
        # MuJoCo's own answer to a state that diverges is to start anew from the rest position
        self._model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_AUTORESET)
        self.dt = float(dt)
        self.substeps = substeps_of("MujocoDynamics", dt, self._model.opt.timestep)
        self._scale = _control_per_action(robot)
        self._threads = check_whole("MujocoDynamics", "threads", threads, 1, 1024)
        self._physics = [_Physics(self._model) for _ in range(self._threads)]
        for physics in self._physics:
            robot.place(physics.data, bodies or {})
        self._batch: _Batch | None = None

    def step(self, states: Array, actions: Array) -> Array:
        """See `Dynamics.step`."""
        controls = actions * self._scale
        if len(states) < self.MANY:
            return self._step_each(states, controls)
        if self._batch is None:
            self._batch = _Batch(self._physics)
        out, doubtful = self._batch.step(states, controls, self.substeps)
        if doubtful.any():
            # which of MuJoCo's warnings it was is only known one by one
            out[doubtful] = self._step_each(states[doubtful], controls[doubtful])
        return out

    def _step_each(self, states: Array, controls: Array) -> Array:
        out = np.empty_like(states, dtype=np.float64)
        physics = self._physics[0]
        for row, x, control in zip(out, states, controls, strict=True):
            physics.put(x, control)
            physics.step(self.substeps, row)
        return out

    def set_duration(self, dt: float) -> None:
        """See `Dynamics.set_duration`."""
        self.dt = check_positive("MujocoDynamics", "dt", dt, "s")
        self._model.opt.timestep = self.dt / self.substeps

    def linearize(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `Dynamics.linearize`."""
        steps, ndx, m = len(actions), self.state.tangent_size, self.action.size
        a = np.empty((steps, ndx, ndx))
        b = np.empty((steps, ndx, m))

        def work(worker: int) -> None:
            for t in range(worker, steps, self._threads):
                self._linearize_one(self._physics[worker], states[t], actions[t], a[t], b[t])

        if self._threads == 1 or steps < 4:
            for worker in range(self._threads):
                work(worker)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(work, range(self._threads)))
        return a, b

    def _linearize_one(self, physics: _Physics, x: Array, u: Array, a: Array, b: Array) -> None:
        model, data = self._model, physics.data
        physics.put(x, u * self._scale)
        part_a = np.empty((2 * model.nv, 2 * model.nv))
        part_b = np.empty((2 * model.nv, model.nu))
        for i in range(self.substeps):
            mujoco.mjd_transitionFD(model, data, self.EPSILON, True, part_a, part_b, None, None)
            if i == 0:
                a[:], b[:] = part_a, part_b
            else:
                a[:], b[:] = part_a @ a, part_a @ b + part_b
            if i + 1 < self.substeps:
                mujoco.mj_step(model, data)
        b *= self._scale


def _control_per_action(robot: RobotModel) -> Array:
    """MuJoCo's control per unit of action (m,): for a motor, effort at the joint over its gear."""
    return 1.0 / robot.gears if robot.action.interface == "effort" else np.ones(robot.action.size)
