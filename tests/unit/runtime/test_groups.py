"""Several controllers at once, each with joints of its own; controllers that step in for one that failed."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import DefinitionMismatchError, InvalidFieldError, RefusedError
from mbpl_control.runtime import ControllerEntry, Strictness


@pytest.fixture
def parts(bench, make_part):
    """The bench with a controller of x at 3 N and one of y at −5 N, both ready."""
    for name in ("arm", "gripper"):
        bench.core.registry.add(ControllerEntry(name, "linear_gaussian", source=f"planner/{name}"))
    bench.tick()
    bench.law("arm", make_part("x", 3.0))
    bench.law("gripper", make_part("y", -5.0))
    return bench


def drivers(bench) -> dict[str, str]:
    """Who drives which joint."""
    return {joint: force.name for force in bench.core.forces for joint in force.claim.joints}


def test_arm_and_gripper_run_different_controllers_at_once(parts) -> None:
    assert parts.switch("arm", "gripper") == "'arm' active; 'gripper' active"
    command = parts.ticks(20)[-1]
    np.testing.assert_allclose(command.values, [3.0, -5.0], atol=1e-12)
    assert (command.controller, command.step) == ("arm + gripper", 1)
    assert parts.core.reason == "'arm' and 'gripper' command"
    assert parts.core.active_controllers == ("arm", "gripper")
    assert parts.core.counters.last_switch == "nothing → arm + gripper"


def test_joints_that_nobody_claims_are_held_where_they_are(parts) -> None:
    parts.q[1] = 0.2
    parts.tick()
    parts.switch("arm")
    parts.ticks(20)
    assert drivers(parts) == {"x": "arm", "y": "held"}
    parts.q[1] = 0.21
    # 1 kg at 12 rad/s, 1 cm away
    np.testing.assert_allclose(parts.tick().values, [3.0, -0.01 * 144.0], atol=1e-9)


def test_one_controller_is_swapped_without_a_trace_in_the_joints_of_the_other(parts, make_part) -> None:
    parts.core.registry.add(ControllerEntry("other", "linear_gaussian"))
    parts.law("other", make_part("y", 8.0))
    parts.switch("arm", "gripper")
    parts.ticks(20)
    parts.switch("other", off=["gripper"])
    values = np.array([c.values for c in parts.ticks(20)])
    np.testing.assert_allclose(values[:, 0], 3.0, atol=1e-12)
    np.testing.assert_allclose(values[0, 1], -5.0, atol=1e-12)
    np.testing.assert_allclose(values[-1, 1], 8.0, atol=1e-12)
    assert (np.abs(np.diff(values[:, 1])) <= 15 / 8 * 13.0 * 5 / 60 + 1e-9).all()


def test_a_whole_robot_hold_gives_way_and_keeps_what_is_left_in_place(parts) -> None:
    parts.q[1] = 0.2
    parts.tick()
    parts.switch("hold")
    parts.ticks(20)
    parts.q[1] = 0.21
    before = parts.ticks(20)[-1].values
    with pytest.raises(RefusedError, match="'hold' is active and claims joint x, as 'arm' does"):
        parts.switch("arm")
    parts.switch("arm", strictness=Strictness.FORCE_AUTO)
    assert drivers(parts) == {"x": "arm", "y": "held"}
    # held where it was held before: no step, and no other position
    assert [c.values[1] for c in parts.ticks(20)] == pytest.approx([before[1]] * 20)


def test_a_controller_that_fails_falls_back_alone(parts) -> None:
    parts.switch("arm", "gripper")
    parts.ticks(20)
    parts.core.on_publishers("planner/gripper", 2, ["one", "two"], parts.steady_ns)
    values = np.array([c.values for c in parts.ticks(20)])
    np.testing.assert_allclose(values[:, 0], 3.0, atol=1e-12)
    np.testing.assert_allclose(values[-1, 1], 0.0, atol=1e-12)
    assert drivers(parts) == {"x": "arm", "y": "fallback"}
    trouble = "2 publishers of planner/gripper (one, two); one may"
    assert (parts.core.mode, parts.core.reason) == ("active", f"'arm' commands; y: {trouble}")
    assert parts.core.registry.get("gripper").reason == trouble
    with pytest.raises(RefusedError, match="'gripper' cannot start: 2 publishers of"):
        parts.switch("gripper")
    parts.core.on_publishers("planner/gripper", 1, ["one"], parts.steady_ns)
    parts.switch("gripper")
    assert drivers(parts) == {"x": "arm", "y": "gripper"}


def test_what_is_wrong_with_the_robots_state_costs_all_of_them(parts) -> None:
    parts.switch("arm", "gripper")
    parts.ticks(20)
    parts.silence(150)
    assert drivers(parts) == {"x": "fallback", "y": "fallback"}
    assert parts.core.registry.get("arm").state == parts.core.registry.get("gripper").state == "inactive"


def test_one_of_two_that_is_only_deactivated_leaves_its_joints_held(parts) -> None:
    parts.switch("arm", "gripper")
    parts.ticks(20)
    parts.switch(off=["arm"])
    assert parts.core.mode == "active"
    assert parts.core.reason == "'gripper' commands; x: its controller was deactivated"
    np.testing.assert_allclose(parts.ticks(20)[-1].values, [0.0, -5.0], atol=1e-12)


def test_strictly_two_start_or_none(parts) -> None:
    parts.core.registry.add(ControllerEntry("empty", "linear_gaussian", joints=("y",)))
    with pytest.raises(RefusedError, match="'empty' cannot start"):
        parts.switch("arm", "empty")
    assert parts.core.mode == "idle"
    account = parts.switch("arm", "empty", strictness=Strictness.BEST_EFFORT)
    assert account.startswith("'arm' active; left out: 'empty' cannot start: 'empty' has no law yet")
    assert drivers(parts) == {"x": "arm", "y": "held"}


def test_an_emergency_stop_stops_them_all(parts) -> None:
    parts.switch("arm", "gripper")
    parts.ticks(20)
    parts.core.emergency_stop("test")
    assert parts.tick().controller == "emergency_stop"
    assert drivers(parts) == {"x": "emergency_stop", "y": "emergency_stop"}


def test_a_law_for_other_joints_than_its_controllers_is_refused(parts, make_part, make_law) -> None:
    with pytest.raises(RefusedError, match="no law yet|for joints"):
        parts.core.registry.add(ControllerEntry("wrist", "linear_gaussian", joints=("y",)))
        parts.law("wrist", make_part("x"))
    assert parts.core.registry.get("wrist").state == "unconfigured"
    # a controller that names none takes the joints of its law, and keeps them while it commands
    parts.switch("arm")
    with pytest.raises(RefusedError, match="it is for joints x, y; those of 'arm' are x"):
        parts.law("arm", make_law())
    with pytest.raises(
        DefinitionMismatchError, match="joints are z; must be some of this robot's in their order: x, y"
    ):
        parts.core.claims.of(["z"])
    with pytest.raises(DefinitionMismatchError, match="joints are y, x"):
        parts.core.claims.of(["y", "x"])


def test_holds_of_parts_hold_anew_where_the_robot_was_put(bench) -> None:
    bench.core.registry.add(ControllerEntry("gripper_hold", "hold", joints=("y",)))
    bench.run("gripper_hold")
    assert drivers(bench) == {"x": "held", "y": "gripper_hold"}
    bench.q[:] = 4.0, 4.0
    assert bench.tick().controller == "gripper_hold"
    np.testing.assert_allclose(bench.ticks(20)[-1].values, 0.0, atol=1e-12)


# --- controllers that step in ---


def failing(*_: object) -> None:
    raise ZeroDivisionError("a network that fails")


def test_the_first_fallback_controller_that_is_ready_steps_in(make_bench, make_law) -> None:
    bench = make_bench(fallback_controllers=("unknown", "sampled", "open_loop", "mean"))
    bench.tick()
    for name, effort in (("mean", 1.0), ("open_loop", 2.0)):
        bench.law(name, make_law((effort, 0.0), steps=1000))
    bench.switch("mean")
    bench.ticks(20)
    bench.core.forces[0].executor.evaluate = failing
    command = bench.tick()
    assert command.controller == "open_loop"
    np.testing.assert_allclose(command.values, [1.0, 0.0], atol=1e-12)
    np.testing.assert_allclose(bench.ticks(20)[-1].values, [2.0, 0.0], atol=1e-12)
    reason = "'mean' failed: a network that fails; 'open_loop' steps in"
    assert (bench.core.mode, bench.core.reason) == ("fallback", reason)
    assert bench.core.registry.get("open_loop").state == "active"
    assert (bench.core.counters.fallbacks, bench.core.counters.errors) == (1, 1)


def test_fallback_controllers_that_fail_one_after_the_other_end_in_the_hold(make_bench, make_law) -> None:
    bench = make_bench(fallback_controllers=("mean", "open_loop"))
    bench.tick()
    for name in ("mean", "open_loop"):
        bench.law(name, make_law((1.0, 0.0), steps=1000))
    bench.core.laws.executor = lambda entry, rng: type("Broken", (), {"evaluate": failing, "step": -1})()
    bench.switch("mean")
    assert bench.tick().controller == "fallback"
    assert bench.core.counters.fallbacks == bench.core.counters.errors == 2
    assert {e.name: e.state for e in bench.core.registry if e.name in ("mean", "open_loop")} == {
        "mean": "inactive",
        "open_loop": "inactive",
    }
    # the failures are forgotten with the next switch
    del bench.core.laws.executor
    bench.switch("open_loop")
    bench.core.forces[0].executor.evaluate = failing
    assert bench.tick().controller == "mean"


def test_a_fallback_controller_takes_no_joint_from_one_that_runs(make_bench, make_part, make_law) -> None:
    bench = make_bench(fallback_controllers=("mean", "spare"))
    for name in ("arm", "gripper", "spare"):
        bench.core.registry.add(ControllerEntry(name, "linear_gaussian", source=name))
    bench.tick()
    bench.law("mean", make_law())
    for name, joint, effort in (("arm", "x", 3.0), ("gripper", "y", -5.0), ("spare", "y", 1.0)):
        bench.law(name, make_part(joint, effort))
    bench.switch("arm", "gripper")
    bench.ticks(20)
    bench.core.on_publishers("gripper", 2, ["a", "b"], bench.steady_ns)
    np.testing.assert_allclose(bench.ticks(20)[-1].values, [3.0, 1.0], atol=1e-12)
    assert drivers(bench) == {"x": "arm", "y": "spare"}


def test_without_states_no_fallback_controller_steps_in(make_bench, make_law) -> None:
    bench = make_bench(fallback_controllers=("open_loop",))
    bench.tick()
    bench.law("open_loop", make_law())
    bench.run("mean", make_law(steps=1000))
    assert {c.controller for c in bench.silence(150)} == {"fallback"}


def test_fallback_controllers_are_named_once() -> None:
    from mbpl_control.runtime import ManagerConfig

    with pytest.raises(InvalidFieldError, match="fallback_controllers"):
        ManagerConfig(fallback_controllers=("a", "a"))


@pytest.mark.parametrize("name", ["fallback", "held", "zero", "emergency_stop"])
def test_a_controller_cannot_be_called_what_commands_without_one_are_signed_with(name: str) -> None:
    with pytest.raises(InvalidFieldError, match="name"):
        ControllerEntry(name, "hold")
