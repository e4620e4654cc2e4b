"""Logarithms of rotations and their derivatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from mbpl_control.core.compiled import compiled, plain
from mbpl_control.core.validation import Array


def rotation_vector(rotation: Array, reference: Array | None = None) -> Array:
    """Logarithms log R R*ᵀ (B, 3), rad, of rotation matrices, by way of the quaternion: stable up to half a turn.

    Args:
        rotation: R (B, 3, 3).
        reference: R* (3, 3); none when None.

    Source: Shepperd 1978, "Quaternion from rotation matrix".
    """
    return _logarithms(plain(rotation), plain(np.eye(3) if reference is None else reference))


@compiled
def _logarithms(rotation: Any, reference: Any) -> Any:
    out = np.empty((len(rotation), 3))
    r, q = np.empty((3, 3)), np.empty(4)
    for b in range(len(rotation)):
        for i in range(3):
            for j in range(3):
                r[i, j] = 0.0
                for k in range(3):
                    r[i, j] += rotation[b, i, k] * reference[j, k]
        # the largest of the four squares, so that nothing is divided by a small number
        best, largest = 0, r[0, 0] + r[1, 1] + r[2, 2]
        for i in range(3):
            if r[i, i] > largest:
                best, largest = 1 + i, r[i, i]
        if best == 0:
            q[0] = 1.0 + largest
            q[1], q[2], q[3] = r[2, 1] - r[1, 2], r[0, 2] - r[2, 0], r[1, 0] - r[0, 1]
        else:
            i = best - 1
            j, k = (i + 1) % 3, (i + 2) % 3
            q[0] = r[k, j] - r[j, k]
            q[1 + i] = 1.0 + r[i, i] - r[j, j] - r[k, k]
            q[1 + j], q[1 + k] = r[j, i] + r[i, j], r[k, i] + r[i, k]
        norm = np.sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
        if q[0] < 0.0:
            norm = -norm
        for i in range(4):
            q[i] /= norm
        sine = np.sqrt(q[1] * q[1] + q[2] * q[2] + q[3] * q[3])
        # angle / sine → 2 as sine → 0
        scale = 2.0 * np.arctan2(sine, q[0]) / sine if sine > 1e-9 else 2.0
        for i in range(3):
            out[b, i] = scale * q[1 + i]
    return out


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
