"""From recorded trials to a policy: what teaches, what is kept out, what is refused, and that it is learned."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core import DefinitionMismatchError, ExecutionMode, InvalidFieldError, RefusedError, Trial
from mbpl_control.distill.distillation import DistillationOptions, disagreement, distil
from mbpl_control.distill.ensemble import parameters_of
from mbpl_control.distill.lessons import Lessons, gather
from mbpl_control.distill.targets import clone_covariance, split, split_targets
from mbpl_control.learning.learner import TrialRequest
from mbpl_control.learning.lqr_flm import LqrFlm
from mbpl_control.policies import GaussianPolicy
from mbpl_control.policies.feedback import check_policy
from mbpl_control.tasks import Task, load_task

Run = Callable[[Sequence[TrialRequest]], list[Trial]]
SHORT = DistillationOptions(hidden=(16, 16), iterations=300, natural_iterations=4, neighbours=4)
PLAIN = {"neighbours": 0, "share": 0.0, "clone_std": 0.05, "temperature": 1.0, "combination": "mixture", "seed": 0}


@pytest.fixture(scope="module")
def bags(balance: Task, run: Run) -> list[RecordedTrial]:
    """Two iterations of three starts, four trials each, and one without noise."""
    learner, out = LqrFlm(balance, 3, balance.learning), []
    for _ in range(2):
        wanted = learner.requests() + learner.evaluation_requests()
        trials = run(wanted)
        for request, trial in zip(wanted, trials, strict=True):
            law = request.law
            if request.mode is ExecutionMode.MEAN:
                law = replace(law, covariances=np.zeros_like(law.covariances))
            path = Path(f"bags/{len(out):03d}")
            out.append(RecordedTrial(path, trial, law, {}, True, np.zeros((trial.steps + 1, 0)), 0))
        learner.learn(trials[: -len(learner.training)], trials[-len(learner.training) :])
    return out


@pytest.fixture(scope="module")
def newest(bags: list[RecordedTrial], balance: Task) -> Lessons:
    return gather(bags, balance)


def test_the_newest_law_of_each_start_teaches_at_all_of_its_trials_with_noise_or_without(
    bags: list[RecordedTrial], balance: Task, newest: Lessons
) -> None:
    samples, half = balance.learning.samples, len(bags) // 2
    assert [lesson.condition for lesson in newest.lessons] == [0, 1, 2]
    for lesson in newest.lessons:
        assert len(lesson.states) == samples + 1
        assert lesson.laws[0].covariances.any()
        newer = [b for b in bags[half:] if b.trial.condition == lesson.condition]
        np.testing.assert_array_equal(lesson.laws[0].gains, newer[0].law.gains)
    assert len(newest.discarded) == half
    each = gather(bags, balance, "each")
    assert [len(x.states) for x in each.lessons] == [samples + 1] * 6
    assert not each.discarded
    together = gather(bags, balance, "ensemble")
    assert [(len(x.laws), len(x.states)) for x in together.lessons] == [(2, 2 * samples + 2)] * 3


def test_targets_are_the_means_and_the_precisions_of_the_laws_not_the_actions_that_were_drawn(
    balance: Task, newest: Lessons
) -> None:
    data = split_targets(balance, newest.lessons, **PLAIN)
    lesson = newest.lessons[0]
    law, steps = lesson.laws[0], balance.horizon
    for k in (0, 2):
        for t in (0, 17, steps - 1):
            row = k * steps + t
            x = lesson.states[k, t]
            np.testing.assert_allclose(data.train.means[row], law.mean(t, x), rtol=1e-12)
            np.testing.assert_allclose(data.train.precisions[row] @ law.covariances[t], np.eye(1), atol=1e-9)
            np.testing.assert_allclose(data.train.observations[row], balance.observe(x, 0))
    assert np.abs(data.train.means[:steps] - lesson.actions[0]).max() > 0.0


def test_trials_without_a_law_teach_their_actions_with_the_stated_covariance_and_the_report_says_what_is_lost(
    bags: list[RecordedTrial], balance: Task
) -> None:
    lessons = gather([replace(b, law=None) for b in bags[:4]], balance)
    data = split_targets(balance, lessons.lessons, **{**PLAIN, "neighbours": 7, "clone_std": 0.1})
    np.testing.assert_array_equal(data.train.means, np.concatenate([b.trial.actions for b in bags[:4]]))
    limit = np.minimum(balance.action.upper, -balance.action.lower)
    np.testing.assert_allclose(data.train.precisions[0], np.diag(1.0 / (0.1 * limit) ** 2))
    np.testing.assert_allclose(clone_covariance(balance, 0.1), np.diag((0.1 * limit) ** 2))
    assert (data.cloned, data.soft) == (4, 0)
    report = distil(balance, lessons, SHORT).report
    assert any("feedback" in note for note in report["notes"])


def test_whole_trials_are_kept_out_the_same_ones_for_the_same_seed(balance: Task, newest: Lessons) -> None:
    chosen = split(newest.lessons, 0.2, 5)
    assert [len(rows) for rows in chosen] == [1, 1, 1]
    np.testing.assert_array_equal(chosen, split(newest.lessons, 0.2, 5))
    assert any((np.concatenate(split(newest.lessons, 0.2, seed)) != np.concatenate(chosen)).any() for seed in range(5))
    data = split_targets(balance, newest.lessons, **{**PLAIN, "share": 0.2, "neighbours": 3, "seed": 5})
    assert data.judge is not None
    # a trial with all of the states near it, on one side or the other
    for lesson, rows, source in zip(newest.lessons, chosen, data.held_out, strict=True):
        assert lesson.sources[rows[0]] == source
        seen = balance.observe(lesson.states[rows[0], :-1], lesson.condition)
        assert all((data.judge.observations == o).all(axis=1).any() for o in seen[10::10])
        assert not any((data.train.observations == o).all(axis=1).any() for o in seen[10::10])
    assert data.judge.count == 3 * 4 * balance.horizon
    nothing = split(newest.lessons, 0.0, 5)
    assert all(len(rows) == 0 for rows in nothing)


def test_states_near_the_trials_teach_what_the_law_would_do_there(balance: Task, newest: Lessons) -> None:
    near = split_targets(balance, newest.lessons, **{**PLAIN, "neighbours": 20})
    count = len(newest.lessons[0].states) * balance.horizon
    assert near.train.count == 21 * 3 * count
    law, rows = newest.lessons[0].laws[0], slice(count, 21 * count)
    # the law is linear: its gain follows from states and means alone, where the observation is the state
    t = 25
    at_t = np.arange(near.train.count)[rows][t :: balance.horizon]
    x, u = near.train.observations[at_t], near.train.means[at_t]
    assert x.shape[1] == balance.state.size
    gain = np.linalg.lstsq(np.column_stack([x, np.ones(len(x))]), u, rcond=None)[0][:-1].T
    np.testing.assert_allclose(gain, law.gains[t], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("optimizer", ["adam", "natural_gradient"])
def test_the_same_seed_gives_the_same_policy_and_its_file_keeps_the_report(
    balance: Task, newest: Lessons, optimizer: str, tmp_path: Path
) -> None:
    options = replace(SHORT, optimizer=optimizer)
    one, two = (distil(balance, newest, options).policy for _ in range(2))
    assert one.hash == two.hash
    assert distil(balance, newest, replace(options, seed=1)).policy.hash != one.hash
    loaded = GaussianPolicy.load(one.save(tmp_path / "policy.npz"))
    assert loaded.hash == one.hash
    assert loaded.report is not None and one.report is not None
    assert loaded.report.about == one.report.about
    assert loaded.report.about["task_hash"] == loaded.task_hash == balance.hash
    check_policy(loaded, balance)
    with pytest.raises(DefinitionMismatchError, match="for task"):
        check_policy(loaded, load_task("arm_reach"))


def test_both_optimizers_are_compared_and_the_one_that_meets_the_trials_kept_out_better_is_taken(
    balance: Task, newest: Lessons
) -> None:
    distilled = distil(balance, newest, replace(SHORT, optimizer="both"))
    rows = distilled.report["trainings"]
    assert [row["trainer"] for row in rows] == ["adam", "natural_gradient"]
    best = min(rows, key=lambda row: row["held_out_after"])
    assert [row["taken"] for row in rows] == [row is best for row in rows]
    assert distilled.policy.report is not None
    assert distilled.policy.report.held_out_after == best["held_out_after"]


def test_a_student_of_an_ensemble_has_a_tenth_of_its_parameters_and_nearly_its_answers(
    balance: Task, newest: Lessons
) -> None:
    options = replace(SHORT, members=5, share=0.1, iterations=600)
    distilled = distil(balance, newest, options)
    assert len(distilled.members) == 5
    assert len({member.hash for member in distilled.members}) == 5
    total = sum(map(parameters_of, distilled.members))
    assert 0.07 * total < parameters_of(distilled.policy) <= 0.1 * total
    data = split_targets(balance, newest.lessons, **PLAIN)
    single = [disagreement(member, data.train) for member in distilled.members]
    # it agrees with the laws about as well as those who taught it
    assert disagreement(distilled.policy, data.train) < 1.5 * np.median(single)
    again = distil(balance, newest, replace(options, members=1, iterations=50), distilled.members)
    assert again.report["teachers"] == 5 and len(again.report["trainings"]) == 1


def test_a_temperature_softens_what_is_taught_and_not_what_is_asked(balance: Task, newest: Lessons) -> None:
    cold, hot = (distil(balance, newest, replace(SHORT, temperature=t)).policy for t in (1.0, 4.0))
    # of one teacher nothing is left of it
    np.testing.assert_allclose(hot.covariance, cold.covariance, rtol=1e-9)
    np.testing.assert_allclose(hot.parameters, cold.parameters, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("field", "value"),
    [("optimizer", "sgd"), ("members", 0), ("share", 0.0), ("temperature", -1.0), ("held_out", 1.0), ("clone_std", 0)],
)
def test_options_that_mean_nothing_are_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InvalidFieldError, match=field):
        replace(SHORT, **{field: value})


def test_what_does_not_fit_the_task_is_refused_and_what_was_cut_short_is_told(
    bags: list[RecordedTrial], balance: Task
) -> None:
    foreign = replace(bags[1], trial=replace(bags[1].trial, task_hash="other"))
    with pytest.raises(DefinitionMismatchError, match=r"bags/001.*other"):
        gather([bags[0], foreign], balance)
    cut = replace(bags[1], trial=replace(bags[1].trial, stop_reason="aborted: pushed"))
    assert gather([bags[0], cut], balance).discarded == (("bags/001", "aborted: pushed"),)
    with pytest.raises(RefusedError, match="pushed"):
        gather([cut], balance)
    with pytest.raises(RefusedError, match="there are none"):
        gather([], balance)
