"""The cross-entropy method, and what makes it quick on a robot (iCEM)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_positive, check_whole
from mbpl_control.mbrl.planning.propagation import Expectation, Judged, Propagation
from mbpl_control.mbrl.planning.sampling import SamplingPlanner, moved_on
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.trajopt.mpc import WindowedCost

OWNER = "CEM"


@dataclass(frozen=True)
class CEMOptions:
    """How it searches.

    Attributes:
        horizon: H, steps.
        samples: of the first iteration.
        iterations: of a plan.
        elites: cheapest samples, which the next mean and deviation are those of.
        deviation: of the first samples, as a share of half the range of the action.
        momentum: share of mean and deviation that stays what it was.
        exponent: β of the noise's power 1/f^β; 0 is white.
        kept: share of the elites that stay among the samples of the next iteration and, moved on, of the next plan.
        decay: each iteration draws that many times fewer samples, but no fewer than twice the elites.
        best: the plan is the cheapest sequence seen, and the mean is among the last samples; else it is the mean.
        feedback: whether sequences are offsets to LQR's law along the last plan, or plain actions.
        propagation: how a sequence is followed.

    Raises:
        InvalidFieldError: an option out of its range.
    """

    horizon: int = 30
    samples: int = 100
    iterations: int = 3
    elites: int = 10
    deviation: float = 0.5
    momentum: float = 0.1
    exponent: float = 0.0
    kept: float = 0.0
    decay: float = 1.0
    best: bool = False
    feedback: bool = True
    propagation: Propagation = field(default_factory=Propagation)

    def __post_init__(self) -> None:
        """Check each."""
        check_whole(OWNER, "samples", self.samples, 2, 10**7)
        check_whole(OWNER, "iterations", self.iterations, 1, 10**6)
        check_whole(OWNER, "elites", self.elites, 2, self.samples)
        check_positive(OWNER, "deviation", self.deviation)
        if not 0.0 <= self.momentum < 1.0:
            raise InvalidFieldError(OWNER, "momentum", str(self.momentum), "at least 0 and below 1")
        if not 0.0 <= self.kept <= 1.0:
            raise InvalidFieldError(OWNER, "kept", str(self.kept), "in 0 .. 1")
        if not 1.0 <= self.decay < math.inf:
            raise InvalidFieldError(OWNER, "decay", str(self.decay), "at least 1 and finite")

    @classmethod
    def icem(cls, **changes: object) -> CEMOptions:
        """Those of iCEM, with changes."""
        values: dict[str, object] = {"exponent": 2.0, "kept": 0.3, "decay": 1.25, "best": True}
        return cls(**{**values, **changes})  # type: ignore[arg-type]


class CEM(SamplingPlanner):
    r"""Draw sequences, keep the cheapest, draw around them.

        ε^i = μ + σ η^i,   η^i of power 1/f^β
        μ ← a μ + (1 − a) mean of the elites,   σ ← a σ + (1 − a) deviation of the elites

    ε are offsets to LQR's law along the last plan (see `SamplingPlanner`), less what the limits take away. Costs are
    compared in the same scenarios throughout a plan, so that an elite that is kept need not be followed anew. σ begins
    at its first value with each plan.

    Args:
        model: the dynamics, with finite limits.
        cost: of the whole task.
        steps: T, of the task.
        options: see `CEMOptions`; `CEMOptions.icem` for iCEM.

    Source: Rubinstein and Kroese 2004, "The cross-entropy method"; Pinneri et al. 2020, "Sample-efficient cross-entropy
    method for real-time planning" (iCEM).
    """

    def __init__(self, model: Dynamics, cost: WindowedCost, steps: int, options: CEMOptions | None = None) -> None:
        """Nothing is planned."""
        self.options = CEMOptions() if options is None else options
        o = self.options
        super().__init__(model, cost, o.horizon, steps, o.propagation, o.feedback)

    def forget(self) -> None:
        """See `Planner.forget`."""
        super().forget()
        self._elites = np.zeros((0, self.horizon, len(self.half_range)))

    def _search(self, expectation: Expectation, rng: np.random.Generator, passed: int) -> Judged:
        o = self.options
        shape = (self.horizon, len(self.half_range))
        mean, deviation = np.zeros(shape), np.tile(o.deviation * self.half_range, (self.horizon, 1))
        # the last offset of an elite that is moved on is not known: it is drawn like any other
        carried = moved_on(self._elites, passed)
        if passed and len(carried):
            fresh = deviation * self.noise(len(carried), o.exponent, rng)
            carried[:, -min(passed, self.horizon) :] = fresh[:, -min(passed, self.horizon) :]
        pool: Judged | None = None
        for iteration in range(o.iterations):
            count = max(int(o.samples * o.decay**-iteration), 2 * o.elites)
            samples = mean + deviation * self.noise(count, o.exponent, rng)
            # the law without an offset is tried, and in the end the mean
            if iteration == 0 or (o.best and iteration == o.iterations - 1):
                samples[0] = mean
            found = expectation(np.concatenate([carried, samples]) if iteration == 0 else samples)
            pool = (found if pool is None else pool.joined(found)).ordered()
            elites = pool.offsets[: o.elites]
            mean = o.momentum * mean + (1.0 - o.momentum) * elites.mean(axis=0)
            deviation = o.momentum * deviation + (1.0 - o.momentum) * elites.std(axis=0)
            if not o.best or iteration < o.iterations - 1:
                pool = pool.rows(slice(round(o.kept * o.elites)))
        if not o.best:
            pool = expectation(mean[None])
        assert pool is not None  # there is at least one iteration
        plan = pool.rows(slice(1))
        # the next plan's offsets are to this one
        self._elites = elites[: round(o.kept * o.elites)] - plan.offsets
        return plan
