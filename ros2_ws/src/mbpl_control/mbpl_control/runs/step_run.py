"""The directory of a run of a step learner: what it is, and how good each seed was after how many steps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mbpl_control.core.errors import DefinitionMismatchError, FileFormatError, MbplError
from mbpl_control.core.user_files import read_text
from mbpl_control.runs.directory import check_empty, locked, sync, write_json
from mbpl_control.runs.metrics import table_of, write_table
from mbpl_control.runs.record import load_record, save_record

if TYPE_CHECKING:
    from mbpl_control.mbrl.evaluation import Evaluation
    from mbpl_control.policies.policy import GaussianPolicy

#: Version of the layout that this code writes and reads.
SCHEMA = 1
RECORD = "steps.yaml"


@dataclass(frozen=True)
class StepRunDescription:
    """The content of `steps.yaml`.

    Attributes:
        method: name of the learner, e.g. "sac".
        problem: as `load_problem` takes it: the absolute path of a task's file, or "gym:NAME".
        name: of the problem.
        task_hash: of the task's content and the robot's file; empty for a task of Gymnasium.
        steps: of the environment that each seed has.
        every: steps between two evaluations.
        episodes: of an evaluation, from each start.
        seeds: of everything drawn.
        options: of the learner, those that are not its own, by path.
        started: local time.
        versions: of what ran when it began.
        commit: of the sources, see `core.versions.commit`.
    """

    method: str
    problem: str
    name: str
    task_hash: str
    steps: int
    every: int
    episodes: int
    seeds: Sequence[int]
    options: Mapping[str, Any] = field(default_factory=dict)
    started: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    commit: str = ""

    def check_task(self, task_hash: str) -> None:
        """Refuse to go on with a task that is not that of the run.

        Raises:
            DefinitionMismatchError: its file, or its robot's, was changed.
        """
        if task_hash != self.task_hash:
            raise DefinitionMismatchError(
                f"the run learns '{self.name}' ({self.task_hash}); {self.problem} is another by now ({task_hash}): "
                "undo the change, or begin a new run"
            )


class StepRun:
    """Keeps a run of one method with some seeds.

        steps.yaml                       what the run is
        seeds/N/evaluations.parquet      a row an episode of an evaluation: see `evaluations`
        seeds/N/policy.npz               of the end, where the learner has a policy
        seeds/N/finished.json            written last: `policy`, the file's name, or `why` there is none
        evaluations.csv, .parquet        of all seeds
        report.html                      the same for people

    A learner of steps is not kept half-way. A seed that was interrupted begins anew, and since a seed decides
    everything, it comes to the same; one that is finished stays.

    Attributes:
        path: of the directory.
        description: what the run is.
    """

    def __init__(self, path: Path, description: StepRunDescription) -> None:
        """See `new` and `open`."""
        self.path, self.description = path, description

    @classmethod
    def new(cls, path: Path, description: StepRunDescription) -> StepRun:
        """A run to begin in a directory that does not exist yet, or is empty; nothing is written.

        Raises:
            RefusedError: there is something in it.
        """
        check_empty(path, RECORD, "mbpl train")
        return cls(path, description)

    @classmethod
    def open(cls, path: Path) -> StepRun:
        """A run that was begun.

        Raises:
            FileFormatError: there is none.
        """
        if not path.is_dir():
            raise FileFormatError(f"{path}: no such directory")
        whole = dict.fromkeys(("steps", "every", "episodes"), int)
        others = {"seeds": list, "options": dict, "versions": dict}
        return cls(path, load_record(StepRunDescription, path / RECORD, SCHEMA, {**whole, **others}, "run"))

    @staticmethod
    def is_at(path: Path) -> bool:
        """Whether a directory is that of such a run."""
        return (path / RECORD).is_file()

    def begin(self) -> None:
        """Write what the run is, unless it was begun before.

        Raises:
            MbplError: the directory cannot be made.
        """
        if self.is_at(self.path):
            return
        try:
            (self.path / "seeds").mkdir(parents=True, exist_ok=True)
            save_record(self.description, self.path / RECORD, SCHEMA)
            sync(self.path)
        except OSError as error:
            raise MbplError(f"directory {self.path} cannot be made: {error}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing to the run.

        Raises:
            RefusedError: another process holds it.
        """
        with locked(self.path):
            yield

    @property
    def left(self) -> list[int]:
        """Seeds that are not finished."""
        return [seed for seed in self.description.seeds if not self._finished(seed).is_file()]

    def seed_path(self, seed: int) -> Path:
        """Directory of a seed."""
        return self.path / "seeds" / str(seed)

    def save_evaluations(self, seed: int, evaluations: Sequence[Evaluation]) -> None:
        """Keep how good the learner of a seed was so far.

        Raises:
            FileFormatError: the disk is full, or closed.
        """
        directory = self.seed_path(seed)
        try:
            directory.mkdir(parents=True, exist_ok=True)
            write_table(table_of(evaluation_rows(seed, evaluations)), directory / "evaluations.parquet")
        except OSError as error:
            raise FileFormatError(f"{directory}: cannot be written: {error}") from error

    def finish(self, seed: int, policy: GaussianPolicy | None, why: str = "") -> None:
        """A seed is done.

        Args:
            seed: of the learner.
            policy: it ends with; None where it has none to keep.
            why: it has none.

        Raises:
            FileFormatError: the disk is full, or closed.
        """
        directory = self.seed_path(seed)
        try:
            if policy is not None:
                policy.save(directory / "policy.npz")
            write_json(self._finished(seed), {"policy": None if policy is None else "policy.npz", "why": why})
        except OSError as error:
            raise FileFormatError(f"{directory}: cannot be written: {error}") from error

    def note(self, seed: int) -> str:
        """Why a finished seed left no policy; empty where it did."""
        try:
            return str(json.loads(read_text(self._finished(seed)))["why"])
        except (ValueError, KeyError, TypeError) as error:
            raise FileFormatError(f"{self._finished(seed)}: cannot be read: {error!r}") from error

    def evaluations(self, seed: int) -> list[Evaluation]:
        """How good the learner of a seed was, in order; none before the first.

        Raises:
            FileFormatError: the file is broken.
        """
        path = self.seed_path(seed) / "evaluations.parquet"
        return read_evaluations(path) if path.is_file() else []

    def write_tables(self) -> None:
        """Write the tables of all seeds anew."""
        rows = [row for seed in self.description.seeds for row in evaluation_rows(seed, self.evaluations(seed))]
        if rows:
            write_table(table_of(rows), self.path / "evaluations.parquet")
            write_table(table_of(rows), self.path / "evaluations.csv")

    def _finished(self, seed: int) -> Path:
        return self.seed_path(seed) / "finished.json"


