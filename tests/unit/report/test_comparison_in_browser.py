"""The page of methods side by side, opened in a real browser: narrow and wide, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mbpl_control.mbrl.evaluation import Evaluation
from mbpl_control.runs.comparison import write_comparison
from mbpl_control.runs.curves import Curve

METHODS = (
    "lqr_flm",
    "gps",
    "linear_quadratic",
    "mpc_cem",
    "mpc_icem",
    "mpc_mppi",
    "mpc_ilqr",
    "backprop",
    "sac",
    "mbpo",
)


@pytest.fixture
def page(tmp_path: Path) -> Path:
    """Ten methods with three seeds each, whose costs fall."""
    curves = []
    for i, name in enumerate(METHODS):
        for seed in range(3):
            row = [
                Evaluation(500 * k, 3.0 * k * (i + 1), (-1e4 / (k + 1 + 0.3 * i + 0.2 * seed) ** 2,) * 4, (k > i,) * 4)
                for k in range(21)
            ]
            curves.append(Curve(name, seed, row, "the method has no policy to keep" if "mpc" in name else ""))
    facts = {"command": "mbpl compare", "started": "today", "task": "/home/somebody/" + "deep/" * 12 + "task.yaml"}
    return write_comparison(tmp_path / "report.html", "Methods on made", curves, float("nan"), facts)


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_and_asks_for_nothing_and_complains_of_nothing(
    page: Path, look: Callable[..., Any], width: int, dark: bool
) -> None:
    seen = look(page, width, dark=dark)
    found = seen.found
    assert seen.errors == []
    assert found["requests"] == []
    assert found["width"] == width
    assert found["content"] <= width, found["wide"]
    assert found["wide"] == []
    assert len(found["drawings"]) == 3 + len(METHODS) and min(found["drawings"]) > 80.0
    assert min(found["marks"]) > 20
