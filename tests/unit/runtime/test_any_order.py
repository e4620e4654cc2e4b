"""Whatever happens in whatever order: each joint has one driver, books agree with it, commands keep to the limits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mbpl_control.core import MbplError
from mbpl_control.runtime import ControllerEntry, Strictness

NAMES = ("hold", "mean", "sampled", "policy", "arm", "gripper", "gripper_hold")
name = st.sampled_from(NAMES)
names = st.lists(name, max_size=3)

#: What may happen, as a kind and its details.
EVENTS = st.one_of(
    st.tuples(st.just("switch"), names, names, st.sampled_from(list(Strictness))),
    st.tuples(st.just("law"), name, st.floats(-30.0, 30.0)),
    st.tuples(st.just("break"), st.integers(0, 2)),
    st.tuples(st.just("ticks"), st.integers(1, 30)),
    st.tuples(st.just("silence"), st.sampled_from([50.0, 150.0, 1500.0])),
    st.tuples(st.just("move"), st.floats(-5.0, 5.0)),
    st.tuples(st.just("clock"), st.floats(1.0, 900.0)),
    st.tuples(st.just("publishers"), name, st.integers(0, 3)),
    st.tuples(st.just("stop"), st.booleans()),
)


def broken(*_: object) -> None:
    raise ArithmeticError


class Play:
    """Carries out events on a bench; requests that are refused are part of the game."""

    def __init__(self, bench: Any, laws: dict[str, Callable[[float], Any]]) -> None:
        """Add controllers of parts."""
        self.bench, self.laws = bench, laws
        for entry, joint in (("arm", "x"), ("gripper", "y")):
            bench.core.registry.add(ControllerEntry(entry, "linear_gaussian", source=f"planner/{entry}"))
            bench.core.registry.add(ControllerEntry(f"{entry}_hold", "hold", joints=(joint,)))
        self.last = np.zeros(2)

    def happen(self, kind: str, *details: Any) -> None:
        """One event."""
        with suppress(MbplError):
            getattr(self, f"on_{kind}")(*details)

    def on_switch(self, activate: list[str], deactivate: list[str], strictness: Strictness) -> None:
        core, before = self.bench.core, self.bench.core.forces
        states = {e.name: e.state for e in core.registry}
        try:
            self.bench.switch(*activate, off=deactivate, strictness=strictness)
        except MbplError:
            assert core.forces == before
            assert {e.name: e.state for e in core.registry} == states
            raise

    def on_law(self, controller: str, effort: float) -> None:
        if controller in self.laws:
            stamps = {"stamp_ns": self.bench.stamp_ns} if controller == "policy" else {}
            self.bench.law(controller, self.laws[controller](effort), **stamps)

    def on_break(self, place: int) -> None:
        forces = [f for f in self.bench.core.forces if f.is_controller]
        if place < len(forces):
            forces[place].executor.evaluate = broken

    def on_ticks(self, count: int) -> None:
        for _ in range(count):
            self.check(self.bench.tick())

    def on_silence(self, milliseconds: float) -> None:
        for command in self.bench.silence(milliseconds):
            self.check(command)

    def on_move(self, to: float) -> None:
        self.bench.q[:] = to

    def on_clock(self, back: float) -> None:
        self.bench.lead += back + 150.0
        self.check(self.bench.tick(-back))

    def on_publishers(self, controller: str, count: int) -> None:
        source = self.bench.core.registry.get(controller).source
        self.bench.core.on_publishers(source, count, ["a"] * count, self.bench.steady_ns)

    def on_stop(self, reset: bool) -> None:
        if reset:
            self.bench.core.reset_emergency_stop()
        else:
            self.bench.core.emergency_stop("a test")

    def check(self, command: Any) -> None:
        """What must be true after every state."""
        core = self.bench.core
        places = [p for f in core.forces for p in f.claim.places]
        assert places == ([] if core.mode == "idle" else [0, 1])
        assert {e.name for e in core.registry if e.state == "active"} == set(core.active_controllers)
        if core.mode in ("idle", "zero", "emergency_stop"):
            assert core.active_controllers == ()
        if core.mode == "active":
            assert core.active_controllers
        assert core.reason
        if command is None:
            return
        assert np.isfinite(command.values).all()
        assert (np.abs(command.values) <= [10.0, 20.0]).all()
        if core.mode not in ("zero", "emergency_stop") and self.last is not None:
            # the whole range, 20 and 40 N, within 20 ms
            assert (np.abs(command.values - self.last) <= np.array([5.0, 10.0]) + 1e-9).all()
        self.last = command.values if core.mode not in ("zero", "emergency_stop") else None


@pytest.fixture(scope="module")
def laws(make_law, make_part, make_knot) -> dict[str, Callable[[float], Any]]:
    """Laws of each controller that lives on them; beyond what the robot can take now and then."""
    noise = np.tile(np.eye(2), (20, 1, 1))
    return {
        "mean": lambda u: make_law((u, -u)),
        "sampled": lambda u: make_law((0.0, u), covariances=noise),
        "policy": lambda u: make_knot((u, u)),
        "arm": lambda u: make_part("x", u, steps=30, end_rule="fallback"),
        "gripper": lambda u: make_part("y", u, steps=30, end_rule="hold"),
    }


@settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(events=st.lists(EVENTS, min_size=5, max_size=40))
def test_whatever_happens_each_joint_has_one_driver_and_commands_keep_to_the_limits(make_bench, laws, events) -> None:
    play = Play(make_bench(fallback_controllers=("gripper_hold", "mean")), laws)
    play.on_ticks(1)
    for event in events:
        play.happen(*event)
        play.on_ticks(1)


def test_a_thousand_random_switches_in_a_row_never_step_the_command(make_bench, laws) -> None:
    bench = make_bench()
    play = Play(bench, laws)
    random = np.random.default_rng(0)
    play.on_ticks(1)
    for controller in ("mean", "sampled", "arm", "gripper"):
        play.on_law(controller, 6.0)
    done = 0
    while done < 1000:
        activate = random.choice(NAMES, size=random.integers(1, 3), replace=False)
        with suppress(MbplError):
            bench.switch(*activate, strictness=Strictness.FORCE_AUTO)
            done += 1
        play.on_ticks(int(random.integers(1, 8)))
    assert bench.core.counters.switches >= 1000
    # the first command of a law is the one before it, whatever was under way
    assert bench.core.counters.largest_switch_step < 1e-9
