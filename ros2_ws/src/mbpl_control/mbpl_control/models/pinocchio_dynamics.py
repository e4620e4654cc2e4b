"""Dynamics of a rigid tree with analytic derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pinocchio

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.compiled import plain
from mbpl_control.core.validation import Array, check_positive, check_whole
from mbpl_control.models import rigid_tree
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.models.robot import RobotModel


class PinocchioDynamics(Dynamics):
    r"""Semi-implicit Euler on the articulated-body algorithm, with h = dt / substeps.

        a  = (M(q) + I_a + h D)⁻¹ (τ(u) − D v − b(q, v))
        v' = v + h a
        q' = q + h v'

    with armature I_a and joint damping D. Taking damping at the new velocity is what MuJoCo's Euler integrator does,
    so that the two agree step by step. With a_q, a_v, a_τ the derivatives of the algorithm (Carpentier and Mansard
    2018),

        A = [ I + h² a_q,   h I + h² (a_v − a_τ D) ]      B = [ h² a_τ S ]
            [     h a_q,    I + h (a_v − a_τ D)    ]          [ h a_τ S  ]

    chained over the substeps; S puts the actions on their joints. Contacts are not modelled; joint limits are left
    to the cost.

    Args:
        robot: a tree of hinges and slides driven by motors.
        dt: duration of a step, s.
        substeps: integration steps per step.
        action: what u is; the robot's own when None.

    Raises:
        ModelError: the robot has something this model would drop.

    Source: Featherstone 2008; Carpentier and Mansard 2018, "Analytical derivatives of rigid body dynamics algorithms".
    """

    shares_derivatives = True

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
        self.substeps = check_whole("PinocchioDynamics", "substeps", substeps, 1, 100_000)
        self.model = rigid_tree.build(robot)
        self.damping = np.array(robot.mujoco_model().dof_damping)
        self._armature = np.array(self.model.armature)
        self.set_duration(dt)
        # compiled, and so loaded by those who use it alone
        from mbpl_control.models import rigid_steps

        self._kernels = rigid_steps
        n = robot.nv
        wraps = [space == "angle" for space in self.state.space.spaces[:n]]
        self._joints = np.array([self.damping, wraps], dtype=np.float64)
        self._driven = np.array(robot.actuated, dtype=np.int64)
        self.data = self.model.createData()
        # views into Pinocchio's own memory: each call of the algorithm shows in them without a copy
        data = self.data
        self._derivatives = (data.ddq, data.ddq_dq, data.ddq_dv, data.Minv)
        self._point = np.zeros((3, n))

    def set_duration(self, dt: float) -> None:
        """See `Dynamics.set_duration`."""
        self.dt = check_positive("PinocchioDynamics", "dt", dt, "s")
        self._h = self.dt / self.substeps
        self.model.armature = self._armature + self._h * self.damping

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
        """See `Dynamics.follow`: one trajectory after another."""
        (count, steps, m), n = np.shape(plans), 2 * self.robot.nv
        states, actions = np.empty((count, steps + 1, n)), np.empty((count, steps, m))
        if gains is None or nominal_states is None:
            nominal_states, gains = np.zeros((steps, n)), np.zeros((steps, m, n))
        limits = self._limits(lower, upper)
        for start, plan, x, u in zip(starts, plans, states, actions, strict=True):
            x[0] = start
            self._follow(x, u, nominal_states, plan, gains, limits)
        return states, actions

    def rollout_linearized(
        self,
        nominal_states: Array,
        nominal_actions: Array,
        feedforward: Array,
        gains: Array,
        lower: Array,
        upper: Array,
    ) -> tuple[Array, Array, Array, Array]:
        """See `Dynamics.rollout_linearized`: the derivatives of the algorithm give its acceleration for nothing."""
        n, m, steps = self.robot.nv, self.action.size, len(nominal_actions)
        a, b = np.empty((steps, 2 * n, 2 * n)), np.empty((steps, 2 * n, m))
        states, actions = np.empty((steps + 1, 2 * n)), np.empty((steps, m))
        states[0] = nominal_states[0]
        plan, limits = nominal_actions + feedforward, self._limits(lower, upper)
        self._follow(states, actions, nominal_states, plan, gains, limits, a, b)
        return states, actions, a, b

    def linearize(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `Dynamics.linearize`."""
        steps, n, m = len(actions), self.robot.nv, self.action.size
        a, b = np.empty((steps, 2 * n, 2 * n)), np.empty((steps, 2 * n, m))
        point, joints, driven = self._point, self._joints, self._driven
        q, v, effort = point
        acceleration, by_q, by_v, minv = self._derivatives
        differentiate, model, data, h = pinocchio.computeABADerivatives, self.model, self.data, self._h
        set_effort, collect = self._kernels.set_effort, self._kernels.collect
        states, actions = plain(states), plain(actions)
        for t in range(steps):
            point[:2] = states[t].reshape(2, n)
            for i in range(self.substeps):
                set_effort(point, actions[t], joints, driven)
                differentiate(model, data, q, v, effort)
                collect(i == 0, h, by_q, by_v, minv, joints, driven, a[t], b[t])
                if i + 1 < self.substeps:
                    v += h * acceleration
                    q += h * v
        return a, b

    def _follow(
        self,
        states: Array,
        actions: Array,
        nominal: Array,
        plan: Array,
        gains: Array,
        limits: Array,
        a: Array | None = None,
        b: Array | None = None,
    ) -> None:
        """Fill states (T+1, 2n) after the first, actions (T, m), u = clip(plan + K (x ⊖ x̂)), and A and B if given."""
        steps, h, substeps = len(plan), self._h, self.substeps
        point = self._point
        q, v, effort = point
        law = (point, self._joints, self._driven, plain(plan), plain(nominal), plain(gains), limits, states, actions)
        model, data = self.model, self.data
        self._kernels.begin(*law)
        acceleration, by_q, by_v, minv = self._derivatives
        if a is None:
            aba, advance = pinocchio.aba, self._kernels.advance
            for t in range(steps):
                for i in range(substeps):
                    aba(model, data, q, v, effort)
                    advance(t, i + 1 == substeps, h, acceleration, *law)
            return
        differentiate, advance_and_collect = pinocchio.computeABADerivatives, self._kernels.advance_and_collect
        for t in range(steps):
            for i in range(substeps):
                differentiate(model, data, q, v, effort)
                advance_and_collect(t, i == 0, i + 1 == substeps, h, acceleration, by_q, by_v, minv, *law, a, b)

    def _limits(self, lower: Any, upper: Any) -> Array:
        limits = np.empty((2, self.action.size))
        limits[0], limits[1] = lower, upper
        return limits
