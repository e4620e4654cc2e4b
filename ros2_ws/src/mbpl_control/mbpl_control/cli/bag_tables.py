"""Bags as tables on the terminal, and as plain data."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mbpl_control.bags.inspection import BagFigures
from mbpl_control.bags.raw import is_complete, metadata_of_bag
from mbpl_control.core import BagError

LISTED = ("task", "controller", "condition", "seed", "iteration", "steps", "cost", "success", "stop_reason")


def print_list(paths: Sequence[Path], as_json: bool) -> None:
    """A row for each bag, from its metadata."""
    rows = [listed(path) for path in paths]
    if as_json:
        print(jsonlib.dumps({"bags": rows}))
        return
    shown = [key for key in LISTED if any(key in row for row in rows)]
    table = Table("bag", "state", *(key.replace("_", " ") for key in shown))
    table.add_column("MB", justify="right")
    for row in rows:
        cells = [_text(row[key]) if key in row else "–" for key in shown]
        table.add_row(escape(row["path"]), row["state"], *cells, f"{row['bytes'] / 1e6:.2f}")
    Console().print(table)


def listed(path: Path) -> dict[str, Any]:
    """One bag as plain data; what is wrong with its metadata is its state."""
    try:
        metadata, state = metadata_of_bag(path), "closed" if is_complete(path) else "not closed"
    except BagError:
        metadata, state = {}, "broken metadata"
    size = sum(file.stat().st_size for file in path.iterdir() if file.is_file())
    told = {key: metadata[key] for key in LISTED if key in metadata}
    return {"path": str(path), "state": state, "bytes": size, **told}


def print_info(figures: BagFigures, as_json: bool) -> None:
    """The trial, the topics and whether the recorder closed the bag."""
    if as_json:
        print(jsonlib.dumps(info_dict(figures)))
        return
    console = Console()
    console.print(trial_table(figures))
    console.print(topic_table(figures))


def info_dict(figures: BagFigures) -> dict[str, Any]:
    """The bag as plain data."""
    return {
        "path": str(figures.path.absolute()),
        "complete": figures.complete,
        "duration": figures.duration,
        "bytes": figures.size,
        "messages": figures.messages,
        "topics": [
            {"topic": name, "type": topic.kind, "messages": topic.count, "rate": topic.rate}
            for name, topic in sorted(figures.topics.items())
        ],
        "controllers": figures.controllers,
        "latency_median": float(np.median(figures.latencies)) if figures.latencies else None,
        "deadline_misses": figures.misses,
        "metadata": figures.metadata,
    }


def trial_table(figures: BagFigures) -> Table:
    """Two columns: what was recorded, and how it ended."""
    table = Table(show_header=False, title=escape(str(figures.path)))
    closed = "[green]complete[/]"
    torn = "[yellow]not closed: its recorder was killed; read as far as it goes[/]"
    table.add_row("bag", closed if figures.complete else torn)
    table.add_row("duration", f"{figures.duration:.3f} s, {figures.size / 1e6:.2f} MB")
    table.add_row("commands by", escape(", ".join(figures.controllers) or "nobody"))
    if figures.latencies:
        p50, p99 = 1e3 * np.percentile(figures.latencies, (50, 99))
        table.add_row("state to command", f"median {p50:.2f} ms, 99 % within {p99:.2f} ms")
    for key, value in figures.metadata.items():
        table.add_row(escape(key.replace("_", " ")), _text(value))
    return table


def topic_table(figures: BagFigures) -> Table:
    """Topics with type, number of messages and usual rate."""
    table = Table("topic", "type")
    table.add_column("messages", justify="right")
    table.add_column("rate", justify="right")
    for name, topic in sorted(figures.topics.items()):
        rate = f"{topic.rate:.1f} Hz" if topic.rate else "–"
        table.add_row(name, topic.kind, str(topic.count), rate)
    return table


def _text(value: Any) -> str:
    return escape(f"{value:.6g}" if isinstance(value, float) else str(value))
