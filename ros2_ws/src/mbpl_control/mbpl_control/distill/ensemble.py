"""Several teachers as one: their Gaussians combined and tempered, and networks side by side in one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_choice, check_positive
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture
from mbpl_control.policies.architecture import unflatten

COMBINATIONS = ("mixture", "product")


def combine(means: Array, covariances: Array, temperature: float = 1.0, how: str = "mixture") -> tuple[Array, Array]:
    r"""One Gaussian for what M teachers say, each softened by a temperature τ.

    A softened teacher is p_j^{1/τ}, normalised: N(μ_j, τ Σ_j), as softmax(z/τ) is for classes. Their mean is

        mixture:  μ = 1/M Σ_j μ_j,   Σ = 1/M Σ_j [ τ Σ_j + (μ_j − μ)(μ_j − μ)ᵀ ]
        product:  Λ = 1/M Σ_j (τ Σ_j)⁻¹,   μ = Λ⁻¹ 1/M Σ_j (τ Σ_j)⁻¹ μ_j,   Σ = Λ⁻¹

    The mixture (arithmetic mean) keeps its first two moments, which minimises 1/M Σ_j KL(p_j ‖ N): where teachers
    disagree it is unsure. The product (geometric mean) minimises 1/M Σ_j KL(N ‖ p_j): it is as sure as they are.

    Args:
        means: μ_j (M, B, m).
        covariances: Σ_j (M, B, m, m), positive definite.
        temperature: τ, above 0. It weighs the teachers' own Σ_j against what they disagree about.
        how: "mixture" or "product".

    Returns:
        μ (B, m), Σ (B, m, m).

    Raises:
        InvalidFieldError: a wrong temperature or combination, or a singular Σ_j in a product.

    Source: Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a neural network", section 2 (arithmetic or
    geometric mean of the teachers, temperature); for Gaussians worked out here.
    """
    check_positive("ensemble", "temperature", temperature)
    check_choice("ensemble", "combination", how, COMBINATIONS)
    if how == "product":
        try:
            precisions = np.linalg.inv(temperature * covariances)
        except np.linalg.LinAlgError as error:
            raise InvalidFieldError("ensemble", "covariances", "a singular matrix", "positive definite") from error
        covariance = np.linalg.inv(precisions.mean(axis=0))
        mean = np.einsum("bij,bj->bi", covariance, np.einsum("kbij,kbj->kbi", precisions, means).mean(axis=0))
    else:
        mean = means.mean(axis=0)
        away = means - mean
        covariance = temperature * covariances.mean(axis=0) + np.einsum("kbi,kbj->bij", away, away) / len(means)
    return mean, 0.5 * (covariance + covariance.transpose(0, 2, 1))


def side_by_side(members: Sequence[GaussianPolicy]) -> GaussianPolicy:
    r"""An ensemble as one policy, μ = 1/M Σ_j μ_j(o), Σ = 1/M Σ_j Σ_j; to run it where one policy runs.

    The members' hidden layers stand beside each other, with zeros between them, so the means are those of the members
    up to rounding; what they disagree about is not in Σ. Most of its numbers are zeros, and none of them is meant to
    be trained.

    Raises:
        InvalidFieldError: the members differ in what they see or drive, or in depth or activation, or one has a
            covariance that depends on the state, or is squashed: a mean of squashed means is none.
    """
    first = members[0]
    for member in members:
        mine, its = first.architecture, member.architecture
        if its.squash != "none":
            raise InvalidFieldError("ensemble", "squash", its.squash, "none, for members side by side")
        if its.state_dependent or (len(its.hidden), its.activation) != (len(mine.hidden), mine.activation):
            found = f"{its.hidden} {its.activation} {its.covariance}"
            allowed = f"{len(mine.hidden)} hidden layers, {mine.activation}, constant covariance, as all others"
            raise InvalidFieldError("ensemble", "architecture", found, allowed)
        if member.observation != first.observation or member.action.hash != first.action.hash or not its.hidden:
            raise InvalidFieldError("ensemble", "members", "different observations or actions", "alike")
    depth = len(first.architecture.hidden)
    hidden = tuple(sum(member.architecture.hidden[i] for member in members) for i in range(depth))
    whole = GaussianPolicy(
        first.observation,
        first.action,
        first.dt,
        seed=first.seed,
        architecture=replace(first.architecture, hidden=hidden),
        task=first.task,
        task_hash=first.task_hash,
    )
    features = first.features.size
    layers = unflatten(np.zeros_like(whole.parameters), whole.shapes)
    column = [0] * (depth + 1)
    for member in members:
        own = unflatten(member.parameters, member.shapes)
        for layer in range(depth + 1):
            weights, bias = own[2 * layer], own[2 * layer + 1]
            if layer == 0:
                # the scales of its inputs go into the first layer, since those of the whole are one
                weights = weights / member.feature_scale
                bias = bias - weights @ member.feature_mean
            if layer == depth:
                weights, bias = (member.action_scale * v.T / len(members) for v in (weights, bias))
                weights = weights.T
                layers[2 * layer][:, column[layer] : column[layer] + weights.shape[1]] = weights
                layers[2 * layer + 1] += bias
                continue
            rows = slice(column[layer + 1], column[layer + 1] + weights.shape[0])
            inputs = slice(0, features) if layer == 0 else slice(column[layer], column[layer] + weights.shape[1])
            layers[2 * layer][rows, inputs] = weights
            layers[2 * layer + 1][rows] = bias
        for layer in range(depth):
            column[layer + 1] += member.architecture.hidden[layer]
    parameters = np.concatenate([layer.ravel() for layer in layers])
    whole.assign(parameters, np.mean([member.covariance for member in members], axis=0))
    whole.trainings = 1
    return whole


def parameters_of(policy: GaussianPolicy) -> int:
    """How many weights and biases a policy has."""
    return int(policy.parameters.size)


def smaller(like: PolicyArchitecture, features: int, actions: int, most: int) -> PolicyArchitecture:
    """The widest architecture as deep as another, all layers alike, of at most so many parameters.

    Raises:
        InvalidFieldError: not even one unit a layer fits.
    """
    depth = len(like.hidden)
    units, fits = 0, None
    while True:
        units += 1
        wider = replace(like, hidden=(units,) * depth)
        if wider.parameter_count(features, actions) > most:
            break
        fits = wider
        if not depth:
            break
    if fits is None:
        found = f"{most} parameters for {features} features and {actions} actions"
        raise InvalidFieldError("distillation", "share", found, f"more: {depth} layers of 1 unit need more")
    return fits
