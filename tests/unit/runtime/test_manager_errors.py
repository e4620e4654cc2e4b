"""What the robot gets when something fails that is no law, and after a gap that nobody watched."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from mbpl_control.runtime import Strictness


class Broken:
    """Raises at its first calls, then does what was there before.

    Args:
        before: what was there.
        times: it raises.
    """

    def __init__(self, before: Any, times: float) -> None:
        """Raise from the next call on."""
        self.before, self.left = before, times

    def __call__(self, *arguments: Any) -> Any:
        """Raise, or do it."""
        if self.left > 0:
            self.left -= 1
            raise ZeroDivisionError("a bug")
        return self.before(*arguments)


PARTS = [("limiter", "apply"), ("_blend", "apply"), ("_blend", "advance"), ("_states", "take")]


def break_part(core: Any, part: str, method: str, times: float) -> None:
    """Have a part of the core raise."""
    owner = getattr(core, part)
    setattr(owner, method, Broken(getattr(owner, method), times))


@pytest.mark.parametrize(("part", "method"), PARTS, ids=".".join)
def test_an_error_outside_the_laws_costs_the_controllers_the_robot_and_the_manager_goes_on(
    bench, make_law, part: str, method: str
) -> None:
    bench.run("mean", make_law((9.0, -18.0), steps=1000))
    before = bench.ticks(20)[-1]
    break_part(bench.core, part, method, 1)
    command = bench.tick()
    assert command.controller == bench.core.mode == "fallback"
    assert bench.core.reason == "error of the manager: ZeroDivisionError('a bug')"
    assert bench.core.registry.get("mean").reason == bench.core.reason
    assert (bench.core.counters.errors, bench.core.counters.fallbacks) == (1, 1)
    # gone over from what was commanded, and no tick adds more than the blend allows
    values = np.array([before.values, command.values, *(c.values for c in bench.ticks(30))])
    assert np.abs(np.diff(values, axis=0)).max() <= 15 / 8 * 18.0 * 5 / 60 + 1e-9
    np.testing.assert_allclose(values[-1], 0.0, atol=1e-12)
    bench.switch("mean")
    assert bench.tick().controller == "mean"


@pytest.mark.parametrize(("part", "method"), PARTS[:3], ids=".".join)
def test_an_error_in_the_fallback_as_well_leaves_no_effort_until_a_switch(
    bench, make_law, part: str, method: str
) -> None:
    bench.run("mean", make_law((9.0, -18.0), steps=1000))
    bench.ticks(20)
    break_part(bench.core, part, method, 2)
    command = bench.tick()
    assert command.controller == bench.core.mode == "zero"
    np.testing.assert_array_equal(command.values, [0.0, 0.0])
    assert "and in the fallback: ZeroDivisionError('a bug')" in bench.core.reason
    # it is whole again, but nobody tries by himself
    told = bench.core.reason
    assert {c.controller for c in bench.ticks(50)} == {"zero"}
    assert bench.core.reason == told
    bench.switch("hold")
    assert bench.tick().controller == "hold"


def test_an_error_that_stays_leaves_no_effort_and_is_told_anew_by_every_switch(bench, make_law) -> None:
    bench.run("mean", make_law((9.0, -18.0), steps=1000))
    break_part(bench.core, "limiter", "apply", float("inf"))
    for _ in range(3):
        assert {c.controller for c in bench.ticks(20)} == {"zero"}
        bench.switch("hold")
    assert bench.core.counters.errors == 6


def test_limits_that_make_numbers_that_are_not_finite_are_an_error(bench, make_law) -> None:
    bench.run("mean", make_law((9.0, -18.0), steps=1000))
    bench.core.limiter = SimpleNamespace(apply=lambda wanted, *_: (np.full_like(wanted, np.nan), False))
    command = bench.tick()
    assert command.controller == "zero"
    np.testing.assert_array_equal(command.values, [0.0, 0.0])
    assert "blending and limits made a number that is not finite" in bench.core.reason


def test_an_error_while_stopped_leaves_no_effort_and_the_latch(bench, make_law) -> None:
    bench.run("mean", make_law((9.0, -18.0), steps=1000))
    bench.core.emergency_stop("someone in the cell")
    break_part(bench.core, "limiter", "apply", 1)
    command = bench.tick()
    assert command.controller == bench.core.mode == "emergency_stop"
    np.testing.assert_array_equal(command.values, [0.0, 0.0])
    assert bench.core.reason == "someone in the cell"
    assert bench.tick().controller == "emergency_stop"


def test_an_error_while_states_stay_away_leaves_no_effort(bench, make_law) -> None:
    bench.run("mean", make_law((9.0, -18.0), steps=1000))
    break_part(bench.core, "limiter", "apply", 1)
    assert {c.controller for c in bench.silence(300)} == {"zero"}


def test_an_error_while_idle_commands_nothing(bench) -> None:
    break_part(bench.core, "_states", "take", 1)
    assert bench.tick() is None
    assert bench.core.mode == "idle"
    assert bench.tick() is None
    bench.core.switch(["hold"], [], Strictness.STRICT, bench.steady_ns)
    assert bench.tick().controller == "hold"


def test_a_manager_that_slept_does_not_go_on_where_its_plan_would_be_by_now(bench, make_law) -> None:
    bench.run("mean", make_law((9.0, -18.0), steps=1000))
    bench.ticks(20)
    # it was stopped, and so was its watch; the robot may be anywhere
    command = bench.tick(700.0)
    assert command.controller == "fallback"
    assert bench.core.reason == "no state for 0.700 s"
    assert bench.core.counters.fallbacks == 1


def test_a_clock_that_jumps_ahead_is_no_time_that_passed(bench, make_law) -> None:
    bench.run("mean", make_law((9.0, -18.0), steps=1000))
    bench.ticks(20)
    bench.stamp += 300.0
    bench.lead -= 300.0
    command = bench.tick()
    assert command.controller == "fallback"
    assert bench.core.reason == "no state for 0.305 s of the robot's clock"
    np.testing.assert_allclose(command.values, [9.0, -18.0], atol=1e-12)


def test_a_gap_as_long_as_the_time_out_is_none(bench, make_law) -> None:
    bench.run("mean", make_law((9.0, -18.0), steps=1000))
    assert bench.tick(100.0).controller == "mean"
