"""The page about diagnostics, held against the kinds of refusals and the checks of the doctor."""

from __future__ import annotations

import re
from pathlib import Path

from pages import DOCS, code, tables

from mbpl_control.core import Refusal
from mbpl_control.doctor import graph_checks


def test_the_page_lists_every_kind_of_refusal_and_no_other() -> None:
    assert [code(row["kind"]) for row in tables("diagnostics.md", "Refusals")] == [kind.value for kind in Refusal]


def test_the_page_lists_every_check_of_a_graph_and_no_other() -> None:
    source = Path(graph_checks.__file__).read_text(encoding="utf-8")
    checks = set(re.findall(r'(?:ok|warn|fail)\)?\(\s*"([a-z ]+)"', source))
    assert {row["check"] for row in tables("diagnostics.md", "The doctor")} == checks
    assert (DOCS / "diagnostics.md").is_file()
