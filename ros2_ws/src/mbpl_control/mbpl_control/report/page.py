"""A report: one HTML page that needs nothing beside itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from mbpl_control.report.figures import Plate

_HERE = Path(__file__).parent


def write_page(template: Path, path: Path, title: str, plates: Sequence[Plate], **content: Any) -> Path:
    """Write a page; its path. It appears whole or not at all.

    Args:
        template: extends `page.html.j2`; its block `body` shows the plates by `figures(plates)`.
        path: of the page.
        title: of the window.
        plates: the figures.
        content: what else the template asks for.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader([template.parent, _HERE]),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
    )
    page = environment.get_template(template.name).render(
        title=title,
        style=Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        plates=[(plate, [Markup(svg) for svg in plate.panels]) for plate in plates],
        **content,
    )
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(page, encoding="utf-8")
    os.replace(partial, path)
    return path
