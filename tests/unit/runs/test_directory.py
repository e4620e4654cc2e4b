"""The directory of a run: whole after each iteration, of one run, for one process."""

from __future__ import annotations

import csv
import math
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from mbpl_control.agents.pool import TrialPool
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core import DefinitionMismatchError, FileFormatError, RefusedError
from mbpl_control.learning.learner import IterationReport
from mbpl_control.runs import RunDirectory, TrainingRun


@pytest.fixture
def trained(make_run, tiny, task) -> RunDirectory:
    directory = make_run()
    pool = TrialPool(AgentRecipe.in_lockstep(task), "inline")
    assert TrainingRun(directory, tiny.TinyLearner(task, 3, 3), pool).run()
    return directory


def test_what_was_kept_comes_back(trained, tiny, task) -> None:
    again = RunDirectory.open(trained.path)
    assert again.description == trained.description
    saved = again.iterations()
    assert [it.report.iteration for it in saved] == [1, 2, 3]
    assert [len(it.trials()) for it in saved] == [6, 6, 6]
    assert [len(it.evaluation()) for it in saved] == [2, 2, 2]
    learner = tiny.TinyLearner(task, 3, 3)
    assert again.restore(learner) == learner.iteration == 3
    # what it learned is what the cheapest trial of the last iteration did
    actions = [trial.actions for trial in saved[-1].trials()]
    assert any(np.array_equal(learner.actions[0], a) for a in actions[:3])


def test_both_tables_hold_a_row_an_iteration_and_condition_with_what_the_learner_reported(trained) -> None:
    table = pyarrow.parquet.read_table(trained.path / "metrics.parquet")
    assert table.column_names == ["iteration", "condition", "cost", "kl", "eta", "success", "kept", "how"]
    rows = table.to_pylist()
    told = [(it.report.iteration, row) for it in trained.iterations() for row in it.report.rows]
    with open(trained.path / "metrics.csv", newline="", encoding="utf-8") as stream:
        texts = list(csv.DictReader(stream))
    assert len(rows) == len(texts) == len(told) == 6
    for row, text, (iteration, report) in zip(rows, texts, told, strict=True):
        assert row["iteration"] == int(text["iteration"]) == iteration
        for name, value in report.items():
            if isinstance(value, float) and math.isnan(value):
                assert math.isnan(row[name]) and math.isnan(float(text[name]))
            else:
                assert row[name] == value and type(value)(text[name]) == value


def test_times_have_a_table_of_their_own_so_that_the_others_are_the_same_in_every_run(trained) -> None:
    with open(trained.path / "times.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["iteration"] for row in rows] == ["1", "2", "3"]
    assert all(float(row["trials"]) > 0.0 and float(row["fit"]) == 1e-3 for row in rows)


def test_a_directory_that_holds_something_is_not_touched(trained, make_run, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="holds a run; nothing was changed. to go on with it: mbpl train --resume"):
        make_run()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("data")
    with pytest.raises(RefusedError, match="is not empty; nothing was changed"):
        make_run("mine")
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["precious"]


def test_what_is_no_run_is_named(trained, tmp_path: Path) -> None:
    with pytest.raises(FileFormatError, match="no such directory"):
        RunDirectory.open(tmp_path / "nowhere")
    with pytest.raises(FileFormatError, match=r"run\.yaml: no such file; a directory of a run has one"):
        RunDirectory.open(tmp_path)
    text = (trained.path / "run.yaml").read_text()
    (trained.path / "run.yaml").write_text(text.replace("seed: 3", "seed: three"))
    with pytest.raises(FileFormatError, match=r"run\.yaml: seed missing, unknown or of the wrong type"):
        RunDirectory.open(trained.path)
    (trained.path / "run.yaml").write_text(text + "~: 1\n7: 2\n")
    with pytest.raises(FileFormatError, match=r"run\.yaml: 7, None missing, unknown or of the wrong type"):
        RunDirectory.open(trained.path)
    (trained.path / "run.yaml").write_text(text.replace("schema: 1", "schema: 2"))
    with pytest.raises(FileFormatError, match="does not describe a run of schema 1"):
        RunDirectory.open(trained.path)


def test_iterations_of_another_learner_or_task_are_never_mixed_in(trained, tiny, task) -> None:
    pool = TrialPool(AgentRecipe.in_lockstep(task), "inline")
    with pytest.raises(FileFormatError, match="of another task or number of samples"):
        TrainingRun(trained, tiny.TinyLearner(task, 3, 4), pool)
    other = RunDirectory(trained.path, replace(trained.description, task_hash="0123456789abcdef"))
    with pytest.raises(DefinitionMismatchError, match="undo the change, or begin a new run"):
        TrainingRun(other, tiny.TinyLearner(task, 3, 3), pool)
    with pytest.raises(RefusedError, match="iteration 3 of a learner at 3 cannot follow 3"):
        learner = tiny.TinyLearner(task, 3, 3)
        trained.restore(learner)
        trained.save_iteration(learner, IterationReport(3, ()), trained.iterations()[0].trials(), [])


def test_a_missing_iteration_is_seen(trained) -> None:
    (trained.path / "iterations" / "002").rename(trained.path / "iterations" / "away")
    with pytest.raises(FileFormatError, match=r"holds \[1, 3\]; must be 1 to the newest without a gap"):
        trained.iterations()


def _hold(path: Path, ready, release) -> None:
    with RunDirectory.open(path).locked():
        ready.set()
        release.wait(60.0)


def test_one_process_at_a_time_works_on_a_run(trained) -> None:
    context = multiprocessing.get_context("fork")
    ready, release = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(trained.path, ready, release))
    holder.start()
    try:
        assert ready.wait(20.0)
        with pytest.raises(RefusedError, match="another process works on this run"), trained.locked():
            pass
    finally:
        holder.kill()
        holder.join(20.0)
    # the lock went with the process
    with trained.locked():
        pass
