"""`mbpl distill`: a policy from bags alone."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mbpl_control.core.errors import InvalidFieldError


def distill(
    bags: Annotated[Path, typer.Option("--bags", help="Directory of the bags; all below it are read.")],
    task: Annotated[str, typer.Option("--task", "-t", help="Name of the task, or path of its YAML.")],
    out: Annotated[Path, typer.Option("--out", help="New file of the policy, .npz.")],
    laws: Annotated[
        str, typer.Option(help="Which laws of a start teach: newest, each, or ensemble, all of them as one.")
    ] = "newest",
    teacher: Annotated[
        list[Path] | None, typer.Option("--teacher", help="A policy's file that teaches in place of laws; repeatable.")
    ] = None,
    members: Annotated[int, typer.Option(help="Networks of an ensemble that teaches the policy; 1: none.")] = 1,
    share: Annotated[
        float | None, typer.Option(help="Parameters of the policy, as a share of those of its teachers.")
    ] = None,
    temperature: Annotated[float, typer.Option(help="Of the teachers.")] = 1.0,
    combination: Annotated[str, typer.Option(help="Of the teachers: mixture or product.")] = "mixture",
    hidden: Annotated[str, typer.Option(help="Units of each hidden layer.")] = "64 64",
    covariance: Annotated[str, typer.Option(help="constant or state_dependent.")] = "constant",
    optimizer: Annotated[
        str, typer.Option(help="adam, natural_gradient, or both, of which the better is kept.")
    ] = "adam",
    iterations: Annotated[int, typer.Option(help="Most steps of Adam in a training.")] = 4000,
    neighbours: Annotated[int, typer.Option(help="States near each of a trial at which its law teaches.")] = 12,
    held_out: Annotated[
        float, typer.Option("--held-out", help="Share of the trials that end training early; 0: none.")
    ] = 0.2,
    clone_std: Annotated[
        float, typer.Option(help="Standard deviation stated for actions without a law, as a share of the limits.")
    ] = 0.05,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.", min=0)] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")] = False,
) -> None:
    """Train a neural policy from recorded trials, without simulator or graph.

    The laws that ran teach it, with their feedback and their noise; trials without a law teach their actions.
    """
    from mbpl_control.bags.recorded import find_bags
    from mbpl_control.cli.progress import progress_bar
    from mbpl_control.distill.distillation import DistillationOptions, distil
    from mbpl_control.distill.lessons import gather_bags
    from mbpl_control.policies import GaussianPolicy
    from mbpl_control.tasks import load_task

    target = check_new(out)
    try:
        units = tuple(int(part) for part in hidden.replace(",", " ").split())
    except ValueError as error:
        raise InvalidFieldError("mbpl distill", "--hidden", repr(hidden), "whole numbers, such as '64 64'") from error
    options = DistillationOptions(
        hidden=units,
        covariance=covariance,
        optimizer=optimizer,
        iterations=iterations,
        members=members,
        share=share,
        temperature=temperature,
        combination=combination,
        neighbours=neighbours,
        held_out=held_out,
        clone_std=clone_std,
        seed=seed,
    )
    loaded = load_task(task)
    teachers = [GaussianPolicy.load(path) for path in teacher or ()]
    paths = find_bags(bags)
    console = Console(stderr=True, soft_wrap=True, highlight=False)
    with progress_bar(console) as tell:
        lessons = gather_bags(paths, loaded, laws, lambda done, total: tell("reading bags", done, total))
        distilled = distil(loaded, lessons, options, teachers, tell)
    distilled.policy.save(target)
    if json:
        print(jsonlib.dumps({"policy": str(target), **distilled.report}, allow_nan=False))
        return
    show_report(distilled.report, Console(soft_wrap=True, highlight=False))
    print(f"policy: {target}")


def check_new(out: Path) -> Path:
    """The file to write.

    Raises:
        InvalidFieldError: it exists, or is to be of another format.
    """
    if out.suffix != ".npz":
        allowed = "a name that ends in .npz: arrays and JSON, nothing that is executed"
        raise InvalidFieldError("mbpl distill", "--out", str(out), allowed)
    if out.exists():
        raise InvalidFieldError("mbpl distill", "--out", str(out), "a file that does not exist")
    if not out.absolute().parent.is_dir():
        raise InvalidFieldError("mbpl distill", "--out", str(out), "a file in a directory that exists")
    return out


def show_report(report: dict[str, Any], console: Console) -> None:
    """What taught, and how each training ended."""
    laws = ", ".join(f"{row['condition']}: {escape(row['law'])} ({row['trials']})" for row in report["lessons"])
    kept = len(report["held_out_trials"])
    console.print(f"{report['trials']} trials, {kept} of them kept out; start: law (trials)  {laws}")
    _tell_discarded(report["discarded"], console)
    table = Table("network", "optimizer", "parameters", "steps", "loss", "kept out", "off by σ", "kept out", "s")
    for row in report["trainings"]:
        table.add_row(
            row["network"] + ("" if row["taken"] else " (not taken)"),
            row["trainer"],
            str(row["parameters"]),
            str(row["steps"]),
            *(
                "–" if row[key] is None else f"{row[key]:.4g}"
                for key in ("loss_after", "held_out_after", "disagreement", "disagreement_held_out")
            ),
            f"{row['seconds']:.1f}",
        )
    console.print(table)
    for note in report["notes"]:
        console.print(f"[yellow]{escape(note)}[/]")


def _tell_discarded(discarded: Sequence[dict[str, str]], console: Console) -> None:
    """How many trials taught nothing, by reason."""
    reasons: dict[str, int] = {}
    for row in discarded:
        reasons[row["why"]] = reasons.get(row["why"], 0) + 1
    for why, count in reasons.items():
        console.print(f"[yellow]{count} trials teach nothing:[/] {escape(why)}")
