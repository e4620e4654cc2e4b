"""The report is one well-formed page that needs nothing from anywhere else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from mbpl_control.demo.records import DemoResult
from mbpl_control.demo.report import write_report

SECTIONS = (
    "promises",
    "table",
    "replay",
    "motion",
    "distance",
    "trajectories",
    "torques",
    "tube",
    "learning",
    "learned",
    "time",
    "swaps",
    "latency",
    "again",
    "versions",
)


@pytest.fixture(scope="module")
def report(result: DemoResult, directory: Path) -> str:
    """The page's text."""
    return write_report(result, 0.01, directory / "report.html").read_text(encoding="utf-8")


def test_the_page_parses_and_every_tag_is_closed(Page, report: str) -> None:
    assert Page(report).open == []


def test_the_page_has_all_sections_once_in_the_order_of_the_story(Page, report: str) -> None:
    page = Page(report)
    assert [i for i in page.ids if i in SECTIONS] == list(SECTIONS)
    assert len(set(page.ids)) == len(page.ids)


def test_each_figure_has_panels_and_a_caption(Page, report: str) -> None:
    page = Page(report)
    assert page.tags.count("figure") == page.tags.count("figcaption") == 11
    assert page.tags.count("svg") >= 20
    for caption in re.findall(r"<figcaption>(.*?)</figcaption>", report, re.DOTALL):
        assert len(caption.split()) > 20


def test_the_page_refers_to_nothing_outside_itself_but_the_bags_beside_it(
    Page, report: str, result: DemoResult
) -> None:
    page = Page(report)
    bags = {f"bags/{b.path.name}/" for b in result.bags}
    outside = {link for link in page.links if not link.startswith("#")}
    assert outside == bags | {"learning/report.html"}
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "@import" not in report
    assert not re.search(r"url\((?!#)", report)


def test_links_to_bags_are_relative_also_when_the_page_is_given_by_a_relative_path(
    result: DemoResult, directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(directory)
    page = write_report(result, 0.01, Path("here.html"))
    assert f'href="bags/{result.bags[0].path.name}/"' in page.read_text(encoding="utf-8")


def test_references_inside_a_drawing_lead_to_something_on_the_page(Page, report: str) -> None:
    page = Page(report)
    used = {link[1:] for link in page.links if link.startswith("#")} | set(re.findall(r"url\(#([^)]*)\)", report))
    assert used <= set(page.ids)


def test_the_page_tells_each_trial_with_its_seed_and_the_command_that_repeats_it(
    report: str, result: DemoResult
) -> None:
    for trial in result.trials:
        assert trial.spec.command.replace("'", "&#39;") in report
        assert f"{1e3 * trial.final_distance:.1f} mm" in report


def test_the_page_is_small_enough_to_send(report: str) -> None:
    assert len(report.encode()) < 5e6


def test_a_missed_promise_and_a_name_like_markup_are_told_as_they_are(result: DemoResult, directory: Path) -> None:
    promises = (replace(result.promises[0], kept=False), *result.promises[1:])
    odd = replace(result, task="<b>arm</b> & co", promises=promises)
    page = write_report(odd, 0.01, directory / "odd.html").read_text(encoding="utf-8")
    assert "1 of 8 promises were missed" in page
    assert "Every promise was kept" not in page
    assert "<b>arm</b>" not in page
    assert "&lt;b&gt;arm&lt;/b&gt; &amp; co" in page
