"""`mbpl bags`: what recorded bags hold, and what is wrong with them.

Rooms are imported by the commands that use them: the shell's own start is fast.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from mbpl_control.bags.inspection import BagFigures

bags = typer.Typer(help="Show, check and draw recorded bags.", no_args_is_help=True)

Directory = Annotated[Path, typer.Argument(help="A bag, or a directory with bags below it.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
TaskOption = Annotated[
    str | None, typer.Option("--task", "-t", help="Name of a task, or path of a YAML: for bags by another recorder.")
]


@bags.command("list")
def list_bags(directory: Directory, json: JsonOption = False) -> None:
    """List bags with the trial of each, from their metadata alone."""
    from mbpl_control.bags.recorded import find_bags
    from mbpl_control.cli.bag_tables import print_list

    print_list(find_bags(directory), json)


@bags.command()
def info(directory: Directory, json: JsonOption = False) -> None:
    """Show what each bag holds: trial, topics, counts, rates, how long commands took."""
    from mbpl_control.cli.bag_tables import print_info
    from mbpl_control.core import BagError

    for figures in _inspected(directory):
        if figures.error:
            raise BagError(figures.error)
        if not figures.messages:
            raise BagError(f"{figures.path}: holds no messages")
        print_info(figures, json)


@bags.command()
def check(directory: Directory, task: TaskOption = None, json: JsonOption = False) -> None:
    """Check each bag: file, topics, types, rates, gaps, order, clock, numbers, joints, deadlines, trials.

    Exit code 1 when something of a bag cannot be learned from.
    """
    from mbpl_control.bags.checks import check_bags
    from mbpl_control.cli.doctor import print_sections
    from mbpl_control.tasks import load_task

    known = None if task is None else load_task(task)
    found = check_bags(list(_inspected(directory)), known)
    if not print_sections({str(path): findings for path, findings in found.items()}, json):
        raise typer.Exit(1)


@bags.command()
def plot(
    directory: Directory,
    output: Annotated[Path, typer.Option(help="File to write: .png, .svg or .pdf.")] = Path("bags.png"),
    task: TaskOption = None,
) -> None:
    """Draw the trials of all bags over each other: states, actions with the law's deviations, costs."""
    from mbpl_control.bags.recorded import find_bags, read_all
    from mbpl_control.cli.bag_plot import draw_trials
    from mbpl_control.tasks import load_task

    paths = find_bags(directory)
    known = None if task is None else load_task(task)
    with _progress("reading", len(paths)) as told:
        aborted: list[str] = []
        trials = read_all(
            paths, known, lambda done, _: told(done), lambda path, why: aborted.append(f"{path}: not drawn: {why}")
        )
        count = draw_trials(trials, output)
    for line in aborted:
        typer.echo(line, err=True)
    typer.echo(f"{count} trials in {output}")


def _inspected(directory: Path) -> Iterator[BagFigures]:
    from mbpl_control.bags.inspection import inspect
    from mbpl_control.bags.recorded import find_bags

    paths = find_bags(directory)
    with _progress("reading", len(paths)) as told:
        for number, path in enumerate(paths):
            yield inspect(path)
            told(number + 1)


@contextmanager
def _progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        row = bar.add_task(what, total=total)
        yield lambda done: bar.update(row, completed=done)
