"""All terms in one pass, against the terms one by one, whose derivatives are held against differences elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core.state_space import StateSpace
from mbpl_control.costs.quadratic import ActionCost, StateCost
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.tasks import load_task

TASKS = sorted(path.stem for path in (Path(__file__).resolve().parents[3] / "sim/tasks").glob("*.yaml"))


def one_by_one(cost: SumCost, states: np.ndarray, actions: np.ndarray) -> list[np.ndarray]:
    """Value, lx, lxx, lu, luu as sums of the terms' own, weighed by the table that tells their ramps."""
    steps, n, m = len(actions), states.shape[1], actions.shape[1]
    value, lx, lxx = np.zeros(steps + 1), np.zeros((steps + 1, n)), np.zeros((steps + 1, n, n))
    lu, luu = np.zeros((steps, m)), np.zeros((steps, m, m))
    for term, weights in zip(cost.terms, cost.weights(steps), strict=True):
        rows = slice(0, steps if term.on_actions else steps + 1)
        part, w = term.expand(states[rows], actions, False), weights[rows]
        value[rows] += w * part.value
        if part.lu is not None:
            lu += w[:, None] * part.lu
            luu += w[:, None, None] * np.apply_along_axis(np.diag, 1, part.action_curvature)
        else:
            lx += w[:, None] * part.lx
            lxx += w[:, None, None] * part.lxx
    return [value, lx, lxx, lu, luu]


@pytest.mark.parametrize("name", TASKS)
def test_the_tasks_that_ship_cost_the_same_and_so_do_windows_of_them(name: str) -> None:
    task = load_task(name)
    n, steps = task.robot.state.tangent_size, 12
    rng = np.random.default_rng(0)
    states = task.condition(0).state + 0.5 * rng.normal(size=(steps + 1, n))
    actions = rng.normal(size=(steps, task.action.size))
    for cost in (task.cost(0).window(0, task.horizon), task.cost(0).window(task.horizon - 5, task.horizon)):
        q = cost.quadratize(states, actions, "gauss_newton")
        for found, expected in zip((q.value, q.lx, q.lxx, q.lu, q.luu), one_by_one(cost, states, actions), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12 * (1.0 + np.abs(expected).max()))
        several = np.stack([states, states + 0.1]), np.stack([actions, 2.0 * actions])
        values = cost.evaluate(*several)
        np.testing.assert_allclose(values[0], q.value, rtol=1e-12)
        np.testing.assert_allclose(values[1], one_by_one(cost, several[0][1], several[1][1])[0], rtol=1e-11)
        np.testing.assert_allclose(values, sum(cost.evaluate_terms(*several)), rtol=1e-12)


def test_terms_that_take_no_part_are_added() -> None:
    space = StateSpace(["quaternion", "euclidean"])
    weights = np.array([2.0, 2.0, 2.0, 3.0])
    turned = StateCost(space, weights, space.neutral())
    action = ActionCost(np.array([0.5]), np.array([0.2]))
    rng = np.random.default_rng(1)
    states = space.integrate(space.neutral(), 0.4 * rng.normal(size=(6, 4)))
    actions = rng.normal(size=(5, 1))
    both, alone = SumCost([turned, action], 4, 1), SumCost([action], 4, 1)
    expected = turned.expand(states, actions, False)
    q = both.quadratize(states, actions, "gauss_newton")
    np.testing.assert_allclose(q.lx, expected.lx, atol=1e-14)
    np.testing.assert_allclose(q.lxx, expected.lxx, atol=1e-14)
    np.testing.assert_allclose(q.lu, 0.5 * (actions - 0.2), atol=1e-14)
    np.testing.assert_allclose(both.evaluate(states, actions), expected.value + alone.evaluate(states, actions))


def test_an_angle_is_seen_the_short_way_round() -> None:
    cost = SumCost([StateCost(StateSpace(["angle"]), np.ones(1), np.array([3.0]))], 1, 1)
    q = cost.quadratize(np.array([[-3.0], [3.5]]), np.zeros((1, 1)), "gauss_newton")
    np.testing.assert_allclose(q.lx[:, 0], [2.0 * np.pi - 6.0, 0.5], rtol=1e-12)
