"""The learner of local controllers on a small task: what it repeats, what it survives, and that it learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import FileFormatError, LinearGaussianController, LinearGaussianDynamics, Trial
from mbpl_control.learning.learner import IterationReport, TrialRequest
from mbpl_control.learning.lqr_flm import LqrFlm
from mbpl_control.tasks import Task
from mbpl_control.tasks.learning_schema import LearningSection

Run = Callable[[Sequence[TrialRequest]], list[Trial]]


def learner(task: Task, seed: int = 3, **options: object) -> LqrFlm:
    own = task.learning.model_dump(exclude_unset=True)
    return LqrFlm(task, seed, LearningSection.model_validate({**own, "samples": 4, **options}))


def bits(learner: LqrFlm) -> bytes:
    """Everything of the controllers it would try next."""
    names = ("nominal_states", "nominal_actions", "gains", "feedforward", "covariances")
    return b"".join(getattr(r.law, name).tobytes() for r in learner.requests() for name in names)


def iterate(learner: LqrFlm, run: Run, iterations: int = 1) -> IterationReport:
    for _ in range(iterations):
        report = learner.learn(run(learner.requests()), run(learner.evaluation_requests()))
    return report


def spoilt(trials: Sequence[Trial], condition: int, count: int, **fields: object) -> list[Trial]:
    """The trials, the first `count` of a condition with other fields."""
    out = []
    for trial in trials:
        mine = trial.condition == condition and count > 0
        count -= mine
        out.append(replace(trial, **fields) if mine else trial)  # type: ignore[arg-type]
    return out


@pytest.fixture(scope="module")
def trained(balance: Task, run: Run) -> tuple[LqrFlm, list[IterationReport]]:
    """Five iterations."""
    made = learner(balance)
    return made, [iterate(made, run) for _ in range(5)]


def test_a_falling_rod_is_balanced_after_five_iterations(
    trained: tuple[LqrFlm, list[IterationReport]], run: Run
) -> None:
    made, reports = trained
    first, last = reports[0], run(made.evaluation_requests())
    # the first controllers let it fall
    assert first.mean("mean_success") == 0.0
    assert all(trial.success for trial in last)
    assert np.mean([trial.cost for trial in last]) < 0.1 * first.mean("mean_cost")


def test_every_step_keeps_within_its_bound_and_every_plan_within_the_limits(
    trained: tuple[LqrFlm, list[IterationReport]], balance: Task
) -> None:
    made, reports = trained
    for report in reports:
        for row in report.rows:
            # 10 % is the tolerance of the search
            assert 0.0 < float(row["kl"]) <= 1.1 * float(row["bound"])
            assert row["surrogate"] in ("taylor", "majorized")
    for request in made.requests():
        assert isinstance(request.law, LinearGaussianController)
        planned = request.law.planned_actions
        assert ((planned >= balance.action.lower) & (planned <= balance.action.upper)).all()


def test_the_same_seed_learns_the_same_to_the_last_bit_and_another_does_not(balance: Task, run: Run) -> None:
    one, same, other = learner(balance), learner(balance), learner(balance, seed=4)
    for made in (one, same, other):
        iterate(made, run, 2)
    assert bits(one) == bits(same)
    assert bits(one) != bits(other)
    seeds = [r.seed for r in one.requests() + one.evaluation_requests()]
    assert len(set(seeds)) == len(seeds)


def test_one_that_was_kept_goes_on_to_the_same_bits(balance: Task, run: Run, tmp_path: Path) -> None:
    one, other = learner(balance), learner(balance)
    iterate(one, run, 2)
    one.save(tmp_path)
    other.restore(tmp_path)
    assert other.iteration == 2
    assert bits(other) == bits(one)
    for _ in range(2):
        mine, theirs = iterate(one, run), iterate(other, run)
        assert bits(other) == bits(one)
        assert mine.rows == theirs.rows
    for kind, name in ((LinearGaussianController, "controllers"), (LinearGaussianDynamics, "dynamics")):
        assert [kind.load(path).steps for path in sorted((tmp_path / name).iterdir())] == [balance.horizon] * 3


@pytest.mark.parametrize("change", [{"seed": 5}, {"ridge": 1e-5}])
def test_one_of_another_seed_or_other_options_does_not_go_on_with_it(
    balance: Task, tmp_path: Path, change: dict[str, object]
) -> None:
    learner(balance).save(tmp_path)
    name = "seed" if "seed" in change else "options"
    with pytest.raises(FileFormatError, match=f"{name} is"):
        learner(balance, **change).restore(tmp_path)  # type: ignore[arg-type]


def test_a_trial_that_was_cut_short_is_discarded_and_named(balance: Task, run: Run) -> None:
    whole, less = learner(balance), learner(balance)
    trials = run(whole.requests())
    report = less.learn(spoilt(trials, 1, 1, stop_reason="aborted: pushed over"))
    assert [row["discarded"] for row in report.rows] == [0, 1, 0]
    seed = next(t.seed for t in trials if t.condition == 1)
    assert report.events == (f"condition 1: trial with seed {seed} discarded: aborted: pushed over",)
    # as if it had never been
    rest = [t for t in trials if t.seed != seed]
    assert isinstance(whole.learn(rest), IterationReport)
    assert bits(less) == bits(whole)


def test_a_trial_that_diverged_is_discarded(balance: Task, run: Run) -> None:
    made = learner(balance)
    trials = run(made.requests())
    states = trials[0].states.copy()
    states[-1] = 1e7
    report = made.learn(spoilt(trials, 0, 1, states=states))
    assert report.events == (f"condition 0: trial with seed {trials[0].seed} discarded: it diverged",)


def test_a_condition_that_lost_all_its_trials_takes_a_shorter_step_from_what_it_knew(balance: Task, run: Run) -> None:
    made = learner(balance)
    iterate(made, run, 2)
    before, states = made.states[2].multiplier, made.states[2]
    model, tried = states.model, states.controller
    report = made.learn(spoilt(run(made.requests()), 2, 3, stop_reason="aborted"))
    row = report.rows[2]
    assert row["discarded"] == 3
    assert any("condition 2: too few trials: a step of a tenth" in event for event in report.events)
    assert row["multiplier"] == pytest.approx(before / 10.0)
    assert float(row["bound"]) == pytest.approx(0.2 * balance.horizon * before / 10.0)
    assert 0.0 < float(row["kl"]) <= 1.1 * float(row["bound"])
    assert states.model is model
    assert not np.array_equal(states.controller.nominal_actions, tried.nominal_actions)
    # and it goes on from there
    assert iterate(made, run).rows[2]["discarded"] == 0


def test_a_step_that_made_it_worse_is_taken_back(balance: Task, run: Run, tmp_path: Path) -> None:
    made = learner(balance)
    iterate(made, run, 2)
    s = made.states[1]
    kept, controller, multiplier, promised = s.trials, s.made_from, s.multiplier, s.trial_cost - s.predicted_cost
    assert kept is not None and s.model is not None
    trials = run(made.requests())
    # its mean is above what it was by more than it promised to gain and two standard errors of what was
    mine = np.array([t.cost for t in trials if t.condition == 1])
    error = kept.costs.std(ddof=1) * np.sqrt(1.0 / len(kept.costs) + 1.0 / len(mine))
    more = kept.costs.mean() - mine.mean() + promised + 2.0 * error

    def changed(by: float) -> list[Trial]:
        steps = balance.horizon + 1
        return [replace(t, costs=t.costs + by / steps) if t.condition == 1 else t for t in trials]

    made.save(tmp_path)
    other = learner(balance)
    other.restore(tmp_path)
    report = made.learn(changed(more + 1e-6))
    assert [e for e in report.events if "condition 1" in e and "taken back" in e]
    assert s.trials is kept and s.made_from is controller
    assert s.multiplier == pytest.approx(0.1 * multiplier)
    assert float(report.rows[1]["kl"]) <= 1.1 * float(report.rows[1]["bound"])
    assert float(report.rows[1]["bound"]) == pytest.approx(balance.learning.step.kl * balance.horizon * s.multiplier)
    assert report.rows[1]["cost"] == pytest.approx(mine.mean() + more)
    # one that is kept on disk takes back the same step, and one that lost a little less keeps it
    other.learn(changed(more + 1e-6))
    assert bits(other) == bits(made)
    third = learner(balance)
    third.restore(tmp_path)
    assert not third.learn(changed(more - 1e-6)).events
    assert third.states[1].made_from is not controller


def test_a_run_all_of_whose_first_trials_fail_tries_again_with_less_noise(balance: Task, run: Run) -> None:
    made = learner(balance)
    before = made.states[0].controller
    trials = run(made.requests())
    report = made.learn([replace(trial, stop_reason="aborted") for trial in trials])
    assert sum("a tenth of the variance next" in event for event in report.events) == 3
    assert np.isnan(report.mean("cost"))
    np.testing.assert_allclose(made.states[0].controller.covariances, 0.1 * before.covariances)
    np.testing.assert_array_equal(made.states[0].controller.gains, before.gains)
    assert iterate(made, run).mean("discarded") == 0.0


def test_noise_stays_between_floor_and_ceiling(balance: Task, run: Run) -> None:
    limit = np.minimum(balance.action.upper, -balance.action.lower)
    made = learner(balance, exploration={"floor": 0.02, "ceiling": 0.05})
    iterate(made, run, 2)
    deviations = np.sqrt(np.concatenate([s.controller.covariances[:, 0] for s in made.states.values()])) / limit
    assert deviations.min() >= 0.02 * (1 - 1e-9)
    assert deviations.max() <= 0.05 * (1 + 1e-9)


def test_a_step_on_dynamics_that_another_fitted_is_that_of_the_learner_itself(balance: Task, run: Run) -> None:
    whole, fitter, alone = learner(balance), learner(balance), learner(balance)
    trials = run(whole.requests())
    models = fitter.fit(fitter.sort(trials))
    whole.learn(trials)
    for c in whole.training:
        mine = [t for t in trials if t.condition == c]
        alone.improve(c, mine, models[c].absolute_dynamics(balance, len(mine)), 1)
        expected, found = whole.states[c].controller, alone.states[c].controller
        assert found.name == expected.name
        np.testing.assert_allclose(found.gains, expected.gains, rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(found.planned_actions, expected.planned_actions, rtol=1e-6, atol=1e-9)


def test_a_task_without_a_rule_of_success_is_tried_with_all_its_noise(balance: Task) -> None:
    made = learner(balance, exploration={"close_share": 0.1})
    state = made.states[0]
    state.distance = float("nan")
    assert made.explorer(0) is state.controller
    state.distance = 0.0
    np.testing.assert_allclose(made.explorer(0).covariances, 0.01 * state.controller.covariances, rtol=1e-12)
