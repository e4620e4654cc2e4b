"""What a network sees of an observation."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import Array


class FeatureMap:
    """φ(o): numbers as they are, an angle as its sine and its cosine.

    A joint that turns without limits is then the same after each whole turn, and nothing jumps at ±π. Numbers come
    first, in the order of the observation, then the sines, then the cosines.

    Attributes:
        size: nf, numbers of features.
        lines: which numbers of an observation are taken as they are.
        angles: which are angles.
    """

    def __init__(self, observation: StateDefinition) -> None:
        """Find the angles.

        Raises:
            InvalidFieldError: the observation holds a quaternion, whose features and Jacobian would need the tangent
                space of rotations.
        """
        spaces = observation.space.spaces
        if "quaternion" in spaces:
            allowed = "of spaces euclidean and angle: a policy sees no quaternions"
            raise InvalidFieldError("GaussianPolicy", "observation", "a quaternion", allowed)
        self._inputs = len(spaces)
        self.lines = np.array([i for i, space in enumerate(spaces) if space == "euclidean"], dtype=np.intp)
        self.angles = np.array([i for i, space in enumerate(spaces) if space == "angle"], dtype=np.intp)
        self.size = self.lines.size + 2 * self.angles.size

    @property
    def identity(self) -> bool:
        """Whether φ(o) = o."""
        return self.angles.size == 0

    def __call__(self, observations: Array) -> Array:
        """Features of observations. (..., no) → (..., nf)."""
        if self.identity:
            return observations
        angles = observations[..., self.angles]
        return np.concatenate([observations[..., self.lines], np.sin(angles), np.cos(angles)], axis=-1)

    def jacobian(self, observation: Array) -> Array:
        """dφ/do. (no,) → (nf, no)."""
        if self.identity:
            return np.eye(self.size)
        lines, turns = self.lines.size, self.angles.size
        angles = observation[self.angles]
        out = np.zeros((self.size, self._inputs))
        out[np.arange(lines), self.lines] = 1.0
        out[lines + np.arange(turns), self.angles] = np.cos(angles)
        out[lines + turns + np.arange(turns), self.angles] = -np.sin(angles)
        return out
