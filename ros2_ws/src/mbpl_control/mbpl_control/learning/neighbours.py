"""States near those of trials, at which a linear-Gaussian law says what it would do."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array

#: A neighbour is away by at most this many of the deviations a controller expects of the states it visits, and of
#: those its trials had, number by number.
REACH = 2.0
REACH_OF_TRIALS = 4.0
#: Deviations below it are none.
TINY = 1e-12


def with_neighbours(states: Array, spread: Array, copies: int, seed: int, ahead: Array | None = None) -> Array:
    r"""States and, for each, others near it, as the controller's own spread has them, only wider: x + D_t L_t z.

    With `ahead`, every second of these lies around where the controller is going instead, x̂ + D_t L_t z: one that was
    just improved leaves the trials it was improved on behind, and a policy must know what to do on its way.

    L_t L_tᵀ = S_t, z ~ N(0, I), D_t diagonal. What the controller does there teaches a policy its feedback, not only
    its actions. What fitted dynamics expect may grow out of all proportion where they are unstable; so no number
    strays much further than it did in trials.

    Args:
        states: of N trials of one controller, from which it acted, (N, T, n); N at least 2.
        spread: S, covariances of the states the controller expects to visit, (T, n, n).
        copies: neighbours of each state.
        seed: of z.
        ahead: x̂, the states the controller expects, (T, n).

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
    near[::2] += states
    near[1::2] += states if ahead is None else ahead
    return np.concatenate([states, near.reshape(-1, *states.shape[1:])])
