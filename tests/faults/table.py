"""What the campaign measured: a table for people, a file for machines."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from graph import Pace
from report import Row, report
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scene import Result


def _milliseconds(value: float) -> str:
    return "" if math.isnan(value) else f"{1e3 * value:.0f}"


def figures(result: Result, pace: Pace) -> dict[str, Any]:
    """What is told of a case."""
    times = [j.time_to_safe for j in result.judgements if not math.isnan(j.time_to_safe)]
    count = len(result.judgements)
    return {
        "fault": result.case.fault.name,
        "controller": result.case.controller,
        "moment": result.case.moment,
        "repetitions": count,
        "leads_to": result.case.fault.expected.safe,
        "time_to_safe_p50": float(np.median(times)) if times else None,
        "time_to_safe_max": max(times) if times else None,
        "bound": result.case.fault.expected.bound(pace) if times else None,
        "request_max": max((j.owed for j in result.judgements), default=0.0),
        "late_max": max((j.late for j in result.judgements), default=0.0),
        "largest_step": max((j.step for j in result.judgements), default=0.0),
        "recovered": result.recovered,
        "spoiled_by_the_machine": result.stalled,
        "violations": result.violations,
    }


def table(results: Sequence[Result], pace: Pace) -> Table:
    """A line a case."""
    out = Table(title="faults", title_justify="left")
    out.add_column("fault")
    out.add_column("controller")
    out.add_column("moment")
    out.add_column("leads to")
    for heading in ("p50, ms", "max, ms", "bound, ms", "step, % of limit", "recovered", "violations"):
        out.add_column(heading, justify="right")
    for result in results:
        f = figures(result, pace)
        leads = {"": "goes on", None: "either"}.get(f["leads_to"], f["leads_to"])
        bad = len(f["violations"])
        out.add_row(
            escape(f["fault"]),
            f["controller"],
            f["moment"],
            leads,
            *("" if f[k] is None else _milliseconds(f[k]) for k in ("time_to_safe_p50", "time_to_safe_max", "bound")),
            f"{100.0 * f['largest_step']:.2f}",
            f"{f['recovered']} of {f['repetitions']}",
            f"[bold red]{bad}[/]" if bad else "0",
        )
    return out


def write(results: Sequence[Result], pace: Pace) -> None:
    """Print the table, and write `bench/results/faults.json`."""
    all_figures = [figures(r, pace) for r in results]
    rows = [Row("violations", sum(len(f["violations"]) for f in all_figures), "1", 0.0)]
    for f in all_figures:
        name = f"{f['fault']}, {f['controller']}, {f['moment']}"
        if f["time_to_safe_max"] is not None:
            rows.append(Row(f"{name}: time to safe, max", f["time_to_safe_max"], "s", f["bound"]))
        rows.append(Row(f"{name}: largest step", f["largest_step"], "1"))
    console = Console(width=170)
    console.print()
    console.print(table(results, pace))
    path = report("faults", rows, {"pace": asdict(pace), "cases": all_figures}, console=Console(file=io.StringIO()))
    console.print(f"written to {path}", style="dim", highlight=False)
