"""Open loop against closed loop where both have closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.mbrl.planning.stochastic_lq import expected_cost
from mbpl_control.trajopt.lqr import solve_lqr

STEPS = 12
RNG = np.random.default_rng(0)
A = np.eye(2) + 0.2 * RNG.normal(size=(STEPS, 2, 2)) + 0.1 * np.eye(2)
B = RNG.normal(size=(STEPS, 2, 1))
Q = np.tile(np.diag([1.0, 0.5]), (STEPS + 1, 1, 1))
R = np.tile([[0.3]], (STEPS, 1, 1))
FACTOR = np.array([[0.3, 0.0], [0.1, 0.2]])
START = np.array([1.0, -0.5])


def simulated(every: int, runs: int = 40_000) -> tuple[float, float]:
    """Mean cost of runs, and its standard error: at each look the best actions from there on, played blindly."""
    solution = solve_lqr(A, B, Q, R)
    rng = np.random.default_rng(1)
    x = expected = np.tile(START, (runs, 1))
    cost = np.zeros(runs)
    for t in range(STEPS):
        if t % every == 0:
            expected = x
        u = expected @ solution.gains[t].T
        cost += 0.5 * np.einsum("bi,ij,bj->b", x, Q[t], x) + 0.5 * R[t, 0, 0] * np.square(u[:, 0])
        x = x @ A[t].T + u @ B[t].T + rng.normal(size=(runs, 2)) @ FACTOR.T
        expected = expected @ A[t].T + u @ B[t].T
    cost += 0.5 * np.einsum("bi,ij,bj->b", x, Q[STEPS], x)
    return float(cost.mean()), float(cost.std() / runs**0.5)


@pytest.mark.parametrize("every", [1, 3, 5, STEPS])
def test_the_expected_cost_is_the_mean_over_many_runs(every: int) -> None:
    mean, error = simulated(every)
    assert expected_cost(A, B, Q, R, FACTOR @ FACTOR.T, START, every) == pytest.approx(mean, abs=4.0 * error)


def test_to_look_more_often_never_costs_more_and_without_noise_it_costs_the_same() -> None:
    noise = FACTOR @ FACTOR.T
    costs = [expected_cost(A, B, Q, R, noise, START, every) for every in (1, 2, 4, STEPS)]
    assert costs == sorted(costs) and costs[-1] > 1.2 * costs[0]
    still = [expected_cost(A, B, Q, R, 0.0 * noise, START, every) for every in (1, 2, 4, STEPS)]
    np.testing.assert_allclose(still, still[0], rtol=1e-12)


def test_open_loop_of_an_unstable_scalar_costs_a_geometric_series() -> None:
    """Where actions cost nothing LQR leaves x = w: ½ N a step; open loop, Σ_t = N (a^2t − 1) / (a² − 1)."""
    a, noise, steps = 1.5, 0.2, 8
    arrays = [np.full((count, 1, 1), value) for count, value in ((steps, a), (steps, 1.0), (steps + 1, 1.0))]
    free = np.full((steps, 1, 1), 1e-12)
    closed = expected_cost(*arrays, free, np.array([[noise]]), np.zeros(1), 1)
    blind = expected_cost(*arrays, free, np.array([[noise]]), np.zeros(1), steps)
    spread = [noise * (a ** (2 * t) - 1.0) / (a**2 - 1.0) for t in range(1, steps + 1)]
    assert closed == pytest.approx(0.5 * noise * steps, rel=1e-9)
    assert blind == pytest.approx(0.5 * sum(spread), rel=1e-9)


def test_what_is_out_of_range_is_refused() -> None:
    with pytest.raises(InvalidFieldError, match="every"):
        expected_cost(A, B, Q, R, np.eye(2), START, STEPS + 1)
    with pytest.raises(InvalidFieldError, match="noise"):
        expected_cost(A, B, Q, R, -np.eye(2), START, 1)
