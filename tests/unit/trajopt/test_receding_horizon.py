"""Receding horizon: what it starts from, where it looks, and what it does for a robot that is pushed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError
from mbpl_control.costs.quadratic import ActionCost, StateCost
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.models import PinocchioDynamics, RobotModel
from mbpl_control.tasks import load_task
from mbpl_control.trajopt import ILQR, ILQROptions, RecedingHorizon
from mbpl_control.trajopt.planning import first_guess, task_options, task_receding_horizon

TIGHT = ILQROptions(gradient_tolerance=1e-9, cost_tolerance=1e-14)


def reach(linear, target: float = 1.0) -> SumCost:
    """Bring every coordinate to the target, now and above all at the end."""
    space, n, m = linear.state.space, linear.state.size, linear.action.size
    goal = np.full(n, target)
    terms = [
        StateCost(space, np.full(n, 0.5), goal),
        StateCost(space, np.full(n, 20.0), goal, "final"),
        ActionCost(np.full(m, 0.1), np.zeros(m)),
    ]
    return SumCost(terms, n, m)


@pytest.fixture
def linear(make_linear_problem):
    """Four coordinates, two actions."""
    return make_linear_problem(1).dynamics


@pytest.mark.parametrize("off", [0.0, 0.3], ids=["on the plan", "off the plan"])
def test_a_plan_begins_with_the_last_plans_law_moved_on_and_its_last_step_at_the_end(linear, off: float) -> None:
    once = ILQROptions(max_iterations=1)
    planner = RecedingHorizon(linear, reach(linear), 40, 12, once)
    first = planner.plan(np.zeros(4), 0.0)
    start = first.states[3] + off
    planner.plan(start, 0.3)
    x, guess = start, []
    for t in [*range(3, 12), 11, 11, 11]:
        guess.append(first.actions[t] + first.gains[t] @ (x - first.states[t]))
        x = linear.step(x[None], guess[-1][None])[0]
    # one iteration from this guess is what one iteration of iLQR from it gives
    again = ILQR(linear, reach(linear).window(3, 40), once).solve(start, np.array(guess))
    np.testing.assert_allclose(planner.plan_in_force.actions, again.actions, atol=1e-10)
    np.testing.assert_allclose(planner.plan_in_force.iterations[0].expected, again.iterations[0].expected, rtol=1e-8)


def test_a_warm_start_needs_fewer_iterations_than_a_cold_one(task_files: Path) -> None:
    task = load_task(task_files / "arm_reach.yaml")
    options = task_options(task)
    planner = RecedingHorizon(task.dynamics(), task.cost(0), task.horizon, 40, options)
    start = task.condition(0).state
    first = planner.plan(start, 0.0, first_guess(task, 0, start))
    warm = planner.plan(first.states[1], task.dt)
    planner.forget()
    assert planner.plan_in_force is None
    cold = planner.plan(first.states[1], task.dt, first_guess(task, 0, start))
    assert warm.converged
    assert cold.converged
    assert len(warm.iterations) < len(cold.iterations)
    np.testing.assert_allclose(warm.cost, cold.cost, rtol=1e-3)


def test_a_window_over_the_whole_task_is_the_task_itself(linear) -> None:
    planner = RecedingHorizon(linear, reach(linear), 15, 15, TIGHT)
    whole = ILQR(linear, reach(linear), TIGHT).solve(np.zeros(4), np.zeros((15, 2)))
    np.testing.assert_allclose(planner.plan(np.zeros(4), 0.0).actions, whole.actions, atol=1e-9)


def test_where_the_windows_reach_the_end_replanning_changes_nothing_that_went_as_planned(linear) -> None:
    """Bellman's principle: the rest of an optimal plan is the optimal plan of the rest."""
    cost = reach(linear)
    whole = ILQR(linear, cost, TIGHT).solve(np.zeros(4), np.zeros((15, 2)))
    planner = RecedingHorizon(linear, cost, 15, 15, TIGHT)
    planner.plan(np.zeros(4), 0.0)
    rest = ILQR(linear, cost.window(5, 15), TIGHT).solve(whole.states[5], whole.actions[5:])
    np.testing.assert_allclose(rest.actions, whole.actions[5:], atol=1e-8)


def test_without_a_plan_the_prediction_is_the_model_without_action(linear) -> None:
    planner = RecedingHorizon(linear, reach(linear), 40, 12, TIGHT)
    x = np.ones(4)
    expected = linear.rollout(x, np.zeros((2, 2)))
    np.testing.assert_allclose(planner.predict(x, 0.0, 0.2), expected[2])
    # a delay that ends within a step is met by going part of the way
    np.testing.assert_allclose(planner.predict(x, 0.0, 0.15), 0.5 * (expected[1] + expected[2]))
    np.testing.assert_array_equal(planner.predict(x, 0.0, 0.0), x)


