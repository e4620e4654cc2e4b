"""Commands on the running graph."""

from __future__ import annotations

import json as jsonlib
import math
import time
from pathlib import Path

from mbpl_msgs.action import RunTrial
from mbpl_msgs.msg import ManagerStatus
from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.conversions import trial_from_msg

MODE_STYLES = {
    "idle": "dim",
    "active": "green",
    "fallback": "yellow",
    "zero": "red",
    "emergency_stop": "bold red",
}


def switch_to(controller: str, timeout: float, namespace: str) -> None:
    """Activate `controller` in place of what is active."""
    with GraphClient(namespace) as graph:
        Console().print(graph.activate(controller, timeout))


def stop(reason: str, reset: bool, namespace: str) -> None:
    """Emergency stop, or lift it."""
    with GraphClient(namespace) as graph:
        text = graph.reset_emergency_stop() if reset else graph.emergency_stop(reason)
        Console().print(text)


def show_status(once: bool, as_json: bool, namespace: str) -> None:
    """Print the manager's status once, or keep a live table until interrupted."""
    console = Console()
    with GraphClient(namespace) as graph:
        newest = graph.status()
        if as_json:
            console.print_json(jsonlib.dumps(status_dict(newest)))
            return
        if once:
            console.print(status_table(newest))
            return
        with Live(status_table(newest), console=console, refresh_per_second=10) as live:
            while True:
                seen = newest
                newest = graph.wait_status(lambda status, seen=seen: status is not seen)  # type: ignore[misc]
                live.update(status_table(newest))


def status_table(status: ManagerStatus) -> Table:
    """A table of the manager's controllers, with its mode and counters around it."""
    style = MODE_STYLES.get(status.mode, "")
    title = f"[{style}]{status.mode}[/] {status.reason}".rstrip()
    misses = f"{status.deadline_misses} of {status.ticks}"
    table = Table(
        title=title,
        caption=(
            f"{status.measured_rate:.0f} of {status.rate:.0f} Hz · tick {1e6 * status.tick_time_mean:.0f} µs mean, "
            f"{1e6 * status.tick_time_max:.0f} µs max · state {_age(status.state_age)} old · misses {misses} · "
            f"clamped {status.clamped} · fallbacks {status.fallbacks} · switches {status.switches}, largest step "
            f"{100 * status.largest_switch_step:.2f} % of a limit"
            + (f"\nlast refusal: {status.last_refusal}" if status.last_refusal else "")
        ),
    )
    for column in ("controller", "state", "type", "mode", "law", "law age", "reason"):
        table.add_column(column)
    for c in status.controllers:
        name = f"[bold green]{c.name}[/]" if c.state == "active" else c.name
        law = str(c.law_sequence) if c.law_age >= 0.0 else "–"
        table.add_row(name, c.state, c.type, c.mode, law, _age(c.law_age), c.reason)
    return table


def status_dict(status: ManagerStatus) -> dict[str, object]:
    """The status as plain data."""
    fields = [f for f in status.get_fields_and_field_types() if f not in ("header", "controllers")]
    data: dict[str, object] = {name: _plain(getattr(status, name)) for name in fields}
    data["controllers"] = [
        {name: _plain(getattr(c, name)) for name in c.get_fields_and_field_types()}
        for c in status.controllers
    ]
    return data


def run_trial(
    controller: str,
    condition: int,
    seed: int,
    record: bool,
    bag: Path | None,
    label: str,
    save: Path | None,
    as_json: bool,
    namespace: str,
) -> None:
    """Run one trial with a progress bar, print its outcome."""
    console = Console(stderr=as_json)
    goal = RunTrial.Goal(
        condition=condition,
        controller=controller,
        seed=seed,
        record=record,
        bag="" if bag is None else str(bag.resolve()),
        label=label,
    )
    start = time.monotonic()
    with (
        GraphClient(namespace) as graph,
        Progress(
            TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), console=console
        ) as progress,
    ):
        bar = progress.add_task("reset", total=None)

        def show(feedback: RunTrial.Feedback) -> None:
            progress.update(
                bar,
                description=feedback.phase,
                total=feedback.steps or None,
                completed=feedback.step,
            )

        result = graph.run_trial(goal, on_feedback=show)
    trial = trial_from_msg(result.trial)
    if save is not None:
        trial.save(save)
    outcome = {
        "task": trial.task,
        "controller": trial.controller,
        "condition": trial.condition,
        "seed": trial.seed,
        "steps": trial.steps,
        "cost": result.cost,
        "success": trial.success,
        "final_distance": None if math.isnan(result.final_distance) else result.final_distance,
        "stop_reason": trial.stop_reason,
        "bag": result.bag,
        "seconds": time.monotonic() - start,
    }
    if as_json:
        print(jsonlib.dumps(outcome))
        return
    table = Table(show_header=False)
    for key, value in outcome.items():
        table.add_row(key.replace("_", " "), f"{value:.6g}" if isinstance(value, float) else str(value))
    console.print(table)


def _age(seconds: float) -> str:
    return "–" if seconds < 0.0 else f"{1e3 * seconds:.1f} ms" if seconds < 1.0 else f"{seconds:.1f} s"


def _plain(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) else list(value)  # type: ignore[call-overload]
