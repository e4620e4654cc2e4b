"""What the variants differ in: bounds, pulls, targets and multipliers, against closed forms."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from mbpl_control.gps.variant import ConditionView, Variant
from mbpl_control.gps.variants import BregmanADMM, Lagrangian, MirrorDescent, between


def actions_of(view: ConditionView) -> np.ndarray:
    """What the controller does at each state of the trials, one after the other."""
    c = view.state.controller
    means = np.empty_like(view.policy.means)
    for k, trial in enumerate(view.policy.states):
        for t, x in enumerate(trial):
            means[k, t] = c.nominal_actions[t] + c.feedforward[t] + c.gains[t] @ (x - c.nominal_states[t])
    return means


def agreeing(view: ConditionView) -> ConditionView:
    """The same with a policy that does as the controller does."""
    policy = replace(view.policy, means=actions_of(view), covariances=np.array(view.state.controller.covariances))
    return replace(view, policy=policy)


def biased(view: ConditionView, lag: np.ndarray) -> ConditionView:
    """The same with a policy that stays behind the controller by so much."""
    return replace(view, policy=replace(view.policy, means=actions_of(view) - lag))


def test_the_divergence_is_that_of_the_gaussians_by_sampling_their_log_densities(view: ConditionView) -> None:
    rng = np.random.default_rng(1)
    means, told = actions_of(view), view.divergence()
    for t in range(len(told)):
        of_trials, errors = [], []
        for k in range(len(means)):
            p = multivariate_normal(means[k, t], view.state.controller.covariances[t])
            q = multivariate_normal(view.policy.means[k, t], view.policy.covariances[t])
            # E_p[log p] is exact, and of log q, a quadratic, only the sampling of u is not
            samples = -p.entropy() - q.logpdf(p.rvs(20_000, random_state=rng))
            of_trials.append(samples.mean())
            errors.append(samples.var() / samples.size)
        five_sigma = 5.0 * np.sqrt(np.sum(errors)) / len(errors)
        assert abs(told[t] - np.mean(of_trials)) < five_sigma
        assert five_sigma < 0.05 * told[t]


def test_the_law_between_two_is_nearest_to_both_in_the_weighted_sum_of_divergences(view: ConditionView) -> None:
    share, x = 0.3, np.random.default_rng(2).normal(size=view.link.gains.shape[2])
    law = between(view.old, view.link, share)

    def far(t: int, mean: np.ndarray, covariance: np.ndarray) -> float:
        total = 0.0
        for weight, other in ((1.0 - share, view.old), (share, view.link)):
            away = mean - other.gains[t] @ x - other.feedforward[t]
            ratio = np.linalg.solve(other.covariances[t], covariance)
            quadratic = away @ np.linalg.solve(other.covariances[t], away)
            total += 0.5 * weight * (np.trace(ratio) - np.linalg.slogdet(ratio)[1] + quadratic)
        return total

    for t in range(len(law.gains)):
        m = law.feedforward.shape[1]

        def objective(z: np.ndarray, t: int = t, m: int = m) -> float:
            factor = np.zeros((m, m))
            factor[np.tril_indices(m)] = z[m:]
            return far(t, z[:m], factor @ factor.T + 1e-12 * np.eye(m))

        least = minimize(objective, np.concatenate([np.zeros(m), np.eye(m)[np.tril_indices(m)]]), tol=1e-12)
        found = far(t, law.gains[t] @ x + law.feedforward[t], law.covariances[t])
        assert found == pytest.approx(least.fun, abs=1e-8)


def test_mirror_descent_stays_near_the_controller_the_policy_or_what_lies_between(view: ConditionView) -> None:
    assert MirrorDescent(0.0).near(view) is view.old
    assert MirrorDescent(1.0).near(view) is view.link
    inside = MirrorDescent(0.5).near(view)
    np.testing.assert_allclose(inside.precisions, 0.5 * (view.old.precisions + view.link.precisions), rtol=1e-9)
    # a policy that does not follow is left out, unless the step is bound to it alone
    astray = replace(view, follows=False)
    assert MirrorDescent(0.5).near(astray) is view.old
    assert MirrorDescent(1.0).near(astray) is view.link


def test_the_divergence_is_the_closed_form_of_two_gaussians(view: ConditionView) -> None:
    means = actions_of(view)
    for t, told in enumerate(view.divergence()):
        p, q = view.state.controller.covariances[t], view.policy.covariances[t]
        kls = []
        for k in range(len(means)):
            away = view.policy.means[k, t] - means[k, t]
            whole = np.trace(np.linalg.solve(q, p)) + away @ np.linalg.solve(q, away) - len(away)
            kls.append(0.5 * (whole + np.log(np.linalg.det(q) / np.linalg.det(p))))
        assert told == pytest.approx(np.mean(kls), rel=1e-12)
    np.testing.assert_allclose(agreeing(view).divergence(), 0.0, atol=1e-12)


def test_mirror_descent_is_bound_to_the_policy_and_pulled_by_nothing(view: ConditionView) -> None:
    variant = MirrorDescent(1.0)
    assert variant.near(view) is view.link
    assert variant.pull(view) is None
    assert variant.arrays() == {}
    np.testing.assert_array_equal(variant.shift(view), np.zeros((3, 2)))
    np.testing.assert_array_equal(variant.weights(view), np.ones(3))


def test_the_multiplier_of_the_lagrangian_grows_by_the_rate_times_the_divergence(view: ConditionView) -> None:
    variant = Lagrangian([7, 8], initial=0.25, rate=0.5)
    expected = 0.25 + 0.5 * view.divergence().sum()
    # not in the middle of an iteration
    variant.update_duals(view, last_round=False)
    assert variant.multipliers == {7: 0.25, 8: 0.25}
    variant.update_duals(view, last_round=True)
    assert variant.multipliers == {7: pytest.approx(expected), 8: 0.25}
    variant.update_duals(agreeing(view), last_round=True)
    assert variant.multipliers[7] == pytest.approx(expected)
    # and it is what pulls: at every step alike, without prices, within a bound around the old controller
    pull = variant.pull(view)
    assert pull.law is view.link and variant.near(view) is view.old
    np.testing.assert_allclose(pull.weights, np.full(3, expected))
    np.testing.assert_array_equal(pull.multipliers, np.zeros((3, 2)))


def test_prices_move_by_the_weighted_and_whitened_difference_of_the_means(view: ConditionView) -> None:
    variant = BregmanADMM([7], steps=3, size=2, weight=0.04, rate=0.5)
    for _ in range(2):
        variant.update_duals(view, last_round=False)
    difference = (actions_of(view) - view.policy.means).mean(axis=0)
    for t in range(3):
        step = 0.5 * 0.04 * np.linalg.solve(view.state.controller.covariances[t], difference[t])
        np.testing.assert_allclose(variant.prices[7][t], 2 * step, rtol=1e-10)
    np.testing.assert_array_equal(variant.nu[7], np.full(3, 0.04))
    assert variant.near(view) is view.old
    pull = variant.pull(view)
    assert pull.law is view.link and pull.multipliers is variant.prices[7] and pull.weights is variant.nu[7]


def test_prices_of_a_policy_that_lags_make_its_lag_dear_and_its_target_lie_beyond_the_controller(
    view: ConditionView,
) -> None:
    lag = np.array([[0.5, -0.2], [0.0, 0.3], [1.0, 1.0]])
    variant = BregmanADMM([7], steps=3, size=2, weight=0.04, rate=0.5)
    variant.update_duals(biased(view, lag), last_round=False)
    # Σ λ / ν with λ = α ν Σ⁻¹ lag is α lag, whatever Σ and ν are
    np.testing.assert_allclose(variant.shift(view), 0.5 * lag, atol=1e-12)
    # doing as the controller does costs more than doing as the policy does
    dearer = np.einsum("ti,ti->t", variant.prices[7], lag)
    assert (dearer > 0.0).all()
    # one that agrees from now on moves no price any more
    before = variant.prices[7].copy()
    variant.update_duals(agreeing(view), last_round=False)
    np.testing.assert_allclose(variant.prices[7], before, atol=1e-12)


def test_the_shifted_target_is_where_the_policys_own_objective_is_least(view: ConditionView) -> None:
    variant = BregmanADMM([7], steps=3, size=2, weight=0.04, rate=0.5)
    variant.update_duals(view, last_round=False)
    for t in range(3):
        # ½ ν dᵀ Σ⁻¹ d − λᵀ d, of the distance d from the controller's mean, has its only stationary point there
        d, sigma = variant.shift(view)[t], view.state.controller.covariances[t]
        gradient = variant.nu[7][t] * np.linalg.solve(sigma, d) - variant.prices[7][t]
        np.testing.assert_allclose(gradient, 0.0, atol=1e-14)


def test_weights_double_where_policy_and_controller_differ_most_and_halve_where_least(view: ConditionView) -> None:
    variant = BregmanADMM([7], steps=3, size=2, weight=0.04)
    close = agreeing(view)
    # divergences of 0, 1 and 2 nats: a deviation is √(2/3), so the first and the last stand out
    whitened = np.linalg.cholesky(view.state.controller.covariances)[:, :, 0]
    lag = np.sqrt([0.0, 2.0, 4.0])[:, None] * whitened
    apart = replace(close, policy=replace(close.policy, means=close.policy.means - lag))
    np.testing.assert_allclose(apart.divergence(), [0.0, 1.0, 2.0], atol=1e-12)
    variant.update_duals(apart, last_round=False)
    np.testing.assert_array_equal(variant.nu[7], np.full(3, 0.04))
    variant.update_duals(apart, last_round=True)
    np.testing.assert_allclose(variant.nu[7], [0.02, 0.04, 0.08])
    # targets are weighted alike in the mean
    np.testing.assert_allclose(variant.weights(view), np.array([0.02, 0.04, 0.08]) / (0.14 / 3))


@pytest.mark.parametrize("make", [lambda: Lagrangian([7]), lambda: BregmanADMM([7], steps=3, size=2)])
def test_multipliers_that_were_kept_come_back(make, view: ConditionView) -> None:
    one: Variant = make()
    other: Variant = make()
    one.update_duals(view, last_round=True)
    other.restore({name: value.copy() for name, value in one.arrays().items()})
    for variant in (one, other):
        variant.update_duals(view, last_round=True)
    assert set(one.arrays()) == set(other.arrays())
    for name, value in one.arrays().items():
        np.testing.assert_array_equal(other.arrays()[name], value)
    assert any((value != make().arrays()[name]).any() for name, value in one.arrays().items())
