"""Guided policy search on a small task: what each variant reports, repeats and keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import ExecutionMode, FileFormatError, LinearGaussianController, Trial
from mbpl_control.gps.imagined import imagined_trials
from mbpl_control.gps.learner import IMAGINED, VISITS, GuidedPolicySearch
from mbpl_control.learning.learner import IterationReport, TrialRequest, trial_seed
from mbpl_control.policies import GaussianPolicy
from mbpl_control.tasks import Task
from mbpl_control.tasks.learning_schema import LearningSection

Run = Callable[[Sequence[TrialRequest]], list[Trial]]

VARIANTS = ("mdgps", "badmm", "lagrangian")
#: What a row tells of the policy.
OF_POLICY = {"policy_cost", "policy_success", "policy_distance", "held_out_success"}


def learner(task: Task, variant: str = "mdgps", seed: int = 3, **gps: object) -> GuidedPolicySearch:
    options = {
        "samples": 3,
        "initial": {"kind": "pd", "bias": "zero", "std": 0.05, "stiffness": 0.2, "damping": 0.05},
        "gps": {"variant": variant, "policy_iterations": 50, "hidden": [8], "neighbours": 2, **gps},
    }
    return GuidedPolicySearch(task, seed, LearningSection.model_validate(options))


def iterate(learner: GuidedPolicySearch, run: Run) -> IterationReport:
    return learner.learn(run(learner.requests()), run(learner.evaluation_requests()))


def bits(learner: GuidedPolicySearch) -> bytes:
    """All numbers of its controllers, policy and multipliers."""
    names = ("nominal_states", "nominal_actions", "gains", "feedforward", "covariances")
    parts = [getattr(s.controller, name) for s in learner.states.values() for name in names]
    parts += [learner.policy.parameters, learner.policy.covariance]
    parts += [value for _, value in sorted(learner.variant.arrays().items())]
    return b"".join(part.tobytes() for part in parts)


@pytest.fixture(scope="module", params=VARIANTS)
def trained(request: pytest.FixtureRequest, balance: Task, run: Run) -> tuple[str, list[IterationReport]]:
    """Two iterations of a variant, and a third that shows the policy of the second."""
    made = learner(balance, request.param)
    return request.param, [iterate(made, run) for _ in range(3)]


def test_each_variant_steps_within_its_bound_and_reports_the_same_keys_in_every_row(
    trained: tuple[str, list[IterationReport]], balance: Task
) -> None:
    _, reports = trained
    training = [c.index for c in balance.conditions if not c.held_out]
    keys = {frozenset(row) for report in reports for row in report.rows}
    assert len(keys) == 1
    assert {"condition", "cost", "kl", "eta", "success", "disagreement", *OF_POLICY} <= next(iter(keys))
    for number, report in enumerate(reports, start=1):
        assert report.iteration == number
        assert report.events == ()
        assert set(report.seconds) == {"fit", "optimise", "policy"}
        assert [row["condition"] for row in report.rows] == [c.index for c in balance.conditions]
        for row in report.rows[: len(training)]:
            assert np.isfinite(float(row["cost"])) and np.isfinite(float(row["disagreement"]))
            # 10 % is the tolerance of the search
            assert 0.0 < float(row["kl"]) <= 1.1 * float(row["bound"])


def test_rows_of_held_out_conditions_tell_how_the_policy_did_and_nothing_else(
    trained: tuple[str, list[IterationReport]], balance: Task
) -> None:
    _, reports = trained
    held_out = {c.index for c in balance.conditions if c.held_out}
    assert held_out
    for report in reports:
        for row in report.rows:
            # the policy is judged from its second iteration on: before, there is none
            judged = report.iteration > 1
            mine = row["condition"] in held_out
            assert np.isfinite(float(row["policy_cost"])) == judged
            assert np.isfinite(float(row["policy_success"])) == (judged and not mine)
            assert np.isfinite(float(row["held_out_success"])) == (judged and mine)
            if mine:
                told = {k for k, v in row.items() if isinstance(v, float) and np.isfinite(v)}
                assert told <= OF_POLICY
                assert (row["discarded"], row["rank"], row["surrogate"], row["tried"]) == (0, 0, "", "")
        # means over the rows of a report are of the conditions learned from
        assert np.isfinite(report.mean("cost"))


def test_the_policy_is_judged_without_noise_from_every_start_and_asked_for_trials_when_told_to(
    balance: Task, run: Run
) -> None:
    made = learner(balance, sample_from="policy")
    assert made.evaluation_requests() == []
    first = made.requests()
    assert all(isinstance(r.law, LinearGaussianController) for r in first)
    made.learn(run(first))
    later, judged = made.requests(), made.evaluation_requests()
    assert all(r.law is made.policy and r.mode is ExecutionMode.SAMPLED for r in later)
    assert [r.condition for r in later] == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert all(r.law is made.policy and r.mode is ExecutionMode.MEAN for r in judged)
    assert [r.condition for r in judged] == [0, 1, 2, 3]
    seeds = [r.seed for r in first + later + judged]
    assert len(set(seeds)) == len(seeds)
    report = made.learn(run(later), run(judged))
    assert report.events == ()


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_policy_runs_the_trials_of_conditions_in_which_it_did_better(
    variant: str, balance: Task, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = learner(balance, variant, sample_from="better")
    iterate(made, run)
    # nothing is known of a policy that was not tried yet
    assert not any(made.tries_policy(c) for c in made.training)
    iterate(made, run)
    for c, cost in zip(made.training, (-1.0, float("nan"), 1.0), strict=True):
        made.states[c].policy_cost = made.states[c].trial_cost + cost
    wanted = made.requests()
    assert [r.condition for r in wanted if r.law is made.policy] == [0] * 3
    assert {r.condition for r in wanted if isinstance(r.law, LinearGaussianController)} == {1, 2}
    centres = {}
    near = made.variant.near
    monkeypatch.setattr(made.variant, "near", lambda view: centres.setdefault(view.state.index, (view, near(view)))[1])
    report = made.learn(run(wanted), run(made.evaluation_requests()))
    assert [row["tried"] for row in report.rows] == ["policy", "controller", "controller", ""]
    view, centre = centres[0]
    np.testing.assert_allclose(centre.gains, view.link.gains, rtol=1e-9)
    np.testing.assert_allclose(centre.feedforward, view.link.feedforward, rtol=1e-9)
    view, centre = centres[1]
    assert not np.allclose(centre.gains, view.link.gains, rtol=1e-3)


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_that_was_kept_goes_on_to_the_same_bits(variant: str, balance: Task, run: Run, tmp_path: Path) -> None:
    one, other = learner(balance, variant), learner(balance, variant)
    iterate(one, run)
    iterate(one, run)
    one.save(tmp_path)
    other.restore(tmp_path)
    assert other.iteration == 2
    assert bits(other) == bits(one)
    mine, theirs = iterate(one, run), iterate(other, run)
    assert bits(other) == bits(one)
    # NaN equals NaN here
    np.testing.assert_equal([dict(row) for row in theirs.rows], [dict(row) for row in mine.rows])
    kept = GaussianPolicy.load(tmp_path / "policy.npz")
    trainings = one.options.gps.policy_rounds * (2 if variant == "badmm" else 1)
    assert (kept.task, kept.trainings) == (balance.name, one.policy.trainings - trainings)


def test_the_seed_decides_every_bit(balance: Task, run: Run) -> None:
    one, same, other = learner(balance), learner(balance), learner(balance, seed=4)
    for made in (one, same, other):
        iterate(made, run)
    assert bits(one) == bits(same)
    assert bits(one) != bits(other)


def test_what_one_variant_kept_is_refused_by_another(balance: Task, tmp_path: Path) -> None:
    learner(balance, "badmm").save(tmp_path)
    with pytest.raises(FileFormatError, match="options is"):
        learner(balance, "lagrangian").restore(tmp_path)


def test_a_condition_that_lost_its_trials_teaches_nothing_and_the_others_go_on(balance: Task, run: Run) -> None:
    made = learner(balance)
    iterate(made, run)
    before = made.states[1].multiplier
    trials = [replace(t, stop_reason="aborted") if t.condition == 1 else t for t in run(made.requests())]
    report = made.learn(trials, run(made.evaluation_requests()))
    assert any("condition 1: too few trials" in event for event in report.events)
    assert report.rows[1]["multiplier"] == pytest.approx(before / 10.0)
    assert np.isnan(float(report.rows[1]["disagreement"]))
    assert all(np.isfinite(float(report.rows[c]["disagreement"])) for c in (0, 2))


def test_states_added_to_a_training_stray_no_further_than_trials_do_whatever_the_model_expects(
    balance: Task, run: Run
) -> None:
    made = learner(balance, neighbours=7000)
    trials = run(made.requests())
    made.learn(trials)
    state, states = made.states[0], np.array([t.states[:-1] for t in trials if t.condition == 0])
    assert state.spread is not None and state.model is not None
    n, seen = states.shape[2], states.std(axis=0, ddof=1)
    ahead = state.controller.nominal_states[:-1]
    policy = next(t for t in run(made.evaluation_requests()) if t.condition == 0)
    # near where the controller is going; so far that no law can be asked there; and lost altogether
    near, far = (replace(policy, states=np.concatenate([ahead + d * seen, policy.states[-1:]])) for d in (5.0, 80.0))
    lost = replace(policy, stop_reason="aborted: lost")
    seed = trial_seed(made.seed, made.iteration, 0, VISITS)
    imagined = imagined_trials(made.policy, balance, 0, state.model, IMAGINED, seed)
    # drawn back to eight deviations, root mean square over the numbers
    would_go = []
    for visited in imagined:
        off = visited - ahead
        away = np.sqrt(np.mean((off / np.maximum(seen, 1e-12)) ** 2, axis=1))
        would_go.append(ahead + off * np.minimum(1.0, 8.0 / np.maximum(away, 1e-12))[:, None])
    # two times what is expected, where that is little; four times what trials had, where dynamics blow up
    for expected, limit in ((0.1 * seen, 0.2 * seen), (1e3 * (1.0 + seen), 4.0 * seen)):
        spread = np.zeros((len(seen) + 1, n, n))
        spread[:-1, np.arange(n), np.arange(n)] = expected**2
        state.spread = spread
        for shown, others in (
            (None, [ahead]),
            (lost, [ahead]),
            (near, [ahead, ahead + 5.0 * seen]),
            (far, [ahead, ahead + 8.0 * seen * np.sqrt(n / np.maximum((seen > 0.0).sum(axis=1), 1))[:, None]]),
        ):
            made._shown = {} if shown is None else {0: shown}
            more = made._taught_at(0, states, state.model, 0)
            np.testing.assert_array_equal(more[: len(states)], states)
            drawn = more[len(states) :].reshape(7000, *states.shape)
            for i, centre in enumerate([states, *others, *would_go]):
                away = drawn[i :: 1 + len(others) + len(would_go)] - centre
                # 3000 draws at least give a deviation to 1.3 %, and a mean to 2 % of it
                np.testing.assert_allclose(away.std(axis=(0, 1)), limit, rtol=0.1, atol=1e-9)
                assert (np.abs(away.mean(axis=(0, 1))) <= 0.12 * limit + 1e-9).all()


def test_a_policy_that_does_not_follow_is_not_what_a_step_begins_from(balance: Task, run: Run) -> None:
    made = learner(balance)
    iterate(made, run)
    trials, shown = run(made.requests()), run(made.evaluation_requests())
    worst = {c: max(t.cost for t in trials if t.condition == c) for c in (0, 1, 2)}

    def costing(trial: Trial, cost: float) -> Trial:
        return replace(trial, costs=np.full_like(trial.costs, cost / len(trial.costs)))

    by_condition = {t.condition: t for t in shown}
    of = [
        costing(by_condition[0], worst[0] - 1e-6),
        costing(by_condition[1], worst[1] + 1e-6),
        replace(costing(by_condition[2], worst[2] - 1.0), stop_reason="aborted: lost"),
    ]
    made.learn(trials, of)
    assert [made._follows(c) for c in (0, 1, 2)] == [True, False, False]
    # nobody looked: there is no telling
    made.learn(run(made.requests()))
    assert all(made._follows(c) for c in (0, 1, 2) if c not in made._taken_back)
    made._taken_back = {1}
    assert not made._follows(1)


def test_the_very_first_iteration_trains_a_policy_once_on_the_same_targets(balance: Task, run: Run) -> None:
    made = learner(balance, "badmm")
    iterate(made, run)
    rounds = made.options.gps.policy_rounds
    assert made.policy.trainings == 2 * rounds
    iterate(made, run)
    assert made.policy.trainings == 4 * rounds
