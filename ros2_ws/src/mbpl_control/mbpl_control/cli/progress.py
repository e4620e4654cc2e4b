"""How far something long is, on the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn


class Tell(Protocol):
    """Told what is done, and how much of how much."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show it."""


@contextmanager
def progress_bar(console: Console) -> Iterator[Tell]:
    """A line that tells what is done, how far, and since when; it goes away at the end."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("starting", total=None)

        def tell(what: str, done: int, total: int) -> None:
            progress.update(bar, description=what, completed=done, total=total)

        yield tell
