"""The report of the demo."""

from __future__ import annotations

import os
from pathlib import Path

from mbpl_control.demo.plates import plates
from mbpl_control.demo.records import DemoResult
from mbpl_control.demo.summary import HEADINGS, rows
from mbpl_control.report.page import write_page


def write_report(result: DemoResult, within: float, path: Path) -> Path:
    """Write the page; its path.

    Args:
        result: what happened.
        within: m, distance the task's success allows.
        path: of the page. Links to the bags are relative to its directory.
    """
    return write_page(
        Path(__file__).with_name("report.html.j2"),
        path,
        f"mbpl demo: {result.task}",
        plates(result),
        result=result,
        headings=HEADINGS,
        rows=rows(result, within),
        links={b.path.name: Path(os.path.relpath(b.path, path.parent)).as_posix() for b in result.bags},
    )