def evaluation_rows(seed: int, evaluations: Sequence[Evaluation]) -> list[dict[str, float | int | None]]:
    """One row an episode: seed, number of the evaluation from 1, steps, s of learning, episode, return, success."""
    rows: list[dict[str, float | int | None]] = []
    for number, each in enumerate(evaluations, start=1):
        for episode, total in enumerate(each.returns):
            success = int(each.successes[episode]) if each.successes else None
            rows.append(
                {
                    "seed": seed,
                    "evaluation": number,
                    "steps": each.steps,
                    "seconds": each.seconds,
                    "episode": episode,
                    "return": total,
                    "success": success,
                }
            )
    return rows


def read_evaluations(path: Path) -> list[Evaluation]:
    """Evaluations of one seed from a table of `evaluation_rows`.

    Raises:
        FileFormatError: it is none.
    """
    import pyarrow
    import pyarrow.parquet

    from mbpl_control.mbrl.evaluation import Evaluation

    try:
        rows = pyarrow.parquet.read_table(path).to_pylist()
        numbers = sorted({row["evaluation"] for row in rows})
        out = []
        for number in numbers:
            mine = [row for row in rows if row["evaluation"] == number]
            judged = [row["success"] for row in mine]
            successes = () if None in judged else tuple(bool(value) for value in judged)
            returns = tuple(float(row["return"]) for row in mine)
            out.append(Evaluation(int(mine[0]["steps"]), float(mine[0]["seconds"]), returns, successes))
    except (OSError, KeyError, TypeError, ValueError, pyarrow.ArrowException) as error:
        raise FileFormatError(f"{path}: cannot be read: {error}") from error
    return out
