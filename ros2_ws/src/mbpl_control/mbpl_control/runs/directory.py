"""The directory of a run: whole after every iteration, whatever ends the process that writes it."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mbpl_control.core.errors import FileFormatError, MbplError, RefusedError
from mbpl_control.core.trial import Trial
from mbpl_control.core.user_files import read_text
from mbpl_control.learning.learner import IterationReport, Learner
from mbpl_control.runs.description import RunDescription
from mbpl_control.runs.metrics import metrics_table, times_table, write_table
from mbpl_control.runs.trial_archive import load_trials, save_trials


@dataclass(frozen=True)
class SavedIteration:
    """An iteration as it is kept.

    Attributes:
        path: its directory.
        report: what it did.
    """

    path: Path
    report: IterationReport

    @property
    def learner(self) -> Path:
        """Directory that the learner wrote: its controllers, dynamics and policy, and all that `restore` needs."""
        return self.path / "learner"

    def trials(self) -> list[Trial]:
        """The trials it learned from."""
        return load_trials(self.path / "trials.npz")

    def evaluation(self) -> list[Trial]:
        """The trials without exploration; none when the learner asked for none."""
        path = self.path / "evaluation.npz"
        return load_trials(path) if path.is_file() else []


class RunDirectory:
    """Keeps a run. An iteration is written under another name and renamed when all of it is on the disk.

        run.yaml                  what the run is
        iterations/NNN/           one directory an iteration, from 001:
            learner/              what the learner saved: controllers, dynamics, policy, its own state
            trials.npz            the trials it learned from; evaluation.npz those without exploration
            report.json           rows and events; times.json the wall time by part
        metrics.csv, .parquet     the rows of all iterations; times.csv the times: made from the iterations
        report.html               the same for people

    Everything but `run.yaml`, the times and the report depends on the description alone, to the last byte.

    Attributes:
        path: of the directory.
        description: what the run is.
    """

    def __init__(self, path: Path, description: RunDescription) -> None:
        """See `create`, `new` and `open`."""
        self.path, self.description = path, description

    @classmethod
    def create(cls, path: Path, description: RunDescription) -> RunDirectory:
        """Begin a run in a directory that does not exist yet, or is empty.

        Raises:
            RefusedError: there is something in it.
            MbplError: it cannot be made.
        """
        directory = cls.new(path, description)
        directory.begin()
        return directory

    @classmethod
    def new(cls, path: Path, description: RunDescription) -> RunDirectory:
        """A run to begin in a directory that does not exist yet, or is empty; nothing is written.

        Raises:
            RefusedError: there is something in it.
        """
        check_empty(path, "run.yaml", "mbpl train")
        return cls(path, description)

    def begin(self) -> None:
        """Write what the run is, unless it was begun before.

        Raises:
            MbplError: the directory cannot be made.
        """
        if (self.path / "run.yaml").is_file():
            return
        try:
            (self.path / "iterations").mkdir(parents=True, exist_ok=True)
            self.description.save(self.path / "run.yaml")
            sync(self.path)
        except OSError as error:
            raise MbplError(f"directory {self.path} cannot be made: {error}") from error

    @classmethod
    def open(cls, path: Path) -> RunDirectory:
        """A run that was begun.

        Raises:
            FileFormatError: there is none.
        """
        if not path.is_dir():
            raise FileFormatError(f"{path}: no such directory")
        return cls(path, RunDescription.load(path / "run.yaml"))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing to the run. The kernel lifts the lock when this process ends.

        Raises:
            RefusedError: another process holds it.
        """
        with locked(self.path):
            yield

    @property
    def newest(self) -> int:
        """Number of the newest iteration; 0 before the first."""
        numbers = self._numbers()
        return numbers[-1] if numbers else 0

    def iterations(self) -> list[SavedIteration]:
        """All iterations, in order.

        Raises:
            FileFormatError: one is missing or broken.
        """
        numbers = self._numbers()
        if numbers != list(range(1, len(numbers) + 1)):
            raise FileFormatError(f"{self.path / 'iterations'}: holds {numbers}; must be 1 to the newest without a gap")
        return [self._saved(number) for number in numbers]

    def save_iteration(
        self, learner: Learner, report: IterationReport, trials: Sequence[Trial], evaluation: Sequence[Trial]
    ) -> SavedIteration:
        """Keep what a learner became, and what it learned from; then the tables of the whole run.

        Raises:
            RefusedError: it is not the iteration that follows the newest.
            FileFormatError: the disk is full, or closed.
        """
        number = self.newest + 1
        if not learner.iteration == report.iteration == number:
            raise RefusedError(
                f"{self.path}: iteration {report.iteration} of a learner at {learner.iteration} cannot follow "
                f"{number - 1}"
            )
        final = self._path(number)
        partial = final.with_name(f".{final.name}.partial")
        try:
            # of a process that was killed while it wrote
            shutil.rmtree(partial, ignore_errors=True)
            (partial / "learner").mkdir(parents=True)
            learner.save(partial / "learner")
            save_trials(partial / "trials.npz", trials)
            if evaluation:
                save_trials(partial / "evaluation.npz", evaluation)
            write_json(partial / "report.json", {"rows": list(report.rows), "events": list(report.events)})
            write_json(partial / "times.json", dict(report.seconds))
            for directory, _, _ in os.walk(partial):
                sync(Path(directory))
            os.rename(partial, final)
            sync(final.parent)
        except OSError as error:
            raise FileFormatError(f"{final}: cannot be written: {error}") from error
        self.write_tables()
        return self._saved(number)

    def restore(self, learner: Learner) -> int:
        """Make a learner what it was after the newest iteration; its number, 0 when there is none.

        Raises:
            FileFormatError: what was saved is not of this learner.
        """
        number = self.newest
        if number:
            learner.restore(self._path(number) / "learner")
            if learner.iteration != number:
                raise FileFormatError(f"{self._path(number)}: holds a learner at iteration {learner.iteration}")
        return number

    def write_tables(self) -> None:
        """Write the tables anew from the iterations, so that they are right whatever happened before."""
        saved = self.iterations()
        if saved:
            table = metrics_table(saved)
            write_table(table, self.path / "metrics.parquet")
            write_table(table, self.path / "metrics.csv")
            write_table(times_table(saved), self.path / "times.csv")

    def _path(self, number: int) -> Path:
        return self.path / "iterations" / f"{number:03d}"

    def _numbers(self) -> list[int]:
        directory = self.path / "iterations"
        if not directory.is_dir():
            raise FileFormatError(f"{directory}: no such directory; a run has one")
        return sorted(int(entry.name) for entry in directory.iterdir() if entry.name.isdecimal())

    def _saved(self, number: int) -> SavedIteration:
        path = self._path(number)
        report, times = _read_json(path / "report.json"), _read_json(path / "times.json")
        try:
            rows, events = tuple(report["rows"]), tuple(report["events"])
        except (KeyError, TypeError) as error:
            raise FileFormatError(f"{path / 'report.json'}: not a report of an iteration: {error!r}") from error
        return SavedIteration(path, IterationReport(number, rows, events, times))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep other processes from writing to a directory. The kernel lifts the lock when this process ends.

    Raises:
        RefusedError: another process holds it.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(f"{path}: another process works on this run; wait for it, or end it") from error
        yield
    finally:
        os.close(descriptor)


def check_empty(path: Path, record: str, resume: str) -> None:
    """Refuse a directory that something is in.

    Args:
        path: of the directory.
        record: name of the file that says what such a directory is.
        resume: command that goes on with what is there.

    Raises:
        RefusedError: there is something.
    """
    if path.is_dir() and any(path.iterdir()):
        run = (path / record).is_file()
        hint = f"to go on with it: {resume} --resume {path}; " if run else ""
        what = "holds a run" if run else "is not empty"
        raise RefusedError(f"{path} {what}; nothing was changed. {hint}or choose another with --output")


def sync(directory: Path) -> None:
    """Have the names in a directory on the disk before anything that follows."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, content: Any) -> None:
    """Write JSON, and have it on the disk."""
    # numpy's numbers are written as Python's; NaN stays NaN, as json reads it back
    text = json.dumps(content, indent=1, default=lambda value: value.item())
    with open(path, "w", encoding="utf-8") as stream:
        stream.write(text + "\n")
        stream.flush()
        os.fsync(stream.fileno())


def _read_json(path: Path) -> Any:
    try:
        return json.loads(read_text(path))
    except ValueError as error:
        raise FileFormatError(f"{path}: cannot be read: {error}") from error
