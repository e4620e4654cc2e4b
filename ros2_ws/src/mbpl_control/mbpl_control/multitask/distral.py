"""Distral in tables: policies of several tasks, and the one that they share and are drawn to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array, check_positive, check_whole
from mbpl_control.mbrl.maze import MOVES, Maze

OWNER = "Distral"


@dataclass(frozen=True)
class Regularisation:
    r"""How strongly policies are drawn to the shared one, and how much they shall leave open.

    The objective is J = Σ_i E_{π_i} Σ_t γ^t [ r_i − c_KL log(π_i / π_0) − c_Ent log π_i ], and with

        α = c_KL / (c_KL + c_Ent),   β = 1 / (c_KL + c_Ent)

    its reward is r_i + (α/β) log π_0 − (1/β) log π_i.

    Attributes:
        kl: c_KL, at least 0, in units of the reward.
        entropy: c_Ent, at least 0; not both are 0.
        discount: γ, at least 0 and below 1.

    Raises:
        InvalidFieldError: a field has a wrong value.

    Source: Teh et al. 2017, "Distral: robust multitask reinforcement learning", section 2.
    """

    kl: float
    entropy: float
    discount: float = 0.95

    def __post_init__(self) -> None:
        """Check each field."""
        for name in ("kl", "entropy"):
            if not 0.0 <= getattr(self, name) < np.inf:
                raise InvalidFieldError(OWNER, name, str(getattr(self, name)), "at least 0 and finite")
        check_positive(OWNER, "kl + entropy", self.kl + self.entropy)
        if not 0.0 <= self.discount < 1.0:
            raise InvalidFieldError(OWNER, "discount", str(self.discount), "at least 0 and below 1")

    @property
    def alpha(self) -> float:
        """α, from 0 (every task for itself) to 1 (no entropy but that of π_0)."""
        return self.kl / (self.kl + self.entropy)

    @property
    def beta(self) -> float:
        """β, an inverse temperature: one over units of the reward."""
        return 1.0 / (self.kl + self.entropy)

    def soft_values(self, values: Array, shared: Array) -> Array:
        """V(s) = 1/β log Σ_a π_0(a|s)^α exp(β Q(s, a)). (..., A), (..., A) → (...)."""
        return np.asarray(log_sum_exp(self._scores(values, shared))[..., 0] / self.beta)

    def policy(self, values: Array, shared: Array) -> Array:
        """π(a|s) = π_0(a|s)^α exp(β (Q(s, a) − V(s))). (..., A), (..., A) → (..., A)."""
        scores = self._scores(values, shared)
        return np.asarray(np.exp(scores - log_sum_exp(scores)))

    def _scores(self, values: Array, shared: Array) -> Array:
        # at α = 0 what π_0 leaves out counts, too: 0^0 is 1
        if self.alpha == 0.0:
            return self.beta * values
        with np.errstate(divide="ignore"):
            return np.asarray(self.alpha * np.log(shared) + self.beta * values)


def log_sum_exp(scores: Array) -> Array:
    """log Σ_a exp(scores) over the last axis, which stays with size 1.

    As scipy's, without what that does for arrays of any kind: it is asked three times in each step of an episode.
    """
    top = scores.max(axis=-1, keepdims=True)
    return np.asarray(top + np.log(np.exp(scores - top).sum(axis=-1, keepdims=True)))


@dataclass(frozen=True, eq=False)
class TabularTask:
    """A task whose states and actions can be counted.

    Attributes:
        transitions: p(s'|s, a) (S, A, S); a row sums to 1, or to less where the episode may end with that step.
        rewards: r(s, a) (S, A).
        starts: p(s_0) (S,).

    Raises:
        InvalidFieldError: wrong shapes, or no probabilities.
    """

    transitions: Array
    rewards: Array
    starts: Array

    def __post_init__(self) -> None:
        """Check them."""
        states, actions = self.rewards.shape
        for name, shape in (("transitions", (states, actions, states)), ("starts", (states,))):
            array = getattr(self, name)
            if array.shape != shape:
                raise InvalidFieldError("TabularTask", name, f"shape {array.shape}", f"{shape}")
            if array.min() < 0.0 or array.sum(axis=-1).max() > 1.0 + 1e-9:
                raise InvalidFieldError("TabularTask", name, "no probabilities", "at least 0, rows of sum 1 at most")

    @classmethod
    def of_maze(cls, maze: Maze) -> TabularTask:
        """The maze as tables; the step onto the goal ends the episode."""
        states = maze.rows * maze.columns
        transitions, rewards = np.zeros((states, len(MOVES), states)), np.zeros((states, len(MOVES)))
        for state in range(states):
            for action in range(len(MOVES)):
                successor = maze.successor(state, action)
                if successor == maze.goal:
                    rewards[state, action] = 1.0
                else:
                    transitions[state, action, successor] = 1.0
        starts = np.zeros(states)
        starts[maze.start] = 1.0
        return cls(transitions, rewards, starts)

    def visits(self, policy: Array, discount: float) -> Array:
        """Expected Σ_t γ^t [s_t = s] under a policy (S, A) → (S,)."""
        chain = np.einsum("sa,sat->st", policy, self.transitions)
        return np.asarray(np.linalg.solve(np.eye(len(chain)) - discount * chain.T, self.starts))


def soft_value_iteration(
    task: TabularTask, shared: Array, by: Regularisation, tolerance: float = 1e-10, most: int = 100_000
) -> Array:
    """Q (S, A) at which Q = r + γ Σ_s' p(s'|s, a) V(s'), V as in `Regularisation.soft_values`: a contraction by γ.

    Args:
        task: what is solved.
        shared: π_0 (S, A).
        by: how strongly.
        tolerance: on the change of Q.
        most: iterations.

    Raises:
        SolverError: it has not converged by then.
    """
    values = np.zeros_like(task.rewards)
    for _ in range(most):
        after = task.rewards + by.discount * task.transitions @ by.soft_values(values, shared)
        if np.abs(after - values).max() <= tolerance:
            return np.asarray(after)
        values = after
    raise SolverError(f"soft value iteration: not within {tolerance:g} after {most} iterations")


def shared_policy(policies: Sequence[Array], visits: Sequence[Array], before: Array) -> Array:
    r"""The π_0 that is best for given policies: π_0(a|s) = Σ_i d_i(s) π_i(a|s) / Σ_i d_i(s).

    It maximises Σ_i E_{π_i} Σ_t γ^t (α/β) log π_0(a_t|s_t), the part of J that it is in. Of states that no task visits
    J says nothing, and `before` stays.

    Args:
        policies: π_i (S, A) each.
        visits: d_i (S,) each, see `TabularTask.visits`.
        before: π_0 (S, A) so far.
    """
    joint = np.sum([d[:, None] * policy for d, policy in zip(visits, policies, strict=True)], axis=0)
    total = joint.sum(axis=1, keepdims=True)
    return np.asarray(np.where(total > 0.0, joint / np.where(total > 0.0, total, 1.0), before))


@dataclass(frozen=True, eq=False)
class Shared:
    """What several tasks have in common.

    Attributes:
        policy: π_0 (S, A).
        policies: π_i (S, A) of each task.
        values: Q_i (S, A) of each task.
        objectives: J after each round of solving the tasks.
    """

    policy: Array
    policies: tuple[Array, ...]
    values: tuple[Array, ...]
    objectives: tuple[float, ...]


def distral(tasks: Sequence[TabularTask], by: Regularisation, rounds: int = 100, tolerance: float = 1e-8) -> Shared:
    """Tasks solved under a shared policy and that policy found anew, in turns: each of both raises J.

    Args:
        tasks: of the same states and actions.
        by: how strongly.
        rounds: at most.
        tolerance: ends it when J rises by less.

    Raises:
        InvalidFieldError: there is no task, or they differ in size.
    """
    check_whole(OWNER, "rounds", rounds, 1, 10**6)
    shapes = {task.rewards.shape for task in tasks}
    if len(shapes) != 1:
        raise InvalidFieldError(OWNER, "tasks", f"sizes {sorted(shapes)}", "at least one, all alike")
    shared = np.full(tasks[0].rewards.shape, 1.0 / tasks[0].rewards.shape[1])
    objectives: list[float] = []
    for _ in range(rounds):
        values = tuple(soft_value_iteration(task, shared, by) for task in tasks)
        objectives.append(
            float(sum(task.starts @ by.soft_values(q, shared) for task, q in zip(tasks, values, strict=True)))
        )
        policies = tuple(by.policy(q, shared) for q in values)
        if len(objectives) > 1 and objectives[-1] - objectives[-2] < tolerance:
            break
        visits = [task.visits(policy, by.discount) for task, policy in zip(tasks, policies, strict=True)]
        shared = shared_policy(policies, visits, shared)
    return Shared(shared, policies, values, tuple(objectives))


class SoftQLearning:
    r"""Q-learning of one task, drawn to a shared policy; acts by the policy that it evaluates.

        Q(s, a) ← Q(s, a) + η [ r + γ V(s') − Q(s, a) ],   a ~ π_0(a|s)^α exp(β (Q(s, a) − V(s)))

    Q begins at γ c_Ent log A / (1 − γ), the most that entropy alone can be worth. From zero, states it has been to
    would be worth more than those it has not, for the entropy they give, and it would go round in circles there.

    Args:
        shared: π_0 (S, A), above 0; may be replaced while it learns.
        by: how strongly.
        seed: of every draw.
        step_size: η, above 0 and at most 1.

    Attributes:
        values: Q (S, A).
        episode: pairs of state and action since `visited` was asked last.

    Raises:
        InvalidFieldError: an argument out of its range.
    """

    def __init__(self, shared: Array, by: Regularisation, seed: int, step_size: float = 0.5) -> None:
        """Know nothing."""
        self.step_size = check_positive("SoftQLearning", "step_size", step_size)
        if step_size > 1.0:
            raise InvalidFieldError("SoftQLearning", "step_size", str(step_size), "at most 1")
        if not shared.min() > 0.0:
            raise InvalidFieldError("SoftQLearning", "shared", f"{shared.min():g}", "above 0: else it is never tried")
        self.shared, self.by = shared, by
        most = by.entropy * np.log(shared.shape[1]) / (1.0 - by.discount)
        self.values: Array = np.full_like(shared, by.discount * most)
        self.episode: list[tuple[int, int]] = []
        self._rng = np.random.default_rng(seed)

    def act(self, state: int) -> int:
        """An action, drawn."""
        chances = self.by.policy(self.values[state], self.shared[state])
        return int(np.searchsorted(np.cumsum(chances)[:-1], self._rng.random(), side="right"))

    def learn(self, state: int, action: int, reward: float, successor: int, ended: bool) -> None:
        """From a transition; nothing follows the end of an episode."""
        ahead = 0.0 if ended else float(self.by.soft_values(self.values[successor], self.shared[successor]))
        self.values[state, action] += self.step_size * (reward + self.by.discount * ahead - self.values[state, action])
        self.episode.append((state, action))

    def visited(self) -> Array:
        """Σ_t γ^t [s_t = s, a_t = a] (S, A) of the steps since it was asked last, which are one episode."""
        out = np.zeros_like(self.values)
        weights = self.by.discount ** np.arange(len(self.episode))
        for (state, action), weight in zip(self.episode, weights, strict=True):
            out[state, action] += weight
        self.episode = []
        return out


class SharedCounts:
    r"""π_0 from episodes: π_0(a|s) = (c + N(s, a)) / Σ_a' (c + N(s, a')), N the discounted visits of all tasks.

    What was counted fades by a factor with each round, since the tasks' policies change. The constant c keeps every
    action possible, and π_0 uniform where nothing is known.

    Args:
        states: S.
        actions: A.
        constant: c, above 0.
        keep: what is left of the counts after a round, above 0 and at most 1.
    """

    def __init__(self, states: int, actions: int, constant: float = 0.1, keep: float = 0.95) -> None:
        """Nothing is counted."""
        self.constant = check_positive("SharedCounts", "constant", constant)
        self.keep = check_positive("SharedCounts", "keep", keep)
        if keep > 1.0:
            raise InvalidFieldError("SharedCounts", "keep", str(keep), "at most 1")
        self.counts: Array = np.zeros((states, actions))

    def add(self, visits: Array) -> None:
        """A round of all tasks (S, A)."""
        self.counts = self.keep * self.counts + visits

    @property
    def policy(self) -> Array:
        """π_0 (S, A)."""
        counts = self.counts + self.constant
        return counts / counts.sum(axis=1, keepdims=True)
