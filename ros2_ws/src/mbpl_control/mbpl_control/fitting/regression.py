"""Time-varying linear regression under a normal-inverse-Wishart prior, all steps at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array

OWNER = "fit_conditionals"


@dataclass(frozen=True)
class NormalInverseWishart:
    r"""Prior on mean and covariance of y = (inputs, outputs) at each step.

    Attributes:
        mean: μ₀ (T, D).
        scatter: Φ (T, D, D), in units of one trial.
        mean_strength: how many trials the mean counts for.
        scatter_strength: how many trials the scatter counts for.
    """

    mean: Array
    scatter: Array
    mean_strength: float
    scatter_strength: float


@dataclass(frozen=True)
class Conditionals:
    r"""outputs ~ N( F inputs + f, S ) at each step.

    Attributes:
        gains: F (T, r, p).
        offsets: f (T, r).
        covariances: S (T, r, r).
    """

    gains: Array
    offsets: Array
    covariances: Array


def fit_conditionals(
    inputs: Array,
    outputs: Array,
    prior: NormalInverseWishart | None = None,
    ridge: float = 1e-6,
    block_ridge: bool = False,
) -> Conditionals:
    r"""Regression of outputs on inputs over N trials, at T steps at once.

    With empirical mean ȳ and covariance C of y = (inputs, outputs), the joint covariance is its mode under the prior,

        Σ = ( N C + Φ + N m / (N + m) (ȳ − μ₀)(ȳ − μ₀)ᵀ ) / ( N + n₀ ),

    or C without a prior; then  F = Σ_oi (Σ_ii + ρ I)⁻¹,  f = ȳ_o − F ȳ_i,  S = Σ_oo − F (Σ_ii + ρ I) Fᵀ.
    ρ I keeps steps well posed where all trials are alike, as at a deterministic start; there F tends to zero, not
    to noise.

    Args:
        inputs: (N, T, p).
        outputs: (N, T, r).
        prior: over all p + r numbers; None for none.
        ridge: ρ.
        block_ridge: add ρ to every entry of Σ_ii instead of its diagonal, as cbfinn/gps does: for comparison with it.

    Raises:
        InvalidFieldError: shapes do not fit, or there are fewer than 2 trials.

    Source: Levine and Abbeel 2014, section 4.1; Gelman et al. 2013, "Bayesian data analysis", section 3.6.
    """
    if inputs.ndim != 3 or outputs.ndim != 3 or inputs.shape[:2] != outputs.shape[:2]:
        found = f"shapes {inputs.shape} and {outputs.shape}"
        raise InvalidFieldError(OWNER, "inputs", found, "(N, T, p) and (N, T, r)")
    trials, _, p = inputs.shape
    if trials < 2:
        raise InvalidFieldError(OWNER, "inputs", f"{trials} trials", "at least 2 trials")
    # the last row is for the distance from the prior's mean
    joint = np.empty((inputs.shape[1], trials + 1, p + outputs.shape[2]))
    joint[:, :trials, :p] = inputs.transpose(1, 0, 2)
    joint[:, :trials, p:] = outputs.transpose(1, 0, 2)
    mean = joint[:, :trials].mean(axis=1)
    joint[:, :trials] -= mean[:, None, :]
    joint[:, trials] = 0.0
    count = float(trials)
    if prior is not None:
        if prior.mean.shape != mean.shape or prior.scatter.shape != (*mean.shape, mean.shape[1]):
            found = f"a mean of shape {prior.mean.shape} and a scatter of shape {prior.scatter.shape}"
            raise InvalidFieldError(OWNER, "prior", found, f"a mean of shape {mean.shape}, and a matrix for each")
        m0 = prior.mean_strength
        joint[:, trials] = np.sqrt(trials * m0 / (trials + m0)) * (mean - prior.mean)
        count += prior.scatter_strength
    sigma = joint.transpose(0, 2, 1) @ joint
    if prior is not None:
        sigma += prior.scatter
    sigma /= count
    inner = sigma[:, :p, :p]
    if block_ridge:
        inner += ridge
    else:
        inner[:, np.arange(p), np.arange(p)] += ridge
    gains = np.linalg.solve(inner, sigma[:, :p, p:]).transpose(0, 2, 1)
    offsets = mean[:, p:] - np.einsum("trp,tp->tr", gains, mean[:, :p])
    residual = sigma[:, p:, p:] - gains @ sigma[:, :p, p:]
    return Conditionals(gains, offsets, 0.5 * (residual + residual.transpose(0, 2, 1)))
