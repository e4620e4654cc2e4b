"""Logarithms of rotations and their derivatives."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array


def rotation_vector(rotation: Array) -> Array:
    """Logarithms log R (B, 3), rad, of rotation matrices (B, 3, 3), by way of the quaternion: stable up to half a turn.

    Source: Shepperd 1978, "Quaternion from rotation matrix".
    """
    r = np.asarray(rotation)
    trace = np.trace(r, axis1=-2, axis2=-1)
    diagonal = np.diagonal(r, axis1=-2, axis2=-1)
    choices = np.concatenate([trace[:, None], diagonal], axis=1)
    best = np.argmax(choices, axis=1)
    q = np.empty((len(r), 4))
    for case in range(4):
        rows = np.flatnonzero(best == case)
        if not rows.size:
            continue
        m = r[rows]
        if case == 0:
            q[rows, 0] = 1.0 + trace[rows]
            q[rows, 1] = m[:, 2, 1] - m[:, 1, 2]
            q[rows, 2] = m[:, 0, 2] - m[:, 2, 0]
            q[rows, 3] = m[:, 1, 0] - m[:, 0, 1]
            continue
        i = case - 1
        j, k = (i + 1) % 3, (i + 2) % 3
        q[rows, 0] = m[:, k, j] - m[:, j, k]
        q[rows, 1 + i] = 1.0 + m[:, i, i] - m[:, j, j] - m[:, k, k]
        q[rows, 1 + j] = m[:, j, i] + m[:, i, j]
        q[rows, 1 + k] = m[:, k, i] + m[:, i, k]
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    q = np.where(q[:, :1] < 0.0, -q, q)
    sine = np.linalg.norm(q[:, 1:], axis=1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, q[:, :1])
    # angle / sine → 2 as sine → 0
    return np.where(sine > 1e-9, angle / np.maximum(sine, 1e-300), 2.0) * q[:, 1:]


def inverse_left_jacobian(vector: Array) -> Array:
    r"""J_l⁻¹(φ) (B, 3, 3): log(exp(δ) exp(φ)) ≈ φ + J_l⁻¹(φ) δ; the right one is J_l⁻¹(−φ).

        J_l⁻¹ = I − ½ [φ]× + (1/θ² − cot(θ/2) / (2θ)) [φ]×²

    Source: Solà, Deray and Atchuthan 2018, equation 146.
    """
    theta2 = np.sum(vector * vector, axis=1)
    theta = np.sqrt(theta2)
    small = theta < 1e-4
    safe = np.where(small, 1.0, theta)
    factor = np.where(
        small,
        1.0 / 12.0 + theta2 / 720.0,
        1.0 / safe**2 - 1.0 / (2.0 * safe * np.tan(0.5 * safe)),
    )
    skew = np.zeros((len(vector), 3, 3))
    x, y, z = vector.T
    skew[:, 0, 1], skew[:, 0, 2], skew[:, 1, 2] = -z, y, -x
    skew[:, 1, 0], skew[:, 2, 0], skew[:, 2, 1] = z, -y, x
    return np.eye(3) - 0.5 * skew + factor[:, None, None] * (skew @ skew)
