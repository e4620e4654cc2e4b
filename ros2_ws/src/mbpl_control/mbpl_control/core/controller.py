"""Time-varying linear-Gaussian controllers: a feedback law around a reference, over a horizon."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.core import archive
from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import (
    Array,
    check_choice,
    check_covariances,
    check_metadata,
    check_positive,
    float_array,
)

OWNER = "LinearGaussianController"
EXECUTIONS = ("zero_order", "continuous")
END_RULES = ("hold", "fallback", "repeat_last")
ANCHORS = ("activation", "stamp")


class ExecutionMode(str, Enum):
    """How much of the law is used when it is executed."""

    OPEN_LOOP = "open_loop"
    """u = û + k: the plan alone."""
    MEAN = "mean"
    """u = û + k + K (x ⊖ x̂): feedback, no noise."""
    SAMPLED = "sampled"
    """u ~ N(û + k + K (x ⊖ x̂), Σ)."""


MODES = tuple(mode.value for mode in ExecutionMode)


@dataclass(frozen=True, eq=False)
class LinearGaussianController:
    r"""A linear-Gaussian controller over a horizon of T steps.

        u_t ~ N( û_t + k_t + K_t (x ⊖ x̂_t), Σ_t ),   t = 0 .. T−1

    A stabilising K is negative for positive gains: the sign belongs to K, not to the formula. Arrays are read-only;
    make a changed law with `dataclasses.replace`.

    Attributes:
        state: what x is; nx numbers, ndx in the tangent space.
        action: what u is; m numbers.
        dt: duration of a step, s.
        nominal_states: x̂ (T+1, nx).
        nominal_actions: û (T, m).
        gains: K (T, m, ndx).
        feedforward: k (T, m); zero when None was given.
        covariances: Σ (T, m, m), symmetric and positive semidefinite; zero when None was given.
        execution: "zero_order" (an action per step, drawn once, held) or "continuous" (x̂ and û interpolated between
            knots, K held, evaluated at each tick).
        end_rule: what happens after T steps: "hold" the position, "fallback", or "repeat_last" (the last law goes on).
        anchor: step 0 starts at "activation", or at the "stamp" it was made for (receding horizon).
        noise_smoothing: steps; the noise of the sampled mode is white noise smoothed over time by a Gaussian of this
            standard deviation, rescaled so that each step still has the covariance Σ_t; 0 leaves steps independent.
        name: who made it.
        metadata: strings and numbers, free for the source's use.

    Raises:
        InvalidFieldError: a field has a wrong shape, is not finite, or a covariance is not positive semidefinite.

    Source: Levine and Koltun 2013, "Guided policy search"; Levine and Abbeel 2014.
    """

    state: StateDefinition
    action: ActionDefinition
    dt: float
    nominal_states: Array
    nominal_actions: Array
    gains: Array
    feedforward: Array = None  # type: ignore[assignment]
    covariances: Array = None  # type: ignore[assignment]
    execution: str = "zero_order"
    end_rule: str = "hold"
    anchor: str = "activation"
    noise_smoothing: float = 0.0
    name: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check each field; shapes follow from the definitions and the number of actions."""
        nx, ndx, m = self.state.size, self.state.tangent_size, self.action.size

        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        put("dt", check_positive(OWNER, "dt", self.dt, "s"))
        put("nominal_actions", float_array(OWNER, "nominal_actions", self.nominal_actions, (None, m)))
        steps = self.nominal_actions.shape[0]
        if steps == 0:
            raise InvalidFieldError(OWNER, "nominal_actions", "0 steps", "at least 1 step")
        shape = (steps + 1, nx)
        put("nominal_states", float_array(OWNER, "nominal_states", self.nominal_states, shape))
        self.state.space.check(OWNER, "nominal_states", self.nominal_states)
        put("gains", float_array(OWNER, "gains", self.gains, (steps, m, ndx)))
        k = np.zeros((steps, m)) if self.feedforward is None else self.feedforward
        put("feedforward", float_array(OWNER, "feedforward", k, (steps, m)))
        sigma = np.zeros((steps, m, m)) if self.covariances is None else self.covariances
        put("covariances", float_array(OWNER, "covariances", sigma, (steps, m, m)))
        check_covariances(OWNER, "covariances", self.covariances)
        check_choice(OWNER, "execution", self.execution, EXECUTIONS)
        check_choice(OWNER, "end_rule", self.end_rule, END_RULES)
        check_choice(OWNER, "anchor", self.anchor, ANCHORS)
        smoothing = self.noise_smoothing
        if not (isinstance(smoothing, (int, float)) and 0.0 <= smoothing <= steps):
            raise InvalidFieldError(OWNER, "noise_smoothing", repr(smoothing), f"a number in 0 .. {steps} steps")
        put("noise_smoothing", float(smoothing))
        put("metadata", check_metadata(OWNER, self.metadata))

    @property
    def steps(self) -> int:
        """T, the number of actions."""
        return int(self.nominal_actions.shape[0])

    @property
    def duration(self) -> float:
        """T dt, s."""
        return self.steps * self.dt

    @cached_property
    def planned_actions(self) -> Array:
        """û + k (T, m): what the open-loop mode plays."""
        return self.nominal_actions + self.feedforward

    @cached_property
    def noise_factors(self) -> Array:
        """Symmetric square roots S (T, m, m) with S S = Σ; they exist for semidefinite Σ too."""
        values, vectors = np.linalg.eigh(self.covariances)
        roots = np.sqrt(np.maximum(values, 0.0))
        return np.einsum("tij,tj,tkj->tik", vectors, roots, vectors)

    def noise(self, rng: np.random.Generator) -> Array:
        r"""The noise of one execution in the sampled mode (T, m): S_t z_t with S_t S_t = Σ_t.

        z is white, or with smoothing s the weighted sum Σ_τ w_tτ ζ_τ of white ζ with w_tτ ∝ exp(−(t − τ)²/2s²) and
        Σ_τ w_tτ² = 1: near steps are alike, and z_t keeps unit variance at every step.
        """
        z = rng.standard_normal(self.nominal_actions.shape)
        if self.noise_smoothing > 0.0:
            steps = np.arange(self.steps)
            weights = np.exp(-0.5 * ((steps[:, None] - steps) / self.noise_smoothing) ** 2)
            z = (weights / np.linalg.norm(weights, axis=1, keepdims=True)) @ z
        return np.einsum("tij,tj->ti", self.noise_factors, z)

    def mean(self, step: int, x: Array) -> Array:
        """û_t + k_t + K_t (x ⊖ x̂_t). (..., nx) → (..., m).

        Raises:
            InvalidFieldError: there is no such step.
        """
        t = self._step(step)
        error = self.state.space.difference(x, self.nominal_states[t])
        return self.planned_actions[t] + error @ self.gains[t].T

    def means_along(self, states: Array) -> Array:
        """û_t + k_t + K_t (x_t ⊖ x̂_t) at every step of trials. (..., T, nx) → (..., T, m).

        Raises:
            InvalidFieldError: not a state for each step.
        """
        if np.shape(states)[-2:] != (self.steps, self.state.size):
            found, allowed = f"shape {np.shape(states)}", f"(..., {self.steps}, {self.state.size})"
            raise InvalidFieldError(OWNER, "states", found, allowed)
        error = self.state.space.difference(states, self.nominal_states[:-1])
        means: Array = self.planned_actions + np.einsum("tij,...tj->...ti", self.gains, error)
        return means

    def sample(self, step: int, x: Array, rng: np.random.Generator) -> Array:
        """A draw of u_t ~ N(mean, Σ_t). (..., nx) → (..., m)."""
        mean = self.mean(step, x)
        return mean + rng.standard_normal(mean.shape) @ self.noise_factors[self._step(step)]

    def evaluate(self, step: int, x: Array, mode: ExecutionMode, rng: np.random.Generator | None = None) -> Array:
        """The action of `step` at x in one of the three modes. (..., nx) → (..., m).

        Raises:
            InvalidFieldError: there is no such step or mode, or the sampled mode came without a generator.
        """
        mode = ExecutionMode(check_choice(OWNER, "mode", mode, MODES))
        if mode is ExecutionMode.OPEN_LOOP:
            shape = (*np.shape(x)[:-1], self.action.size)
            return np.broadcast_to(self.planned_actions[self._step(step)], shape).copy()
        if mode is ExecutionMode.MEAN:
            return self.mean(step, x)
        if rng is None:
            raise InvalidFieldError(OWNER, "rng", "None", "a generator in the sampled mode")
        return self.sample(step, x, rng)

    def at_time(self, time: float) -> tuple[Array, Array, Array]:
        """Reference state (nx,), planned action (m,) and gain (m, ndx) at a time since step 0, s.

        x̂ is joined between its knots by the shortest path. û + k is the mean over its step, so its knots lie in the
        middle of the steps; they are joined by straight lines, and held before the first and after the last. K is
        held over its step. Times outside [0, T dt] take the nearest end.
        """
        position = min(max(time / self.dt, 0.0), float(self.steps))
        t = min(int(position), self.steps - 1)
        x = self.state.space.interpolate(self.nominal_states[t], self.nominal_states[t + 1], position - t)
        middle = min(max(position - 0.5, 0.0), self.steps - 1.0)
        before = int(middle)
        after = min(before + 1, self.steps - 1)
        fraction = middle - before
        plan = self.planned_actions
        return x, (1.0 - fraction) * plan[before] + fraction * plan[after], self.gains[t]

    def log_prob(self, step: int, x: Array, u: Array) -> Array:
        """Log density log p(u_t | x_t), nats. (..., nx), (..., m) → (...).

        Raises:
            InvalidFieldError: Σ_t is singular, so that there is no density.
        """
        t = self._step(step)
        try:
            factor = np.linalg.cholesky(self.covariances[t])
        except np.linalg.LinAlgError as error:
            raise InvalidFieldError(
                OWNER, "covariances", f"a singular matrix at step {t}", "positive definite"
            ) from error
        z = np.linalg.solve(factor, (np.asarray(u) - self.mean(t, x))[..., None])[..., 0]
        log_det = 2.0 * np.sum(np.log(np.diag(factor)))
        return -0.5 * (np.sum(z * z, axis=-1) + log_det + self.action.size * np.log(2.0 * np.pi))

    def truncated(self, first: int, steps: int) -> LinearGaussianController:
        """The law of steps `first` .. `first + steps − 1`, as a law of its own.

        Raises:
            InvalidFieldError: the horizon has no such steps.
        """
        if first < 0 or steps < 1 or first + steps > self.steps:
            found = f"first {first}, {steps} steps"
            raise InvalidFieldError(OWNER, "truncated", found, f"inside the horizon of {self.steps}")
        part = slice(first, first + steps)
        return replace(
            self,
            noise_smoothing=min(self.noise_smoothing, steps),
            nominal_states=self.nominal_states[first : first + steps + 1],
            nominal_actions=self.nominal_actions[part],
            gains=self.gains[part],
            feedforward=self.feedforward[part],
            covariances=self.covariances[part],
        )

    def save(self, path: str | Path) -> Path:
        """Write the controller to `path` (.npz); a reader never sees half a file."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        header = {
            "state": self.state.to_dict(),
            "action": self.action.to_dict(),
            "dt": self.dt,
            **{name: getattr(self, name) for name in _PLAIN},
            "metadata": dict(self.metadata),
        }
        return archive.save(path, "linear_gaussian_controller", header, arrays)

    @classmethod
    def load(cls, path: str | Path) -> LinearGaussianController:
        """Read what `save` wrote.

        Raises:
            FileFormatError: not such a file, or of an unknown schema version.
            InvalidFieldError: its content is not a valid controller.
        """
        header, arrays = archive.load(path, "linear_gaussian_controller", _ARRAYS, _HEADER)
        return cls(
            StateDefinition.from_dict(header["state"]),
            ActionDefinition.from_dict(header["action"]),
            header["dt"],
            **arrays,
            **{name: header[name] for name in _PLAIN},
            metadata=header["metadata"],
        )

    def _step(self, step: int) -> int:
        if not 0 <= step < self.steps:
            raise InvalidFieldError(OWNER, "step", str(step), f"in 0 .. {self.steps - 1}")
        return int(step)


_ARRAYS = ("nominal_states", "nominal_actions", "gains", "feedforward", "covariances")
_PLAIN = ("execution", "end_rule", "anchor", "noise_smoothing", "name")
_HEADER = ("state", "action", "dt", *_PLAIN, "metadata")
