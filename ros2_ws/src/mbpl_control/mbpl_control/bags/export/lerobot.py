"""Trials as a LeRobotDataset v3.0, written to its documented layout without LeRobot.

    meta/info.json                                features, fps, counts, paths; codebase_version "v3.0"
    meta/stats.json                               min, max, mean, std, count and quantiles of every feature
    meta/tasks.parquet                            task → task_index
    meta/episodes/chunk-000/file-000.parquet      a row an episode: length, tasks, where its rows are, its statistics
    data/chunk-000/file-000.parquet               a row a step

Features of a step t: `observation.state` x_t, `action` u_t, `next.state` x_{t+1}, `next.reward` −ℓ_t where all trials
have costs, `next.done`, `next.success`, and those that every LeRobotDataset has. Numbers of states and actions are
float32, as LeRobot's policies take them: this format does not hold the last digits, nor the laws.

Source: LeRobotDataset v3.0, `lerobot.datasets`.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mbpl_control.bags.export.lerobot_statistics import columns_of, joined_statistics, statistics_of
from mbpl_control.bags.export.parts import PLAIN, state_names
from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core import ActionDefinition, StateDefinition, Trial
from mbpl_control.core.errors import FileFormatError, InvalidFieldError
from mbpl_control.core.user_files import read_text
from mbpl_control.core.validation import Array

VERSION = "v3.0"
CHUNK_FILES, FILE_MB = 1000, 100
PATTERN = "chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
#: Column of the episodes with what LeRobot has no word for.
OWN = "mbpl/trial"


def write_lerobot(trials: Iterable[RecordedTrial], path: Path) -> int:
    """Write trials as the episodes of a new data set, one in memory at a time; how many. It appears whole or not.

    Raises:
        FileFormatError: the directory exists, or cannot be written.
        InvalidFieldError: trials differ in state, action or dt, or one second is not a whole number of steps.
    """
    if path.exists():
        raise FileFormatError(f"{path}: exists already; nothing was changed. Choose another name")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        dataset = _Dataset(partial)
        for recorded in trials:
            if recorded.trial.steps:
                dataset.add(recorded)
        return dataset.finish(path)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class _Dataset:
    """A data set while it is written: steps go to the disk at once, a row an episode stays."""

    def __init__(self, root: Path) -> None:
        """Make the directories."""
        self.root = root
        self.episodes: list[dict[str, Any]] = []
        self.tasks: dict[str, int] = {}
        self.first: Trial | None = None
        self.costs = False
        self.frames = 0
        self.file, self.bytes = 0, 0
        self.writer: pq.ParquetWriter | None = None
        root.mkdir()
        (root / "meta").mkdir()

    def add(self, recorded: RecordedTrial) -> None:
        """Write the steps of an episode."""
        trial = recorded.trial
        if self.first is None:
            self.first, self.costs = trial, trial.costs.size > 0
            frames_per_second(trial.dt)
        self._check(recorded)
        number = len(self.episodes)
        columns = self._columns(trial, number)
        table = pa.table({name: _arrow(values) for name, values in columns.items()})
        if self.writer is not None and self.bytes + table.nbytes > FILE_MB * 1024**2:
            self._next_file()
        if self.writer is None:
            target = self.root / "data" / PATTERN.format(chunk_index=self.chunk, file_index=self.file % CHUNK_FILES)
            target.parent.mkdir(parents=True, exist_ok=True)
            self.writer = pq.ParquetWriter(target, table.schema)
        self.writer.write_table(table, row_group_size=trial.steps)
        self.bytes += table.nbytes
        self.episodes.append(
            {
                "episode_index": number,
                "tasks": [task_text(trial)],
                "length": trial.steps,
                "dataset_from_index": self.frames,
                "dataset_to_index": self.frames + trial.steps,
                "data/chunk_index": self.chunk,
                "data/file_index": self.file % CHUNK_FILES,
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
                OWN: _own(recorded),
                "statistics": statistics_of(columns),
            }
        )
        self.frames += trial.steps

    @property
    def chunk(self) -> int:
        return self.file // CHUNK_FILES

    def finish(self, path: Path) -> int:
        """Write what stands above the steps, and give the directory its name; the number of episodes."""
        if self.first is None or self.writer is None:
            raise FileFormatError(f"{path}: there is no trial with a step to write")
        self.writer.close()
        all_of = joined_statistics([episode["statistics"] for episode in self.episodes])
        _write_json(self.root / "meta/info.json", self._info(self.first))
        _write_json(self.root / "meta/stats.json", all_of)
        self._write_tasks()
        rows = [
            {**{k: v for k, v in e.items() if k != "statistics"}, **columns_of(e["statistics"])} for e in self.episodes
        ]
        target = self.root / "meta/episodes" / PATTERN.format(chunk_index=0, file_index=0)
        target.parent.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), target)
        os.replace(self.root, path)
        return len(self.episodes)

    def _next_file(self) -> None:
        assert self.writer is not None  # noqa: S101 - the caller sees to it
        self.writer.close()
        self.writer, self.bytes, self.file = None, 0, self.file + 1

    def _check(self, recorded: RecordedTrial) -> None:
        trial, first = recorded.trial, self.first
        assert first is not None  # noqa: S101 - set before
        alike = (trial.state, trial.dt) == (first.state, first.dt) and trial.action.hash == first.action.hash
        if not alike:
            raise InvalidFieldError(
                "mbpl export", str(recorded.path), "another state, action or dt than the first", "alike in one data set"
            )
        if self.costs != (trial.costs.size > 0):
            have = "no costs, and the first has" if self.costs else "costs, and the first has none"
            raise InvalidFieldError("mbpl export", str(recorded.path), have, "alike; --task gives costs")

    def _columns(self, trial: Trial, number: int) -> dict[str, Array]:
        steps = trial.steps
        task = self.tasks.setdefault(task_text(trial), len(self.tasks))
        last = np.arange(steps) == steps - 1
        columns: dict[str, Array] = {
            "observation.state": trial.states[:-1].astype(np.float32),
            "action": trial.actions.astype(np.float32),
            "next.state": trial.states[1:].astype(np.float32),
        }
        if self.costs:
            # the cost of the end comes with the last step
            reward = -trial.costs[:-1] - np.where(last, trial.costs[-1], 0.0)
            columns["next.reward"] = reward.astype(np.float32)
        fps = frames_per_second(trial.dt)
        return columns | {
            "next.done": last,
            "next.success": last & trial.success,
            "timestamp": (np.arange(steps) / fps).astype(np.float32),
            "frame_index": np.arange(steps),
            "episode_index": np.full(steps, number),
            "index": self.frames + np.arange(steps),
            "task_index": np.full(steps, task),
        }

    def _info(self, first: Trial) -> dict[str, Any]:
        names = state_names(first.state)
        features = {
            "observation.state": _feature("float32", first.state.size, names),
            "action": _feature("float32", first.action.size, list(first.action.actuator_names)),
            "next.state": _feature("float32", first.state.size, names),
            **({"next.reward": _feature("float32")} if self.costs else {}),
            "next.done": _feature("bool"),
            "next.success": _feature("bool"),
            "timestamp": _feature("float32"),
            **{name: _feature("int64") for name in ("frame_index", "episode_index", "index", "task_index")},
        }
        return {
            "codebase_version": VERSION,
            "robot_type": None,
            "total_episodes": len(self.episodes),
            "total_frames": self.frames,
            "total_tasks": len(self.tasks),
            "chunks_size": CHUNK_FILES,
            "data_files_size_in_mb": FILE_MB,
            "video_files_size_in_mb": 200,
            "fps": frames_per_second(first.dt),
            "splits": {"train": f"0:{len(self.episodes)}"},
            "data_path": f"data/{PATTERN}",
            "video_path": None,
            "features": features,
        }

    def _write_tasks(self) -> None:
        # pandas reads the index of a table from this note; LeRobot looks tasks up by it
        note = {
            "index_columns": ["task"],
            "column_indexes": [],
            "columns": [
                {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": own, "metadata": None}
                for name, kind, own in (("task_index", "int64", "int64"), ("task", "unicode", "object"))
            ],
            "pandas_version": "2.0.0",
        }
        table = pa.table(
            {"task_index": pa.array(self.tasks.values(), pa.int64()), "task": pa.array(self.tasks, pa.string())}
        )
        pq.write_table(table.replace_schema_metadata({"pandas": json.dumps(note)}), self.root / "meta/tasks.parquet")


def frames_per_second(dt: float) -> int:
    """Steps in a second.

    Raises:
        InvalidFieldError: it is no whole number, as LeRobot counts them.
    """
    fps = round(1.0 / dt)
    if fps < 1 or abs(fps * dt - 1.0) > 1e-9:
        raise InvalidFieldError("mbpl export", "dt", f"{dt} s", "1 / N s: LeRobot counts whole frames a second")
    return fps


def task_text(trial: Trial) -> str:
    """What LeRobot calls the task."""
    return trial.task or "no task named"


def read_lerobot(path: Path) -> Iterator[Trial]:
    """The trials of a data set that `write_lerobot` wrote: all that it holds, numbers in single precision.

    Costs stay behind: a reward sums the last two of them.

    Raises:
        FileFormatError: not such a data set.
    """
    try:
        info = json.loads(read_text(path / "meta/info.json"))
        if info["codebase_version"] != VERSION:
            raise FileFormatError(f"{path}: a LeRobotDataset {info['codebase_version']}; this mbpl reads {VERSION}")
        episodes = pq.read_table(path / "meta/episodes" / PATTERN.format(chunk_index=0, file_index=0)).to_pylist()
        for episode in episodes:
            own = json.loads(episode[OWN])
            file = (
                path
                / "data"
                / PATTERN.format(chunk_index=episode["data/chunk_index"], file_index=episode["data/file_index"])
            )
            only = [("episode_index", "=", episode["episode_index"])]
            table = pq.read_table(file, columns=["observation.state", "action", "next.state"], filters=only)
            now, action, then = (_matrix(table.column(name)) for name in table.column_names)
            yield Trial(
                StateDefinition.from_dict(own["state"]),
                ActionDefinition.from_dict(own["action"]),
                own["dt"],
                np.concatenate([now, then[-1:]]),
                action,
                **{name: own[name] for name in PLAIN},
                metadata=own["metadata"],
            )
    except (OSError, KeyError, TypeError, ValueError, IndexError, pa.ArrowException) as error:
        raise FileFormatError(f"{path}: not a LeRobotDataset that mbpl wrote: {error!r}") from error


def _own(recorded: RecordedTrial) -> str:
    trial = recorded.trial
    plain = {name: getattr(trial, name) for name in PLAIN}
    definitions = {"state": trial.state.to_dict(), "action": trial.action.to_dict(), "dt": trial.dt}
    return json.dumps({**plain, **definitions, "metadata": dict(trial.metadata), "path": str(recorded.path)})


def _feature(dtype: str, size: int = 1, names: list[str] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [size], "names": names}


def _arrow(values: Array) -> pa.Array:
    """A column: a list of fixed length a row, or, as LeRobot has it, a plain number where that length is 1."""
    if values.ndim == 2 and values.shape[1] > 1:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])
    return pa.array(values.ravel())


def _matrix(column: pa.ChunkedArray) -> Array:
    values = column.combine_chunks()
    width = getattr(values.type, "list_size", 1)
    flat = values.flatten() if pa.types.is_fixed_size_list(values.type) else values
    return flat.to_numpy(zero_copy_only=False).reshape(-1, width).astype(np.float64)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=4, ensure_ascii=False), encoding="utf-8")
