"""The variants: mirror descent, Bregman ADMM, and the plain Lagrangian."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.gps.variant import ConditionView, Variant
from mbpl_control.learning.local_step import Pull
from mbpl_control.trajopt.kl_lqr import LinearLaw


def between(one: LinearLaw, other: LinearLaw, share: float) -> LinearLaw:
    r"""The law q(u|x) ∝ one^(1−w) other^w, the geometric mean of two.

        Σ_q⁻¹ = (1−w) Σ₁⁻¹ + w Σ₂⁻¹,   Σ_q⁻¹ (K_q, k_q) = (1−w) Σ₁⁻¹ (K₁, k₁) + w Σ₂⁻¹ (K₂, k₂)

    Of all laws it is the one with the least (1−w) KL(q ‖ one) + w KL(q ‖ other) at every x.

    Args:
        one: in deviations from some reference.
        other: in deviations from the same.
        share: w, from 0 (one) to 1 (other).
    """
    if share in (0.0, 1.0):
        return other if share else one
    first, second = (1.0 - share) * one.precisions, share * other.precisions
    covariances = np.linalg.inv(first + second)
    covariances = 0.5 * (covariances + covariances.transpose(0, 2, 1))
    gains = covariances @ (first @ one.gains + second @ other.gains)
    pull = np.einsum("tij,tj->ti", first, one.feedforward) + np.einsum("tij,tj->ti", second, other.feedforward)
    return LinearLaw.of(gains, np.einsum("tij,tj->ti", covariances, pull), covariances)


class MirrorDescent(Variant):
    r"""MDGPS: min_p E_p[cost] subject to KL(p ‖ q) ≤ ε, then π_θ ← argmin KL(π_θ ‖ p); no multipliers to tune.

    q lies between the last controller p̄ and the policy linearised, q ∝ p̄^(1−w) π̂_θ^w: see `between`. With w = 1 it
    is the policy, as published. A policy that cannot follow yet is then a poor centre: each iteration begins from what
    it got wrong. With less, what it cannot follow shrinks by 1 − w an iteration, and progress stays; and where it
    does not follow at all (`ConditionView.follows`), q is the last controller. Where the policy ran the trials itself,
    q is the policy whatever w: nothing is known of where the last controller would have gone.

    Args:
        share: w, from 0 to 1.

    Source: Montgomery and Levine 2016, "Guided policy search via approximate mirror descent".
    """

    name = "mdgps"

    def __init__(self, share: float) -> None:
        """Keep w."""
        self.share = share

    def near(self, view: ConditionView) -> LinearLaw:
        """The law between controller and policy, or the policy where that ran."""
        follows = view.follows or self.share == 1.0
        return between(view.ran, view.link, self.share if follows else 0.0)


class Lagrangian(Variant):
    r"""The plain three steps with one multiplier λ a condition.

    1. min_p E_p[cost] + λ KL(p ‖ π_θ), whose cost is c − λ log π_θ(u|x), within the bound around the old controller;
    2. π_θ ← the controllers, by supervised learning at the trials' states;
    3. λ ← λ + α · KL(p ‖ π_θ), the gradient of the dual.

    Args:
        conditions: indices of the start conditions.
        initial: λ at first.
        rate: α.

    Source: Levine and Koltun 2013; the lecture notes of CS285 on policies from local models.
    """

    name = "lagrangian"

    def __init__(self, conditions: list[int], initial: float = 1e-3, rate: float = 1e-6) -> None:
        """Begin with the same λ everywhere."""
        self.rate = rate
        self.multipliers = {c: initial for c in conditions}

    def near(self, view: ConditionView) -> LinearLaw:
        """What the trials were run with."""
        return view.ran

    def pull(self, view: ConditionView) -> Pull:
        """λ KL(p ‖ π) at every step."""
        steps, m = view.link.feedforward.shape
        weights = np.full(steps, self.multipliers[view.state.index])
        return Pull(view.link, weights, np.zeros((steps, m)))

    def update_duals(self, view: ConditionView, last_round: bool) -> None:
        """λ grows while controller and policy differ."""
        if last_round:
            self.multipliers[view.state.index] += self.rate * float(view.divergence().sum())

    def arrays(self) -> dict[str, Array]:
        """λ of each condition."""
        return {str(c): np.array(value) for c, value in self.multipliers.items()}

    def restore(self, arrays: dict[str, Array]) -> None:
        """See `Variant.restore`."""
        self.multipliers = {int(c): float(value) for c, value in arrays.items()}


class BregmanADMM(Variant):
    r"""BADMM: a price λ_t on the difference of the mean actions, and a weight ν_t on the KL divergence, at each step.

        p ← argmin E_p[cost + λ_tᵀ u] + ν_t KL(p ‖ π_θ)        within the bound around the old controller
        π ← argmin Σ_t ν_t KL(π_θ ‖ p) − λ_tᵀ E_π[u]           means shifted by Σ_t λ_t / ν_t
        λ_t ← λ_t + α ν_t Σ_t⁻¹ ( E_p[u] − E_π[u] )

    ν_t is halved where controller and policy differ less than in the mean over steps (by more than a deviation), and
    doubled where they differ more.

    Args:
        conditions: indices of the start conditions.
        steps: T.
        size: m.
        weight: ν at first.
        rate: α.

    Source: Levine, Finn, Darrell and Abbeel 2016, "End-to-end training of deep visuomotor policies", section 4.
    """

    name = "badmm"
    rounds = 2
    policy_first = True

    def __init__(self, conditions: list[int], steps: int, size: int, weight: float = 2e-3, rate: float = 0.1) -> None:
        """Begin without prices."""
        self.rate = rate
        self.prices = {c: np.zeros((steps, size)) for c in conditions}
        self.nu = {c: np.full(steps, weight) for c in conditions}

    def near(self, view: ConditionView) -> LinearLaw:
        """What the trials were run with."""
        return view.ran

    def pull(self, view: ConditionView) -> Pull:
        """Prices and weighted divergence."""
        c = view.state.index
        return Pull(view.link, self.nu[c], self.prices[c])

    def shift(self, view: ConditionView) -> Array:
        """Σ_t λ_t / ν_t."""
        c = view.state.index
        covariances = view.state.controller.covariances
        shift: Array = np.einsum("tij,tj->ti", covariances, self.prices[c]) / self.nu[c][:, None]
        return shift

    def weights(self, view: ConditionView) -> Array:
        """ν_t, relative to the mean."""
        nu = self.nu[view.state.index]
        weights: Array = nu / nu.mean()
        return weights

    def update_duals(self, view: ConditionView, last_round: bool) -> None:
        """Prices every round, weights in the last."""
        c = view.state.index
        difference = (view.controller_means() - view.policy.means).mean(axis=0)
        self.prices[c] = self.prices[c] + self.rate * self.nu[c][:, None] * np.einsum(
            "tij,tj->ti", view.precisions(), difference
        )
        if last_round:
            kl = view.divergence()
            mean, deviation = kl.mean(), kl.std()
            factor = np.where(kl < mean - deviation, 0.5, np.where(kl > mean + deviation, 2.0, 1.0))
            self.nu[c] = self.nu[c] * factor

    def arrays(self) -> dict[str, Array]:
        """Prices and weights of each condition."""
        return {f"prices.{c}": v for c, v in self.prices.items()} | {f"nu.{c}": v for c, v in self.nu.items()}

    def restore(self, arrays: dict[str, Array]) -> None:
        """See `Variant.restore`."""
        for name, value in arrays.items():
            kind, c = name.split(".")
            (self.prices if kind == "prices" else self.nu)[int(c)] = value
