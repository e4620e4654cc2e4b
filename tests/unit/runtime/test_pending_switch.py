"""Switches that wait for what may still come."""

from __future__ import annotations

import pytest

from mbpl_control.core import RefusedError
from mbpl_control.runtime import ControllerEntry, PendingSwitch, Strictness, SwitchRequest


@pytest.fixture
def pend(bench):
    def make(activate: list[str], off: tuple[str, ...] = (), strictness=Strictness.STRICT, **fields) -> PendingSwitch:
        return PendingSwitch(bench.core, SwitchRequest(activate, off, strictness, **fields), bench.steady_ns)

    return make


@pytest.fixture
def parts(bench, make_part):
    """Controllers of x and y beside an active hold of all."""
    for name, joint in (("arm", "x"), ("gripper", "y")):
        bench.core.registry.add(ControllerEntry(name, "linear_gaussian", joints=(joint,)))
    bench.run("hold")
    return bench


def test_a_switch_that_can_happen_does_so_at_once(bench, pend) -> None:
    bench.tick()
    assert pend(["hold"], timeout=0.0).advance(bench.steady_ns) == "'hold' active"


def test_a_switch_waits_for_a_law_and_what_ran_goes_on_until_then(bench, pend, make_law) -> None:
    bench.run("hold")
    switch = pend(["mean"], ("hold",), timeout=1.0)
    for _ in range(20):
        assert switch.advance(bench.steady_ns) is None
        assert bench.tick().controller == "hold"
    assert "'mean' has no law yet" in switch.waits_for
    bench.law("mean", make_law())
    assert switch.advance(bench.steady_ns) == "'mean' active; 'hold' inactive"
    assert bench.tick().controller == "mean"


def test_a_switch_waits_for_a_fresh_state(bench, pend) -> None:
    switch = pend(["hold"], timeout=1.0)
    assert switch.advance(bench.steady_ns) is None
    bench.tick()
    assert switch.advance(bench.steady_ns) == "'hold' active"


def test_a_switch_whose_time_is_over_is_refused_with_what_was_missing_and_changed_nothing(bench, pend) -> None:
    bench.run("hold")
    switch = pend(["mean"], ("hold",), timeout=0.2)
    assert switch.advance(bench.steady_ns) is None
    bench.ticks(39)
    bench.tick(4.0)
    assert switch.advance(bench.steady_ns) is None
    bench.tick(1.0)
    with pytest.raises(RefusedError, match=r"'mean' has no law yet.*; waited 0\.2 s for it"):
        switch.advance(bench.steady_ns)
    assert bench.core.active_controllers == ("hold",)


def test_without_a_timeout_a_switch_waits_as_long_as_it_takes(bench, pend, make_law) -> None:
    bench.run("hold")
    switch = pend(["mean"], ("hold",))
    for _ in range(100):
        bench.tick(90.0)
        assert switch.advance(bench.steady_ns) is None
    bench.law("mean", make_law())
    assert switch.advance(bench.steady_ns) is not None


@pytest.mark.parametrize(
    ("activate", "off", "words"),
    [(["nobody"], (), "no controller 'nobody'"), (["mean"], ("open_loop",), "'open_loop' is not active")],
)
def test_what_will_not_get_better_is_refused_at_once(bench, pend, activate, off, words) -> None:
    bench.run("hold")
    with pytest.raises(RefusedError, match=words):
        pend(activate, off, timeout=10.0).advance(bench.steady_ns)


def test_an_emergency_stop_ends_a_switch_that_waits(bench, pend) -> None:
    bench.run("hold")
    switch = pend(["mean"], ("hold",))
    assert switch.advance(bench.steady_ns) is None
    bench.core.emergency_stop("test")
    with pytest.raises(RefusedError, match="emergency stop is latched"):
        switch.advance(bench.steady_ns)


