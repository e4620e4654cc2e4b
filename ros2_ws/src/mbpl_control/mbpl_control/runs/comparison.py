"""The report of methods side by side: until solved, by steps of the environment and by wall time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mbpl_control.core.errors import RefusedError
from mbpl_control.report.page import write_page
from mbpl_control.runs.comparison_plates import comparison_plates
from mbpl_control.runs.curves import Curve
from mbpl_control.runs.report import number


@dataclass(frozen=True)
class MethodRow:
    """A method in the table, each of its cells a text for every seed.

    Attributes:
        name: of the method.
        seeds: in order.
        solved_steps: steps until solved.
        solved_seconds: s of learning until solved.
        last: mean return of the last evaluation.
        success: share of its episodes that met the task's rule.
        notes: what else there is to say.
    """

    name: str
    seeds: list[str]
    solved_steps: list[str]
    solved_seconds: list[str]
    last: list[str]
    success: list[str]
    notes: list[str]


def write_comparison(
    path: Path,
    title: str,
    curves: Sequence[Curve],
    enough: float,
    facts: Mapping[str, str],
    notes: Sequence[str] = (),
) -> Path:
    """Write the page; its path.

    Args:
        path: of the page.
        title: of it.
        curves: every seed of every method.
        enough: mean return that solves the problem where it has no rule of success.
        facts: what ran, by name.
        notes: what could not be told, and why.

    Raises:
        RefusedError: nothing was judged yet.
    """
    if not curves:
        raise RefusedError(" ".join(["nothing was judged yet, so there is nothing to compare.", *notes]))
    methods = list(dict.fromkeys(curve.method for curve in curves))
    judged = any(each.successes for curve in curves for each in curve.evaluations)
    return write_page(
        Path(__file__).with_name("comparison.html.j2"),
        path,
        title,
        comparison_plates(curves, enough),
        rows=[method_row(name, [c for c in curves if c.method == name], enough) for name in methods],
        rule=_rule(judged, enough),
        judged=judged,
        facts=facts,
        notes=notes,
    )


def method_row(name: str, curves: Sequence[Curve], enough: float) -> MethodRow:
    """The row of a method."""
    solved = [curve.solved(enough) for curve in curves]
    last = [curve.evaluations[-1] for curve in curves]
    notes = [f"seed {curve.seed}: {curve.note}" for curve in curves if curve.note]
    if notes and len({curve.note for curve in curves}) == 1 and len(notes) == len(curves):
        notes = [curves[0].note]
    return MethodRow(
        name,
        [str(curve.seed) for curve in curves],
        ["–" if each is None else str(each.steps) for each in solved],
        ["–" if each is None else f"{each.seconds:.1f}" for each in solved],
        [number(each.mean) for each in last],
        [f"{100.0 * np.mean(each.successes):.0f} %" if each.successes else "–" for each in last],
        notes,
    )


def _rule(judged: bool, enough: float) -> str:
    if judged:
        return "three evaluations in a row in which every episode met the task's rule of success"
    if math.isnan(enough):
        return "nothing: the problem says of no return that it is enough"
    return f"three evaluations in a row with a mean return of at least {enough:g}"
