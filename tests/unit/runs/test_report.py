"""The report of a run is one well-formed page that needs nothing beside it."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from mbpl_control.agents.pool import TrialPool
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core import RefusedError
from mbpl_control.learning.learner import IterationReport
from mbpl_control.runs import RunDirectory, TrainingRun
from mbpl_control.runs.plates import Series, numeric_columns, run_plates
from mbpl_control.runs.report import artefacts, write_report


@pytest.fixture
def trained(make_run, tiny, task) -> RunDirectory:
    directory = make_run(iterations=2)
    TrainingRun(directory, tiny.TinyLearner(task, 3, 3), TrialPool(AgentRecipe.in_lockstep(task), "inline")).run()
    return directory


def test_the_page_is_well_formed_has_every_section_once_and_links_to_files_that_are_there(trained, Page) -> None:
    text = write_report(trained).read_text(encoding="utf-8")
    page = Page(text)
    assert page.open == []
    sections = ("learning", "steps", "time", "table", "events", "artefacts", "versions")
    assert [i for i in page.ids if i in sections] == list(sections)
    assert len(set(page.ids)) == len(page.ids)
    files = [link for link in page.links if not link.startswith("#")]
    assert "metrics.csv" in files
    assert all((trained.path / link).is_file() for link in files)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    # a curve each for cost and success, kl, eta and kept; and the times
    assert page.tags.count("svg") == 6
    assert not list(trained.path.glob(".*"))


def test_every_law_of_the_last_iteration_stands_there_with_the_command_that_tries_it(trained) -> None:
    text = write_report(trained).read_text(encoding="utf-8")
    laws = [file for file in artefacts(trained, trained.iterations()[-1]) if file.command]
    assert [Path(file.link).name for file in laws] == ["0.npz", "1.npz"]
    for file in laws:
        assert file.command in text
        assert Path(shlex.split(file.command)[-1]).is_file()


def test_events_and_missing_numbers_are_told_as_they_are() -> None:
    nan = float("nan")
    rows = (
        {"condition": 0, "cost": 1.0, "eta": nan, "why": "a"},
        {"condition": 1, "cost": 3.0, "eta": nan, "why": "b"},
    )
    reports = [IterationReport(1, rows, ("<b>one</b> trial was discarded",), {"trials": 2.0})]
    assert numeric_columns(reports) == ["condition", "cost", "eta"]
    plates = run_plates([Series("seed 3", reports)])
    assert [plate.key for plate in plates] == ["learning", "steps", "time"]
    assert "trials 2.00 s" in plates[-1].caption


def test_a_run_without_an_iteration_has_no_report(make_run) -> None:
    with pytest.raises(RefusedError, match="no iteration is complete yet"):
        write_report(make_run())
