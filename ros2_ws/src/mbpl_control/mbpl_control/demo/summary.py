"""The demo's outcome as rows: one table for the terminal, the page, and one JSON file for other programs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from mbpl_control.demo.plates import inside_fraction
from mbpl_control.demo.plates_runtime import all_latencies
from mbpl_control.demo.program import (
    DISTURBED_FACTOR,
    FEEDBACK,
    HOLD,
    LEARNED,
    LEARNED_FACTOR,
    MPC,
    OPEN_LOOP,
    POLICY,
    SAMPLED,
    SWAP_LIMIT,
    TrialSpec,
)
from mbpl_control.demo.records import BagCheck, DemoResult, Promise, SwapRecord, TrialRecord

HEADINGS = (
    "task",
    "controller",
    "disturbance",
    "seed",
    "final distance",
    "cost",
    "deadline misses",
    "largest jump at a swap",
)
SHORT_HEADINGS = ("task", "controller", "disturbance", "final\ndistance", "cost", "deadline\nmisses", "jump at\na swap")
SHORT_LABELS = {
    OPEN_LOOP: "open loop",
    FEEDBACK: "feedback",
    SAMPLED: "sampled",
    MPC: "MPC",
    HOLD: "hold",
    LEARNED: "LQR-FLM",
    POLICY: "policy",
}


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        cells: text, one for each of `HEADINGS`.
        short: text, one for each of `SHORT_HEADINGS`, which fit a terminal of 80 columns.
        verdict: "good" or "bad" for a distance a promise is about; empty for others.
        bag: its directory's name.
    """

    cells: tuple[str, ...]
    short: tuple[str, ...]
    verdict: str
    bag: str


def judge(
    trials: Sequence[TrialRecord],
    swaps: Sequence[SwapRecord],
    bags: Sequence[BagCheck],
    within: float,
    training: Sequence[int] = (),
) -> tuple[Promise, ...]:
    """What the demo promises, held against what happened.

    Args:
        trials: all of them.
        swaps: all runs with swaps.
        bags: whether each can be read.
        within: m, distance the task's success allows.
        training: start conditions that something was learned from.
    """
    promises = []
    for world, factor in (("none", 1.0), ("push", DISTURBED_FACTOR), ("model error", DISTURBED_FACTOR)):
        mine = [t for t in trials if t.spec.world.name == world and t.spec.controller in (FEEDBACK, SAMPLED)]
        worst = max(t.final_distance for t in mine)
        limit = factor * within
        where = {"none": "undisturbed", "push": "pushed", "model error": "with the model error"}[world]
        text = f"feedback ends within {1e3 * limit:.0f} mm of the target, {where}"
        promises.append(Promise(text, f"{1e3 * worst:.1f} mm at most", worst <= limit))
    bare = min(t.final_distance for t in trials if (t.spec.controller, t.spec.world.name) == (OPEN_LOOP, "push"))
    limit = 2.0 * DISTURBED_FACTOR * within
    promises.append(
        Promise(f"open loop ends more than {1e3 * limit:.0f} mm away, pushed", f"{1e3 * bare:.0f} mm", bare > limit)
    )
    promises += _learned_promises(trials, within, training)
    jump = max(s.largest_jump for s in swaps)
    count = sum(len(s.swaps) for s in swaps)
    promises.append(
        Promise(
            f"no command jumps by more than {100.0 * SWAP_LIMIT:.0f} % of its limit at a swap",
            f"{100.0 * jump:.2f} % at most, {count} swaps",
            jump <= SWAP_LIMIT,
        )
    )
    broken = [b for b in bags if b.problem]
    found = f"{len(bags)} bags, {sum(b.messages for b in bags)} messages"
    if broken:
        found = "; ".join(f"{b.path.name}: {b.problem}" for b in broken)
    promises.append(Promise("every bag is read by two independent libraries", found, not broken))
    return tuple(promises)


def _learned_promises(trials: Sequence[TrialRecord], within: float, training: Sequence[int]) -> list[Promise]:
    """Of what was learned, at the starts it was learned from."""
    limit, promises = LEARNED_FACTOR * within, []
    for controller, what in ((LEARNED, "the controller"), (POLICY, "the policy")):
        mine = [t for t in trials if t.spec.controller == controller and t.spec.condition in training]
        if mine:
            worst = max(t.final_distance for t in mine)
            text = f"{what} learned without a model ends within {1e3 * limit:.0f} mm, where it was learned"
            promises.append(Promise(text, f"{1e3 * worst:.1f} mm at most, {len(mine)} trials", worst <= limit))
    return promises


