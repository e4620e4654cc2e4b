"""Time-varying linear-Gaussian dynamics fitted to trials, and how good they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, Indices
from mbpl_control.fitting.regression import Conditionals, NormalInverseWishart, fit_conditionals


@dataclass(frozen=True)
class LocalDynamics:
    r"""x' ~ N( A x + B u + c, N ) along a trajectory, as plain arrays.

    Attributes:
        a: A (T, n, n).
        b: B (T, n, m).
        c: c (T, n).
        noise: N (T, n, n).
        one_step_error: (T,) root mean square over trials and coordinates of x' − (A x + B u + c).
        held_out_error: (T,) the same on trials left out of a fit made for the purpose; NaN when none was made.
        rank: (T,) of the data a step was fitted to, at most min(N − 1, n + m).
    """

    a: Array
    b: Array
    c: Array
    noise: Array
    one_step_error: Array
    held_out_error: Array
    rank: Indices

    def around(self, states: Array, actions: Array) -> LocalDynamics:
        """The same dynamics in deviations from a reference: c becomes A x̂_t + B û_t + c − x̂_{t+1}.

        Args:
            states: x̂ (T+1, n).
            actions: û (T, m).
        """
        c = self.c + np.einsum("tij,tj->ti", self.a, states[:-1]) + np.einsum("tij,tj->ti", self.b, actions)
        return LocalDynamics(
            self.a, self.b, c - states[1:], self.noise, self.one_step_error, self.held_out_error, self.rank
        )


def transitions(states: Array, actions: Array) -> Array:
    """Points (x_t, u_t, x_{t+1}). (N, T+1, n), (N, T, m) → (N, T, n + m + n)."""
    return np.concatenate([states[:, :-1], actions, states[:, 1:]], axis=2)


def fit_local_dynamics(
    states: Array,
    actions: Array,
    prior: NormalInverseWishart | None = None,
    ridge: float = 1e-6,
    held_out: int | None = None,
) -> LocalDynamics:
    """Regress x_{t+1} on (x_t, u_t) at each step, over N trials; see `fit_conditionals`.

    Args:
        states: (N, T+1, n).
        actions: (N, T, m).
        prior: over (x, u, x').
        ridge: on the covariance of (x, u).
        held_out: trial that a second fit leaves out, to be told its error; None for no such fit. It needs 3 trials.

    Raises:
        InvalidFieldError: shapes do not fit, or there are too few trials.
    """
    points = transitions(states, actions)
    n, m = states.shape[2], actions.shape[2]
    fit = fit_conditionals(points[..., : n + m], points[..., n + m :], prior, ridge)
    held_out_error = np.full(actions.shape[1], np.nan)
    if held_out is not None:
        if not 0 <= held_out < len(points) or len(points) < 3:
            found = f"trial {held_out} of {len(points)}"
            raise InvalidFieldError("fit_local_dynamics", "held_out", found, "a trial of at least 3")
        rest = np.delete(points, held_out, axis=0)
        without = fit_conditionals(rest[..., : n + m], rest[..., n + m :], prior, ridge)
        held_out_error = _error(without, points[held_out : held_out + 1], n + m)
    a, b = fit.gains[:, :, :n], fit.gains[:, :, n:]
    return LocalDynamics(
        np.ascontiguousarray(a),
        np.ascontiguousarray(b),
        fit.offsets,
        fit.covariances,
        _error(fit, points, n + m),
        held_out_error,
        _ranks(points[..., : n + m]),
    )


def _error(fit: Conditionals, points: Array, inputs: int) -> Array:
    predicted = np.einsum("trp,ktp->ktr", fit.gains, points[..., :inputs]) + fit.offsets
    error: Array = np.sqrt(np.mean((points[..., inputs:] - predicted) ** 2, axis=(0, 2)))
    return error


def _ranks(inputs: Array) -> Indices:
    """Numerical rank of the centred inputs of each step; scale-free: each number counts in its own spread."""
    centred = inputs - inputs.mean(axis=0)
    spread = centred.std(axis=(0, 1))
    scaled = centred / np.where(spread > 0.0, spread, 1.0)
    ranks: Indices = np.linalg.matrix_rank(scaled.transpose(1, 0, 2), tol=1e-9).astype(np.intp)
    return ranks
