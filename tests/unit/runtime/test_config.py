"""Settings of the manager."""

from __future__ import annotations

import pytest

from mbpl_control.core import InvalidFieldError
from mbpl_control.runtime import ManagerConfig


@pytest.mark.parametrize(
    ("setting", "value", "message"),
    [
        ("rate", 0.0, "above 0"),
        ("state_timeout", -1.0, "above 0"),
        ("state_timeout", 0.005, r"found 0\.005 s; must be at least two periods of 200\.0 Hz"),
        ("law_timeout", float("nan"), "finite"),
        ("zero_timeout", 0.0, "above 0"),
        ("max_gain", float("inf"), "finite"),
        ("blend_time", -0.1, "0 to 10 s"),
        ("stream_blend_time", float("nan"), "0 to 10 s"),
        ("fallback", "float", "'float'; must be one of hold, damp"),
        ("emergency_stop", "panic", "'panic'; must be one of damp, zero"),
        ("seed", -1, "-1; must be a whole number"),
    ],
)
def test_a_wrong_setting_is_named_with_its_limit(setting: str, value: object, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=rf"ManagerConfig\.{setting}: .*{message}"):
        ManagerConfig(**{setting: value})  # type: ignore[arg-type]
