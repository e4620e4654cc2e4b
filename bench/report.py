"""What every benchmark shares: rows with targets, a table for people, a JSON file for machines."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

#: Where results are kept.
RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Row:
    """One measured figure.

    Attributes:
        name: what was measured; a peer's row names the peer and its version.
        value: the figure, the median where it was measured more than once.
        unit: of value, target and spread; "1" for a ratio or a count.
        target: what it should be; None for a figure that is only told.
        better: "lower" or "higher": on which side of the target it should lie.
        spread: between which figures the measurements lie, outliers left out; None when it was measured once.
    """

    name: str
    value: float
    unit: str
    target: float | None = None
    better: str = "lower"
    spread: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        """Check the one word that is not free."""
        if self.better not in ("lower", "higher"):
            raise ValueError(f"row '{self.name}': better is {self.better!r}; must be 'lower' or 'higher'")

    @classmethod
    def of_samples(
        cls, name: str, samples: Sequence[float], unit: str, target: float | None = None, better: str = "lower"
    ) -> Row:
        """The median of repeated measurements, with the middle half of them as spread."""
        low, median, high = np.percentile(np.asarray(samples, dtype=np.float64), (25.0, 50.0, 75.0))
        return cls(name, float(median), unit, target, better, (float(low), float(high)))

    @property
    def met(self) -> bool | None:
        """Whether the target was met; None without a target."""
        if self.target is None:
            return None
        return self.value <= self.target if self.better == "lower" else self.value >= self.target

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "target": self.target,
            "better": self.better,
            "met": self.met,
            "spread": None if self.spread is None else list(self.spread),
        }


def machine() -> str:
    """Processor, number of cores and system, in one line."""
    model, cores = platform.processor() or platform.machine(), os.cpu_count() or 0
    info = Path("/proc/cpuinfo")
    if info.is_file():
        lines = info.read_text(encoding="utf-8", errors="replace").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{model}, {cores} cores, {system}"


def commit() -> str:
    """The commit the benchmark ran on, with "+changes" when files differ from it; "unknown" outside a repository."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(RESULTS.parent), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "HEAD") + ("+changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def report(
    bench: str,
    rows: Sequence[Row],
    details: Mapping[str, Any] | None = None,
    directory: Path = RESULTS,
    console: Console | None = None,
) -> Path:
    """Print the rows and write `directory`/`bench`.json.

    Args:
        bench: name of the benchmark.
        rows: what was measured.
        details: further JSON data worth keeping, such as versions and settings.
        directory: where the file goes; made when it is missing.
        console: where the table goes; standard output when None.

    Returns:
        The file written.
    """
    content = {
        "bench": bench,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "commit": commit(),
        "rows": [row.to_dict() for row in rows],
        "details": dict(details or {}),
    }
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{bench}.json"
    path.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")
    console = Console() if console is None else console
    console.print(_table(bench, rows))
    console.print(f"{content['machine']}; commit {content['commit']}", style="dim", highlight=False)
    console.print(f"written to {path}", style="dim", highlight=False)
    return path


def _table(bench: str, rows: Sequence[Row]) -> Table:
    table = Table(title=f"bench {bench}", title_justify="left")
    table.add_column("what")
    for heading in ("value", "unit", "middle half", "target"):
        table.add_column(heading, justify="left" if heading == "unit" else "right")
    table.add_column("met")
    for row in rows:
        spread = "" if row.spread is None else f"{_figure(row.spread[0])} .. {_figure(row.spread[1])}"
        sign = "≤" if row.better == "lower" else "≥"
        target = "" if row.target is None else f"{sign} {_figure(row.target)}"
        met = {True: "[green]yes[/]", False: "[bold red]no[/]", None: ""}[row.met]
        unit = "" if row.unit == "1" else row.unit
        table.add_row(escape(row.name), _figure(row.value), unit, spread, target, met)
    return table


def _figure(value: float) -> str:
    """Four significant digits, without an exponent where there is no need."""
    return f"{value:.0f}" if abs(value) >= 1000.0 or value == int(value) else f"{value:.4g}"
