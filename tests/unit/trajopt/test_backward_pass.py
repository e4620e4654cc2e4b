"""What the backward pass says of its own gains: their value, the slope and the change of the cost along them."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.trajopt.riccati import Backward, backward_pass


def around(problem, actions: np.ndarray, mu: float) -> tuple[np.ndarray, Backward]:
    """The trajectory of `actions`, and the backward pass there."""
    dynamics, cost = problem.dynamics, problem.cost
    states = dynamics.rollout(problem.start, actions)
    a, b = dynamics.linearize(states[:-1], actions)
    q = cost.quadratize(states, actions)
    none = np.zeros((problem.steps, a.shape[1]))
    low, high = dynamics.action.lower - actions, dynamics.action.upper - actions
    return states, backward_pass(a, b, none, q.lx, q.lu, q.lxx, q.lux, q.luu, low, high, mu)


def cost_along(problem, states: np.ndarray, actions: np.ndarray, gains: np.ndarray, change: np.ndarray) -> float:
    """The total cost of u = û + change + K (x − x̂)."""
    wide = np.full(actions.shape[1], np.inf)
    found = problem.dynamics.rollout_feedback(states, actions, change, gains, np.ones(1), -wide, wide)
    return float(problem.cost.evaluate(*found).sum())


@pytest.mark.parametrize("limit", [np.inf, 0.4], ids=["no limits", "limits"])
@pytest.mark.parametrize("mu", [0.0, 0.3, 50.0])
def test_on_a_linear_problem_the_expected_reduction_is_the_actual_one_at_every_step_size(
    make_linear_problem, mu: float, limit: float
) -> None:
    problem = make_linear_problem(1, limit=limit)
    actions = np.random.default_rng(2).uniform(-0.4, 0.4, (problem.steps, 2))
    states, backward = around(problem, actions, mu)
    before = problem.total(actions)
    for size in (0.01, 0.3, 1.0, 1.7):
        after = cost_along(problem, states, actions, backward.gains, size * backward.feedforward)
        np.testing.assert_allclose(before - after, backward.expected(size), rtol=1e-9, atol=1e-9 * abs(before))
    assert backward.expected(1.0) > 0.0


@pytest.mark.parametrize("mu", [0.0, 2.0])
@pytest.mark.parametrize("limit", [np.inf, 0.4], ids=["no limits", "limits"])
def test_the_value_function_is_the_cost_of_the_law_even_under_regularisation(
    make_linear_problem, mu: float, limit: float
) -> None:
    problem = make_linear_problem(3, limit=limit)
    actions = np.random.default_rng(4).uniform(-0.4, 0.4, (problem.steps, 2))
    states, backward = around(problem, actions, mu)
    at_rest = cost_along(problem, states, actions, backward.gains, backward.feedforward)
    dx = np.random.default_rng(5).normal(size=4)
    moved = np.concatenate([[states[0] + dx], states[1:]])
    x = [moved[0]]
    played = []
    for t in range(problem.steps):
        played.append(actions[t] + backward.feedforward[t] + backward.gains[t] @ (x[-1] - states[t]))
        x.append(problem.dynamics.step(x[-1][None], played[-1][None])[0])
    after = problem.cost.evaluate(np.array(x), np.array(played)).sum()
    value = backward.vx[0] @ dx + 0.5 * dx @ backward.vxx[0] @ dx
    np.testing.assert_allclose(after - at_rest, value, rtol=1e-8)
    np.testing.assert_array_equal(backward.vxx, backward.vxx.transpose(0, 2, 1))


@pytest.mark.parametrize("mu", [0.0, 5.0])
def test_the_gradient_norm_is_that_of_finite_differences_of_the_total_cost(pendulum, mu: float) -> None:
    """On a nonlinear model: the largest slope of the cost over single actions, the law's feedback in force."""
    from mbpl_control.costs.quadratic import ActionCost, CosineCost
    from mbpl_control.costs.sum_cost import SumCost

    first = np.zeros(1, dtype=int)
    cost = SumCost([CosineCost((first, first), 2, np.ones(1), np.array([np.pi])), ActionCost([0.1], [0.3])], 2, 1)
    steps, rng = 15, np.random.default_rng(6)
    actions = rng.uniform(-1.5, 1.5, (steps, 1))
    states = pendulum.rollout(np.array([0.4, 0.0]), actions)
    a, b = pendulum.linearize(states[:-1], actions)
    q = cost.quadratize(states, actions, "gauss_newton")
    wide = np.full((steps, 1), np.inf)
    backward = backward_pass(a, b, np.zeros((steps, 2)), q.lx, q.lu, q.lxx, q.lux, q.luu, -wide, wide, mu)
    slopes = []
    for t in range(steps):
        change = np.zeros((steps, 1))
        change[t] = 1.0
        found = pendulum.rollout_feedback(
            states, actions, change, backward.gains, np.array([1e-5, -1e-5]), -wide[0], wide[0]
        )
        up, down = cost.evaluate(*found).sum(axis=1)
        slopes.append((up - down) / 2e-5)
    np.testing.assert_allclose(backward.gradient_norm, np.abs(slopes).max(), rtol=1e-6)
    # along k, they add up to the slope of the whole step
    np.testing.assert_allclose(backward.linear, np.dot(slopes, backward.feedforward[:, 0]), rtol=1e-6)


