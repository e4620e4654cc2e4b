"""A policy as a time-varying linear-Gaussian law around trials."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.fitting.prior import MixturePrior
from mbpl_control.fitting.regression import fit_conditionals
from mbpl_control.learning.local_model import LocalModel, TrialSet
from mbpl_control.policies.policy import GaussianPolicy
from mbpl_control.tasks.task import Task
from mbpl_control.trajopt.kl_lqr import LinearLaw


@dataclass(frozen=True)
class PolicyAtTrials:
    """What a policy says at the states of a condition's trials.

    Attributes:
        states: (N, T, n).
        observations: (N, T, no).
        means: (N, T, m).
        covariances: (T, m, m), mean over the trials.
    """

    states: Array
    observations: Array
    means: Array
    covariances: Array


def policy_at(policy: GaussianPolicy, task: Task, condition: int, trials: TrialSet) -> PolicyAtTrials:
    """Ask a policy at every state of trials from which an action was taken."""
    states = trials.states[:, :-1]
    observations = task.observe(states, condition)
    count, steps = states.shape[:2]
    means, covariances = policy.distribution(observations.reshape(count * steps, -1))
    m = means.shape[1]
    return PolicyAtTrials(
        states, observations, means.reshape(count, steps, m), covariances.reshape(count, steps, m, m).mean(axis=0)
    )


def linearise(
    at: dict[int, PolicyAtTrials],
    models: dict[int, LocalModel],
    shifts: dict[int, Array],
    prior: MixturePrior,
    ridge: float,
) -> dict[int, LinearLaw]:
    r"""π(u|x) ≈ N( K x + k, S ) at each step, by regression of the policy's means on the states of the trials.

    As for the dynamics, a mixture over (x, μ_π(x)) of all conditions is the prior. S is what the regression leaves
    over plus the policy's own covariance.

    Args:
        at: what the policy says, by condition.
        models: whose reference the laws are relative to.
        shifts: (n,) taken off the states for the prior, by condition.
        prior: over (x, u), for a window of exactly these trials.
        ridge: on the covariance of x.

    Returns:
        Laws in deviations from the models' references, by condition.

    Source: Levine, Finn, Darrell and Abbeel 2016, appendix A.3; Montgomery and Levine 2016, section 4.
    """
    points = {c: np.concatenate([a.states - shifts[c], a.means], axis=2) for c, a in at.items()}
    shares = prior.update(np.concatenate(list(points.values())))
    laws, first = {}, 0
    for c, a in at.items():
        count = len(a.states)
        n = a.states.shape[2]
        fit = fit_conditionals(points[c][..., :n], points[c][..., n:], prior.at(shares[first : first + count]), ridge)
        first += count
        model = models[c]
        k = fit.offsets + np.einsum("tij,tj->ti", fit.gains, model.states[:-1] - shifts[c]) - model.actions
        laws[c] = LinearLaw.of(np.ascontiguousarray(fit.gains), k, fit.covariances + a.covariances)
    return laws
