"""A run under the eyes of a person."""

from __future__ import annotations

import math
import threading

import pytest

from mbpl_control.agents.pool import TrialPool
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.core import RefusedError
from mbpl_control.runs import TrainingRun
from mbpl_control.runs.supervision import REJECTED, RunProgress, Supervisor


@pytest.fixture
def pool(task) -> TrialPool:
    return TrialPool(AgentRecipe.in_lockstep(task), "inline")


def test_it_tells_how_far_the_run_is(make_run, tiny, task, pool) -> None:
    told: list[RunProgress] = []
    assert TrainingRun(make_run(iterations=1), tiny.TinyLearner(task, 3, 3), pool, Supervisor(told.append)).run()
    assert [(p.iteration, p.trial, p.trials) for p in told] == [*((0, done, 8) for done in range(9)), (1, 0, 0)]
    assert math.isnan(told[0].cost) and math.isfinite(told[-1].cost)


def test_a_paused_run_waits_after_its_trial_until_it_may_go_on(make_run, tiny, task, pool) -> None:
    waiting = threading.Event()

    def look(progress: RunProgress) -> None:
        if progress.trial == 3 and not progress.paused and not waiting.is_set():
            supervisor.pause(True)
        if progress.paused:
            waiting.set()

    supervisor, directory = Supervisor(look), make_run(iterations=1)
    run = threading.Thread(target=TrainingRun(directory, tiny.TinyLearner(task, 3, 3), pool, supervisor).run)
    run.start()
    assert waiting.wait(30.0)
    assert (supervisor.progress.trial, supervisor.progress.paused) == (3, True)
    run.join(0.2)
    assert run.is_alive()
    supervisor.pause(False)
    run.join(30.0)
    assert directory.newest == 1


def test_a_run_that_is_stopped_while_it_waits_ends_and_can_go_on(make_run, tiny, task, pool) -> None:
    def look(progress: RunProgress) -> None:
        if progress.paused:
            supervisor.stop()
        elif progress.iteration == 1:
            supervisor.pause(True)

    supervisor, directory = Supervisor(look), make_run(iterations=2)
    assert not TrainingRun(directory, tiny.TinyLearner(task, 3, 3), pool, supervisor).run()
    assert directory.newest == 1
    assert TrainingRun(directory, tiny.TinyLearner(task, 3, 3), pool, Supervisor()).run()


@pytest.mark.parametrize(("paused", "rejected"), [(False, 2), (True, 1)])
def test_the_trial_that_runs_or_else_the_last_one_counts_as_failed(
    make_run, tiny, task, pool, paused: bool, rejected: int
) -> None:
    numbers: list[int] = []

    def look(progress: RunProgress) -> None:
        # two trials are done and the third runs, or the run waits after them
        if progress.trial == 2 and not numbers:
            if paused and not progress.paused:
                supervisor.pause(True)
                return
            numbers.append(supervisor.reject())
            supervisor.pause(False)

    supervisor, directory = Supervisor(look), make_run(iterations=1)
    assert TrainingRun(directory, tiny.TinyLearner(task, 3, 3), pool, supervisor).run()
    assert numbers == [rejected + 1]
    reasons = [trial.stop_reason for trial in directory.iterations()[0].trials()]
    assert reasons == [REJECTED if i == rejected else "completed" for i in range(6)]


def test_nothing_is_rejected_when_no_trial_has_run_that_still_counts(make_run, tiny, task, pool) -> None:
    supervisor = Supervisor()
    with pytest.raises(RefusedError, match="no trial has run that was not learned from"):
        supervisor.reject()
    assert TrainingRun(make_run(iterations=1), tiny.TinyLearner(task, 3, 3), pool, supervisor).run()
    with pytest.raises(RefusedError, match="no trial has run that was not learned from"):
        supervisor.reject()
