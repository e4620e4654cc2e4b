"""An extended Kalman filter on the robot's model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mbpl_control.core.validation import Array, check_positive
from mbpl_control.estimation.filter import StateFilter
from mbpl_control.models.dynamics import Dynamics

OWNER = "ExtendedKalmanFilter"


class ExtendedKalmanFilter(StateFilter):
    r"""x' = f(x, u + w), w ~ N(0, σ_u²);  z = x + noise, noise ~ N(0, R), in the tangent space of x.

        predict: P ← A P Aᵀ + B σ_u² Bᵀ + Q_0      x ← f(x, u)
        update:  G = P (P + R)⁻¹      x ← x ⊕ G (z ⊖ x)      P ← (I − G) P (I − G)ᵀ + G R Gᵀ

    The process noise enters as an effort: that is where unknown loads and friction act. Q_0 keeps a floor under P
    for joints no actuator drives.

    Args:
        make_dynamics: the model for a step of dt seconds; called once, at the first prediction.
        effort_noise: σ_u, N·m or N.
        position_noise: σ_q of the sensor, above zero.
        velocity_noise: σ_v of the sensor, above zero.
        acceleration_noise: of Q_0, rad/s² or m/s².

    Source: Bar-Shalom, Li and Kirubarajan 2001, section 10.3.
    """

    def __init__(
        self,
        make_dynamics: Callable[[float], Dynamics],
        effort_noise: float,
        position_noise: float,
        velocity_noise: float,
        acceleration_noise: float = 0.1,
    ) -> None:
        """Set up the noise."""
        self._make = make_dynamics
        self._model: Dynamics | None = None
        self._effort = check_positive(OWNER, "effort_noise", effort_noise)
        self._acceleration = check_positive(OWNER, "acceleration_noise", acceleration_noise)
        self._sigma = (
            check_positive(OWNER, "position_noise", position_noise),
            check_positive(OWNER, "velocity_noise", velocity_noise),
        )

    def reset(self, measurement: Array) -> None:
        """See `StateFilter.reset`."""
        self.mean = np.array(measurement, dtype=np.float64)
        n = len(self.mean) // 2
        self._sensor = np.diag(np.repeat(np.square(self._sigma), n))
        self.covariance = self._sensor.copy()

    def predict(self, dt: float, effort: Array | None) -> None:
        """See `StateFilter.predict`; an unknown effort counts as zero."""
        dynamics = self._dynamics(dt)
        u = np.zeros(dynamics.action.size) if effort is None else effort
        x, u = self.mean[None], np.asarray(u, dtype=np.float64)[None]
        a, b = dynamics.linearize(x, u)
        self.mean = dynamics.step(x, u)[0]
        n = len(self.mean) // 2
        floor = np.concatenate([np.full(n, 0.5 * dt * dt), np.full(n, dt)]) * self._acceleration
        drive = self._effort * b[0]
        assert self.covariance is not None  # noqa: S101 - reset comes first
        self.covariance = a[0] @ self.covariance @ a[0].T + drive @ drive.T + np.diag(floor**2)

    def update(self, measurement: Array) -> None:
        """See `StateFilter.update`."""
        # without a prediction there is no model yet, and nothing has moved across the seam of an angle
        space = None if self._model is None else self._model.state.space
        p = self.covariance
        assert p is not None  # noqa: S101 - reset comes first
        gain = np.linalg.solve(p + self._sensor, p).T
        error = measurement - self.mean if space is None else space.difference(measurement, self.mean)
        change = gain @ error
        self.mean = self.mean + change if space is None else space.integrate(self.mean, change)
        i_k = np.eye(len(p)) - gain
        self.covariance = i_k @ p @ i_k.T + gain @ self._sensor @ gain.T

    def _dynamics(self, dt: float) -> Dynamics:
        # stamps of a real robot jitter: hardly two steps are of the same length
        if self._model is None:
            self._model = self._make(dt)
        elif self._model.dt != dt:
            self._model.set_duration(dt)
        return self._model
