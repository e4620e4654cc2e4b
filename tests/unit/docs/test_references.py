"""What the documentation points at is there."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from pages import DOCS

ROOT = DOCS.parent
#: Where `file.py::name` of a page may start from.
PACKAGE = ROOT / "ros2_ws/src/mbpl_control"
SOURCES = (ROOT, PACKAGE, PACKAGE / "mbpl_control", ROOT / "sim/mbpl_sim")
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *(ROOT / "bench").glob("*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|srcset)=\"([^\"]+)\"")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)


def text_of(page: Path) -> str:
    """A page without its code blocks."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_heading_that_exist(page: Path) -> None:
    for match in LINK.finditer(text_of(page)):
        target = match[1] or match[2]
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


@cache
def anchors(page: Path) -> frozenset[str]:
    """Anchors of a page's headings, as GitHub and MkDocs make them."""
    headings = re.findall(r"^#+ (.*)$", text_of(page), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_function_a_page_names_is_in_the_file_it_names(page: Path) -> None:
    for path, name in re.findall(r"`([\w/]+\.py)::([\w.]+)`", text_of(page)):
        files = [source / path for source in SOURCES if (source / path).is_file()]
        assert files, path
        assert any(name in definitions(file) for file in files), f"{path}::{name}"


@cache
def definitions(file: Path) -> frozenset[str]:
    """Functions, classes and their methods."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    tree = ast.parse(file.read_text(encoding="utf-8"))
    top = [node for node in tree.body if isinstance(node, kinds)]
    inner = [
        f"{node.name}.{member.name}"
        for node in top
        if isinstance(node, ast.ClassDef)
        for member in node.body
        if isinstance(member, kinds)
    ]
    return frozenset([*(node.name for node in top), *inner])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"`((?:tools|tests|bench|docs|launch|sim|ros2_ws|requirements)/[\w./-]+)`", text_of(page))
    made = ("bench/results", "ros2_ws/build", "ros2_ws/install")
    assert [path for path in named if not path.startswith(made) and not (ROOT / path).exists()] == []
