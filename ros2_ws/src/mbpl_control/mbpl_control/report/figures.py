"""Drawing for reports: small panels as SVG that follow the page's own colour and font."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

#: Ink of axes and text: replaced by the page's own, so that a panel suits a light page and a dark one.
INK, FAINT = "#102030", "#102031"
#: Text is laid out with this font, which comes with matplotlib, and shown in the page's own.
_MEASURED_WITH = "DejaVu Sans"
STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "mbpl",
    "font.family": _MEASURED_WITH,
    "font.size": 9.0,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": FAINT,
    "grid.alpha": 0.15,
    "grid.linewidth": 0.6,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8.0,
    "lines.linewidth": 1.6,
}
SIZE = (4.4, 2.9)

#: Colours of lines, told apart by most eyes, on white and on black (after Okabe and Ito 2008).
PALETTE = ("#1f87d0", "#d55e00", "#00a37a", "#c56cae", "#c9a400", "#6f6fd8", "#56b4e9", "#9a6a4f", "#8a8f98")

_serial = itertools.count(1)


@dataclass(frozen=True)
class Plate:
    """A figure of a report: some panels that belong together, and what one sees.

    Attributes:
        key: anchor on the page.
        title: of the figure.
        caption: plain text.
        panels: SVG.
    """

    key: str
    title: str
    caption: str
    panels: tuple[str, ...]


def plain_log(axis: Axis) -> None:
    """Three plain numbers a decade on a logarithmic axis, or those of a short one run into each other."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def panel(draw: Callable[[Axes], None], title: str, x: str = "", y: str = "", size: tuple[float, float] = SIZE) -> str:
    """One panel as SVG.

    Args:
        draw: draws into the axes.
        title: above it.
        x: label of the abscissa.
        y: label of the ordinate.
        size: inches.
    """
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.add_subplot()
        draw(axes)
        axes.set_title(title)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
        return to_svg(figure, title)


def to_svg(figure: Figure, title: str) -> str:
    """A figure as an SVG element that stands in a page: no header, its ids its own, scaled to its place."""
    out = StringIO()
    nothing = {"Creator": None, "Date": None, "Format": None, "Type": None}
    figure.savefig(out, format="svg", metadata=nothing)
    text = out.getvalue()
    text = text[text.index("<svg") :].rstrip()
    prefix = f"f{next(_serial)}-"
    text = re.sub(r'((?:\bid|href)="#?|url\(#)', rf"\g<1>{prefix}", text)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    label = title.replace("&", "and").replace('"', "'").replace("<", "")
    text = text.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    text = text.replace(f"'{_MEASURED_WITH}'", "inherit")
    return text.replace(INK, "currentColor").replace(FAINT, "currentColor")
