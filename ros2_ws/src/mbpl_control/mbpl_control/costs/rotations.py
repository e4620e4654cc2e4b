"""Logarithms of rotations and their derivatives."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.compiled import plain
from mbpl_control.core.validation import Array


def rotation_vector(rotation: Array, reference: Array | None = None) -> Array:
    """Logarithms log R R*ᵀ (B, 3), rad, of rotation matrices, by way of the quaternion: stable up to half a turn.

    Args:
        rotation: R (B, 3, 3).
        reference: R* (3, 3); none when None.

    Source: Shepperd 1978, "Quaternion from rotation matrix".
    """
    # compiled: what only reads a task does not pay for loading it
    from mbpl_control.costs.kernels import logarithms

    seen_from = np.eye(3) if reference is None else reference
    return logarithms(plain(rotation), plain(seen_from).reshape(9))


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
