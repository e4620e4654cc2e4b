"""A Kalman filter that knows nothing of the robot but that it cannot jump."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_space import StateSpace
from mbpl_control.core.validation import Array, check_positive
from mbpl_control.estimation.filter import StateFilter

OWNER = "ModelFreeFilter"


class ModelFreeFilter(StateFilter):
    r"""Each joint by itself, its acceleration white noise held over a step.

        [q, v]' = [[1, h], [0, 1]] [q, v] + [h²/2, h] a,   a ~ N(0, σ_a²)
        z = [q, v] + noise,   noise ~ N(0, diag(σ_q², σ_v²))

    Args:
        joints: n.
        acceleration: σ_a, rad/s² or m/s².
        position_noise: σ_q of the sensor, rad or m, above zero.
        velocity_noise: σ_v of the sensor, rad/s or m/s, above zero.
        space: of the positions, for sensors that wrap an angle; plain numbers when None.

    Source: Bar-Shalom, Li and Kirubarajan 2001, section 6.3.2 (piecewise constant white acceleration).
    """

    def __init__(
        self,
        joints: int,
        acceleration: float,
        position_noise: float,
        velocity_noise: float,
        space: StateSpace | None = None,
    ) -> None:
        """Set up the noise."""
        if joints < 1:
            raise InvalidFieldError(OWNER, "joints", str(joints), "at least 1")
        self._n = joints
        self._space = StateSpace(["euclidean"] * joints) if space is None else space
        if self._space.size != joints or self._space.tangent_size != joints:
            found = f"of {self._space.size} numbers"
            raise InvalidFieldError(OWNER, "space", found, f"of {joints}, one a joint")
        self._acceleration = check_positive(OWNER, "acceleration", acceleration)
        self._sensor = np.diag(
            [
                check_positive(OWNER, "position_noise", position_noise) ** 2,
                check_positive(OWNER, "velocity_noise", velocity_noise) ** 2,
            ]
        )
        # every joint has the same noise and the same steps, so one 2 × 2 covariance serves them all
        self._p = self._sensor.copy()

    @property
    def covariance(self) -> Array:  # type: ignore[override]
        """See `StateFilter`."""
        return np.kron(self._p, np.eye(self._n))

    def reset(self, measurement: Array) -> None:
        """See `StateFilter.reset`."""
        self.mean = np.array(measurement, dtype=np.float64)
        self._p = self._sensor.copy()

    def predict(self, dt: float, effort: Array | None) -> None:
        """See `StateFilter.predict`; the effort is not used."""
        n = self._n
        self.mean = np.concatenate([self.mean[:n] + dt * self.mean[n:], self.mean[n:]])
        f = np.array([[1.0, dt], [0.0, 1.0]])
        g = np.array([0.5 * dt * dt, dt]) * self._acceleration
        self._p = f @ self._p @ f.T + np.outer(g, g)

    def update(self, measurement: Array) -> None:
        """See `StateFilter.update`."""
        n = self._n
        gain = self._p @ np.linalg.inv(self._p + self._sensor)
        moved = self._space.difference(measurement[:n], self.mean[:n])
        innovation = np.stack([moved, measurement[n:] - self.mean[n:]])
        self.mean = self.mean + (gain @ innovation).ravel()
        i_k = np.eye(2) - gain
        # Joseph's form stays symmetric and positive however often it is repeated
        self._p = i_k @ self._p @ i_k.T + gain @ self._sensor @ gain.T
