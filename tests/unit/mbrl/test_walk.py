"""Episodes that go on while a learner learns: where they begin, where they end, and what is kept of them."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.spaces import Box

from mbpl_control.core.validation import Array
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.walk import Walk, joined


class Counter(gymnasium.Env):
    """Counts its steps from where the seed put it; ends for good where it is told to."""

    observation_space = Box(-np.inf, np.inf, (1,), np.float64)
    action_space = Box(-1.0, 1.0, (1,), np.float64)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Array, dict]:
        super().reset(seed=seed)
        self.count = float(self.np_random.integers(1000)) * 100.0
        return np.array([self.count]), {}

    def step(self, action: Array) -> tuple[Array, float, bool, bool, dict]:
        self.count += 1.0
        return np.array([self.count]), 0.0, bool(action[0] > 0.5), False, {}


def counting(steps: int) -> LearningProblem:
    return LearningProblem(
        name="counter",
        make=Counter,
        n=1,
        lower=np.array([-1.0]),
        upper=np.array([1.0]),
        dt=0.1,
        steps=steps,
        reward=lambda x, u, y: torch.zeros(len(x), dtype=x.dtype),
        cost=lambda x, u, y: torch.zeros(len(x), dtype=x.dtype),
        ended=lambda y: torch.zeros(len(y), dtype=torch.bool),
    )


def walked(steps: int, counts: list[int], ends_at: int | None = None) -> list[list[tuple[list[float], bool, bool]]]:
    """Of each stretch of each turn: how far its states are into their episode; whether that began or ended in it."""
    walk = Walk(counting(steps), np.random.default_rng(0))
    asked: list[tuple[float, int]] = []

    def act(state: Array, step: int) -> Array:
        asked.append((float(state[0]), step))
        return np.array([1.0 if step == ends_at else 0.0])

    turns = [walk.go(count, act) for count in counts]
    assert len(asked) == sum(counts)
    # the step a law is told is that of the episode
    assert all(state % 100.0 == step for state, step in asked)
    for turn in turns:
        for stretch in turn:
            parts = stretch.transitions
            np.testing.assert_array_equal(parts.successors, parts.states + 1.0)
    return [[((s.transitions.states[:, 0] % 100.0).tolist(), s.first, s.ended) for s in turn] for turn in turns]


def test_an_episode_goes_on_in_the_next_turn_and_is_cut_off_at_its_length() -> None:
    assert walked(5, [3, 3, 5]) == [
        [([0, 1, 2], True, False)],
        [([3, 4], False, False), ([0], True, False)],
        [([1, 2, 3, 4], False, False), ([0], True, False)],
    ]


def test_a_turn_that_ends_with_an_episode_leaves_the_next_a_new_one() -> None:
    assert walked(3, [3, 3]) == [[([0, 1, 2], True, False)]] * 2


def test_an_end_for_good_is_told_by_the_stretch_it_ends() -> None:
    first, second = walked(9, [3, 3], ends_at=3)
    assert first == [([0, 1, 2], True, False)]
    assert second == [([3], False, True), ([0, 1], True, False)]


def test_all_that_happened_is_joined_in_turn() -> None:
    walk = Walk(counting(4), np.random.default_rng(1))
    stretches = walk.go(10, lambda state, step: np.array([0.1 * step]))
    whole = joined(stretches)
    assert len(whole) == 10
    np.testing.assert_allclose(whole.actions[:, 0], [0.0, 0.1, 0.2, 0.3] * 2 + [0.0, 0.1])
    # each episode from a start of its own
    assert len(np.unique(whole.states[:, 0] // 100.0)) == 3
