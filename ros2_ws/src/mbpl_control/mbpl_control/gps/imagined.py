"""Where a policy would go, as far as fitted dynamics tell."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.learning.local_model import LocalModel
from mbpl_control.policies.policy import GaussianPolicy
from mbpl_control.tasks.task import Task

#: No number of a state goes further from the reference than this: dynamics that were fitted to few trials may be
#: unstable, and what they expect out there is of no use.
LOST = 10.0


def imagined_trials(
    policy: GaussianPolicy, task: Task, condition: int, model: LocalModel, count: int, seed: int
) -> Array:
    r"""Trajectories of the policy's mean on the dynamics of a condition, without a trial.

        u_t = μ_θ(o(x_t)) within the limits,   x_{t+1} = x̂_{t+1} + A_t (x_t − x̂_t) + B_t (u_t − û_t) + c_t + e_t

    The first is without e, the others have e_t ~ N(0, N_t), the noise the fit left over.

    Args:
        policy: that was trained before.
        task: whose observation it sees.
        condition: index of the start condition.
        model: fitted around (x̂, û) of that condition.
        count: M.
        seed: of e.

    Returns:
        x (M, T, n), the states it acts from.

    Source: the idea of teaching a policy where it goes itself is that of Ross, Gordon and Bagnell 2011, "A reduction of
    imitation learning and structured prediction to no-regret online learning".
    """
    d, n = model.dynamics, model.states.shape[1]
    values, vectors = np.linalg.eigh(d.noise)
    roots = vectors * np.sqrt(np.maximum(values, 0.0))[:, None, :]
    noise = np.einsum("tij,atj->tai", roots, np.random.default_rng(seed).standard_normal((count, len(roots), n)))
    noise[:, 0] = 0.0
    off = np.repeat(model.start_mean[None], count, axis=0)
    visited = np.empty((count, len(model.actions), n))
    for t in range(len(model.actions)):
        visited[:, t] = model.states[t] + off
        observed = task.observe(visited[:, t : t + 1], condition)[:, 0]
        actions = np.clip(policy.distribution(observed)[0], task.action.lower, task.action.upper)
        off = off @ d.a[t].T + (actions - model.actions[t]) @ d.b[t].T + d.c[t] + noise[t]
        off = np.clip(off, -LOST, LOST)
    return visited