def test_under_a_plan_the_prediction_follows_its_feedback_from_where_the_robot_is(linear) -> None:
    planner = RecedingHorizon(linear, reach(linear), 40, 12, TIGHT)
    plan = planner.plan(np.zeros(4), 1.0)
    np.testing.assert_allclose(planner.predict(plan.states[2], 1.2, 0.3), plan.states[5], atol=1e-9)
    x = plan.states[2] + 0.1
    u = plan.actions[2] + plan.gains[2] @ np.full(4, 0.1)
    np.testing.assert_allclose(planner.predict(x, 1.2, 0.1), linear.step(x[None], u[None])[0], atol=1e-12)


def test_a_prediction_keeps_to_the_limits_of_the_actions(make_linear_problem) -> None:
    dynamics = make_linear_problem(1, limit=0.2).dynamics
    planner = RecedingHorizon(dynamics, reach(dynamics), 40, 12, TIGHT)
    plan = planner.plan(np.zeros(4), 0.0)
    far = plan.states[0] + 100.0
    u = np.clip(plan.actions[0] + plan.gains[0] @ np.full(4, 100.0), -0.2, 0.2)
    np.testing.assert_allclose(planner.predict(far, 0.0, 0.1), dynamics.step(far[None], u[None])[0])


def test_a_plan_is_a_law_that_begins_at_a_stamp_and_leaves_the_robot_to_the_fallback_when_it_ends(linear) -> None:
    planner = RecedingHorizon(linear, reach(linear), 40, 12, TIGHT)
    law = planner.law(planner.plan(np.zeros(4), 0.0))
    assert (law.anchor, law.end_rule, law.execution, law.steps) == ("stamp", "fallback", "continuous", 12)


def test_a_window_of_one_step_is_refused(linear) -> None:
    with pytest.raises(InvalidFieldError, match=r"RecedingHorizon\.horizon: found 1; must be 2 or more"):
        RecedingHorizon(linear, reach(linear), 40, 1, TIGHT)


def test_replanning_brings_an_arm_that_was_pushed_to_its_target(task_files: Path) -> None:
    task = load_task(task_files / "arm_reach.yaml")
    planner = task_receding_horizon(task, 0)
    dynamics: PinocchioDynamics = task.dynamics()  # type: ignore[assignment]
    x = task.condition(0).state
    planner.plan(x, 0.0, first_guess(task, 0, x))
    states = [x]
    for t in range(task.horizon):
        if t % 3 == 0 and t > 0:
            planner.plan(x, t * task.dt)
        plan = planner.plan_in_force
        u = plan.actions[t % 3] + plan.gains[t % 3] @ (x - plan.states[t % 3])
        if t == 50:
            u = u + 30.0
        u = np.clip(u, task.action.lower, task.action.upper)
        x = dynamics.step(x[None], u[None])[0]
        states.append(x)
    assert task.distances(np.array(states), 0)[-5:].max() < 0.01


def test_a_robot_with_a_joint_that_turns_for_ever_is_predicted_across_half_a_turn(robot_files: Path) -> None:
    robot = RobotModel.from_file(robot_files / "pendulum.xml")
    dynamics = PinocchioDynamics(robot, 0.05)
    planner = RecedingHorizon(
        dynamics, SumCost([ActionCost([1.0], [0.0])], 2, 1), 40, 10, ILQROptions(max_iterations=1)
    )
    x = np.array([3.1, 4.0])
    whole = dynamics.step(x[None], np.zeros((1, 1)))[0]
    half = planner.predict(x, 0.0, 0.025)
    np.testing.assert_allclose(half, 0.5 * (x + whole), atol=1e-12)


def test_a_cost_that_is_pursued_counts_from_the_next_plan_on(linear) -> None:
    planner = RecedingHorizon(linear, reach(linear), 40, 12, TIGHT)
    first = planner.plan(np.zeros(4), 0.0)
    planner.pursue(reach(linear, -1.0))
    assert planner.plan_in_force is first
    moved = planner.plan(np.zeros(4), 0.0)
    other = RecedingHorizon(linear, reach(linear, -1.0), 40, 12, TIGHT).plan(np.zeros(4), 0.0)
    np.testing.assert_allclose(moved.states, other.states, atol=1e-6)


def test_feedback_that_leads_nowhere_from_here_does_not_spoil_the_next_plan(task_files: Path) -> None:
    task = load_task(task_files / "arm_reach.yaml")
    planner = task_receding_horizon(task, 0)
    start = task.condition(0).state
    plan = planner.plan(start, 0.0, first_guess(task, 0, start))
    plan.gains[:] = np.nan
    away = start + 1e-3
    guess = first_guess(task, 0, away)
    again = planner.plan(away, 0.1, guess)
    # it begins anew, and may take as long as a first plan
    fresh = task_receding_horizon(task, 0)
    np.testing.assert_array_equal(again.actions, fresh.plan(away, 0.1, guess).actions)
