"""Where a linear-Gaussian law should go: state marginals under a model or a fit, and the spread of a frame."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from mbpl_control.core import LinearGaussianController, LinearGaussianDynamics
from mbpl_control.core.validation import Array
from mbpl_control.tasks import Task


class AppliedLaw(Protocol):
    """x̂, û + k, K and Σ of T steps: what a law is when it is applied."""

    @property
    def nominal_states(self) -> Array:
        """x̂ (T, nx), or one more."""

    @property
    def nominal_actions(self) -> Array:
        """û + k (T, m)."""

    @property
    def gains(self) -> Array:
        """K (T, m, ndx)."""

    @property
    def covariances(self) -> Array:
        """Σ (T, m, m)."""


def state_covariances(
    a: Array, b: Array, gains: Array, covariances: Array, noise: Array | None = None, start: Array | None = None
) -> Array:
    r"""Covariances of the state under a linear-Gaussian law on linear-Gaussian dynamics.

        P_{t+1} = (A_t + B_t K_t) P_t (A_t + B_t K_t)ᵀ + B_t Σ_t B_tᵀ + N_t

    Args:
        a: A (T, n, n).
        b: B (T, n, m).
        gains: K (T, m, n).
        covariances: Σ (T, m, m).
        noise: N (T, n, n); zero when None.
        start: P_0 (n, n); zero, a known start, when None.

    Returns:
        P (T+1, n, n).
    """
    steps, n = a.shape[0], a.shape[1]
    out = np.zeros((steps + 1, n, n))
    if start is not None:
        out[0] = start
    for t in range(steps):
        closed = a[t] + b[t] @ gains[t]
        out[t + 1] = closed @ out[t] @ closed.T + b[t] @ covariances[t] @ b[t].T
        if noise is not None:
            out[t + 1] += noise[t]
    return out


def frame_tube(task: Task, law: AppliedLaw) -> tuple[Array, Array]:
    r"""The task's frame along the plan under the task's model, and its covariance, J P_q Jᵀ.

    The law's state is the robot's own. The plan's last state is what the model makes of its last action.

    Returns:
        points (T+1, 3), m, and covariances (T+1, 3, 3), m².
    """
    steps = len(law.nominal_actions)
    dynamics, states = task.dynamics(), law.nominal_states[:steps]
    a, b = dynamics.linearize(states, law.nominal_actions)
    spread = state_covariances(a, b, law.gains, law.covariances)
    last = dynamics.step(states[-1:], law.nominal_actions[-1:])
    nq, nv = task.robot.nq, task.robot.nv
    return frame_spread(task, np.concatenate([states, last])[:, :nq], spread[:, :nv, :nv])


def frame_spread(task: Task, positions: Array, covariances: Array) -> tuple[Array, Array]:
    """The frame success is about, and its covariance to first order, J P_q Jᵀ.

    Args:
        task: has such a frame.
        positions: q (N, nq).
        covariances: P_q (N, nv, nv), in the tangent space.

    Returns:
        points (N, 3), m, and covariances (N, 3, 3), m².
    """
    frame = task.success_frame
    assert frame is not None  # noqa: S101 - the caller sees to it
    motion = task.robot.kinematics.motion(frame, positions)
    jacobians = motion.jacobians[:, :3]
    return motion.positions, np.einsum("tij,tjk,tlk->til", jacobians, covariances, jacobians)


def fitted_tube(
    dynamics: LinearGaussianDynamics, law: LinearGaussianController, mean: Array, covariance: Array
) -> tuple[Array, Array]:
    r"""Where a law should go under fitted dynamics, in plain numbers of the state.

        μ_{t+1} = A_t μ_t + B_t (û_t + k_t + K_t (μ_t − x̂_t)) + c_t,   P as in `state_covariances`

    Args:
        dynamics: A, B, c, N.
        law: of as many steps.
        mean: of x_0 (n,).
        covariance: of x_0 (n, n).

    Returns:
        μ (T+1, n) and P (T+1, n, n).
    """
    means = [mean]
    for t in range(law.steps):
        x = means[-1]
        u = law.nominal_actions[t] + law.feedforward[t] + law.gains[t] @ (x - law.nominal_states[t])
        means.append(dynamics.mean(t, x, u))
    spread = state_covariances(dynamics.a, dynamics.b, law.gains, law.covariances, dynamics.covariances, covariance)
    return np.array(means), spread
