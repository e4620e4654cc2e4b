"""What every benchmark leaves: a JSON file for machines, a table for people."""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console


@pytest.fixture(scope="module")
def bench(repository: Path) -> ModuleType:
    """`bench/report.py`, which belongs to no package."""
    spec = importlib.util.spec_from_file_location("bench_report", repository / "bench/report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("value", "target", "better", "met"),
    [
        (0.9, 1.0, "lower", True),
        (1.0, 1.0, "lower", True),
        (1.1, 1.0, "lower", False),
        (1.1, 1.0, "higher", True),
        (0.9, 1.0, "higher", False),
        (float("nan"), 1.0, "lower", False),
        (0.9, None, "lower", None),
    ],
)
def test_a_target_is_met_on_its_better_side_and_by_no_figure_that_is_none(bench, value, target, better, met) -> None:
    assert bench.Row("a figure", value, "ms", target, better).met is met


def test_repeated_measurements_are_told_by_their_median_and_middle_half(bench) -> None:
    row = bench.Row.of_samples("latency", [5.0, 1.0, 2.0, 4.0, 3.0, 1000.0, 0.0], "ms", target=4.0)
    assert (row.value, row.spread, row.met) == (3.0, (1.5, 4.5), True)


def test_a_word_that_is_neither_lower_nor_higher_is_refused(bench) -> None:
    with pytest.raises(ValueError, match="row 'x': better is 'smaller'; must be 'lower' or 'higher'"):
        bench.Row("x", 1.0, "1", better="smaller")


def test_the_file_holds_what_a_reader_of_results_counts_on(bench, tmp_path: Path) -> None:
    rows = [bench.Row("ratio per solve", 0.5, "1", 1.0), bench.Row("peer [ms]", 20.0, "ms")]
    screen = Console(file=io.StringIO(), width=120)
    path = bench.report("made_up", rows, {"rounds": 3}, tmp_path / "new", screen)
    assert path == tmp_path / "new" / "made_up.json"
    content = json.loads(path.read_text())
    assert content["bench"] == "made_up"
    assert content["machine"]
    assert content["commit"]
    assert content["details"] == {"rounds": 3}
    for row in content["rows"]:
        assert set(row) >= {"name", "value", "unit", "target", "better", "met"}
    first = {"name": "ratio per solve", "value": 0.5, "unit": "1", "target": 1.0, "better": "lower", "met": True}
    assert content["rows"][0] == {**first, "spread": None}
    assert (content["rows"][1]["target"], content["rows"][1]["met"]) == (None, None)
    text = screen.file.getvalue()
    assert "ratio per solve" in text
    assert "peer [ms]" in text
