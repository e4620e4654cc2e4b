"""States near those of trials, at which a linear-Gaussian law says what it would do."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array

#: A neighbour is away by at most this many of the deviations a controller expects of the states it visits, and of
#: those its trials had, number by number.
REACH = 2.0
REACH_OF_TRIALS = 4.0
#: So many deviations of the trials, root mean square over the numbers of a state, may lie between where a controller is
#: going and a state at which it is asked what it would do.
REACH_OF_LAW = 8.0
#: Deviations below it are none.
TINY = 1e-12


def with_neighbours(states: Array, spread: Array, copies: int, seed: int, *others: Array) -> Array:
    r"""States and, for each, others near it, as the controller's own spread has them, only wider: x + D_t L_t z.

    L_t L_tᵀ = S_t, z ~ N(0, I), D_t diagonal. What the controller does there teaches a policy its feedback, not only
    its actions. What fitted dynamics expect may grow out of all proportion where they are unstable; so no number
    strays much further than it did in trials.

    Args:
        states: of N trials of one controller, from which it acted, (N, T, n); N at least 2.
        spread: S, covariances of the states the controller expects to visit, (T, n, n).
        copies: neighbours of each state.
        seed: of z.
        others: trajectories (T, n) that take turns with the trials: neighbour i of each state lies around the state
            itself where i mod (1 + len(others)) is 0, and around that step of another trajectory where it is not.

    Returns:
        (N (1 + copies), T, n), the states themselves first.
    """
    if not copies:
        return states
    values, vectors = np.linalg.eigh(spread)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    expected, seen = np.linalg.norm(roots, axis=2), states.std(axis=0, ddof=1)
    roots *= np.minimum(REACH, REACH_OF_TRIALS * seen / np.maximum(expected, TINY))[:, :, None]
    z = np.random.default_rng(seed).standard_normal((copies, *states.shape))
    near = np.einsum("tij,aktj->akti", roots, z)
    centres = (states, *others)
    for i, centre in enumerate(centres):
        near[i :: len(centres)] += centre
    return np.concatenate([states, near.reshape(-1, *states.shape[1:])])


def within_reach(visited: Array, expected: Array, states: Array) -> Array:
    r"""A trajectory that left the one expected, drawn back to where the controller can be asked about it.

        x̂_t + (x_t − x̂_t) min(1, r / ρ_t),   ρ_t² = mean_i ((x_ti − x̂_ti) / σ_ti)²

    σ_t is the deviation of the trials, r is `REACH_OF_LAW`. The direction stays: that is what a policy has to be
    corrected in.

    Args:
        visited: x (T, n).
        expected: x̂ (T, n).
        states: of N trials, (N, T, n); N at least 2.
    """
    off = visited - expected
    away = np.linalg.norm(off / np.maximum(states.std(axis=0, ddof=1), TINY), axis=1) / np.sqrt(off.shape[1])
    return np.asarray(expected + off * np.minimum(1.0, REACH_OF_LAW / np.maximum(away, TINY))[:, None])
