"""What a bag holds, for the shell."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mbpl_control.bags import Episode, read_episode


def show_bag(path: Path, as_json: bool) -> None:
    """Print the trial, the topics and whether the recorder closed the bag.

    Raises:
        BagError: there is no bag, or nothing in it can be read.
    """
    episode = read_episode(path)
    if as_json:
        print(jsonlib.dumps(bag_dict(episode)))
        return
    console = Console()
    console.print(trial_table(episode))
    console.print(topic_table(episode))


def bag_dict(episode: Episode) -> dict[str, Any]:
    """The bag as plain data."""
    return {
        "path": str(episode.path.absolute()),
        "complete": episode.complete,
        "duration": episode.duration,
        "bytes": _bytes(episode),
        "messages": sum(episode.counts.values()),
        "topics": [
            {"topic": topic, "type": episode.types[topic], "messages": count}
            for topic, count in sorted(episode.counts.items())
        ],
        "controllers": list(dict.fromkeys(episode.controllers)),
        "latency_median": float(np.median(episode.latencies)) if len(episode.latencies) else None,
        "metadata": episode.metadata,
    }


def trial_table(episode: Episode) -> Table:
    """Two columns: what was recorded, and how it ended."""
    table = Table(show_header=False, title=escape(str(episode.path)))
    state = (
        "[green]complete[/]"
        if episode.complete
        else "[yellow]not closed: its recorder was killed; read as far as it goes[/]"
    )
    table.add_row("bag", state)
    table.add_row("duration", f"{episode.duration:.3f} s, {_bytes(episode) / 1e6:.2f} MB")
    table.add_row("commands by", escape(", ".join(dict.fromkeys(episode.controllers)) or "nobody"))
    if len(episode.latencies):
        p50, p99 = 1e3 * np.percentile(episode.latencies, (50, 99))
        table.add_row("state to command", f"median {p50:.2f} ms, 99 % within {p99:.2f} ms")
    for key, value in episode.metadata.items():
        text = f"{value:.6g}" if isinstance(value, float) else str(value)
        table.add_row(escape(key.replace("_", " ")), escape(text))
    return table


def topic_table(episode: Episode) -> Table:
    """Topics with type, number of messages and mean rate."""
    table = Table("topic", "type")
    table.add_column("messages", justify="right")
    table.add_column("mean rate", justify="right")
    for topic, count in sorted(episode.counts.items()):
        rate = f"{count / episode.duration:.1f} Hz" if episode.duration and count > 1 else "–"
        table.add_row(topic, episode.types[topic], str(count), rate)
    return table


def _bytes(episode: Episode) -> int:
    return sum(file.stat().st_size for file in episode.path.iterdir() if file.is_file())