def rows(result: DemoResult, within: float) -> tuple[Row, ...]:
    """The table: trials, then runs with swaps."""
    out = []
    for t in result.trials:
        verdict = "good" if t.final_distance <= allowance(t.spec) * within else "bad"
        distance, cost, misses = f"{1e3 * t.final_distance:.1f} mm", f"{t.cost:.1f}", str(t.deadline_misses)
        who = t.spec.controller + (f", start {t.spec.condition}" if t.spec.controller == POLICY else "")
        cells = (result.task, who, t.spec.world.text, str(t.spec.seed), distance, cost, misses, "–")
        label = SHORT_LABELS[t.spec.controller] + (f", seed {t.spec.seed}" if t.spec.controller == SAMPLED else "")
        label += f", start {t.spec.condition}" if t.spec.controller in (LEARNED, POLICY) else ""
        short = (result.task, label, t.spec.world.short, distance, cost, misses, "–")
        out.append(Row(cells, short, verdict, t.bag.name))
    for s in result.swaps:
        names = [s.swaps[0].before, *(swap.after for swap in s.swaps)]
        misses, jump = str(s.deadline_misses), f"{100.0 * s.largest_jump:.2f} %"
        cells = (result.task, " → ".join(names), "none", "–", "–", "–", misses, jump)
        short = (result.task, " → ".join(SHORT_LABELS.get(n, n) for n in names), "none", "–", "–", misses, jump)
        out.append(Row(cells, short, "", s.bag.name))
    return tuple(out)


def allowance(spec: TrialSpec) -> float:
    """Times the distance the task's success allows that a trial may end at."""
    if spec.controller in (LEARNED, POLICY):
        return LEARNED_FACTOR
    return 1.0 if spec.world.name == "none" else DISTURBED_FACTOR


def terminal_table(table_rows: Sequence[Row]) -> Table:
    """The rows for the terminal."""
    title = "trials and swaps"
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True, title=title, title_justify="left")
    for i, heading in enumerate(SHORT_HEADINGS):
        table.add_column(heading, justify="left" if i < 3 else "right", vertical="middle")
    styles = {"good": "green", "bad": "yellow"}
    for row in table_rows:
        cells = [Text(cell) for cell in row.short]
        if row.verdict:
            cells[3].stylize(styles[row.verdict])
        table.add_row(*cells)
    return table


def promise_lines(promises: Sequence[Promise]) -> list[str]:
    """A line for each promise, with rich markup."""
    return [f"[{'green]✓' if p.kept else 'red]✗'}[/] {p.text}: [bold]{p.found}[/]" for p in promises]


def as_json(result: DemoResult) -> dict[str, Any]:
    """The outcome as plain data."""
    latencies = 1e3 * all_latencies(result)
    p50, p99, largest = np.percentile(latencies, (50, 99, 100))
    return {
        "task": result.task,
        "started": result.started,
        "seconds": result.seconds,
        "kept": result.kept,
        "promises": [{"text": p.text, "found": p.found, "kept": p.kept} for p in result.promises],
        "trials": [
            {
                "controller": t.spec.controller,
                "disturbance": t.spec.world.name,
                "condition": t.spec.condition,
                "seed": t.spec.seed,
                "final_distance": t.final_distance,
                "cost": t.cost if math.isfinite(t.cost) else None,
                "deadline_misses": t.deadline_misses,
                "bag": t.bag.name,
                "command": t.spec.command,
            }
            for t in result.trials
        ],
        "swaps": [
            {
                "run": s.name,
                "largest_jump": s.largest_jump,
                "deadline_misses": s.deadline_misses,
                "bag": s.bag.name,
                "swaps": [
                    {
                        "time": swap.time,
                        "before": swap.before,
                        "after": swap.after,
                        "speed": swap.speed,
                        "jump": float(swap.jumps.max()),
                        "change": float(swap.changes.max()),
                    }
                    for swap in s.swaps
                ],
            }
            for s in result.swaps
        ],
        "learned": _learned_json(result),
        "latency_ms": {"p50": p50, "p99": p99, "max": largest, "commands": len(latencies)},
        "inside_two_sigma": inside_fraction(result),
        "repeated": list(result.repeated),
        "bags": [{"bag": b.path.name, "messages": b.messages, "problem": b.problem} for b in result.bags],
        "versions": dict(result.versions),
    }


def _learned_json(result: DemoResult) -> dict[str, Any] | None:
    learned = result.learned
    if learned is None:
        return None
    return {
        "run": learned.directory.name,
        "iterations": len(learned.reports),
        "trials": learned.trials,
        "seconds": learned.seconds,
        "cost": [report.mean("cost") for report in learned.reports],
    }