def test_all_start_between_the_same_two_ticks_or_each_as_soon_as_it_can(parts, pend, make_part) -> None:
    parts.law("arm", make_part("x", 3.0))
    together = pend(["arm", "gripper"], ("hold",), timeout=1.0)
    assert together.advance(parts.steady_ns) is None
    assert parts.core.active_controllers == ("hold",)
    apart = pend(["arm", "gripper"], ("hold",), asap=True, timeout=1.0)
    assert apart.advance(parts.steady_ns) is None
    assert parts.core.active_controllers == ("arm",)
    assert "'gripper' has no law yet" in apart.waits_for
    parts.ticks(5)
    parts.law("gripper", make_part("y", 1.0))
    assert apart.advance(parts.steady_ns) == "'arm' active; 'hold' inactive; 'gripper' active"
    assert parts.core.active_controllers == ("arm", "gripper")


@pytest.mark.parametrize("strictness", [Strictness.STRICT, Strictness.BEST_EFFORT])
def test_as_soon_as_possible_those_that_started_stay_when_the_time_is_over(parts, pend, make_part, strictness) -> None:
    parts.law("arm", make_part("x", 3.0))
    switch = pend(["arm", "gripper"], ("hold",), strictness, asap=True, timeout=0.05)
    assert switch.advance(parts.steady_ns) is None
    parts.ticks(10)
    if strictness is Strictness.STRICT:
        with pytest.raises(RefusedError, match="'gripper' cannot start.*; done before that: 'arm' active"):
            switch.advance(parts.steady_ns)
    else:
        assert "left out: 'gripper' cannot start" in switch.advance(parts.steady_ns)
    assert parts.core.active_controllers == ("arm",)


def test_as_soon_as_possible_the_whole_request_must_make_sense_first(parts, pend, make_part) -> None:
    parts.law("arm", make_part("x", 3.0))
    with pytest.raises(RefusedError, match="no controller 'nobody'"):
        pend(["arm", "nobody"], ("hold",), asap=True).advance(parts.steady_ns)
    assert parts.core.active_controllers == ("hold",)
    with pytest.raises(RefusedError, match="'hold' is active and claims joint x"):
        pend(["arm", "gripper"], (), asap=True).advance(parts.steady_ns)
    assert parts.core.active_controllers == ("hold",)


@pytest.mark.parametrize(
    ("activate", "off", "wrong"),
    [
        (["arm", "nobody"], ("hold",), "no controller 'nobody'"),
        (["arm", "gripper"], ("hold", "nobody"), "no controller 'nobody'"),
        (["arm", "gripper"], ("hold", "mean"), "'mean' is not active but unconfigured"),
    ],
)
def test_as_soon_as_possible_best_effort_leaves_out_what_is_wrong_and_does_the_rest(
    parts, pend, make_part, activate, off, wrong
) -> None:
    parts.law("arm", make_part("x", 3.0))
    parts.law("gripper", make_part("y", 1.0))
    account = pend(activate, off, Strictness.BEST_EFFORT, asap=True, timeout=1.0).advance(parts.steady_ns)
    assert account.startswith("'arm' active; 'hold' inactive")
    assert account.count("left out") == 1
    assert f"left out: {wrong}" in account
    assert set(parts.core.active_controllers) == {n for n in activate if n != "nobody"}


def test_best_effort_waits_for_all_and_then_starts_those_that_are_ready(parts, pend, make_part) -> None:
    parts.law("arm", make_part("x", 3.0))
    switch = pend(["arm", "gripper"], ("hold",), Strictness.BEST_EFFORT, timeout=0.05)
    assert switch.advance(parts.steady_ns) is None
    assert parts.core.active_controllers == ("hold",)
    parts.ticks(10)
    assert "left out: 'gripper' cannot start" in switch.advance(parts.steady_ns)
    assert parts.core.active_controllers == ("arm",)


def test_a_controller_that_fails_at_its_first_state_is_a_fallback_and_a_switch_that_fails_is_none(
    bench, pend, make_law
) -> None:
    bench.run("hold")
    bench.law("mean", make_law())
    assert pend(["mean"], ("hold",)).advance(bench.steady_ns) is not None
    bench.core.forces[0].executor.evaluate = None
    assert bench.tick().controller == "fallback"
    assert "'mean' failed" in bench.core.reason
    bench.switch("hold")
    before = bench.core.forces
    with pytest.raises(RefusedError):
        pend(["sampled"], ("hold",), timeout=0.0).advance(bench.steady_ns)
    assert bench.core.forces == before
    assert bench.core.registry.get("hold").state == "active"
