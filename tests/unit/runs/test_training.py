"""The loop around a learner: what it tells, what it asks, and what is kept of it whenever it ends."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.agents.pool import TrialPool, TrialRunner
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core import RefusedError, Trial
from mbpl_control.runs import Observer, RunDirectory, TrainingRun


@pytest.fixture
def pool(task) -> TrialRunner:
    return TrialPool(AgentRecipe.in_lockstep(task), "inline")


def content(directory: Path) -> dict[str, bytes]:
    """What must be the same in every run: all but times, the report, and where and when it began."""
    varying = {"times.json", "times.csv", "run.yaml", "report.html"}
    files = [path for path in directory.rglob("*") if path.is_file() and path.name not in varying]
    return {str(path.relative_to(directory)): path.read_bytes() for path in files}


def test_the_observer_hears_of_every_trial_and_iteration(make_run, tiny, task, pool) -> None:
    heard: list[tuple[object, ...]] = []

    class Listener(Observer):
        def on_trial(self, iteration: int, done: int, total: int) -> None:
            heard.append(("trial", iteration, done, total))

        def on_learning(self, iteration: int) -> None:
            heard.append(("learning", iteration))

        def on_iteration(self, report) -> None:
            heard.append(("iteration", report.iteration))

    assert TrainingRun(make_run(iterations=2), tiny.TinyLearner(task, 3, 3), pool, Listener()).run()
    # two controllers, three trials each, and one each without noise
    expected = [[*(("trial", it, done, 8) for done in range(9)), ("learning", it), ("iteration", it)] for it in (1, 2)]
    assert heard == [*expected[0], *expected[1]]


@pytest.mark.parametrize("answers", [0, 1, 5, 8, 9, 12])
def test_a_run_that_was_stopped_anywhere_goes_on_as_if_it_had_not(make_run, tiny, task, pool, answers: int) -> None:
    class Patience(Observer):
        left = answers

        def go_on(self) -> bool:
            self.left -= 1
            return self.left >= 0

    whole, broken = make_run("whole"), make_run("broken")
    assert TrainingRun(whole, tiny.TinyLearner(task, 3, 3), pool).run()
    assert not TrainingRun(broken, tiny.TinyLearner(task, 3, 3), pool, Patience()).run()
    assert broken.newest < 3
    assert TrainingRun(broken, tiny.TinyLearner(task, 3, 3), pool).run()
    assert content(broken.path) == content(whole.path)


def test_a_run_with_all_its_iterations_has_nothing_more_to_do(make_run, tiny, task, pool) -> None:
    directory = make_run()
    for _ in range(2):
        assert TrainingRun(directory, tiny.TinyLearner(task, 3, 3), pool).run()
    assert directory.newest == 3


def test_a_person_may_mark_a_trial_as_failed_before_it_is_learned_from(make_run, tiny, task, pool) -> None:
    class Critic(Observer):
        def review(self, iteration: int, trials: Sequence[Trial]) -> Sequence[Trial]:
            return [replace(trials[0], stop_reason="aborted: somebody bumped the table"), *trials[1:]]

    directory = make_run(iterations=1)
    TrainingRun(directory, tiny.TinyLearner(task, 3, 3), pool, Critic()).run()
    (saved,) = directory.iterations()
    assert saved.report.events == ("a trial of controller 0 was discarded: aborted: somebody bumped the table",)
    assert [row["kept"] for row in saved.report.rows] == [2, 3]
    assert saved.trials()[0].stop_reason == "aborted: somebody bumped the table"


def test_a_run_none_of_whose_trials_can_be_run_ends_and_says_why(make_run, tiny, task) -> None:
    class Latched(TrialRunner):
        def run(self, requests, on_trial=None) -> list[Trial]:
            none = Trial(
                task.state,
                task.action,
                task.dt,
                task.conditions[0].state[None],
                np.zeros((0, task.action.size)),
                stop_reason="aborted: refused: emergency stop is latched",
            )
            return [none] * len(requests)

    directory = make_run()
    with pytest.raises(RefusedError, match="iteration 1: no trial could be run; the first: .*emergency stop is latch"):
        TrainingRun(directory, tiny.TinyLearner(task, 3, 3), Latched()).run()
    assert directory.newest == 0


def start(tiny, directory: RunDirectory, *arguments: str) -> subprocess.Popen[str]:
    """The small learner as a program of its own."""
    command = [sys.executable, tiny.__file__, str(directory.path), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait until it holds, as closely as one can, or the program is over."""
    end = time.monotonic() + 60.0
    while not condition() and process.poll() is None:
        assert time.monotonic() < end


def test_a_run_that_is_killed_again_and_again_ends_up_the_same_to_the_last_byte(make_run, tiny, task, pool) -> None:
    iterations = 16
    whole, killed = make_run("whole", iterations=iterations), make_run("killed", iterations=iterations)
    TrainingRun(whole, tiny.TinyLearner(task, 3, 3), pool).run()
    chance = random.Random(0)
    left_unfinished = 0
    for _ in range(8):  # each dies at some change it makes to the run, and the next one finds what is left
        before = killed.newest
        with start(tiny, killed, str(chance.randint(1, 60))) as process:
            text, _ = process.communicate(timeout=120.0)
        assert process.returncode == -signal.SIGKILL, text
        assert before <= killed.newest < iterations
        left_unfinished += any(path.name.endswith(".partial") for path in killed.path.rglob("*"))
    assert left_unfinished >= 4
    with start(tiny, killed) as process:
        text, _ = process.communicate(timeout=120.0)
    assert process.returncode == 0, text
    assert content(killed.path) == content(whole.path)


def test_ctrl_c_ends_a_run_with_its_own_exit_code_and_says_how_to_go_on(make_run, tiny) -> None:
    directory = make_run(iterations=10**5)
    with start(tiny, directory) as process:
        wait_for(lambda: directory.newest >= 2, process)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=60.0)
    assert process.returncode == 130, text
    assert f"stopped after iteration {directory.newest}; go on with: mbpl train --resume {directory.path}" in text
    assert "Traceback" not in text
    assert (directory.path / "report.html").is_file()
    assert len(directory.iterations()) == directory.newest
