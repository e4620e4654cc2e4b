"""The controllers a manager knows."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError, RefusedError
from mbpl_control.runtime import ControllerEntry
from mbpl_control.runtime.registry import AcceptedLaw, Registry


@pytest.fixture
def registry() -> Registry:
    registry = Registry()
    registry.add(ControllerEntry("hold", "hold"))
    registry.add(ControllerEntry("ilqr", "linear_gaussian"))
    return registry


def test_a_hold_is_ready_at_once_and_a_law_waits_for_its_numbers(registry) -> None:
    assert [(e.name, e.state) for e in registry] == [("hold", "inactive"), ("ilqr", "unconfigured")]
    assert "ilqr" in registry
    assert "pid" not in registry


def test_an_unknown_controller_is_refused_with_the_nearest_name_and_all_there_are(registry) -> None:
    with pytest.raises(RefusedError, match="no controller 'ilq'; did you mean 'ilqr'. known controllers: hold, ilqr"):
        registry.get("ilq")
    with pytest.raises(RefusedError, match="known controllers: none"):
        Registry().get("x")


def test_a_name_is_taken_once_unless_it_is_to_be_replaced(registry) -> None:
    with pytest.raises(RefusedError, match="'ilqr' is loaded already; ask to replace it"):
        registry.add(ControllerEntry("ilqr", "linear_gaussian"))
    new = ControllerEntry("ilqr", "linear_gaussian", "sampled")
    registry.add(new, replace=True)
    assert registry.get("ilqr") is new


def test_what_is_active_can_neither_be_replaced_nor_removed(registry) -> None:
    registry.get("ilqr").state = "active"
    with pytest.raises(RefusedError, match="'ilqr' is active; deactivate it first"):
        registry.add(ControllerEntry("ilqr", "linear_gaussian"), replace=True)
    with pytest.raises(RefusedError, match="'ilqr' is active; deactivate it first"):
        registry.remove("ilqr")


def test_what_is_removed_is_finalized_and_gone(registry) -> None:
    entry = registry.get("ilqr")
    registry.remove("ilqr")
    assert entry.state == "finalized"
    assert "ilqr" not in registry


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "hold"), "name: found nothing"),
        (("x", "pid"), "type: found 'pid'; must be one of hold, linear_gaussian, feedback_law"),
        (("x", "linear_gaussian", "loud"), "mode: found 'loud'; must be one of open_loop, mean, sampled"),
    ],
)
def test_an_entry_that_means_nothing_is_refused(arguments, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        ControllerEntry(*arguments)


def test_knots_and_horizons_anchored_at_a_stamp_are_streams(make_law, make_knot) -> None:
    def accepted(law) -> AcceptedLaw:
        return AcceptedLaw(law, np.arange(4), 1, 0)

    assert accepted(make_knot()).streams
    assert accepted(make_law(anchor="stamp")).streams
    assert not accepted(make_law()).streams
    assert ControllerEntry("policy", "feedback_law").streams
    entry = ControllerEntry("plan", "linear_gaussian")
    assert not entry.streams
    entry.law = accepted(make_law(anchor="stamp"))
    assert entry.streams


def test_what_is_built_in_is_neither_replaced_nor_unloaded() -> None:
    registry = Registry()
    registry.add(ControllerEntry("hold", "hold", built_in=True))
    with pytest.raises(RefusedError, match="'hold' is built in and stays"):
        registry.remove("hold")
    with pytest.raises(RefusedError, match="'hold' is built in; choose another name"):
        registry.add(ControllerEntry("hold", "linear_gaussian"), replace=True)
