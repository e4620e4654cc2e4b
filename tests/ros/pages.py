"""Tables of the documentation, as the tests that hold them against the code read them."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[2] / "docs"
_SEPARATOR = re.compile(r"^\|(\s*:?-+:?\s*\|)+$")
_CELL = re.compile(r"(?<!\\)\|")


def tables(page: str, heading: str) -> list[dict[str, str]]:
    """Rows of all tables below a heading of a page, as cells by column name.

    Args:
        page: path below docs/.
        heading: text of the heading; its section ends with the next heading.
    """
    lines = section(page, heading)
    rows: list[dict[str, str]] = []
    columns: list[str] = []
    for line, after in zip(lines, [*lines[1:], ""], strict=True):
        if not line.startswith("|"):
            columns = []
        elif _SEPARATOR.match(after):
            columns = _cells(line)
        elif columns and not _SEPARATOR.match(line):
            cells = _cells(line)
            assert len(cells) == len(columns), f"{page}: {len(cells)} cells for {len(columns)} columns: {line}"
            rows.append(dict(zip(columns, cells, strict=True)))
    return rows


def section(page: str, heading: str) -> list[str]:
    """Lines between a heading and the next one."""
    found: list[str] | None = None
    fenced = False
    for line in (DOCS / page).read_text(encoding="utf-8").splitlines():
        fenced ^= line.startswith("```")
        here = None if fenced else re.match(r"#+ (.*)", line)
        if here and found is not None:
            break
        if here and here[1].strip() == heading:
            found = []
        elif found is not None:
            found.append(line)
    assert found is not None, f"{page} has no heading '{heading}'"
    return found


def code(cell: str) -> str:
    """The first text between backticks in a cell; the cell itself when there is none."""
    found = re.search(r"`([^`]*)`", cell)
    return found[1] if found else cell


def codes(cell: str) -> list[str]:
    """All texts between backticks in a cell."""
    return re.findall(r"`([^`]*)`", cell)


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in _CELL.split(line.strip())[1:-1]]
