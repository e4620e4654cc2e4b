r"""Our laws as linear-feedback-controller has them.

Its law, with the opposite sign of the gain, in its own order of joints:

    u = feedforward + feedback_gain [q_ref ⊖ q; v_ref − v]
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import Array, Indices
from mbpl_control.tasks.task import Task

#: rad, m, rad/s or m/s: step of the central differences.
STEP = 1e-6


@dataclass(frozen=True, eq=False)
class LinearFeedbackLaw:
    """What a `Control` message says.

    Attributes:
        feedforward: (m,).
        feedback_gain: (m, 2m); stabilising gains are positive.
        positions: (m,) q_ref.
        velocities: (m,) v_ref.
    """

    feedforward: Array
    feedback_gain: Array
    positions: Array
    velocities: Array


def linear_feedback(effort: Array, gain: Array, q: Array, v: Array, order: Indices) -> LinearFeedbackLaw:
    r"""The law u = effort + K [q' ⊖ q; v' − v] as a `Control`, in another order of joints.

    Args:
        effort: (m,) at (q, v).
        gain: K (m, 2m), the sign of this project: stabilising gains are negative.
        q: (m,) where the law is `effort`.
        v: (m,)
        order: index, among ours, of each joint of the receiver.

    Source: loco-3d/linear-feedback-controller, `LFController::compute_control`.
    """
    columns = np.concatenate((order, len(order) + order))
    return LinearFeedbackLaw(effort[order], -gain[order][:, columns], q[order], v[order])


def joint_gain(task: Task, law_state: StateDefinition, gain: Array, q: Array, v: Array) -> Array:
    r"""A gain by a law's state as a gain by positions and velocities of the joints (rows, 2nv).

    The state may hold positions and velocities of frames, x = h(q, v): the chain rule gives K ∂h/∂(q, v).

    Args:
        task: what the robot's state may hold.
        law_state: what the gain is by; each of its coordinates one of the task's.
        gain: (rows, ndx).
        q: (nv,) where it is taken.
        v: (nv,)

    Raises:
        DefinitionMismatchError: the law asks for a coordinate that the task's state does not hold.
    """
    selection = law_state.selection_from(task.state)
    at = np.concatenate((q, v))
    steps = STEP * np.eye(len(at))
    after, before = (task.task_state(at + sign * steps)[:, selection] for sign in (1.0, -1.0))
    jacobian = law_state.space.difference(after, before).T / (2.0 * STEP)
    return np.asarray(gain @ jacobian, dtype=np.float64)
