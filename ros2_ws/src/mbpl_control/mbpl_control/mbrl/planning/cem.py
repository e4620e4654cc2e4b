"""The cross-entropy method, and what makes it quick on a robot (iCEM)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_positive, check_whole
from mbpl_control.mbrl.learned_model import LearnedModel
from mbpl_control.mbrl.planning.propagation import Expectation, Propagation
from mbpl_control.mbrl.planning.sampling import SamplingPlanner, moved_on
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
        propagation: how a sequence is followed.

    Raises:
        InvalidFieldError: an option out of its range.
    """

    horizon: int = 20
    samples: int = 100
    iterations: int = 3
    elites: int = 10
    deviation: float = 0.5
    momentum: float = 0.1
    exponent: float = 0.0
    kept: float = 0.0
    decay: float = 1.0
    best: bool = False
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

        u^i = clip( μ + σ ε^i ),   ε^i of power 1/f^β
        μ ← a μ + (1 − a) mean of the elites,   σ ← a σ + (1 − a) deviation of the elites

    Costs are compared in the same scenarios throughout a plan, so that an elite that is kept need not be followed
    anew. σ begins at its first value with each plan.

    Args:
        model: the dynamics, with finite limits.
        cost: of the whole task.
        steps: T, of the task.
        options: see `CEMOptions`; `CEMOptions.icem` for iCEM.

    Source: Rubinstein and Kroese 2004, "The cross-entropy method"; Pinneri et al. 2020, "Sample-efficient cross-entropy
    method for real-time planning" (iCEM).
    """

    def __init__(self, model: LearnedModel, cost: WindowedCost, steps: int, options: CEMOptions | None = None) -> None:
        """Nothing is planned."""
        self.options = CEMOptions() if options is None else options
        super().__init__(model, cost, self.options.horizon, steps, self.options.propagation)

    def forget(self) -> None:
        """See `Planner.forget`."""
        super().forget()
        self._elites = np.zeros((0, *self._mean.shape))

    def _search(self, expectation: Expectation, rng: np.random.Generator, passed: int) -> tuple[Array, Array, float]:
        o = self.options
        mean, deviation = self._mean, np.tile(o.deviation * self.half_range, (self.horizon, 1))
        # the last action of an elite that is moved on is not known: it is drawn like any other
        carried = moved_on(self._elites, passed)
        if passed and len(carried):
            fresh = self.clipped(mean + deviation * self.noise(len(carried), o.exponent, rng))
            carried[:, -min(passed, self.horizon) :] = fresh[:, -min(passed, self.horizon) :]
        pool = _Pool(expectation)
        for iteration in range(o.iterations):
            count = max(int(o.samples * o.decay**-iteration), 2 * o.elites)
            samples = self.clipped(mean + deviation * self.noise(count, o.exponent, rng))
            if o.best and iteration == o.iterations - 1:
                samples[0] = mean
            pool.add(np.concatenate([carried, samples]) if iteration == 0 else samples)
            elites = pool.cheapest(o.elites)
            mean = o.momentum * mean + (1.0 - o.momentum) * elites.mean(axis=0)
            deviation = o.momentum * deviation + (1.0 - o.momentum) * elites.std(axis=0)
            if not o.best or iteration < o.iterations - 1:
                pool.keep(round(o.kept * o.elites))
        self._mean, self._elites = mean, elites[: round(o.kept * o.elites)]
        if not o.best:
            pool = _Pool(expectation)
            pool.add(mean[None])
        return pool.actions[0], pool.states[0], float(pool.costs[0])


class _Pool:
    """Sequences with what they cost, the cheapest first."""

    def __init__(self, expectation: Expectation) -> None:
        self._expectation = expectation
        self.costs: Array = np.zeros(0)
        self.actions: Array = np.zeros((0, 0, 0))
        self.states: Array = np.zeros((0, 0, 0))

    def add(self, actions: Array) -> None:
        """More of them."""
        costs, states = self._expectation(actions)
        if len(self.costs):
            costs = np.concatenate([self.costs, costs])
            actions, states = np.concatenate([self.actions, actions]), np.concatenate([self.states, states])
        order = np.argsort(costs, kind="stable")
        self.costs, self.actions, self.states = costs[order], actions[order], states[order]

    def cheapest(self, count: int) -> Array:
        """Sequences (count, H, m)."""
        return self.actions[:count]

    def keep(self, count: int) -> None:
        """Drop all others."""
        self.costs, self.actions, self.states = self.costs[:count], self.actions[:count], self.states[:count]
