"""Commands on the running graph."""

from __future__ import annotations

import json as jsonlib
import math
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from diagnostic_msgs.msg import DiagnosticStatus
from mbpl_msgs.msg import ManagerStatus
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from mbpl_control.nodes.client import GraphClient

MODE_STYLES = {
    "idle": "dim",
    "active": "green",
    "fallback": "yellow",
    "zero": "red",
    "emergency_stop": "bold red",
}
#: s a report may be late.
REPORT_DELAY = 0.3
#: How a level of `/diagnostics` reads.
LEVELS = {
    DiagnosticStatus.OK: ("ok", "green"),
    DiagnosticStatus.WARN: ("warn", "yellow"),
    DiagnosticStatus.ERROR: ("error", "bold red"),
    DiagnosticStatus.STALE: ("stale", "dim"),
}
#: Figures of the manager that stand in its own table already.
_IN_TABLE = (
    "state age",
    "rate",
    "tick",
    "deadline misses",
    "switches",
    "fallbacks",
    "last refusal",
    "law age",
    "active",
)


@contextmanager
def joined(namespace: str) -> Iterator[GraphClient]:
    """A client of the graph; meanwhile what the middleware prints goes to standard error, not between our lines.

    Fast DDS writes some of its errors to standard output, where they would spoil what `--json` promises.
    """
    sys.stdout.flush()
    before, ours = sys.stdout, os.dup(1)
    os.dup2(2, 1)
    sys.stdout = os.fdopen(os.dup(ours), "w", buffering=1, encoding="utf-8")
    try:
        with GraphClient(namespace) as graph:
            yield graph
    finally:
        sys.stdout.close()
        sys.stdout = before
        os.dup2(ours, 1)
        os.close(ours)


def switch_to(controller: str, timeout: float, namespace: str) -> None:
    """Activate `controller` in place of what is active."""
    with joined(namespace) as graph:
        Console().print(graph.activate(controller, timeout))


def stop(reason: str, reset: bool, namespace: str) -> None:
    """Emergency stop, or lift it."""
    with joined(namespace) as graph:
        text = graph.reset_emergency_stop() if reset else graph.emergency_stop(reason)
        Console().print(text)


def show_status(once: bool, as_json: bool, namespace: str) -> None:
    """Print the manager's status once, or keep a live table until interrupted."""
    console = Console()
    with joined(namespace) as graph:
        newest = graph.status()
        if as_json or once:
            # every node reports once a second
            time.sleep(1.0 + REPORT_DELAY)
            said = graph.diagnostics()
            if as_json:
                console.print_json(jsonlib.dumps(status_dict(newest) | {"diagnostics": diagnostics_dict(said)}))
            else:
                console.print(Group(status_table(newest), diagnostics_table(said)))
            return
        with Live(status_table(newest), console=console, refresh_per_second=10) as live:
            while True:
                seen = newest
                newest = graph.wait_status(lambda status, seen=seen: status is not seen)  # type: ignore[misc]
                live.update(Group(status_table(newest), diagnostics_table(graph.diagnostics())))


def status_table(status: ManagerStatus) -> Table:
    """A table of the manager's controllers, with its mode and counters around it."""
    lines = [
        f"{status.measured_rate:.0f} of {status.rate:.0f} Hz · tick {1e6 * status.tick_time_mean:.0f} µs mean, "
        f"{1e6 * status.tick_time_max:.0f} µs max · state {_age(status.state_age)} old",
        f"misses {status.deadline_misses} of {status.ticks} · clamped {status.clamped} · fallbacks {status.fallbacks}",
        f"switches {status.switches}, largest step {100 * status.largest_switch_step:.2f} % of a limit",
    ]
    if status.last_switch:
        lines.append(f"last switch: {status.last_switch}")
    if status.last_refusal:
        lines.append(f"last refusal: {status.last_refusal}")
    table = Table(
        title=Text.assemble((status.mode, MODE_STYLES.get(status.mode, "")), " ", status.reason),
        title_style="not italic",
        caption=Text("\n".join(lines)),
        caption_justify="left",
    )
    for column in ("controller", "state", "type", "mode", "law", "law age", "reason"):
        table.add_column(column)
    for c in status.controllers:
        law = str(c.law_sequence) if c.law_age >= 0.0 else "–"
        cells = (c.name, c.state, c.type, c.mode, law, _age(c.law_age), c.reason)
        table.add_row(*(Text(cell) for cell in cells), style="bold green" if c.state == "active" else None)
    return table


def diagnostics_table(said: Sequence[DiagnosticStatus]) -> Table:
    """A row for each node: how it is, and the figures it counts that are not zero."""
    table = Table()
    for column in ("node", "level", "says", "figures"):
        table.add_column(column)
    for status in said:
        word, style = LEVELS[status.level]
        figures = [(v.key, v.value) for v in status.values if v.value not in ("", "0")]
        if status.name.endswith(": control"):
            figures = [(key, value) for key, value in figures if not key.startswith(_IN_TABLE)]
        text = " · ".join(f"{key} {value}" for key, value in figures)
        name = status.name.rpartition("/")[2]
        table.add_row(Text(name), Text(word, style), Text(status.message), Text(text))
    return table


def diagnostics_dict(said: Sequence[DiagnosticStatus]) -> dict[str, dict[str, object]]:
    """What the nodes say, as plain data by name."""
    return {
        s.name: {"level": LEVELS[s.level][0], "message": s.message, "figures": {v.key: v.value for v in s.values}}
        for s in said
    }


def status_dict(status: ManagerStatus) -> dict[str, object]:
    """The status as plain data."""
    fields = [f for f in status.get_fields_and_field_types() if f not in ("header", "controllers")]
    data: dict[str, object] = {name: _plain(getattr(status, name)) for name in fields}
    data["controllers"] = [
        {name: _plain(getattr(c, name)) for name in c.get_fields_and_field_types()} for c in status.controllers
    ]
    return data


def _age(seconds: float) -> str:
    return "–" if seconds < 0.0 else f"{1e3 * seconds:.1f} ms" if seconds < 1.0 else f"{seconds:.1f} s"


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) else list(value)  # type: ignore[call-overload]
