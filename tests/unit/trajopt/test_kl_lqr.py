"""LQR within a KL bound: what the bound means, its limits, its optimum, and cbfinn/gps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from stacked import Stacked, random_law, random_problem

from mbpl_control.core import InvalidFieldError, SolverError
from mbpl_control.costs.cost import Quadratization
from mbpl_control.trajopt import solve_lqr
from mbpl_control.trajopt.kl_lqr import KLConstrainedLQR, KLProblem, LinearLaw


def lagrangian(problem: KLProblem, law: LinearLaw, eta: float) -> float:
    """E[l] − β H(p) + η KL(p ‖ p̄) + Σ_t ν_t KL(p_t ‖ π_t) by dense linear algebra."""
    stacked = Stacked(problem, law)
    m = law.covariances.shape[1]
    entropy = 0.5 * np.sum(np.linalg.slogdet(law.covariances)[1] + m * (1.0 + np.log(2.0 * np.pi)))
    value = stacked.expected(problem.cost) - problem.entropy * entropy
    value += eta * stacked.kl(Stacked(problem, problem.previous))
    pi, weights = problem.attraction, problem.attraction_weights
    if pi is not None and weights is not None:
        for t, weight in enumerate(weights):
            x = stacked.x(t)
            away = (law.gains[t] - pi.gains[t]) @ stacked.mean[x] + law.feedforward[t] - pi.feedforward[t]
            dk = law.gains[t] - pi.gains[t]
            spread = law.covariances[t] + dk @ stacked.covariance[x, x] @ dk.T + np.outer(away, away)
            logs = np.linalg.slogdet(pi.covariances[t])[1] - np.linalg.slogdet(law.covariances[t])[1]
            value += weight * 0.5 * (np.trace(pi.precisions[t] @ spread) - m + logs)
    return float(value)


@pytest.mark.parametrize("attracted", [False, True])
@pytest.mark.parametrize(("eta", "entropy"), [(0.5, 0.0), (3.0, 0.7), (1e-3, 0.2)])
def test_no_change_of_the_law_lowers_what_is_minimised(attracted: bool, eta: float, entropy: float) -> None:
    problem = random_problem(1, steps=4, entropy=entropy)
    if attracted:
        pi = random_law(np.random.default_rng(2), 4, 3, 2)
        problem = replace(problem, attraction=pi, attraction_weights=np.array([0.0, 0.4, 2.0, 5.0]))
    law = KLConstrainedLQR().at(problem, eta).law
    best, rng = lagrangian(problem, law, eta), np.random.default_rng(3)
    for size in (0.3, 1e-2, 1e-3):
        for _ in range(20):
            factor = np.eye(2) + size * rng.normal(size=(4, 2, 2))
            other = LinearLaw.of(
                law.gains + size * rng.normal(size=law.gains.shape),
                law.feedforward + size * rng.normal(size=law.feedforward.shape),
                factor @ law.covariances @ factor.transpose(0, 2, 1),
            )
            assert lagrangian(problem, other, eta) > best - 1e-9 * abs(best)


@pytest.mark.parametrize("tolerance", [0.1, 1e-3])
@pytest.mark.parametrize("bound", [1e-3, 1e-1, 1.0, 10.0, 1e3, 1e5])
def test_kl_constrained_step_meets_its_bound_to_the_stated_tolerance(tolerance: float, bound: float) -> None:
    solver = KLConstrainedLQR(tolerance)
    for seed in range(6):
        problem = random_problem(seed)
        most = solver.at(problem, 1e-8).kl
        for eta in (1e-6, 1.0, 1e6):
            solution = solver.solve(problem, bound, eta)
            expected = Stacked(problem, solution.law).kl(Stacked(problem, problem.previous))
            assert solution.kl == pytest.approx(expected, rel=1e-5, abs=1e-8)
            if bound < most * (1.0 - tolerance):
                assert solution.reason == "bound met"
                assert abs(solution.kl - bound) <= tolerance * bound
            else:
                assert solution.kl <= bound * (1.0 + tolerance)
            assert (solution.bound, solution.evaluations <= 50) == (bound, True)


def test_the_divergence_falls_as_eta_grows() -> None:
    problem = random_problem(7, entropy=0.3)
    kls = [KLConstrainedLQR().at(problem, eta).kl for eta in np.logspace(-6, 6, 40)]
    assert (np.diff(kls) < 0.0).all()


def test_however_large_eta_the_divergence_falls_like_its_inverse_square() -> None:
    problem = random_problem(7)
    # a law so sure of itself that eta times its precision has no digits in common with the cost
    sure = LinearLaw.of(
        30.0 * problem.previous.gains, problem.previous.feedforward, 1e-6 * problem.previous.covariances
    )
    problem = replace(problem, previous=sure)
    scaled = [KLConstrainedLQR().at(problem, eta).kl * eta**2 for eta in np.logspace(13, 16, 4)]
    np.testing.assert_allclose(scaled, scaled[0], rtol=1e-2)


def test_a_warm_start_takes_few_backward_passes() -> None:
    for seed in range(10):
        problem = random_problem(seed)
        eta = KLConstrainedLQR(1e-6).solve(problem, 2.0).eta
        assert KLConstrainedLQR(0.1).solve(problem, 2.0, 2.0 * eta).evaluations <= 4


def test_a_bound_that_is_not_felt_stops_the_search_early_with_the_law_without_it() -> None:
    for seed in range(6):
        problem = random_problem(seed)
        free = KLConstrainedLQR().at(problem, 1e-8)
        solution = KLConstrainedLQR().solve(problem, 10.0 * free.kl)
        assert solution.reason == "bound inactive"
        assert solution.evaluations <= 8
        assert solution.kl == pytest.approx(free.kl, rel=1e-2)


def test_as_eta_vanishes_the_law_is_that_of_lqr() -> None:
    problem = random_problem(8)
    cost = problem.cost
    plain = solve_lqr(
        problem.a, problem.b, cost.lxx, cost.luu, cost.lux, cost.lx, cost.lu, problem.c
    )  # fmt: skip
    entropy = replace(problem, entropy=1.0)
    law = KLConstrainedLQR().at(entropy, 1e-8).law
    np.testing.assert_allclose(law.gains, plain.gains, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(law.feedforward, plain.feedforward, rtol=1e-5, atol=1e-6)
    # of the maximum-entropy problem at temperature 1
    np.testing.assert_allclose(law.covariances, plain.covariances, rtol=1e-5, atol=1e-7)


def test_as_eta_grows_the_law_is_the_one_before() -> None:
    problem = random_problem(9, entropy=0.5)
    solution = KLConstrainedLQR().at(problem, 1e9)
    for name in ("gains", "feedforward", "covariances"):
        np.testing.assert_allclose(getattr(solution.law, name), getattr(problem.previous, name), rtol=1e-5, atol=1e-6)
    assert solution.kl == pytest.approx(0.0, abs=1e-8)


def test_an_overwhelming_attraction_gives_the_law_it_comes_from() -> None:
    pi = random_law(np.random.default_rng(10), 6, 3, 2)
    problem = random_problem(11, attraction=pi, attraction_weights=np.full(6, 1e9))
    law = KLConstrainedLQR().at(problem, 1.0).law
    for name in ("gains", "feedforward", "covariances"):
        np.testing.assert_allclose(getattr(law, name), getattr(pi, name), rtol=1e-5, atol=1e-6)


def test_an_attraction_of_weight_zero_changes_nothing() -> None:
    problem = random_problem(12)
    pi = random_law(np.random.default_rng(13), 6, 3, 2)
    drawn = replace(problem, attraction=pi, attraction_weights=np.zeros(6))
    np.testing.assert_array_equal(
        KLConstrainedLQR().at(drawn, 1.0).law.gains, KLConstrainedLQR().at(problem, 1.0).law.gains
    )


def concave(problem: KLProblem, curvature: float) -> KLProblem:
    """The problem with a cost that pays for large actions at one step."""
    luu = problem.cost.luu.copy()
    luu[2] = -curvature * np.eye(luu.shape[1])
    return replace(problem, cost=replace(problem.cost, luu=luu))


@pytest.mark.parametrize("start", [1e-6, 1.0, 1e3])
def test_where_the_cost_has_no_minimum_eta_grows_until_there_is_one_within_the_bound(start: float) -> None:
    problem = concave(random_problem(14), 1e3)
    with pytest.raises(SolverError, match="Q_uu is not positive definite at eta 1e-06"):
        KLConstrainedLQR().at(problem, 1e-6)
    solution = KLConstrainedLQR().solve(problem, 0.5, start)
    assert solution.kl <= 0.5 * 1.1
    assert np.linalg.eigvalsh(solution.law.covariances).min() > 0.0
    # from where Q_uu becomes definite on, the law is a minimum again
    assert solution.eta > 1.0


def test_a_cost_that_no_eta_makes_convex_is_an_error_that_says_so() -> None:
    problem = concave(random_problem(15), 1e20)
    with pytest.raises(SolverError, match=r"no eta up to 1e\+16 gives a positive definite Q_uu .* at most 1 nats"):
        KLConstrainedLQR().solve(problem, 1.0)


def test_the_law_at_the_same_eta_is_that_of_cbfinn_gps(reacher_update: dict[str, np.ndarray]) -> None:
    g = reacher_update
    n = g["X"].shape[2]

    def ended(array: np.ndarray) -> np.ndarray:
        # its cost has no term for the state after the last action
        return np.concatenate([array, np.zeros((1, *array.shape[1:]))])

    cv, cm = g["cv"], g["Cm"]
    cost = Quadratization(
        ended(g["cc"]), ended(cv[:, :n]), cv[:, n:], ended(cm[:, :n, :n]), cm[:, n:, :n], cm[:, n:, n:]
    )
    problem = KLProblem(
        g["Fm"][:, :, :n], g["Fm"][:, :, n:], g["fv"], g["dyn_covar"], g["x0mu"], g["x0sigma"], cost,
        LinearLaw.of(g["prev_K"], g["prev_k"], g["prev_S"]), entropy=1e-3,
    )  # fmt: skip
    solution = KLConstrainedLQR().at(problem, float(g["eta"]))
    pairs = ((solution.law.gains, "new_K"), (solution.law.feedforward, "new_k"), (solution.law.covariances, "new_S"))
    for mine, name in pairs:
        np.testing.assert_allclose(mine, g[name], rtol=0.0, atol=1e-8 * np.abs(g[name]).max())
    # its search had stopped within its tolerance of the bound
    assert solution.kl == pytest.approx(float(g["kl_step"]), rel=0.1)
    assert KLConstrainedLQR().solve(problem, float(g["kl_step"]), float(g["eta0"])).eta == pytest.approx(
        float(g["eta"]), rel=0.5
    )


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"a": np.zeros((6, 3, 2))}, r"KLProblem\.a: found shape"),
        ({"noise": np.full((6, 3, 3), np.nan)}, r"KLProblem\.noise: found nan"),
        ({"entropy": -1.0}, r"KLProblem\.entropy"),
        ({"attraction_weights": np.ones(6)}, r"KLProblem\.attraction_weights: found one without the other"),
    ],
)
def test_a_problem_that_does_not_fit_together_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        random_problem(16, **fields)


@pytest.mark.parametrize("bound", [0.0, -1.0, np.inf, np.nan])
def test_a_bound_that_is_none_is_refused(bound: float) -> None:
    with pytest.raises(InvalidFieldError, match=r"KLConstrainedLQR\.bound"):
        KLConstrainedLQR().solve(random_problem(17), bound)
    with pytest.raises(InvalidFieldError, match=r"KLConstrainedLQR\.tolerance"):
        KLConstrainedLQR(tolerance=0.0)


def test_a_law_without_a_density_is_refused() -> None:
    with pytest.raises(InvalidFieldError, match=r"LinearLaw\.covariances: found a singular matrix"):
        LinearLaw.of(np.zeros((2, 1, 1)), np.zeros((2, 1)), np.zeros((2, 1, 1)))
