"""What is expected of a law, against one Gaussian over the whole trajectory."""

from __future__ import annotations

import numpy as np
import pytest
from stacked import Stacked, random_law, random_problem

from mbpl_control.trajopt.kl_lqr import evaluate_law

SIZES = [(6, 3, 2), (1, 1, 1), (9, 2, 4), (3, 7, 1)]


@pytest.mark.parametrize(("steps", "n", "m"), SIZES)
def test_means_and_covariances_of_states_are_those_of_the_stacked_gaussian(steps: int, n: int, m: int) -> None:
    problem = random_problem(1, steps, n, m)
    law = random_law(np.random.default_rng(2), steps, n, m)
    marginals, stacked = evaluate_law(problem, law), Stacked(problem, law)
    for t in range(steps + 1):
        x = stacked.x(t)
        np.testing.assert_allclose(marginals.means[t], stacked.mean[x], rtol=1e-9, atol=1e-10)
        np.testing.assert_allclose(marginals.covariances[t], stacked.covariance[x, x], rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(marginals.covariances[t], marginals.covariances[t].T, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("steps", "n", "m"), SIZES)
def test_the_kl_divergence_is_that_of_two_gaussians_over_the_trajectory(steps: int, n: int, m: int) -> None:
    problem = random_problem(3, steps, n, m)
    law = random_law(np.random.default_rng(4), steps, n, m)
    expected = Stacked(problem, law).kl(Stacked(problem, problem.previous))
    assert evaluate_law(problem, law).kl == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize(("steps", "n", "m"), SIZES)
def test_the_expected_cost_is_that_of_the_stacked_gaussian(steps: int, n: int, m: int) -> None:
    problem = random_problem(5, steps, n, m)
    law = random_law(np.random.default_rng(6), steps, n, m)
    expected = Stacked(problem, law).expected(problem.cost)
    assert evaluate_law(problem, law).cost == pytest.approx(expected, rel=1e-9)


def test_a_law_has_no_divergence_from_itself_at_any_step() -> None:
    problem = random_problem(7)
    np.testing.assert_allclose(evaluate_law(problem, problem.previous).kl_steps, 0.0, atol=1e-10)
