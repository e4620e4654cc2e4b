"""The diagram of the modes in docs/safety.md, walked arrow by arrow."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mbpl_control.core import FeedbackLaw
from mbpl_control.runtime import ControllerEntry, ManagerCore

PAGE = Path(__file__).resolve().parents[3] / "docs" / "safety.md"
ARROW = re.compile(r"^ +(\w+) --> (\w+): (.+)$", re.MULTILINE)
Edge = tuple[str, str, str]

#: How each mode is reached. The bench has fallback controllers `open_loop` and `sampled`, which have no law at first.
REACHED: dict[str, Callable[[Any, Any, Any], None]] = {
    "idle": lambda bench, law, part: bench.tick(),
    "active": lambda bench, law, part: bench.run("mean", law()),
    "fallback": lambda bench, law, part: (bench.run("mean", law()), bench.switch(off=["mean"]), bench.tick()),
    "zero": lambda bench, law, part: (bench.run("mean", law()), bench.silence(1300)),
    "emergency_stop": lambda bench, law, part: (bench.tick(), bench.core.emergency_stop("test"), bench.tick()),
}


def broken(*_: object) -> None:
    raise ZeroDivisionError


def stream(bench: Any, law: Callable[..., Any]) -> None:
    """Go over to a stream of knots."""
    plan = law()
    knot = FeedbackLaw(plan.state, plan.action, plan.nominal_states[0], plan.nominal_actions[0], plan.gains[0])
    bench.law("policy", knot, stamp_ns=bench.stamp_ns)
    bench.switch("policy", off=["mean"])
    bench.tick()


def clock_set_back(bench: Any, *_: Any) -> None:
    """The first state after a silence nobody watched is older than the last."""
    bench.lead += 10_000.0
    bench.tick(-500.0)


def one_of_several_fails(bench: Any, law: Any, part: Any) -> None:
    for name, joint in (("arm", "x"), ("gripper", "y")):
        bench.core.registry.add(ControllerEntry(name, "linear_gaussian"))
        bench.law(name, part(joint))
    bench.switch("arm", "gripper", off=["mean"])
    bench.tick()
    bench.core.forces[1].executor.evaluate = broken
    bench.tick()
    assert bench.core.active_controllers == ("arm",)


def law_fails(bench: Any, *_: Any) -> None:
    bench.core.forces[0].executor.evaluate = broken
    bench.tick()


def law_late(bench: Any, law: Any, part: Any) -> None:
    stream(bench, law)
    bench.ticks(101)


def source_lost(bench: Any, law: Any, part: Any) -> None:
    stream(bench, law)
    bench.core.on_publishers("policy/feedback_law", 0, [], bench.steady_ns)


def fallback_controller_fails(bench: Any, law: Any, part: Any) -> None:
    bench.law("open_loop", law())
    bench.law("sampled", law())
    bench.switch("mean")
    law_fails(bench)
    assert bench.core.active_controllers == ("open_loop",)
    assert bench.core.mode == "fallback"
    law_fails(bench)
    assert bench.core.active_controllers == ("sampled",)


def error_of_the_manager(bench: Any, *_: Any) -> None:
    """One tick in which the limits raise."""
    limits, calls = bench.core.limiter.apply, iter([broken])
    bench.core.limiter.apply = lambda *arguments: next(calls, limits)(*arguments)
    bench.tick()


def error_that_stays(bench: Any, *_: Any) -> None:
    bench.core.limiter.apply = broken
    bench.tick()


def switch_after_an_error(bench: Any, *_: Any) -> None:
    error_of_the_manager(bench)
    assert bench.core.mode == "zero"
    bench.ticks(3)
    assert bench.core.mode == "zero"
    bench.switch("hold")


def clock_ahead(bench: Any, *_: Any) -> None:
    """The next state is stamped 300 ms later, and comes 5 ms later."""
    bench.lead -= 295.0
    bench.tick(300.0)


def jump(bench: Any, *_: Any) -> None:
    bench.q[0] = 9.0
    bench.tick()


WALKED: dict[Edge, Callable[[Any, Any, Any], Any]] = {
    ("idle", "active", "switch"): lambda bench, law, part: bench.switch("hold"),
    ("active", "active", "switch"): lambda bench, law, part: bench.switch("hold", off=["mean"]),
    ("active", "active", "one of several controllers fails"): one_of_several_fails,
    ("active", "fallback", "no state for state_timeout"): lambda bench, law, part: bench.silence(110),
    ("active", "fallback", "no law for law_timeout"): law_late,
    ("active", "fallback", "a position jumps"): jump,
    ("active", "fallback", "the clock is set back"): clock_set_back,
    ("active", "fallback", "the clock jumps ahead"): clock_ahead,
    ("active", "fallback", "an error of the manager"): error_of_the_manager,
    ("active", "zero", "an error of the manager and of its fallback"): error_that_stays,
    ("zero", "active", "switch after an error"): switch_after_an_error,
    ("active", "fallback", "the horizon ends"): lambda bench, law, part: bench.ticks(200),
    ("active", "fallback", "a law fails"): law_fails,
    ("active", "fallback", "its source is lost or doubled"): source_lost,
    ("active", "fallback", "it is only deactivated"): lambda bench, law, part: bench.switch(off=["mean"]),
    ("fallback", "active", "switch"): lambda bench, law, part: bench.switch("mean"),
    ("fallback", "fallback", "a fallback controller fails"): fallback_controller_fails,
    ("fallback", "zero", "no state for zero_timeout"): lambda bench, law, part: bench.silence(1300),
    ("zero", "fallback", "states arrive again"): lambda bench, law, part: bench.tick(),
    **{
        (mode, "emergency_stop", "emergency_stop"): lambda bench, law, part: bench.core.emergency_stop("test")
        for mode in ("idle", "active", "fallback", "zero")
    },
    ("emergency_stop", "idle", "reset_emergency_stop"): lambda bench, law, part: bench.core.reset_emergency_stop(),
}


def test_the_page_shows_the_arrows_that_are_walked_here_and_no_others() -> None:
    assert set(ARROW.findall(PAGE.read_text(encoding="utf-8"))) == set(WALKED)


@pytest.mark.parametrize("edge", WALKED, ids=" - ".join)
def test_each_arrow_leads_from_mode_to_mode(make_bench, make_law, make_part, edge: Edge) -> None:
    before, after, _ = edge
    bench = make_bench(fallback_controllers=("open_loop", "sampled"))
    REACHED[before](bench, make_law, make_part)
    assert bench.core.mode == before
    WALKED[edge](bench, make_law, make_part)
    assert bench.core.mode == after


#: What may be done to a manager, but for an emergency stop and its reset.
DONE: tuple[Callable[[Any], Any], ...] = (
    lambda bench: bench.tick(),
    lambda bench: bench.silence(300),
    lambda bench: bench.silence(3000),
    jump,
    clock_set_back,
    lambda bench: bench.core.on_publishers("planner/mean", 2, ["a", "b"], bench.steady_ns),
)


def test_nothing_but_a_reset_leads_out_of_an_emergency_stop(bench, make_law) -> None:
    bench.run("mean", make_law())
    bench.core.emergency_stop("test")
    core: ManagerCore = bench.core
    for act in DONE:
        act(bench)
        assert (core.mode, core.reason, core.active_controllers) == ("emergency_stop", "test", ())


def test_nothing_but_a_switch_begins_to_command(bench, make_law) -> None:
    bench.tick()
    bench.law("mean", make_law())
    for act in DONE:
        act(bench)
        assert (bench.core.mode, bench.tick()) == ("idle", None)


def test_no_controller_takes_over_again_by_itself(bench, make_law) -> None:
    bench.run("mean", make_law(steps=1000))
    bench.silence(110)
    for act in DONE:
        act(bench)
        assert bench.core.mode in ("fallback", "zero")
        bench.ticks(3)
        assert bench.core.active_controllers == ()
