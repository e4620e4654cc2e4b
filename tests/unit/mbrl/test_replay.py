"""The replay buffer: what it holds, what it draws, and the share of what is real."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.mbrl.learned_dynamics import Transitions
from mbpl_control.mbrl.replay import ReplayBuffer, draw_mixed


def filled(numbers: range, capacity: int, at_once: int = 7) -> ReplayBuffer:
    """Transition i is x = (i, −i), u = 10 i, x' = (i + 1, −i − 1), r = i / 2, ended where i is a multiple of 5."""
    buffer = ReplayBuffer(2, 1, capacity)
    every = np.array(numbers, dtype=np.float64)
    for begin in range(0, len(every), at_once):
        i = every[begin : begin + at_once]
        moved = Transitions(np.stack([i, -i], 1), 10.0 * i[:, None], np.stack([i + 1, -i - 1], 1))
        buffer.add(moved, i / 2.0, i % 5 == 0)
    return buffer


@pytest.mark.parametrize("at_once", [1, 7, 60])
def test_when_it_is_full_the_oldest_give_way(at_once: int) -> None:
    buffer = filled(range(57), 20, at_once)
    assert (len(buffer), buffer.added) == (20, 57)
    held = buffer.newest(100)
    np.testing.assert_array_equal(held[:, 0], np.arange(37, 57))
    np.testing.assert_array_equal(buffer.newest(3)[:, 0], [54, 55, 56])


def test_it_grows_as_it_fills_and_keeps_all_until_then() -> None:
    buffer = filled(range(5000), 10**9, at_once=900)
    np.testing.assert_array_equal(buffer.newest(5000)[:, 0], np.arange(5000))


def test_a_batch_holds_whole_transitions() -> None:
    buffer = filled(range(57), 20)
    batch = buffer.batch(buffer.draw(300, np.random.default_rng(0)), torch.float32)
    i = batch.states[:, 0]
    assert batch.states.dtype == torch.float32
    torch.testing.assert_close(batch.states, torch.stack([i, -i], 1))
    torch.testing.assert_close(batch.actions, 10.0 * i[:, None])
    torch.testing.assert_close(batch.successors, torch.stack([i + 1, -i - 1], 1))
    torch.testing.assert_close(batch.rewards, i / 2.0)
    torch.testing.assert_close(batch.ended, (i % 5 == 0).float())


def test_each_transition_is_as_likely_as_any_and_the_seed_says_which() -> None:
    buffer = filled(range(57), 20)
    drawn = buffer.draw(20_000, np.random.default_rng(1))[:, 0]
    assert chisquare(np.bincount(drawn.astype(int), minlength=57)[37:]).pvalue > 1e-3
    assert drawn.tobytes() == buffer.draw(20_000, np.random.default_rng(1))[:, 0].tobytes()
    assert drawn.tobytes() != buffer.draw(20_000, np.random.default_rng(2))[:, 0].tobytes()
    newest = buffer.draw(2000, np.random.default_rng(1), newest=4)[:, 0]
    assert set(newest) == {53.0, 54.0, 55.0, 56.0}


@pytest.mark.parametrize(("share", "real"), [(0.0, 0), (0.05, 13), (1.0 / 6.0, 43), (1.0, 256)])
def test_a_mixed_batch_has_its_share_of_real_ones_exactly(share: float, real: int) -> None:
    rows = draw_mixed(filled(range(50), 100), filled(range(-50, 0), 100), 256, share, np.random.default_rng(0))
    assert len(rows) == 256
    assert (rows[:, 0] >= 0.0).sum() == real


def test_while_nothing_is_imagined_all_are_real() -> None:
    rows = draw_mixed(filled(range(50), 100), ReplayBuffer(2, 1, 10), 64, 0.05, np.random.default_rng(0))
    assert len(rows) == 64


def test_one_of_another_capacity_holds_the_newest() -> None:
    buffer = filled(range(57), 20)
    np.testing.assert_array_equal(buffer.resized(8).newest(20)[:, 0], np.arange(49, 57))
    larger = buffer.resized(500)
    assert (len(larger), larger.capacity) == (20, 500)


def test_what_does_not_fit_is_named() -> None:
    buffer = ReplayBuffer(2, 1, 10)
    moved = Transitions(np.zeros((3, 2)), np.zeros((3, 1)), np.zeros((3, 2)))
    with pytest.raises(InvalidFieldError, match="transitions: found none"):
        buffer.draw(4, np.random.default_rng(0))
    with pytest.raises(InvalidFieldError, match="rewards"):
        buffer.add(moved, np.array([0.0, np.nan, 0.0]), np.zeros(3))
    with pytest.raises(InvalidFieldError, match="ended"):
        buffer.add(moved, np.zeros(3), np.zeros(2))
    with pytest.raises(InvalidFieldError, match="transitions"):
        buffer.add(Transitions(np.zeros((3, 1)), np.zeros((3, 1)), np.zeros((3, 1))), np.zeros(3), np.zeros(3))
    with pytest.raises(InvalidFieldError, match="real_share"):
        draw_mixed(filled(range(5), 9), filled(range(5), 9), 4, 1.5, np.random.default_rng(0))
