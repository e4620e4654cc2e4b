"""The report of real runs, opened in a real browser: narrow and wide, light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mbpl_control.agents.pool import TrialPool
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.gps.learner import GuidedPolicySearch
from mbpl_control.runs import RunDescription, RunDirectory, TrainingRun
from mbpl_control.runs.report import find_runs, write_report, write_runs
from mbpl_control.tasks import load_task

ITERATIONS = 2


@pytest.fixture(scope="module")
def runs(task_files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Guided policy search on the two-link reacher with two seeds, a policy and all."""
    root = tmp_path_factory.mktemp("runs")
    task = load_task(task_files / "reacher_2link.yaml")
    for seed in (0, 1):
        options = {"samples": 2, "variant": None}
        about = RunDescription("gps", task.name, str(task.path), task.hash, "mujoco", seed, ITERATIONS, options)
        short = task.learning.gps.model_copy(update={"policy_iterations": 40, "neighbours": 1, "hidden": [8]})
        changes = {"iterations": ITERATIONS, "samples": 2, "gps": short}
        learner = GuidedPolicySearch(task, seed, task.learning.model_copy(update=changes))
        directory = RunDirectory.create(root / f"seed-{seed}", about)
        with TrialPool(AgentRecipe.in_lockstep(task), "inline") as pool:
            TrainingRun(directory, learner, pool).run()
    return root


@pytest.fixture(scope="module")
def page(runs: Path) -> Path:
    """One page for both."""
    for directory in find_runs(runs):
        write_report(directory)
    return write_runs(find_runs(runs), runs / "report.html")


def check(seen: Any, width: int, page: Path) -> None:
    found = seen.found
    assert seen.errors == []
    assert found["requests"] == []
    assert found["width"] == width
    assert found["content"] <= width, found["wide"]
    assert found["wide"] == []
    assert all(drawn > 0 for drawn in found["pictures"])
    # every panel has a height on the screen, and lines in it
    assert len(found["drawings"]) >= 20 and min(found["drawings"]) > 80.0
    assert min(found["marks"]) > 20
    files = [link for link in found["links"] if not link.startswith("#")]
    assert len(files) > 5 and all((page.parent / link).exists() for link in files)


def test_the_page_fits_a_telephone_and_a_wide_screen_asks_for_nothing_and_complains_of_nothing(
    page: Path, look: Callable[..., Any]
) -> None:
    check(look(page, 400), 400, page)
    check(look(page, 1200), 1200, page)


def test_the_page_is_dark_where_its_reader_wants_it_dark_and_its_ink_stands_out_in_both(
    page: Path, look: Callable[..., Any]
) -> None:
    light, dark = look(page, 1200).found, look(page, 1200, dark=True).found
    assert brightness(light["paper"]) > 0.9 and brightness(light["ink"]) < 0.2
    assert brightness(dark["paper"]) < 0.2 and brightness(dark["ink"]) > 0.8


def test_every_seed_is_drawn_and_named_and_the_policy_stands_beside_its_teachers(page: Path, Page: Any) -> None:
    text = page.read_text(encoding="utf-8")
    told = Page(text)
    assert told.open == [] and len(set(told.ids)) == len(told.ids)
    keys = ["learning", "student", "steps", "model", "teacher", "motion", "fit", "time", "table", "trials"]
    assert [i for i in told.ids if i in keys] == keys
    for label in ("seed 0", "seed 1", "mean of all", "teacher, seed 1", "student, seed 1"):
        assert f">{label}<" in text
    assert not {"script", "link", "img", "iframe", "object"} & set(told.tags)
    assert "http://" not in text.replace("http://www.w3.org", "") and "https://" not in text


def brightness(color: str) -> float:
    """Mean of red, green and blue, from 0 to 1, of a color as a browser writes it."""
    parts = color[color.index("(") + 1 : color.index(")")].split(",")
    return sum(float(part) for part in parts[:3]) / (3 * 255.0)
