"""Where sequences of actions may lead, as learned dynamics see it: particles in scenarios that all sequences share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.validation import Array, Indices, check_choice, check_whole
from mbpl_control.costs.cost import Cost
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics

OWNER = "Propagation"
PROPAGATIONS = ("mean", "ts_infinity", "ts_1")


@dataclass(frozen=True)
class Propagation:
    """How a sequence of actions is followed.

    "mean": one particle, x_{t+1} = E[x' | x_t, u_t]. "ts_infinity": each particle keeps the hypothesis it began with,
    so that doubt stays what it is, one true model that is not known. "ts_1": each particle changes it at each step, by
    lot, as if it were noise. Hypotheses always have as many particles each.

    Attributes:
        kind: of `PROPAGATIONS`.
        particles: of each hypothesis; "mean" has no use for them.

    Source: Chua, Calandra, McAllister, Levine 2018, "Deep reinforcement learning in a handful of trials using
    probabilistic dynamics models", section 5.
    """

    kind: str = "ts_infinity"
    particles: int = 1

    def __post_init__(self) -> None:
        """Check them."""
        check_choice(OWNER, "kind", self.kind, PROPAGATIONS)
        check_whole(OWNER, "particles", self.particles, 1, 10**6)


@dataclass(frozen=True, eq=False)
class Scenarios:
    """All that chance decides over H steps, for P particles; drawn once for all sequences that are compared.

    Two sequences differ then by what they do, not by luck, and the expectation is a plain function of the actions.

    Attributes:
        noise: standard normal (H, P, n).
        lots: uniform (H, P).
        order: which particles come to which hypothesis at each step, the first P / M of a row to the first (H, P); None
            where they never change.

    Source: Ng and Jordan 2000, "PEGASUS: a policy search method for large MDPs and POMDPs".
    """

    noise: Array
    lots: Array
    order: Indices | None

    @classmethod
    def drawn(
        cls, dynamics: LearnedDynamics, how: Propagation, horizon: int, rng: np.random.Generator
    ) -> Scenarios | None:
        """For a horizon of H steps; None where there is no chance, in the mean."""
        if how.kind == "mean":
            return None
        count = dynamics.hypotheses * how.particles
        order = None
        if how.kind == "ts_1":
            order = rng.permuted(np.tile(np.arange(count, dtype=np.intp), (horizon, 1)), axis=1)
        return cls(rng.standard_normal((horizon, count, dynamics.n)), rng.random((horizon, count)), order)


def propagate(dynamics: LearnedDynamics, start: Array, actions: Array, scenarios: Scenarios | None) -> Array:
    """States of each particle under each sequence of actions.

    Args:
        dynamics: p(x' | x, u).
        start: x (n,).
        actions: (N, H, m).
        scenarios: of P particles; the mean alone, P = 1, when None.

    Returns:
        (P, N, H+1, n). What diverges holds numbers that are not finite.
    """
    count, horizon, m = actions.shape
    n, groups = len(start), dynamics.hypotheses
    particles = 1 if scenarios is None else scenarios.lots.shape[1]
    states = np.empty((horizon + 1, particles, count, n))
    states[0] = start
    by_step = np.ascontiguousarray(actions.transpose(1, 0, 2))
    with np.errstate(all="ignore"):
        if scenarios is None:
            for t in range(horizon):
                states[t + 1, 0] = dynamics.mean(states[t, 0], by_step[t])
            return np.ascontiguousarray(states.transpose(1, 2, 0, 3))
        # rows of each hypothesis: its particles, each with all sequences
        rows, wide = (groups, particles // groups * count), (horizon, particles, count)
        u = np.broadcast_to(by_step[:, None], (*wide, m)).reshape(horizon, *rows, m)
        noise = np.broadcast_to(scenarios.noise[:, :, None], (*wide, n)).reshape(horizon, *rows, n)
        lots = np.broadcast_to(scenarios.lots[:, :, None], wide).reshape(horizon, *rows)
        for t in range(horizon):
            x = states[t] if scenarios.order is None else states[t, scenarios.order[t]]
            found = dynamics.realise(x.reshape(*rows, n), u[t], noise[t], lots[t]).reshape(particles, count, n)
            if scenarios.order is None:
                states[t + 1] = found
            else:
                states[t + 1, scenarios.order[t]] = found
    return np.ascontiguousarray(states.transpose(1, 2, 0, 3))


@dataclass(frozen=True, eq=False)
class Expectation:
    """Expected cost of sequences of actions from one state: a plain function of the actions.

    Attributes:
        dynamics: p(x' | x, u).
        cost: of a trajectory.
        start: x (n,).
        scenarios: of the particles; None for the mean.
    """

    dynamics: LearnedDynamics
    cost: Cost
    start: Array
    scenarios: Scenarios | None

    def __call__(self, actions: Array) -> tuple[Array, Array]:
        """Expected costs (N,), infinite where a particle diverges, and mean states (N, H+1, n) of (N, H, m)."""
        states = propagate(self.dynamics, self.start, actions, self.scenarios)
        particles, count, points, n = states.shape
        wide = np.broadcast_to(actions, (particles, *actions.shape)).reshape(particles * count, *actions.shape[1:])
        with np.errstate(all="ignore"):
            each = self.cost.evaluate(states.reshape(particles * count, points, n), wide).sum(axis=1)
            costs = each.reshape(particles, count).mean(axis=0)
        return np.where(np.isfinite(costs), costs, np.inf), states.mean(axis=0)
