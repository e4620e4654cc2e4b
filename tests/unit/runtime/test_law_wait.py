"""States that wait for the law that is made for them, on a sledge moved by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError
from mbpl_control.runtime import ControllerEntry, ManagerConfig


@pytest.fixture
def bench(make_bench, make_knot):
    """A manager whose states wait up to 50 ms for knots, with one in force since a step began: 50 ms, 10 states."""
    bench = make_bench(law_wait=0.05, blend_time=0.0, stream_blend_time=0.0)
    bench.tick()
    bench.law("policy", make_knot((1.0, 0.0)), stamp_ns=bench.stamp_ns)
    bench.switch("policy")
    assert bench.tick(0.0).values[0] == 1.0
    return bench


def test_a_step_begins_with_the_law_of_its_own_state_however_late_that_comes(bench, make_knot) -> None:
    assert [c.values[0] for c in bench.ticks(9)] == [1.0] * 9
    assert bench.tick() is None
    assert bench.core.waits
    # it is asked again, by a simulation that stands still, and answered once its law is there
    assert bench.core.tick(bench.sample(), bench.steady_ns + 20_000_000) is None
    bench.law("policy", make_knot((2.0, 0.0)), stamp_ns=bench.stamp_ns)
    command = bench.tick(0.0)
    assert command is not None and command.values[0] == 2.0 and command.new_step
    assert not bench.core.waits
    assert [c.values[0] for c in bench.ticks(9)] == [2.0] * 9


def test_a_law_that_comes_before_its_state_answers_that_state_and_no_earlier_one(bench, make_knot) -> None:
    bench.ticks(8)
    bench.law("policy", make_knot((2.0, 0.0)), stamp_ns=bench.stamp_ns + 10_000_000)
    assert [c.values[0] for c in bench.ticks(2)] == [1.0, 2.0]


def test_laws_within_a_step_change_nothing(bench, make_knot) -> None:
    bench.ticks(3)
    bench.law("policy", make_knot((5.0, 0.0)), stamp_ns=bench.stamp_ns)
    assert [c.values[0] for c in bench.ticks(6)] == [1.0] * 6
    assert bench.tick() is None


def test_a_step_whose_first_state_got_lost_begins_with_the_next(bench, make_knot) -> None:
    bench.ticks(9)
    assert bench.tick(10.0) is None
    bench.law("policy", make_knot((2.0, 0.0)), stamp_ns=bench.stamp_ns)
    assert bench.tick(0.0).values[0] == 2.0
    # and the step after it is where it would have been
    assert [c.values[0] for c in bench.ticks(8)] == [2.0] * 8
    assert bench.tick() is None


def test_a_controller_that_takes_over_waits_for_the_law_of_the_state_at_which_it_does(bench, make_knot) -> None:
    bench.switch("hold", off=["policy"])
    bench.ticks(3)
    bench.switch("policy", off=["hold"])
    assert bench.tick(0.0) is None
    bench.law("policy", make_knot((3.0, 0.0)), stamp_ns=bench.stamp_ns)
    assert bench.tick(0.0).values[0] == 3.0


def test_who_waits_in_vain_is_held_and_told_why(bench, make_knot) -> None:
    bench.ticks(9)
    assert bench.tick() is None
    refused = make_knot((2.0, 0.0), gain=np.full((2, 4), 1e9))
    with pytest.raises(Exception, match="max_gain"):
        bench.law("policy", refused, stamp_ns=bench.stamp_ns)
    command = bench.core.tick(bench.sample(), bench.steady_ns + 51_000_000)
    assert command is not None and command.controller == "fallback"
    words = "no law of 'policy' for the state at 1.055 s within 0.05 s .law refused: gain 1e.09 .* is above max_gain"
    assert pytest.approx(1.055) == 1e-9 * bench.stamp_ns
    assert re.search(words, bench.core.reason), bench.core.reason
    assert not bench.core.waits


def test_a_step_draws_its_noise_once_however_many_laws_came_for_it(make_bench, make_knot) -> None:
    def sampled(early: bool) -> list[float]:
        bench = make_bench(law_wait=0.05, blend_time=0.0, stream_blend_time=0.0, seed=4)
        bench.core.registry.add(ControllerEntry("noisy", "feedback_law", "sampled"))
        bench.tick()
        knot = make_knot(covariance=0.01 * np.eye(2))
        if early:
            bench.law("noisy", knot, stamp_ns=bench.stamp_ns - 5_000_000)
        else:
            bench.law("noisy", knot, stamp_ns=bench.stamp_ns)
        bench.switch("noisy")
        out = []
        for _ in range(30):
            command = bench.core.tick(bench.sample(), bench.steady_ns)
            if command is None:
                bench.law("noisy", knot, stamp_ns=bench.stamp_ns)
                command = bench.core.tick(bench.sample(), bench.steady_ns)
            out.append(command.values[0])
            bench.stamp += 5.0
        return out

    on_time, late = sampled(False), sampled(True)
    assert on_time == late
    draws = 0.1 * np.random.default_rng(4).standard_normal((3, 2))[:, 0]
    np.testing.assert_allclose(on_time, np.repeat(draws, 10))


def test_a_wait_must_end_before_the_state_itself_is_given_up() -> None:
    with pytest.raises(InvalidFieldError, match="law_wait: found 0.2 s; must be 0 to below state_timeout, 0.1 s"):
        ManagerConfig(law_wait=0.2)
