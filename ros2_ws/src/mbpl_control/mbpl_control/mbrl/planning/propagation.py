"""Where sequences of actions may lead, as a model sees it; where it was learned, particles that share scenarios."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.state_space import StateSpace
from mbpl_control.core.validation import Array, Indices, check_choice, check_whole
from mbpl_control.costs.cost import Cost
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics
from mbpl_control.mbrl.learned_model import LearnedModel
from mbpl_control.models.dynamics import Dynamics

OWNER = "Propagation"
PROPAGATIONS = ("mean", "ts_infinity", "ts_1")


@dataclass(frozen=True)
class Propagation:
    """How a sequence of actions is followed.

    "mean": one particle, x_{t+1} = E[x' | x_t, u_t]. "ts_infinity": each particle keeps the hypothesis it began with,
    so that doubt stays what it is, one true model that is not known. "ts_1": each particle changes it at each step, by
    lot, as if it were noise. Hypotheses always have as many particles each. A model that was not learned leaves nothing
    to chance, and is always followed by one particle.

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
        learned: p(x' | x, u) of the particles.
        noise: standard normal (H, P, n).
        lots: uniform (H, P).
        order: which particles come to which hypothesis at each step, the first P / M of a row to the first (H, P); None
            where they never change.

    Source: Ng and Jordan 2000, "PEGASUS: a policy search method for large MDPs and POMDPs".
    """

    learned: LearnedDynamics
    noise: Array
    lots: Array
    order: Indices | None

    @classmethod
    def drawn(cls, model: Dynamics, how: Propagation, horizon: int, rng: np.random.Generator) -> Scenarios | None:
        """For a horizon of H steps; None where there is no chance: in the mean, and in a model that was not learned."""
        if how.kind == "mean" or not isinstance(model, LearnedModel):
            return None
        learned = model.learned
        count = learned.hypotheses * how.particles
        order = None
        if how.kind == "ts_1":
            order = rng.permuted(np.tile(np.arange(count, dtype=np.intp), (horizon, 1)), axis=1)
        return cls(learned, rng.standard_normal((horizon, count, learned.n)), rng.random((horizon, count)), order)


@dataclass(frozen=True, eq=False)
class Reference:
    r"""u_t = clip( v_t + K_t (x ⊖ x̄_t) + ε_t ): what a sequence ε of offsets does in a state.

    Where dynamics are unstable, what an action changes grows with every step after it, and sequences of actions that
    are drawn differ by little else than how they fall; offsets to a law that holds the robot do not. Without gains an
    offset changes the action alone.

    Attributes:
        space: of the states.
        actions: v (H, m).
        states: x̄ (H+1, nx).
        gains: K (H, m, ndx); none when None.
        lower: of each action (m,).
        upper: of each action (m,).

    Source: Rossiter, Kouvaritakis, Rice 1998, "A numerically robust state-space approach to stable-predictive control
    strategies"; Williams, Goldfain, Drews, Saigol, Rehg, Theodorou 2018, "Robust sampling based model predictive
    control with sparse objective information".
    """

    space: StateSpace
    actions: Array
    states: Array
    gains: Array | None
    lower: Array
    upper: Array

    def law(self, t: int, states: Array) -> Array:
        """v_t + K_t (x ⊖ x̄_t) of states (..., nx), not clipped."""
        if self.gains is None:
            return self.actions[t]
        return np.asarray(self.actions[t] + self.space.difference(states, self.states[t]) @ self.gains[t].T)

    def act(self, t: int, states: Array, offsets: Array) -> Array:
        """u within the limits, of states and offsets (..., nx), (..., m)."""
        return np.clip(self.law(t, states) + offsets, self.lower, self.upper)


@dataclass(frozen=True, eq=False)
class Followed:
    """Where P particles went under N sequences.

    Attributes:
        states: (P, N, H+1, nx); what diverges holds numbers that are not finite.
        actions: (P, N, H, m) as they were done.
    """

    states: Array
    actions: Array


def propagate(
    model: Dynamics,
    start: Array,
    sequences: Array,
    scenarios: Scenarios | None,
    reference: Reference | None = None,
) -> Followed:
    """States of each particle under each sequence.

    Args:
        model: the dynamics; of those that were learned the mean.
        start: x (nx,).
        sequences: offsets (N, H, m) to a reference, or actions without one.
        scenarios: of P particles, which count in place of the model; the model, P = 1, when None.
        reference: see `Reference`.
    """
    with np.errstate(all="ignore"):
        if scenarios is not None:
            return _particles(scenarios, start, sequences, reference)
        starts, law, plans = np.tile(start, (len(sequences), 1)), reference, sequences
        if law is None:
            states, actions = model.follow(starts, plans)
        else:
            states, actions = model.follow(starts, law.actions + plans, law.states, law.gains, law.lower, law.upper)
    return Followed(states[None], actions[None])


def _particles(scenarios: Scenarios, start: Array, sequences: Array, reference: Reference | None) -> Followed:
    """See `propagate`."""
    count, horizon, m = sequences.shape
    n, groups, particles = len(start), scenarios.learned.hypotheses, scenarios.lots.shape[1]
    states = np.empty((horizon + 1, particles, count, n))
    states[0] = start
    actions = np.empty((horizon, particles, count, m))
    actions[:] = sequences.transpose(1, 0, 2)[:, None]
    # rows of each hypothesis: its particles, each with all sequences
    rows = (groups, particles // groups * count)
    for t in range(horizon):
        if reference is not None:
            actions[t] = reference.act(t, states[t], actions[t])
        order = slice(None) if scenarios.order is None else scenarios.order[t]
        x, u = states[t, order].reshape(*rows, n), actions[t, order].reshape(*rows, m)
        noise = np.broadcast_to(scenarios.noise[t, :, None], (particles, count, n)).reshape(*rows, n)
        lots = np.broadcast_to(scenarios.lots[t, :, None], (particles, count)).reshape(rows)
        states[t + 1, order] = scenarios.learned.realise(x, u, noise, lots).reshape(particles, count, n)
    return Followed(*(np.ascontiguousarray(part.transpose(1, 2, 0, 3)) for part in (states, actions)))


@dataclass(frozen=True, eq=False)
class Judged:
    """What sequences are expected to lead to.

    Attributes:
        costs: (N,); infinite where a particle diverges.
        states: mean (N, H+1, nx).
        actions: mean (N, H, m), within the limits.
        offsets: (N, H, m): those asked for, less what the limits took away.
    """

    costs: Array
    states: Array
    actions: Array
    offsets: Array

    def ordered(self) -> Judged:
        """The cheapest first."""
        return self.rows(np.argsort(self.costs, kind="stable"))

    def rows(self, which: Indices | slice) -> Judged:
        """Some of them."""
        return Judged(self.costs[which], self.states[which], self.actions[which], self.offsets[which])

    def joined(self, other: Judged) -> Judged:
        """These, then others."""
        pairs = zip(self._parts(), other._parts(), strict=True)
        return Judged(*(np.concatenate(pair) for pair in pairs))

    def _parts(self) -> tuple[Array, ...]:
        return self.costs, self.states, self.actions, self.offsets


@dataclass(frozen=True, eq=False)
class Expectation:
    """Expected cost of sequences from one state: a plain function of them.

    Attributes:
        model: the dynamics.
        cost: of a trajectory.
        start: x (nx,).
        scenarios: of the particles; None for the model alone.
        reference: what sequences are offsets to; they are actions when None.
    """

    model: Dynamics
    cost: Cost
    start: Array
    scenarios: Scenarios | None
    reference: Reference | None = None

    def __call__(self, sequences: Array) -> Judged:
        """Of sequences (N, H, m)."""
        found = propagate(self.model, self.start, sequences, self.scenarios, self.reference)
        particles, count, points, n = found.states.shape
        flat = found.states.reshape(particles * count, points, n)
        offsets = found.actions.mean(axis=0)
        with np.errstate(all="ignore"):
            each = self.cost.evaluate(flat, found.actions.reshape(particles * count, *sequences.shape[1:])).sum(axis=1)
            costs = each.reshape(particles, count).mean(axis=0)
            if self.reference is not None:
                laws = [self.reference.law(t, found.states[:, :, t]) for t in range(points - 1)]
                offsets = np.stack([(found.actions[:, :, t] - law).mean(axis=0) for t, law in enumerate(laws)], axis=1)
        costs = np.where(np.isfinite(costs), costs, np.inf)
        return Judged(costs, found.states.mean(axis=0), found.actions.mean(axis=0), offsets)
