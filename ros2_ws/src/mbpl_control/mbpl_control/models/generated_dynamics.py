"""Dynamics of a rigid tree by code that was generated for it."""

from __future__ import annotations

import mujoco
import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.compiled import plain
from mbpl_control.core.validation import Array, check_positive, check_whole
from mbpl_control.models import rigid_tree
from mbpl_control.models.codegen import library
from mbpl_control.models.codegen.tree import Tree, read_tree
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.models.inverse_dynamics import InverseDynamics
from mbpl_control.models.robot import RobotModel

#: Rotations this close to right angles are taken for such: files write π/2 with twelve digits.
RIGHT_ANGLE = 1e-11


def tree_of(robot: RobotModel) -> Tree:
    """The robot as the generator takes it, damping included.

    Raises:
        ModelError: the robot has something this model would drop.
    """
    source = robot.mujoco_model()
    return read_tree(
        rigid_tree.build(robot, friction=True),
        np.array(source.dof_damping),
        right_angle=RIGHT_ANGLE,
        dry=np.array(source.dof_frictionloss) > 0.0,
    )


def friction_of(robot: RobotModel, h: float) -> Array:
    """Dry friction as MuJoCo models it at a physics step of h, rows as `codegen.friction.LOSS` has them. (3, nv)."""
    model = robot.mujoco_model(h)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    out = np.zeros((3, robot.nv))
    rows = np.flatnonzero(data.efc_type == mujoco.mjtConstraint.mjCNSTR_FRICTION_DOF)
    out[:, data.efc_id[rows]] = data.efc_frictionloss[rows], 1.0 / data.efc_R[rows], data.efc_KBIP[rows, 1]
    return out


class GeneratedDynamics(Dynamics):
    r"""The equations of `PinocchioDynamics`, by straight-line kernels of this one robot.

        a  = (M(q) + I_a + h D)⁻¹ (τ(u) − D v − b(q, v))
        v' = v + h a
        q' = q + h v'

    with dry friction at the joints, which MuJoCo has a soft constraint for: the force that holds a joint still as far
    as it reaches, found from M without hD (`codegen.friction.hold`).

    Derivatives are computed for many steps at once, and the trajectories of a line search side by side.

    Args:
        robot: a tree of hinges and slides driven by motors.
        dt: duration of a step, s.
        substeps: integration steps per step.
        action: what u is; the robot's own when None.
        tell: where given, kernels that are missing are generated and compiled, and it is told how far that is.

    Raises:
        ModelError: the robot has something this model would drop, or its kernels are not compiled and `tell` is None.
    """

    # a step of 1 is nearly always taken, and the derivatives cost less than the rollout
    shares_derivatives = True
    line_search_batch = 4

    def __init__(
        self,
        robot: RobotModel,
        dt: float,
        substeps: int = 1,
        action: ActionDefinition | None = None,
        tell: library.Tell | None = None,
    ) -> None:
        """Load the kernels."""
        self.robot = robot
        self.state = robot.state
        self.action = robot.action if action is None else action
        self.substeps = check_whole("GeneratedDynamics", "substeps", substeps, 1, 100_000)
        tree = tree_of(robot)
        self._module = library.load(tree) if tell is None else library.build(tree, tell)
        self._dry = tree.dry
        self._friction = np.zeros((3, robot.nv))
        self.set_duration(dt)
        wraps = [space == "angle" for space in self.state.space.spaces[: robot.nv]]
        self._wraps = np.array(wraps, dtype=np.float64)
        self._driven = np.array(robot.actuated, dtype=np.int64)
        self._no_feedback = np.zeros((0, 2 * robot.nv)), np.zeros((0, self.action.size, 2 * robot.nv))

    def set_duration(self, dt: float) -> None:
        """See `Dynamics.set_duration`."""
        self.dt = check_positive("GeneratedDynamics", "dt", dt, "s")
        self._h = self.dt / self.substeps
        if self._dry:
            self._friction = friction_of(self.robot, self._h)

    @property
    def leap(self) -> float:
        """See `Dynamics.leap`."""
        return self._h if self.substeps == 1 else 0.0

    @property
    def inverse(self) -> InverseDynamics | None:
        """See `Dynamics.inverse`: of one substep, every joint driven, none that wraps or has dry friction."""
        every = sorted(self.robot.actuated) == list(range(self.robot.nv)) and len(self._driven) == self.robot.nv
        if self.substeps > 1 or self._dry or self._wraps.any() or not every:
            return None
        return InverseDynamics(self._module, self._driven, self._h)

    def step(self, states: Array, actions: Array) -> Array:
        """See `Dynamics.step`."""
        return self.rollouts(states, np.asarray(actions)[:, None])[:, 1]

    def follow(
        self,
        starts: Array,
        plans: Array,
        nominal_states: Array | None = None,
        gains: Array | None = None,
        lower: Array | float = -np.inf,
        upper: Array | float = np.inf,
    ) -> tuple[Array, Array]:
        """See `Dynamics.follow`: trajectories are lanes of the kernels."""
        (count, steps, m), n = np.shape(plans), 2 * self.robot.nv
        states, actions = np.empty((count, steps + 1, n)), np.empty((count, steps, m))
        limits = np.empty((2, m))
        limits[0], limits[1] = lower, upper
        if gains is None or nominal_states is None:
            nominal_states, gains = self._no_feedback
        reference = (plain(starts), plain(nominal_states), plain(plans), plain(gains), limits)
        model = (self._wraps, self._driven, self._friction, self._h, self.substeps)
        self._module.follow(*reference, *model, states, actions)
        return states, actions

    def linearize(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `Dynamics.linearize`."""
        steps, n, m = len(actions), self.robot.nv, self.action.size
        a, b = np.empty((steps, 2 * n, 2 * n)), np.empty((steps, 2 * n, m))
        model = (self._driven, self._friction, self._h, self.substeps)
        self._module.linearize(plain(states), plain(actions), *model, a, b)
        return a, b
