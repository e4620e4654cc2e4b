"""What the numbers of an action mean, and their limits."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from mbpl_control.core import ActionDefinition, InvalidFieldError

FIELDS: dict[str, Any] = {
    "actuator_names": ("m1", "m2"),
    "joint_names": ("j1", "j2"),
    "interface": "effort",
    "units": ("N*m", "N"),
    "lower": [-1.0, -np.inf],
    "upper": [2.0, np.inf],
}


def test_a_definition_survives_json_with_its_missing_limits(action: ActionDefinition) -> None:
    text = json.dumps(action.to_dict(), allow_nan=False)
    again = ActionDefinition.from_dict(json.loads(text))
    assert again == action
    assert hash(again) == hash(action)
    np.testing.assert_array_equal(again.upper, action.upper)
    np.testing.assert_array_equal(again.lower, action.lower)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("actuator_names", ("m1", "m3")),
        ("joint_names", ("j2", "j1")),
        ("interface", "velocity"),
        ("units", ("N*m", "N*m")),
        ("lower", [-1.5, -np.inf]),
        ("upper", [2.0, 1e9]),
    ],
)
def test_any_change_gives_another_hash(field: str, value: Any) -> None:
    assert ActionDefinition(**{**FIELDS, field: value}) != ActionDefinition(**FIELDS)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("actuator_names", (), "distinct, at least 1"),
        ("actuator_names", ("m", "m"), "distinct"),
        ("joint_names", ("j1",), "1 entries; must be 2, one an actuator"),
        ("units", ("N",), "1 entries; must be 2"),
        ("interface", "torque", "'torque'; must be one of effort, velocity, position"),
        ("lower", [-1.0], r"shape \(1,\); must be of shape \(2,\)"),
        ("upper", [1.0, np.nan], "NaN; must be a number, or infinite"),
        ("upper", ["much", "more"], "an array of numbers"),
        ("lower", [2.0, 0.0], "2.0 for 'm1'; must be below upper, 2.0"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(field: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=rf"ActionDefinition\.{field}: .*{message}"):
        ActionDefinition(**{**FIELDS, field: value})


def test_limits_are_copies_that_nobody_can_change(action: ActionDefinition) -> None:
    upper = np.array([1.0, 2.0])
    definition = ActionDefinition(**{**FIELDS, "upper": upper})
    upper[0] = 99.0
    assert definition.upper[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        definition.upper[0] = 5.0


@pytest.mark.parametrize("data", [{}, {**FIELDS, "lower": ["a", "b"]}, {**FIELDS, "lower": 3}])
def test_data_that_describe_no_definition_are_refused(data: dict[str, Any]) -> None:
    with pytest.raises(InvalidFieldError, match="ActionDefinition"):
        ActionDefinition.from_dict(data)
