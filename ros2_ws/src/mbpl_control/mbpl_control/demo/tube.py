"""Where the sampled law should go: state marginals under the model, and the frame's spread."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.demo.records import LawRecord
from mbpl_control.tasks import Task


def state_covariances(a: Array, b: Array, gains: Array, covariances: Array) -> Array:
    r"""Covariances of the state under a linear-Gaussian law on linearised dynamics, from a known start.

        P_0 = 0,   P_{t+1} = (A_t + B_t K_t) P_t (A_t + B_t K_t)ᵀ + B_t Σ_t B_tᵀ

    Args:
        a: A (T, n, n).
        b: B (T, n, m).
        gains: K (T, m, n).
        covariances: Σ (T, m, m).

    Returns:
        P (T+1, n, n).
    """
    steps, n = a.shape[0], a.shape[1]
    out = np.zeros((steps + 1, n, n))
    for t in range(steps):
        closed = a[t] + b[t] @ gains[t]
        out[t + 1] = closed @ out[t] @ closed.T + b[t] @ covariances[t] @ b[t].T
    return out


def frame_tube(task: Task, law: LawRecord) -> tuple[Array, Array]:
    r"""The task's frame along the plan, and its standard deviation, σ² = diag(J P_q Jᵀ).

    The plan's last state is what the model makes of its last action.

    Returns:
        points (T+1, 3) and deviations (T+1, 3), m.
    """
    frame = task.success_frame
    assert frame is not None
    nq, nv = task.robot.nq, task.robot.nv
    dynamics, states = task.dynamics(), law.nominal_states
    a, b = dynamics.linearize(states, law.nominal_actions)
    spread = state_covariances(a, b, law.gains, law.covariances)
    last = dynamics.step(states[-1:], law.nominal_actions[-1:])
    motion = task.robot.kinematics.motion(frame, np.concatenate([states, last])[:, :nq])
    jacobians = motion.jacobians[:, :3]
    variances = np.einsum("tij,tjk,tik->ti", jacobians, spread[:, :nv, :nv], jacobians)
    return motion.positions, np.sqrt(variances)
