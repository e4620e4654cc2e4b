"""Model predictive path integral control."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import softmax

from mbpl_control.core.errors import SolverError
from mbpl_control.core.validation import Array, check_positive, check_whole
from mbpl_control.mbrl.planning.propagation import Expectation, Judged, Propagation
from mbpl_control.mbrl.planning.sampling import SamplingPlanner
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.trajopt.mpc import WindowedCost

OWNER = "MPPI"


@dataclass(frozen=True)
class MPPIOptions:
    """How it searches.

    Attributes:
        horizon: H, steps.
        samples: of each iteration.
        iterations: of a plan; as published there is one.
        temperature: λ, in units of the cost; the lower, the fewer samples count.
        deviation: of the noise, as a share of half the range of the action.
        exponent: β of the noise's power 1/f^β; as published it is 0, white.
        feedback: whether sequences are offsets to LQR's law along the last plan, or plain actions, as published.
        propagation: how a sequence is followed.

    Raises:
        InvalidFieldError: an option out of its range.
    """

    horizon: int = 30
    samples: int = 100
    iterations: int = 3
    temperature: float = 0.1
    deviation: float = 0.3
    exponent: float = 0.0
    feedback: bool = True
    propagation: Propagation = field(default_factory=Propagation)

    def __post_init__(self) -> None:
        """Check each."""
        check_whole(OWNER, "samples", self.samples, 2, 10**7)
        check_whole(OWNER, "iterations", self.iterations, 1, 10**6)
        check_positive(OWNER, "temperature", self.temperature)
        check_positive(OWNER, "deviation", self.deviation)


class MPPI(SamplingPlanner):
    r"""Draw sequences around the last plan, and take the mean of them, each weighed by what it costs.

        v^i = μ + σ η^i,   μ ← Σ_i w_i v^i,   w_i = exp(−S_i / λ) / Σ_j exp(−S_j / λ)

    v are offsets to LQR's law along the last plan (see `SamplingPlanner`), less what the limits take away. S_i is the
    expected cost. The term λ (1 − α) uᵀ Σ⁻¹ ε of the paper is left out (α = 1): what actions cost stands in the task's
    own cost.

    Args:
        model: the dynamics, with finite limits.
        cost: of the whole task.
        steps: T, of the task.
        options: see `MPPIOptions`.

    Source: Williams, Wagener, Goldfain, Drews, Rehg, Boots, Theodorou 2017, "Information theoretic MPC for model-based
    reinforcement learning".
    """

    def __init__(self, model: Dynamics, cost: WindowedCost, steps: int, options: MPPIOptions | None = None) -> None:
        """Nothing is planned."""
        self.options = MPPIOptions() if options is None else options
        o = self.options
        super().__init__(model, cost, o.horizon, steps, o.propagation, o.feedback)

    def _search(self, expectation: Expectation, rng: np.random.Generator, passed: int) -> Judged:
        o = self.options
        mean = np.zeros((self.horizon, len(self.half_range)))
        for _ in range(o.iterations):
            found = expectation(mean + o.deviation * self.half_range * self.noise(o.samples, o.exponent, rng))
            mean = np.einsum("i,itm->tm", path_weights(found.costs, o.temperature), found.offsets)
        return expectation(mean[None])


def path_weights(costs: Array, temperature: float) -> Array:
    """w_i ∝ exp(−S_i / λ) (N,), of costs (N,) of which some may be infinite.

    Raises:
        SolverError: all are.
    """
    if not np.isfinite(costs).any():
        raise SolverError("MPPI: the dynamics diverge whatever is done")
    return np.asarray(softmax(-costs / temperature))
