"""Dyna in a table: Q-learning from what happens, and from what a model of it says would happen."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, Indices, check_positive, check_whole


class TabularLearner(Protocol):
    """What learns from steps between states and actions that can be counted.

    Attributes:
        values: Q (states, actions).
    """

    values: Array

    def act(self, state: int) -> int:
        """An action to try."""

    def learn(self, state: int, action: int, reward: float, successor: int, ended: bool) -> None:
        """From a transition."""


@dataclass
class Seen:
    """What followed an action in a state: counts and rewards by successor.

    Attributes:
        counts: by (successor, whether the episode ended there).
        rewards: their sums, likewise.
        total: transitions.
    """

    counts: dict[tuple[int, bool], int] = field(default_factory=dict)
    rewards: dict[tuple[int, bool], float] = field(default_factory=dict)
    total: int = 0

    def add(self, successor: int, ended: bool, reward: float) -> None:
        """One transition more."""
        key = (successor, ended)
        self.counts[key] = self.counts.get(key, 0) + 1
        self.rewards[key] = self.rewards.get(key, 0.0) + reward
        self.total += 1


class TabularDyna:
    r"""Dyna-Q: after each real step K imagined ones.

    A real transition (s, a, r, s') updates the model p̂(s' | s, a), r̂(s, a, s'), which is what was counted, and

        Q(s, a) ← Q(s, a) + α [ r + γ max_a' Q(s', a') − Q(s, a) ].

    Then, K times, (s, a) is drawn among all pairs that were tried, and

        Q(s, a) ← Q(s, a) + α ( E_p̂[ r̂ + γ max_a' Q(s', a') ] − Q(s, a) ).

    Nothing follows the end of an episode. Actions are ε-greedy, among the best by lot.

    Args:
        states: how many.
        actions: how many.
        seed: of every draw.
        planning: K.
        step_size: α, above 0 and at most 1.
        discount: γ, from 0 to 1.
        exploration: ε, from 0 to 1.

    Attributes:
        values: Q (states, actions).

    Raises:
        InvalidFieldError: an argument out of its range.

    Source: Sutton 1990, "Integrated architectures for learning, planning, and reacting based on approximating dynamic
    programming"; Sutton and Barto 2018, section 8.2. The expectation over counted successors is in place of the last
    one seen; where successors are certain, as in a maze, they are the same.
    """

    def __init__(
        self,
        states: int,
        actions: int,
        seed: int,
        planning: int = 5,
        step_size: float = 0.1,
        discount: float = 0.95,
        exploration: float = 0.1,
    ) -> None:
        """Know nothing: Q is zero everywhere."""
        owner = "TabularDyna"
        check_whole(owner, "states", states, 1, 10**8)
        check_whole(owner, "actions", actions, 1, 10**6)
        self.planning = check_whole(owner, "planning", planning, 0, 10**6)
        self.step_size = check_positive(owner, "step_size", step_size)
        for name, value in (("step_size", step_size), ("discount", discount), ("exploration", exploration)):
            if not 0.0 <= value <= 1.0:
                raise InvalidFieldError(owner, name, str(value), "0 to 1")
        self.discount, self.exploration = discount, exploration
        self.values: Array = np.zeros((states, actions))
        self._rng = np.random.default_rng(seed)
        self._model: dict[tuple[int, int], Seen] = {}
        self._tried: list[tuple[int, int]] = []

    def act(self, state: int) -> int:
        """An action, ε-greedy."""
        actions = self.values.shape[1]
        if self._rng.random() < self.exploration:
            return int(self._rng.integers(actions))
        row = self.values[state]
        best = np.flatnonzero(row == row.max())
        return int(best[self._rng.integers(len(best))])

    def learn(self, state: int, action: int, reward: float, successor: int, ended: bool) -> None:
        """From a real transition, and K imagined ones."""
        pair = (state, action)
        seen = self._model.get(pair)
        if seen is None:
            seen = self._model[pair] = Seen()
            self._tried.append(pair)
        seen.add(successor, ended, reward)
        self._update(pair, reward + self._future(successor, ended))
        for index in self._rng.integers(len(self._tried), size=self.planning):
            pair = self._tried[index]
            self._update(pair, self.expected(*pair))

    def expected(self, state: int, action: int) -> float:
        """E_p̂[ r̂ + γ max Q(s', ·) ] of a pair that was tried."""
        seen = self._model[state, action]
        return sum(seen.rewards[key] + count * self._future(*key) for key, count in seen.counts.items()) / seen.total

    def _future(self, successor: int, ended: bool) -> float:
        return 0.0 if ended else self.discount * float(self.values[successor].max())

    def _update(self, pair: tuple[int, int], target: float) -> None:
        self.values[pair] += self.step_size * (target - self.values[pair])


def run_episodes(
    environment: gymnasium.Env[int, int],
    learner: TabularLearner,
    episodes: int,
    seed: int,
    most_steps: int = 100_000,
) -> Indices:
    """Learn over episodes; the steps that each took (episodes,).

    Args:
        environment: with `Discrete` observations and actions.
        learner: is changed.
        episodes: how many.
        seed: of the environment.
        most_steps: an episode is cut off there; nothing is learned from being cut off.

    Raises:
        InvalidFieldError: the environment is not of the learner's size.
    """
    sizes = (environment.observation_space, environment.action_space)
    found = tuple(int(space.n) if isinstance(space, Discrete) else space for space in sizes)
    if found != learner.values.shape:
        raise InvalidFieldError("run_episodes", "environment", f"spaces {found}", f"Discrete of {learner.values.shape}")
    taken = np.zeros(episodes, dtype=np.intp)
    for episode in range(episodes):
        state, _ = environment.reset(seed=seed if episode == 0 else None)
        for step in range(1, most_steps + 1):
            action = learner.act(state)
            successor, reward, ended, cut, _ = environment.step(action)
            learner.learn(state, action, float(reward), successor, ended)
            state = successor
            taken[episode] = step
            if ended or cut:
                break
    return taken
