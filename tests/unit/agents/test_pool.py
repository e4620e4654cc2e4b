"""Trials over processes: the same as one after the other, and no process outlives its parent."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.agents.agent import Agent
from mbpl_control.agents.pool import AgentRunner, TrialPool
from mbpl_control.agents.process_workers import ProcessWorkers
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core import (
    ExecutionMode,
    InvalidFieldError,
    LinearGaussianController,
    MbplError,
    RefusedError,
    Trial,
)
from mbpl_control.learning.learner import TrialRequest
from mbpl_control.tasks import Task, load_task


@pytest.fixture(scope="module")
def task(task_files: Path) -> Task:
    return load_task(task_files / "pendulum_swingup.yaml")


def make_law(task: Task, condition: int = 0, steps: int = 12, name: str = "pd", **fields: object):
    start = task.condition(condition).state
    n, m = task.state.tangent_size, task.action.size
    values: dict[str, object] = {
        "nominal_states": np.repeat(start[None], steps + 1, axis=0),
        "nominal_actions": np.zeros((steps, m)),
        "gains": np.full((steps, m, n), -0.1),
        "covariances": np.repeat(0.01 * np.eye(m)[None], steps, axis=0),
        "name": name,
        "metadata": {"made by": "hand"},
    }
    return LinearGaussianController(task.state, task.action, task.dt, **{**values, **fields})  # type: ignore[arg-type]


def make_requests(task: Task, count: int = 7) -> list[TrialRequest]:
    laws = [make_law(task), make_law(task, name="other", gains=np.full((12, 1, 2), -0.2))]
    return [TrialRequest(laws[i % 2], ExecutionMode.SAMPLED, 0, 100 + i) for i in range(count)]


def content(trial: Trial) -> tuple[object, ...]:
    arrays = (trial.states, trial.actions, trial.costs, trial.times)
    return (*(a.tobytes() for a in arrays), trial.controller, trial.seed, trial.stop_reason, dict(trial.metadata))


@pytest.fixture(scope="module")
def pool(task: Task) -> Iterator[TrialPool]:
    with TrialPool(AgentRecipe.in_lockstep(task), workers=2) as pool:
        yield pool


def test_trials_are_the_same_to_the_last_bit_whoever_runs_them_and_in_the_order_asked_for(task: Task, pool) -> None:
    requests = make_requests(task)
    expected = [content(t) for t in TrialPool(AgentRecipe.in_lockstep(task), "inline").run(requests)]
    assert [content(t) for t in pool.run(requests)] == expected
    assert [content(t) for t in pool.run(requests[::-1])] == expected[::-1]
    agent = AgentRecipe.in_lockstep(task).build()
    assert [content(t) for t in AgentRunner(agent).run(requests)] == expected
    with TrialPool(AgentRecipe.in_lockstep(task), workers=1) as single:
        assert [content(t) for t in single.run(requests[:3])] == expected[:3]


def test_each_trial_is_told_of_once(task: Task, pool) -> None:
    requests = make_requests(task)
    told: dict[int, int] = {}
    pool.run(requests, lambda index, trial: told.__setitem__(index, trial.seed))
    assert told == {index: request.seed for index, request in enumerate(requests)}
    assert pool.run([]) == []


@pytest.mark.parametrize("executor", ["inline", "process"])
def test_a_law_that_is_refused_is_a_trial_of_no_steps_and_a_wrong_request_is_named(task: Task, executor: str) -> None:
    good, wild = make_law(task), make_law(task, gains=np.full((12, 1, 2), -1e9), name="wild")
    with TrialPool(AgentRecipe.in_lockstep(task), executor, workers=1) as pool:
        refused, ran = pool.run([TrialRequest(law, ExecutionMode.MEAN, 0, 1) for law in (wild, good)])
        assert (refused.steps, refused.success, refused.controller) == (0, False, "wild")
        assert refused.stop_reason.startswith("aborted: refused: ")
        assert np.isnan(refused.cost)
        assert (ran.steps, ran.stop_reason) == (12, "completed")
        with pytest.raises(MbplError, match=r"trial of 'pd' \(mean\) from start condition 99 with seed 1: .*no start"):
            pool.run([TrialRequest(good, ExecutionMode.MEAN, 99, 1)])
        # and the pool goes on
        assert content(pool.run([TrialRequest(good, ExecutionMode.MEAN, 0, 1)])[0]) == content(ran)


def test_a_worker_that_dies_is_an_error_that_names_the_trial_and_not_a_hang(task: Task) -> None:
    requests = [replace(r, law=replace(r.law, name=f"law {i}")) for i, r in enumerate(make_requests(task, 4))]
    with TrialPool(AgentRecipe.in_lockstep(task), workers=1) as pool:
        (before,) = pool.run(requests[:1])
        worker = workers_of(pool)[0]

        def kill(index: int, trial: Trial) -> None:
            os.kill(worker, signal.SIGKILL)

        with pytest.raises(MbplError, match=rf"worker process {worker} was killed by signal 9 .*trial"):
            pool.run(requests, kill)
        # the next run starts another
        assert content(pool.run(requests[:1])[0]) == content(before)
        assert workers_of(pool)[0] != worker


def workers_of(pool: TrialPool) -> list[int]:
    backend = pool._backend
    assert isinstance(backend, ProcessWorkers)
    return backend.pids


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return True
    return status.rpartition(")")[2].split()[0] in "ZX"


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


PARENT = """
import sys
from mbpl_control.agents.pool import TrialPool
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.tasks import load_task
pool = TrialPool(AgentRecipe.in_lockstep(load_task(sys.argv[1])), workers=2)
pool.start()
print(*pool._backend.pids, flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_worker_outlives_a_parent_that_is_killed(task: Task, number: signal.Signals) -> None:
    command = [sys.executable, "-c", PARENT, str(task.path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True) as parent:
        assert parent.stdout is not None
        workers = [int(word) for word in parent.stdout.readline().split()]
        assert len(workers) == 2
        assert not any(gone(pid) for pid in workers)
        parent.send_signal(number)
        wait_until(lambda: all(gone(pid) for pid in workers))
        assert parent.wait(20.0) != 0


def test_workers_leave_ctrl_c_to_their_parent(task: Task, pool) -> None:
    requests = make_requests(task, 2)
    before = [content(t) for t in pool.run(requests)]
    workers = workers_of(pool)
    for pid in workers:
        os.kill(pid, signal.SIGINT)
    assert [content(t) for t in pool.run(requests)] == before
    assert workers_of(pool) == workers


def test_a_task_file_that_was_edited_meanwhile_is_refused(task: Task) -> None:
    recipe = replace(AgentRecipe.in_lockstep(task), hash="0123456789abcdef")
    with TrialPool(recipe, workers=1) as pool, pytest.raises(MbplError, match="the trials are of 0123456789abcdef"):
        pool.run(make_requests(task, 1))


def test_what_cannot_be_is_refused(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = AgentRecipe.in_lockstep(task)
    with pytest.raises(InvalidFieldError, match="executor: found 'threads'; must be one of process, inline, ray"):
        TrialPool(recipe, "threads")
    with pytest.raises(InvalidFieldError, match="workers: found -1"):
        TrialPool(recipe, workers=-1)
    # what an import of a package that is not installed comes to
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MbplError, match="needs Ray, which is not installed here: pip install ray"):
        TrialPool(recipe, "ray")


def test_laws_and_trials_travel_whole(task: Task, make_controller, make_trial) -> None:
    law, trial = make_controller(metadata={"condition": 3}), make_trial()
    law_back, trial_back = pickle.loads(pickle.dumps((law, trial)))
    assert law_back.state == law.state and trial_back.action == trial.action
    np.testing.assert_array_equal(law_back.gains, law.gains)
    assert dict(law_back.metadata) == {"condition": 3}
    assert content(trial_back) == content(trial)


def test_an_agent_that_exists_runs_one_trial_after_the_other(task: Task) -> None:
    class Moody(Agent):
        """Refuses every second trial."""

        def __init__(self) -> None:
            self.task = task
            self.seeds: list[int] = []

        def run(self, controller, mode, condition, seed, iteration=0) -> Trial:
            self.seeds.append(seed)
            if seed % 2:
                raise RefusedError("not now")
            return Trial(task.state, task.action, task.dt, np.zeros((2, 2)), np.zeros((1, 1)), seed=seed)

    agent = Moody()
    trials = AgentRunner(agent).run(make_requests(task, 4))
    assert agent.seeds == [100, 101, 102, 103]
    assert [t.stop_reason for t in trials] == ["completed", "aborted: refused: not now"] * 2
