"""Dynamics of a rigid tree with analytic derivatives."""

from __future__ import annotations

import numpy as np
import pinocchio

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_positive
from mbpl_control.models import rigid_tree
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.models.robot import RobotModel


class PinocchioDynamics(Dynamics):
    r"""Semi-implicit Euler on the articulated-body algorithm, h = dt / substeps:

        a  = (M(q) + I_a + h D)⁻¹ (τ(u) − D v − b(q, v))
        v' = v + h a
        q' = q + h v'

    with armature I_a and joint damping D. Taking damping at the new velocity is what MuJoCo's Euler integrator does, so that
    the two agree step by step. With a_q, a_v, a_τ the derivatives of the algorithm (Carpentier and Mansard 2018),

        A = [ I + h² a_q,   h I + h² (a_v − a_τ D) ]      B = [ h² a_τ S ]
            [     h a_q,    I + h (a_v − a_τ D)    ]          [ h a_τ S  ]

    chained over the substeps; S puts the actions on their joints. Contacts are not modelled; joint limits are left to the cost.

    Args:
        robot: a tree of hinges and slides driven by motors.
        dt: duration of a step, s.
        substeps: integration steps per step.
        action: what u is; the robot's own when None.

    Raises:
        ModelError: the robot has something this model would drop.

    Source: Featherstone 2008; Carpentier and Mansard 2018, "Analytical derivatives of rigid body dynamics algorithms".
    """

    def __init__(
        self,
        robot: RobotModel,
        dt: float,
        substeps: int = 1,
        action: ActionDefinition | None = None,
    ) -> None:
        """Build the tree."""
        self.robot = robot
        self.state = robot.state
        self.action = robot.action if action is None else action
        self.dt = check_positive("PinocchioDynamics", "dt", dt, "s")
        if int(substeps) != substeps or substeps < 1:
            raise InvalidFieldError("PinocchioDynamics", "substeps", str(substeps), "at least 1")
        self.substeps = int(substeps)
        self.model = rigid_tree.build(robot)
        self.damping = np.array(robot.mujoco_model().dof_damping)
        self._h = self.dt / self.substeps
        self.model.armature = self.model.armature + self._h * self.damping
        self.data = self.model.createData()
        self._selection = np.zeros((robot.nv, self.action.size))
        self._selection[robot.actuated, np.arange(self.action.size)] = 1.0

    def step(self, states: Array, actions: Array) -> Array:
        """See `Dynamics.step`."""
        n, h = self.robot.nv, self._h
        out = np.array(states, dtype=np.float64)
        efforts = np.asarray(actions) @ self._selection.T
        aba, model, data, damping = pinocchio.aba, self.model, self.data, self.damping
        for row, effort in zip(out, efforts):
            q, v = row[:n], row[n:]
            for _ in range(self.substeps):
                v += h * aba(model, data, q, v, effort - damping * v)
                q += h * v
        return out

    def linearize(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `Dynamics.linearize`."""
        steps, n, m, h = len(actions), self.robot.nv, self.action.size, self._h
        a = np.empty((steps, 2 * n, 2 * n))
        b = np.empty((steps, 2 * n, m))
        efforts = np.asarray(actions) @ self._selection.T
        model, data = self.model, self.data
        identity = np.eye(n)
        for t in range(steps):
            q, v = states[t, :n].copy(), states[t, n:].copy()
            whole_a, whole_b = np.eye(2 * n), np.zeros((2 * n, m))
            for i in range(self.substeps):
                pinocchio.computeABADerivatives(model, data, q, v, efforts[t] - self.damping * v)
                by_q = h * data.ddq_dq
                minv = data.Minv
                # only the upper triangle is filled in
                by_effort = h * (np.triu(minv) + np.triu(minv, 1).T)
                by_v = h * data.ddq_dv - by_effort * self.damping
                by_u = by_effort @ self._selection
                part_a = np.empty((2 * n, 2 * n))
                part_a[n:, :n] = by_q
                part_a[n:, n:] = identity + by_v
                part_a[:n, :n] = identity + h * by_q
                part_a[:n, n:] = h * part_a[n:, n:]
                part_b = np.vstack([h * by_u, by_u])
                if self.substeps == 1:
                    whole_a, whole_b = part_a, part_b
                else:
                    whole_a, whole_b = part_a @ whole_a, part_a @ whole_b + part_b
                if i + 1 < self.substeps:
                    v += h * data.ddq
                    q += h * v
            a[t], b[t] = whole_a, whole_b
        return a, b