def test_an_action_that_its_limit_holds_counts_no_gradient(make_linear_problem) -> None:
    problem = make_linear_problem(5, steps=1, m=1, limit=1e-3)
    states, backward = around(problem, problem.zero, 0.0)
    outwards = np.sign(backward.feedforward[0])
    at_limit = 1e-3 * outwards[None]
    _, held = around(problem, at_limit, 0.0)
    assert backward.gradient_norm > 0.1
    assert held.gradient_norm == 0.0
    assert not held.free[0, 0]
    np.testing.assert_array_equal(held.gains, 0.0)


def test_regularisation_is_in_the_feedforward_and_in_the_gains(make_linear_problem) -> None:
    problem = make_linear_problem(7, steps=1)
    mu = 3.0
    _, backward = around(problem, problem.zero, mu)
    a, b = problem.dynamics.a, problem.dynamics.b
    q = problem.cost.quadratize(problem.dynamics.rollout(problem.start, problem.zero), problem.zero)
    # μ acts on the next state, so it is an extra penalty on B u and on B u + A x
    v = q.lxx[1] + mu * np.eye(4)
    curvature = q.luu[0] + b.T @ v @ b + 1e-6 * mu * np.eye(2)
    np.testing.assert_allclose(backward.gains[0], -np.linalg.solve(curvature, q.lux[0] + b.T @ v @ a), rtol=1e-10)
    np.testing.assert_allclose(
        backward.feedforward[0], -np.linalg.solve(curvature, q.lu[0] + b.T @ q.lx[1]), rtol=1e-10
    )
    np.testing.assert_allclose(backward.q_uu[0], q.luu[0] + b.T @ q.lxx[1] @ b, rtol=1e-12)


def test_actions_at_their_limits_have_no_feedback_and_the_others_that_of_the_problem_without_them() -> None:
    # two decoupled integrators; only the first action meets its limit
    two = np.eye(2)[None]
    lx, lu = np.array([[0.0, 0.0], [10.0, 0.1]]), np.zeros((1, 2))
    lxx, luu = np.tile(np.eye(2), (2, 1, 1)), np.eye(2)[None]
    limit = np.array([[0.5, 5.0]])
    none = np.zeros((1, 2))
    backward = backward_pass(two, two, none, lx, lu, lxx, np.zeros((1, 2, 2)), luu, -limit, limit, 0.0)
    np.testing.assert_array_equal(backward.free, [[False, True]])
    np.testing.assert_allclose(backward.feedforward, [[-0.5, -0.05]])
    np.testing.assert_allclose(backward.gains, [[[0.0, 0.0], [0.0, -0.5]]])


def test_the_step_without_curvature_is_told(make_linear_problem) -> None:
    problem = make_linear_problem(0)
    problem.cost.running[4] = 0.0
    problem.cost.running[4, 4:, 4:] = -100.0 * np.eye(2)
    _, backward = around(problem, problem.zero, 0.0)
    assert backward.failed_at == 4
    problem.cost.running[4] = np.eye(6)
    assert around(problem, problem.zero, 0.0)[1].failed_at == -1
