"""How a receding horizon starts, and what it predicts while another controller commands the robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError
from mbpl_control.tasks import load_task
from mbpl_control.trajopt import ILQR, ILQROptions
from mbpl_control.trajopt.planning import first_guess, task_options, task_receding_horizon


def test_the_first_plan_of_a_goal_is_solved_to_the_end_though_later_ones_get_two_iterations(task_files: Path) -> None:
    task = load_task(task_files / "arm_reach.yaml")
    assert task.planner.mpc.iterations == 2
    start = task.condition(1).state
    guess = first_guess(task, 1, start)
    planner = task_receding_horizon(task, 1)
    first = planner.plan(start, 0.0, guess)
    assert first.converged
    window = task.cost(1).window(0, task.horizon)
    solved = ILQR(task.dynamics(), window, task_options(task)).solve(start, guess)
    np.testing.assert_allclose(first.cost, solved.cost, rtol=1e-9)
    assert len(planner.plan(start, 0.02).iterations) <= 2


def test_under_a_held_action_the_prediction_is_the_models_own_rollout(task_files: Path) -> None:
    task = load_task(task_files / "arm_reach.yaml")
    start = task.condition(0).state
    planner = task_receding_horizon(task, 0)
    planner.plan(start, 0.0, first_guess(task, 0, start))
    held = task.robot.gravity(start[:7]) + 0.1
    predicted = planner.predict(start, 0.0, 3 * task.dt, held)
    rollout = task.dynamics().rollout(start, np.tile(held, (3, 1)))
    np.testing.assert_allclose(predicted, rollout[-1], rtol=0.0, atol=1e-12)
    # the plan itself would have moved the arm by then
    assert np.abs(planner.predict(start, 0.0, 3 * task.dt) - predicted).max() > 0.01


def test_plans_go_on_from_states_that_no_plan_foresaw_on_a_robot_without_damping(task_files: Path) -> None:
    task = load_task(task_files / "panda_reach.yaml")
    rng = np.random.default_rng(2)
    dynamics, planner = task.dynamics(), task_receding_horizon(task, 1)
    x = task.condition(1).state
    for t in range(0, 60, 3):
        result = planner.plan(x, t * task.dt, first_guess(task, 1, x))
        # three steps under the plan's own law, each off by what a sensor or a load might do
        for i in range(3):
            u = result.actions[i] + result.gains[i] @ (x - result.states[i])
            x = dynamics.step(x[None], np.clip(u, task.action.lower, task.action.upper)[None])[0]
            x = x + np.concatenate([1e-3 * rng.standard_normal(9), 1e-2 * rng.standard_normal(9)])
    assert task.distances(x[None], 1)[0] < 0.05


def test_a_start_whose_states_are_known_is_not_followed_again_and_ends_the_same(task_files: Path) -> None:
    task = load_task(task_files / "arm_reach.yaml")
    dynamics, start, actions = task.dynamics(), task.condition(0).state, task.initial_actions(0)
    solver = ILQR(dynamics, task.cost(0), ILQROptions(max_iterations=3))
    followed: list[int] = []
    plain = dynamics.rollout
    dynamics.rollout = lambda *given: followed.append(1) or plain(*given)
    states = plain(start, actions)
    with_states, without = solver.solve(start, actions, states=states), solver.solve(start, actions)
    assert followed == [1]
    np.testing.assert_array_equal(with_states.actions, without.actions)
    with pytest.raises(InvalidFieldError, match="ILQR.states: found shape"):
        solver.solve(start, actions, states=states[1:])
