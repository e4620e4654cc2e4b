"""How well fitted dynamics predict a trial that they were not fitted to, over one step and over several."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.fitting.local_dynamics import transitions
from mbpl_control.fitting.regression import NormalInverseWishart, fit_conditionals


@dataclass(frozen=True)
class PredictionError:
    """Errors of predictions over k steps.

    Attributes:
        steps: k.
        error: root mean square of each number of the state, in its own unit (n,).
        motion: the same of how far the state moves in k steps, which a model that knows nothing is off by (n,).
    """

    steps: int
    error: Array
    motion: Array

    @property
    def share(self) -> Array:
        """Error as a share of the motion (n,); NaN for a number that does not move."""
        return np.divide(self.error, self.motion, out=np.full_like(self.error, np.nan), where=self.motion > 0.0)


def held_out_errors(
    states: Array,
    actions: Array,
    prior: NormalInverseWishart | None = None,
    ridge: float = 1e-6,
    horizons: Sequence[int] = (1, 10),
) -> list[PredictionError]:
    r"""Each trial predicted from a fit to all the others, from each of its states on, with the actions it took.

        x̂_{t+1} = A_t x̂_t + B_t u_t + c_t,   x̂_t = x_t,   e_k = x̂_{t+k} − x_{t+k}

    Errors are over all trials and all t. The prior is the one given: where it was made of these trials, too, it has
    seen the one that is predicted, as one of many.

    Args:
        states: of N ≥ 3 trials (N, T+1, n).
        actions: (N, T, m).
        prior: over (x, u, x').
        ridge: on the covariance of (x, u).
        horizons: k of the predictions, each 1 .. T.

    Raises:
        InvalidFieldError: too few trials, or a horizon outside the trials.
    """
    count, steps, n = states.shape[0], actions.shape[1], states.shape[2]
    if count < 3:
        raise InvalidFieldError("held_out_errors", "states", f"{count} trials", "at least 3")
    if not all(1 <= k <= steps for k in horizons):
        raise InvalidFieldError("held_out_errors", "horizons", str(list(horizons)), f"each in 1 .. {steps}")
    points, inputs = transitions(states, actions), n + actions.shape[2]
    squares: dict[int, list[Array]] = {k: [] for k in horizons}
    for out in range(count):
        rest = np.delete(points, out, axis=0)
        fit = fit_conditionals(rest[..., :inputs], rest[..., inputs:], prior, ridge)
        x = states[out, :-1]
        for k in range(1, max(horizons) + 1):
            # prediction number t began at t and is now at t + k - 1
            now = slice(k - 1, steps)
            x = x[: steps - k + 1]
            both = np.concatenate([x, actions[out, now]], axis=1)
            x = np.einsum("tij,tj->ti", fit.gains[now], both) + fit.offsets[now]
            if k in squares:
                squares[k].append((x - states[out, k:]) ** 2)
    return [
        PredictionError(
            k,
            np.sqrt(np.concatenate(squares[k]).mean(axis=0)),
            np.sqrt(np.mean((states[:, k:] - states[:, :-k]) ** 2, axis=(0, 1))),
        )
        for k in horizons
    ]
