"""Finding swaps in a stream of commands."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.demo.records import WATCH, SwapRecord, find_swaps


def stream(names: str, values: list[float], dt: float = 0.005) -> tuple:
    """Times, commands, controllers, speeds and limits of one joint whose limit is 10."""
    n = len(names)
    return dt * np.arange(n), np.array(values)[:, None], tuple(names), np.arange(n, dtype=float), np.array([10.0])


def test_a_stream_of_one_controller_has_no_swap() -> None:
    assert find_swaps(*stream("aaaa", [0.0, 5.0, -5.0, 0.0])) == ()


def test_each_change_of_name_is_a_swap_with_its_jump_as_a_fraction_of_the_limit() -> None:
    first, second = find_swaps(*stream("aabbc", [0.0, 1.0, 3.0, 3.5, 3.0]))
    assert (first.before, first.after, first.time, first.speed) == ("a", "b", 0.01, 2.0)
    assert (second.before, second.after, second.time, second.speed) == ("b", "c", 0.02, 4.0)
    assert first.jumps == pytest.approx([0.2])
    assert second.jumps == pytest.approx([0.05])


def test_a_kick_after_the_swap_counts_as_a_change_and_not_as_a_jump() -> None:
    (swap,) = find_swaps(*stream("aabbb", [1.0, 1.0, 1.0, 5.0, 5.0]))
    assert swap.jumps == pytest.approx([0.0])
    assert swap.changes == pytest.approx([0.4])


def test_changes_are_watched_until_the_next_swap_and_no_longer() -> None:
    first, second = find_swaps(*stream("abbc", [0.0, 0.0, 0.0, 7.0]))
    assert first.changes == pytest.approx([0.0])
    assert second.changes == pytest.approx([0.7])


def test_changes_are_watched_for_a_tenth_of_a_second() -> None:
    late = int(WATCH / 0.005) + 2
    values = [0.0] * (late + 1) + [9.0]
    (swap,) = find_swaps(*stream("a" + "b" * (late + 1), values))
    assert swap.changes == pytest.approx([0.0])


def test_a_run_reports_the_largest_jump_of_any_joint_at_any_swap(swap_run: SwapRecord) -> None:
    assert [(s.before, s.after) for s in swap_run.swaps] == [
        ("hold", "ilqr_open_loop"),
        ("ilqr_open_loop", "ilqr_feedback"),
        ("ilqr_feedback", "ilqr_mpc"),
        ("ilqr_mpc", "hold"),
    ]
    # the steepest slope of 10 sin 2t is 20 a second, 0.1 a tick, of a limit of 90
    assert 0.0 < swap_run.largest_jump <= 0.1 / 90.0
