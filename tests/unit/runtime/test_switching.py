"""What a request to switch amounts to."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import ActionDefinition, RefusedError
from mbpl_control.runtime import ControllerEntry
from mbpl_control.runtime.claims import Claims
from mbpl_control.runtime.registry import Registry
from mbpl_control.runtime.switching import Strictness, SwitchPlan, plan_switch

CLAIMS = Claims(ActionDefinition(("mx", "my"), ("x", "y"), "effort", ("N", "N"), np.full(2, -1.0), np.full(2, 1.0)))


def plan(registry: Registry, *request: object) -> SwitchPlan:
    return plan_switch(registry, CLAIMS, *request)  # type: ignore[arg-type]


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    for name, state in (("a", "active"), ("b", "inactive"), ("c", "inactive")):
        registry.add(ControllerEntry(name, "linear_gaussian", state=state, joints=("x", "y")))
    return registry


def before(registry: Registry) -> list[str]:
    return [e.state for e in registry]


@pytest.mark.parametrize(
    ("activate", "deactivate", "strictness", "start", "end"),
    [
        (["b"], ["a"], Strictness.STRICT, "b", ("a",)),
        ([], ["a"], Strictness.STRICT, None, ("a",)),
        (["a"], ["a"], Strictness.STRICT, "a", ("a",)),
        (["b", "b"], ["a"], Strictness.STRICT, "b", ("a",)),
        (["b"], [], Strictness.BEST_EFFORT, "b", ("a",)),
        (["b", "nobody"], ["a"], Strictness.BEST_EFFORT, "b", ("a",)),
        (["b"], ["a", "c"], Strictness.BEST_EFFORT, "b", ("a",)),
        (["b"], [], Strictness.FORCE_AUTO, "b", ("a",)),
        (["b"], ["c"], Strictness.FORCE_AUTO, "b", ("a",)),
        (["b"], ["b"], Strictness.FORCE_AUTO, "b", ("a",)),
        (["a"], ["a"], Strictness.FORCE_AUTO, "a", ("a",)),
    ],
)
def test_a_request_that_can_be_met_says_who_starts_and_ends(
    registry, activate, deactivate, strictness, start, end
) -> None:
    states = before(registry)
    found = plan(registry, activate, deactivate, strictness)
    assert (found.activate, found.deactivate) == (() if start is None else (start,), end)
    assert before(registry) == states


@pytest.mark.parametrize(
    ("activate", "deactivate", "message"),
    [
        (["b"], [], "'a' is active and claims the same joints, as 'b' does; deactivate it in the same request"),
        (["nobody"], ["a"], "no controller 'nobody'"),
        (["b"], ["nobody"], "no controller 'nobody'"),
        (["a"], [], "'a' is active already"),
        (["b"], ["c", "a"], "'c' is not active but inactive"),
        (["b", "c"], ["a"], "'b' and 'c' both claim the same joints; only one of them can be active at a time"),
        ([], [], "nothing to switch"),
    ],
)
def test_strictly_anything_wrong_refuses_the_whole_request(registry, activate, deactivate, message: str) -> None:
    states = before(registry)
    with pytest.raises(RefusedError, match=message):
        plan(registry, activate, deactivate, Strictness.STRICT)
    assert before(registry) == states


def test_best_effort_leaves_out_what_is_wrong_and_says_so(registry) -> None:
    found = plan(registry, ["b", "nobody"], ["c"], Strictness.BEST_EFFORT)
    assert "'b' active; 'a' inactive; left out: no controller 'nobody'" in found.account
    assert "'c' is not active but inactive" in found.account
    with pytest.raises(RefusedError, match="nothing to switch: no controller 'nobody'"):
        plan(registry, ["nobody"], [], Strictness.BEST_EFFORT)
    with pytest.raises(RefusedError, match="'b' and 'c' both claim the same joints"):
        plan(registry, ["b", "c"], [], Strictness.BEST_EFFORT)


@pytest.mark.parametrize(
    ("activate", "deactivate", "message"),
    [
        (["b", "nobody"], [], "no controller 'nobody'"),
        (["b"], ["nobody"], "no controller 'nobody'"),
        (["a"], [], "'a' is active already"),
        (["b", "c"], [], "'b' and 'c' both claim the same joints"),
        ([], ["b"], "nothing to switch"),
    ],
)
def test_force_auto_still_refuses_what_nobody_can_mean(registry, activate, deactivate, message: str) -> None:
    states = before(registry)
    with pytest.raises(RefusedError, match=message):
        plan(registry, activate, deactivate, Strictness.FORCE_AUTO)
    assert before(registry) == states


@pytest.fixture
def parts() -> Registry:
    """Arm on x, gripper on y, and others of either or both; arm and gripper are active."""
    registry = Registry()
    for name, joints, state in (
        ("arm", ("x",), "active"),
        ("gripper", ("y",), "active"),
        ("other_arm", ("x",), "inactive"),
        ("other_gripper", ("y",), "inactive"),
        ("both", ("x", "y"), "inactive"),
    ):
        registry.add(ControllerEntry(name, "linear_gaussian", state=state, joints=joints))
    return registry


def test_controllers_of_different_joints_start_side_by_side(parts) -> None:
    found = plan(parts, ["other_arm", "other_gripper"], ["arm", "gripper"], Strictness.STRICT)
    assert (found.activate, found.deactivate) == (("other_arm", "other_gripper"), ("arm", "gripper"))
    alone = plan(parts, ["other_gripper"], ["gripper"], Strictness.STRICT)
    assert (alone.activate, alone.deactivate) == (("other_gripper",), ("gripper",))


def test_strictly_an_overlap_is_refused_with_its_joint_named(parts) -> None:
    for strictness in (Strictness.STRICT, Strictness.AUTO):
        with pytest.raises(RefusedError, match="'arm' is active and claims joint x, as 'other_arm' does"):
            plan(parts, ["other_arm"], [], strictness)
        with pytest.raises(RefusedError, match="'gripper' is active and claims joint y, as 'both' does"):
            plan(parts, ["both"], ["arm"], strictness)
        with pytest.raises(RefusedError, match="'other_arm' and 'both' both claim joint x"):
            plan(parts, ["other_arm", "both"], ["arm", "gripper"], strictness)


def test_force_auto_ends_only_what_is_in_the_way(parts) -> None:
    assert plan(parts, ["other_arm"], [], Strictness.FORCE_AUTO).deactivate == ("arm",)
    assert plan(parts, ["both"], [], Strictness.FORCE_AUTO).deactivate == ("arm", "gripper")


def test_a_controller_whose_joints_no_law_has_told_yet_is_in_nobodys_way(parts) -> None:
    parts.add(ControllerEntry("unknown", "linear_gaussian"))
    assert plan(parts, ["unknown"], [], Strictness.STRICT).deactivate == ()
