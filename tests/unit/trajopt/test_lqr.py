"""LQR against dense linear algebra and scipy's Riccati equation."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from mbpl_control.core import InvalidFieldError, SolverError
from mbpl_control.trajopt import LQRSolution, solve_lqr

STEPS, N, M = 7, 3, 2


def random_problem(seed: int) -> dict[str, np.ndarray]:
    """Time-varying, with every term there is; jointly convex in (x, u) at each step."""
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(STEPS, N + M, N + M))
    joint = factor @ factor.transpose(0, 2, 1) + 0.1 * np.eye(N + M)
    last = rng.normal(size=(N, N))
    return {
        "a": np.eye(N) + 0.3 * rng.normal(size=(STEPS, N, N)),
        "b": rng.normal(size=(STEPS, N, M)),
        "q": np.concatenate([joint[:, :N, :N], (last @ last.T)[None]]),
        "r": joint[:, N:, N:],
        "cross": joint[:, N:, :N],
        "state_gradient": rng.normal(size=(STEPS + 1, N)),
        "action_gradient": rng.normal(size=(STEPS, M)),
        "constant": rng.normal(size=(STEPS, N)),
    }


def total_cost(p: dict[str, np.ndarray], states: np.ndarray, actions: np.ndarray) -> float:
    """The objective of `solve_lqr` along a trajectory."""
    cost = 0.5 * states[-1] @ p["q"][-1] @ states[-1] + p["state_gradient"][-1] @ states[-1]
    for t in range(STEPS):
        x, u = states[t], actions[t]
        cost += 0.5 * x @ p["q"][t] @ x + 0.5 * u @ p["r"][t] @ u + u @ p["cross"][t] @ x
        cost += p["state_gradient"][t] @ x + p["action_gradient"][t] @ u
    return float(cost)


def dense_solution(p: dict[str, np.ndarray], first: int, start: np.ndarray) -> np.ndarray:
    """Actions from step `first` on by one linear system in all states, actions and multipliers of the dynamics."""
    count = STEPS - first
    states, actions = count * N, count * M
    size = states + actions
    hessian, gradient = np.zeros((size, size)), np.zeros(size)
    constraint, right = np.zeros((states, size)), np.zeros(states)
    for k in range(count):
        t = first + k
        u = slice(states + k * M, states + (k + 1) * M)
        after = slice(k * N, (k + 1) * N)
        hessian[u, u] = p["r"][t]
        gradient[u] = p["action_gradient"][t]
        hessian[after, after] = p["q"][t + 1]
        gradient[after] = p["state_gradient"][t + 1]
        constraint[after, after] = np.eye(N)
        constraint[after, u] = -p["b"][t]
        right[after] = p["constant"][t]
        if k == 0:
            gradient[u] += p["cross"][t] @ start
            right[after] += p["a"][t] @ start
        else:
            before = slice((k - 1) * N, k * N)
            hessian[u, before] = p["cross"][t]
            hessian[before, u] = p["cross"][t].T
            constraint[after, before] = -p["a"][t]
    system = np.block([[hessian, constraint.T], [constraint, np.zeros((states, states))]])
    solution = np.linalg.solve(system, np.concatenate([-gradient, right]))
    return solution[states:size].reshape(count, M)


@pytest.mark.parametrize("seed", range(5))
def test_gains_equal_a_dense_qp_solution_on_random_problems(seed: int) -> None:
    p = random_problem(seed)
    solution = solve_lqr(**p)
    for t in range(STEPS):
        # the first action of the problem that is left at step t, as a function of where it starts
        feedforward = dense_solution(p, t, np.zeros(N))[0]
        gains = np.stack([dense_solution(p, t, unit)[0] - feedforward for unit in np.eye(N)], axis=1)
        np.testing.assert_allclose(solution.feedforward[t], feedforward, rtol=1e-8, atol=1e-9)
        np.testing.assert_allclose(solution.gains[t], gains, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_the_trajectory_under_the_law_is_the_dense_optimum_from_any_start(seed: int) -> None:
    p = random_problem(seed)
    start = np.random.default_rng(seed + 100).normal(size=N)
    states, actions = solve_lqr(**p).rollout(p["a"], p["b"], p["constant"], start)
    np.testing.assert_allclose(actions, dense_solution(p, 0, start), rtol=1e-7, atol=1e-8)
    np.testing.assert_array_equal(states[0], start)


def test_the_value_is_the_cost_of_the_rest_up_to_a_constant() -> None:
    p = random_problem(7)
    solution = solve_lqr(**p)
    rng = np.random.default_rng(8)

    def gap(start: np.ndarray) -> float:
        states, actions = solution.rollout(p["a"], p["b"], p["constant"], start)
        value = 0.5 * start @ solution.value_hessians[0] @ start + solution.value_gradients[0] @ start
        return total_cost(p, states, actions) - float(value)

    np.testing.assert_allclose([gap(rng.normal(size=N)) for _ in range(4)], gap(np.zeros(N)), rtol=1e-9)


@pytest.mark.parametrize("cross", [False, True])
def test_gains_tend_to_scipys_discrete_riccati_solution_as_the_horizon_grows(cross: bool) -> None:
    rng = np.random.default_rng(3)
    n, m, steps = 4, 2, 400
    a, b = np.eye(n) + 0.1 * rng.normal(size=(n, n)), rng.normal(size=(n, m))
    factor = rng.normal(size=(n + m, n + m))
    joint = factor @ factor.T + 0.5 * np.eye(n + m)
    q, r, s = joint[:n, :n], joint[n:, n:], joint[n:, :n] * cross
    p = scipy.linalg.solve_discrete_are(a, b, q, r, s=s.T)
    gain = -np.linalg.solve(r + b.T @ p @ b, b.T @ p @ a + s)
    solution = solve_lqr(
        np.tile(a, (steps, 1, 1)),
        np.tile(b, (steps, 1, 1)),
        np.tile(q, (steps + 1, 1, 1)),
        np.tile(r, (steps, 1, 1)),
        np.tile(s, (steps, 1, 1)),
    )
    np.testing.assert_allclose(solution.gains[0], gain, rtol=1e-8, atol=1e-10)
    np.testing.assert_allclose(solution.value_hessians[0], p, rtol=1e-8)
    assert np.abs(np.linalg.eigvals(a + b @ solution.gains[0])).max() < 1.0


def test_a_stabilising_gain_of_one_integrator_is_negative() -> None:
    one = np.ones((50, 1, 1))
    assert solve_lqr(one, one, np.ones((51, 1, 1)), one).gains[0, 0, 0] < 0.0


def test_the_covariance_is_the_inverse_curvature_of_the_action() -> None:
    # one step of x' = x + u with x' penalised by 3 and u by 2: Q_uu = 5
    solution = solve_lqr(np.ones((1, 1, 1)), np.ones((1, 1, 1)), np.full((2, 1, 1), 3.0), np.full((1, 1, 1), 2.0))
    np.testing.assert_allclose(solution.covariances, [[[0.2]]])
    assert isinstance(solution, LQRSolution)


def test_a_cost_without_a_minimum_is_an_error_that_names_the_step() -> None:
    r = np.ones((5, 1, 1))
    r[3] = -10.0
    with pytest.raises(SolverError, match="Q_uu is not positive definite at step 3"):
        solve_lqr(np.ones((5, 1, 1)), np.ones((5, 1, 1)), np.ones((6, 1, 1)), r)


@pytest.mark.parametrize(
    ("name", "shape"),
    [("a", (4, 3, 2)), ("q", (4, 3, 3)), ("r", (4, 3, 3)), ("cross", (4, 3, 2)), ("constant", (4, 2))],
)
def test_an_array_of_another_shape_is_an_error_that_names_it(name: str, shape: tuple[int, ...]) -> None:
    arrays = {
        "a": np.zeros((4, 3, 3)),
        "b": np.zeros((4, 3, 2)),
        "q": np.zeros((5, 3, 3)),
        "r": np.tile(np.eye(2), (4, 1, 1)),
        name: np.zeros(shape),
    }
    with pytest.raises(InvalidFieldError, match=rf"solve_lqr\.{name}: found shape"):
        solve_lqr(**arrays)


def test_a_number_that_is_not_finite_is_an_error() -> None:
    one = np.ones((2, 1, 1))
    with pytest.raises(InvalidFieldError, match=r"solve_lqr\.a: found nan at index"):
        solve_lqr(one * np.nan, one, np.ones((3, 1, 1)), one)
