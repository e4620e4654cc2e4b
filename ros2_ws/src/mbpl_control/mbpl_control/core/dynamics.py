"""Time-varying linear-Gaussian dynamics, as fitted to trials or linearised from a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.core import archive
from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import (
    Array,
    check_covariances,
    check_metadata,
    check_positive,
    check_whole,
    float_array,
)

OWNER = "LinearGaussianDynamics"


@dataclass(frozen=True, eq=False)
class LinearGaussianDynamics:
    r"""x_{t+1} ~ N( A_t x_t + B_t u_t + c_t, N_t ),   t = 0 .. T−1.

    x is taken as plain numbers here: a fit around trials lives in a small neighbourhood, where the state must not
    cross the seam of an angle. Arrays are read-only.

    Attributes:
        state: what x is; n numbers.
        action: what u is; m numbers.
        dt: duration of a step, s.
        a: A (T, n, n).
        b: B (T, n, m).
        c: c (T, n).
        covariances: N (T, n, n), symmetric and positive semidefinite; zero when None was given.
        samples: trials the fit rests on; 0 when it is not a fit.
        fit_error: (T,) root mean square one-step error; empty when it is not a fit.
        source: who made it.
        metadata: strings and numbers, free for the source's use.

    Raises:
        InvalidFieldError: a field has a wrong shape, is not finite, or a covariance is not positive semidefinite.

    Source: Levine and Abbeel 2014, section 4.
    """

    state: StateDefinition
    action: ActionDefinition
    dt: float
    a: Array
    b: Array
    c: Array
    covariances: Array = None  # type: ignore[assignment]
    samples: int = 0
    fit_error: Array = field(default_factory=lambda: np.zeros(0))
    source: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check each field."""
        n, m = self.state.size, self.action.size

        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("dt", check_positive(OWNER, "dt", self.dt, "s"))
        put("a", float_array(OWNER, "a", self.a, (None, n, n)))
        steps = self.a.shape[0]
        if steps == 0:
            raise InvalidFieldError(OWNER, "a", "0 steps", "at least 1 step")
        put("b", float_array(OWNER, "b", self.b, (steps, n, m)))
        put("c", float_array(OWNER, "c", self.c, (steps, n)))
        noise = np.zeros((steps, n, n)) if self.covariances is None else self.covariances
        put("covariances", float_array(OWNER, "covariances", noise, (steps, n, n)))
        check_covariances(OWNER, "covariances", self.covariances)
        put("samples", check_whole(OWNER, "samples", self.samples, 0, 2**32 - 1))
        length = 0 if np.size(self.fit_error) == 0 else steps
        put("fit_error", float_array(OWNER, "fit_error", self.fit_error, (length,)))
        put("metadata", check_metadata(OWNER, self.metadata))

    @property
    def steps(self) -> int:
        """T."""
        return int(self.a.shape[0])

    def mean(self, step: int, x: Array, u: Array) -> Array:
        """A_t x + B_t u + c_t. (..., n), (..., m) → (..., n).

        Raises:
            InvalidFieldError: there is no such step.
        """
        if not 0 <= step < self.steps:
            raise InvalidFieldError(OWNER, "step", str(step), f"in 0 .. {self.steps - 1}")
        return np.asarray(x) @ self.a[step].T + np.asarray(u) @ self.b[step].T + self.c[step]

    def save(self, path: str | Path) -> Path:
        """Write the dynamics to `path` (.npz); a reader never sees half a file."""
        header = {
            "state": self.state.to_dict(),
            "action": self.action.to_dict(),
            "dt": self.dt,
            "samples": self.samples,
            "source": self.source,
            "metadata": dict(self.metadata),
        }
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return archive.save(path, "linear_gaussian_dynamics", header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> LinearGaussianDynamics:
        """Read what `save` wrote.

        Raises:
            FileFormatError: not such a file, or of an unknown schema version.
            InvalidFieldError: its content is not valid.
        """
        header, arrays = archive.load(path, "linear_gaussian_dynamics", _ARRAYS, _HEADER)
        return cls(
            StateDefinition.from_dict(header["state"]),
            ActionDefinition.from_dict(header["action"]),
            header["dt"],
            **arrays,
            samples=header["samples"],
            source=header["source"],
            metadata=header["metadata"],
        )


_ARRAYS = ("a", "b", "c", "covariances", "fit_error")
_HEADER = ("state", "action", "dt", "samples", "source", "metadata")
