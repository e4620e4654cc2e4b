"""What a state estimator may ask of a filter."""

from __future__ import annotations

from abc import ABC, abstractmethod

from mbpl_control.core.validation import Array


class StateFilter(ABC):
    """Positions and velocities of joints from noisy measurements of both.

    Attributes:
        mean: (2n,) positions, then velocities; valid after the first measurement.
        covariance: (2n, 2n), or None when the filter has none.
    """

    mean: Array
    covariance: Array | None

    @abstractmethod
    def reset(self, measurement: Array) -> None:
        """Start again from a measurement (2n,)."""

    @abstractmethod
    def predict(self, dt: float, effort: Array | None) -> None:
        """Go dt seconds ahead, under efforts (m,) when they are known."""

    @abstractmethod
    def update(self, measurement: Array) -> None:
        """Take a measurement (2n,) into account."""


class PassThrough(StateFilter):
    """No filter: the newest measurement is the state."""

    def __init__(self) -> None:
        """There is nothing to set up."""
        self.covariance = None

    def reset(self, measurement: Array) -> None:
        """See `StateFilter.reset`."""
        self.mean = measurement

    def predict(self, dt: float, effort: Array | None) -> None:
        """Positions move on with their velocities: what is known while measurements stay away."""
        n = len(self.mean) // 2
        self.mean = self.mean.copy()
        self.mean[:n] += dt * self.mean[n:]

    def update(self, measurement: Array) -> None:
        """See `StateFilter.update`."""
        self.mean = measurement
