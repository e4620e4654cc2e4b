"""Offline from recorded trials and online while they are run: the same learner, to the last bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core import DefinitionMismatchError, ExecutionMode, RefusedError, Trial
from mbpl_control.learning.learner import TrialRequest
from mbpl_control.learning.lqr_flm import LqrFlm
from mbpl_control.learning.offline import OfflineStep, iterations_of, learn_offline
from mbpl_control.tasks import Task
from mbpl_control.tasks.learning_schema import LearningSection

Run = Callable[[Sequence[TrialRequest]], list[Trial]]


def learner(task: Task) -> LqrFlm:
    own = task.learning.model_dump(exclude_unset=True)
    return LqrFlm(task, 3, LearningSection.model_validate({**own, "samples": 4}))


def recorded(request: TrialRequest, trial: Trial, number: int) -> RecordedTrial:
    """A trial with its law as a bag tells it: no state after the last action, noise in the sampled mode alone."""
    law = request.law
    states = law.nominal_states.copy()
    states[-1] = states[-2]
    covariances = law.covariances if request.mode is ExecutionMode.SAMPLED else np.zeros_like(law.covariances)
    told = replace(
        law,
        nominal_states=states,
        nominal_actions=law.planned_actions,
        feedforward=None,
        covariances=covariances,
        name="under_trial",
        metadata={},
    )
    return RecordedTrial(Path(f"bags/{number:04d}"), trial, told, {}, True, np.zeros((trial.steps + 1, 0)), 0)


@pytest.fixture(scope="module")
def online(balance: Task, run: Run, tmp_path_factory) -> tuple[list[RecordedTrial], list[dict], Path]:
    """Three iterations: what was recorded, the rows, and the directory of what was learned."""
    made, bags, rows = learner(balance), [], []
    for _ in range(3):
        requests, shown = made.requests(), made.evaluation_requests()
        trials, evaluation = run(requests), run(shown)
        for request, trial in zip([*requests, *shown], [*trials, *evaluation], strict=True):
            bags.append(recorded(request, trial, len(bags)))
        rows.append([dict(row) for row in made.learn(trials, evaluation).rows])
    directory = tmp_path_factory.mktemp("online")
    made.save(directory)
    return bags, rows, directory


def learn(task: Task, bags: Sequence[RecordedTrial]) -> tuple[LqrFlm, list[OfflineStep]]:
    made, steps = learner(task), []
    iterations, _ = iterations_of(bags, task)
    learn_offline(made, iterations, (1, 5), steps.append)
    return made, steps


def test_recorded_trials_make_the_same_learner_as_the_trials_did_to_the_last_bit(
    balance: Task, online: tuple[list[RecordedTrial], list[dict], Path], tmp_path: Path
) -> None:
    bags, rows, directory = online
    made, steps = learn(balance, bags)
    for step, before in zip(steps, rows, strict=True):
        assert not step.notes
        np.testing.assert_equal([dict(row) for row in step.report.rows], before)
    made.save(tmp_path)
    files = sorted(path.relative_to(directory) for path in directory.rglob("*.npz"))
    assert len(files) == 1 + 3 * 3
    for file in files:
        with np.load(directory / file) as one, np.load(tmp_path / file) as other:
            assert one.files == other.files
            for name in one.files:
                assert one[name].tobytes() == other[name].tobytes(), (file, name)


def test_a_fit_tells_how_well_it_predicts_trials_it_has_not_seen(
    balance: Task, online: tuple[list[RecordedTrial], list[dict], Path]
) -> None:
    _, steps = learn(balance, online[0])
    for condition in (0, 1, 2):
        short, long = steps[-1].quality[condition]
        assert (short.steps, long.steps) == (1, 5)
        # better than to say that nothing moves
        assert np.nanmean(short.share) < 0.5
        assert (short.error < long.error).mean() > 0.5


def test_learning_goes_on_from_a_law_that_the_learner_would_not_have_tried(
    balance: Task, online: tuple[list[RecordedTrial], list[dict], Path]
) -> None:
    bags = online[0]
    first = len(bags) // 3
    made, steps = learn(balance, bags[first:])
    assert sum("another law" in note for note in steps[0].notes) == 3
    # from the second iteration on the learner's own controllers differ: its step sizes had another past
    assert all(np.isfinite(float(row["kl"])) for row in steps[0].report.rows)
    for c in made.training:
        law = next(b.law for b in bags[first:] if b.trial.condition == c)
        np.testing.assert_array_equal(steps[0].report.rows[c]["condition"], c)
        assert law is not None


def test_a_trial_that_was_cut_short_belongs_to_the_iteration_of_its_law_and_is_discarded_there(
    balance: Task, online: tuple[list[RecordedTrial], list[dict], Path]
) -> None:
    bags = list(online[0])
    cut = bags[0].trial
    part = replace(
        cut, states=cut.states[:11], actions=cut.actions[:10], times=None, costs=np.zeros(0), stop_reason="aborted: x"
    )
    assert bags[0].law is not None
    bags[0] = replace(bags[0], trial=part, law=bags[0].law.truncated(0, 10))
    iterations, _ = iterations_of(bags, balance)
    assert [len(it.trials) for it in iterations] == [12, 12, 12]
    _, steps = learn(balance, bags)
    assert steps[0].report.rows[0]["discarded"] == 1


def test_trials_of_another_task_or_without_anything_to_learn_from_are_refused(
    balance: Task, online: tuple[list[RecordedTrial], list[dict], Path]
) -> None:
    bags = online[0]
    foreign = replace(bags[0], trial=replace(bags[0].trial, task_hash="other"))
    with pytest.raises(DefinitionMismatchError, match=r"bags/0000.*other"):
        iterations_of([foreign], balance)
    with pytest.raises(RefusedError, match="it has no law"):
        iterations_of([replace(bags[0], law=None)], balance)
