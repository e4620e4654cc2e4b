"""iLQR against LQR, against scipy, and against its own promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import minimize

from mbpl_control.core import InvalidFieldError
from mbpl_control.costs.quadratic import ActionCost, CosineCost, StateCost
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.models import MujocoDynamics, PinocchioDynamics, RobotModel
from mbpl_control.tasks import load_task
from mbpl_control.trajopt import ILQR, ILQROptions, ILQRResult, solve_lqr
from mbpl_control.trajopt.planning import plan_task
from mbpl_control.trajopt.result import STOP_REASONS

FIRST = np.zeros(1, dtype=int)


def swing_cost(action: float = 0.05) -> SumCost:
    """Stand on top, at rest, with little effort."""
    up = CosineCost((FIRST, FIRST), 2, np.ones(1), np.array([np.pi]))
    space = RobotModel.from_file(Path(__file__).resolve().parents[3] / "sim/models/pendulum.xml").state.space
    return SumCost([up, StateCost(space, np.array([0.0, 0.05]), np.zeros(2)), ActionCost([action], [0.0])], 2, 1)


def swing(dynamics: MujocoDynamics, steps: int = 40, cost: SumCost | None = None, **options: object) -> ILQRResult:
    """From hanging, with a first push of 0.5 N·m."""
    return ILQR(dynamics, cost or swing_cost(), ILQROptions(**options)).solve(np.zeros(2), np.full((steps, 1), 0.5))


# --- linear problems ---


@pytest.mark.parametrize("seed", range(4))
def test_a_linear_quadratic_problem_is_solved_in_one_step_and_equals_lqr(make_linear_problem, seed: int) -> None:
    problem = make_linear_problem(seed)
    options = ILQROptions(regularization=0.0, gradient_tolerance=1e-8)
    result = ILQR(problem.dynamics, problem.cost, options).solve(problem.start, problem.zero)
    assert (len(result.iterations), result.stop_reason) == (1, "gradient")
    assert result.iterations[0].step_size == 1.0
    n, tile = 4, (problem.steps, 1, 1)
    lqr = solve_lqr(
        np.tile(problem.dynamics.a, tile),
        np.tile(problem.dynamics.b, tile),
        np.concatenate([problem.cost.running[:, :n, :n], problem.cost.final[None]]),
        problem.cost.running[:, n:, n:],
        problem.cost.running[:, n:, :n],
        np.concatenate([problem.cost.slope[:, :n], problem.cost.final_slope[None]]),
        problem.cost.slope[:, n:],
        np.tile(problem.dynamics.c, (problem.steps, 1)),
    )
    np.testing.assert_allclose(result.gains, lqr.gains, rtol=1e-9, atol=1e-10)
    constant = np.tile(problem.dynamics.c, (problem.steps, 1))
    states, actions = lqr.rollout(
        np.tile(problem.dynamics.a, tile), np.tile(problem.dynamics.b, tile), constant, problem.start
    )
    np.testing.assert_allclose(result.states, states, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(result.actions, actions, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_with_limits_the_optimum_is_that_of_a_bounded_quasi_newton_method(make_linear_problem, seed: int) -> None:
    problem = make_linear_problem(seed, limit=0.3)
    options = ILQROptions(gradient_tolerance=1e-9, cost_tolerance=1e-14)
    result = ILQR(problem.dynamics, problem.cost, options).solve(problem.start, problem.zero)
    reference = minimize(
        problem.total,
        problem.zero.ravel(),
        bounds=[(-0.3, 0.3)] * problem.zero.size,
        method="L-BFGS-B",
        options={"maxiter": 2000, "maxfun": 10**6, "ftol": 1e-15, "gtol": 1e-9},
    )
    assert result.converged
    assert result.cost <= reference.fun + 1e-7 * abs(reference.fun)
    np.testing.assert_allclose(result.actions.ravel(), reference.x, atol=2e-4)
    at_limit = np.abs(result.actions) == 0.3
    assert 0 < at_limit.sum() < at_limit.size
    np.testing.assert_array_equal(result.gains[at_limit], 0.0)
    np.testing.assert_array_equal(result.free, ~at_limit)


# --- nonlinear problems ---


def test_with_limits_a_swinging_pendulum_ends_where_slsqp_does(pendulum) -> None:
    cost = swing_cost(0.3)
    result = swing(pendulum, 25, cost, gradient_tolerance=1e-7, cost_tolerance=1e-14)

    def total(actions: np.ndarray) -> float:
        u = actions[:, None]
        return float(cost.evaluate(pendulum.rollout(np.zeros(2), u), u).sum())

    near = result.actions[:, 0] + 0.01 * np.random.default_rng(0).normal(size=25)
    reference = minimize(
        total, np.clip(near, -2, 2), bounds=[(-2.0, 2.0)] * 25, method="SLSQP", options={"ftol": 1e-12, "maxiter": 300}
    )
    assert result.converged
    np.testing.assert_allclose(result.cost, reference.fun, rtol=1e-7)
    np.testing.assert_allclose(result.actions[:, 0], reference.x, atol=5e-3)


@pytest.mark.parametrize("hessian", ["gauss_newton", "exact"])
def test_the_cost_falls_at_every_step_that_is_taken_and_the_story_adds_up(pendulum, hessian: str) -> None:
    result = swing(pendulum, 60, max_iterations=400, hessian=hessian)
    assert result.converged
    taken = [i for i in result.iterations if i.step_size > 0.0]
    assert all(i.actual > 0.0 and i.expected > 0.0 and i.actual >= 0.01 * i.expected for i in taken)
    first = swing_cost().evaluate(pendulum.rollout(np.zeros(2), np.full((60, 1), 0.5)), np.full((60, 1), 0.5)).sum()
    np.testing.assert_allclose(first - sum(i.actual for i in taken), result.cost, rtol=1e-10)
    np.testing.assert_allclose(result.iterations[-1].cost, result.cost)
    np.testing.assert_allclose(result.states, pendulum.rollout(np.zeros(2), result.actions), atol=1e-12)


def test_an_indefinite_problem_is_regularised_until_it_is_convex_and_then_less_and_less(pendulum) -> None:
    result = swing(pendulum, 60, max_iterations=400, hessian="exact", regularization=0.0)
    used = [i.regularization for i in result.iterations]
    assert max(used) > 1e-6
    assert used[-1] < max(used) / 10.0
    assert result.converged


def test_no_step_leaves_the_limits_of_the_actions(pendulum) -> None:
    result = swing(pendulum, 60, swing_cost(0.001), max_iterations=100)
    assert np.abs(result.actions).max() == 2.0
    assert np.abs(result.actions[result.free]).max() <= 2.0


def test_first_actions_beyond_the_limits_are_brought_inside(pendulum) -> None:
    solver = ILQR(pendulum, swing_cost(), ILQROptions(max_iterations=1))
    wild, tame = (solver.solve(np.zeros(2), np.full((20, 1), u)) for u in (50.0, 2.0))
    np.testing.assert_array_equal(wild.states, tame.states)


def test_how_many_trajectories_are_followed_at_once_changes_nothing(task_files: Path) -> None:
    results = []
    for batch in (1, 3, 20):
        task = load_task(task_files / "acrobot_swingup.yaml")
        dynamics = task.dynamics()
        dynamics.line_search_batch = batch
        solver = ILQR(dynamics, task.cost(), ILQROptions(max_iterations=12))
        results.append(solver.solve(task.condition(0).state, task.initial_actions()))
    assert any(0.0 < i.step_size < 0.5 for i in results[0].iterations)
    for result in results[1:]:
        np.testing.assert_array_equal(result.actions, results[0].actions)


def test_derivatives_along_the_first_trial_are_those_taken_afterwards(robot_files: Path) -> None:
    dynamics = PinocchioDynamics(RobotModel.from_file(robot_files / "pendulum.xml"), 0.05, 2)
    results = []
    for shares in (True, False):
        dynamics.shares_derivatives = shares
        results.append(swing(dynamics, 40, max_iterations=15))  # type: ignore[arg-type]
    np.testing.assert_allclose(results[0].actions, results[1].actions, atol=1e-9)
    assert [i.step_size for i in results[0].iterations] == pytest.approx([i.step_size for i in results[1].iterations])


# --- rotations ---

SATELLITE = """
<mujoco model="satellite">
  <option timestep="0.05" gravity="0 0 0"/>
  <worldbody>
    <body name="hull"><joint name="attitude" type="ball" damping="0.2"/>
      <geom type="box" size="0.3 0.2 0.1" mass="4"/>
      <body name="fx" pos="0.4 0 0"><joint name="wx" axis="1 0 0" armature="0.02"/><geom size="0.05" mass="0.1"/></body>
      <body name="fy" pos="0 0.4 0"><joint name="wy" axis="0 1 0" armature="0.02"/><geom size="0.05" mass="0.1"/></body>
      <body name="fz" pos="0 0 0.4"><joint name="wz" axis="0 0 1" armature="0.02"/><geom size="0.05" mass="0.1"/></body>
    </body>
  </worldbody>
  <actuator><motor joint="wx"/><motor joint="wy"/><motor joint="wz"/></actuator>
</mujoco>
"""


def test_a_body_on_a_ball_joint_is_turned_by_its_wheels_to_the_attitude_asked_for(make_task) -> None:
    turned = np.array([np.cos(0.6), 0.0, np.sin(0.6), 0.0])
    task = make_task(
        SATELLITE,
        [*turned, 0.0, 0.0, 0.0],
        cost=[
            {
                "term": "state",
                "block": "positions",
                "joints": ["attitude.rotation"],
                "weight": 50.0,
                "target": [1, 0, 0, 0],
            },
            {"term": "state", "block": "velocities", "joints": [f"attitude.w{a}" for a in "xyz"], "weight": 0.5},
            {"term": "action", "weight": 1e-3},
        ],
        horizon=60,
        planner={"initial_actions": "zero", "max_iterations": 100, "gradient_tolerance": 1e-5},
    )
    result = plan_task(task)
    assert result.converged
    assert result.gains.shape == (60, 3, 12)
    assert result.states.shape == (61, 13)
    angle = 2.0 * np.arccos(np.abs(result.states[-1, 0]))
    assert angle < 0.02
    np.testing.assert_allclose(np.linalg.norm(result.states[:, :4], axis=1), 1.0, atol=1e-9)
    # the gradient at the optimum is gone along any action, by finite differences of the cost itself
    dynamics, cost = task.dynamics(), task.cost()
    for t, i in ((0, 1), (20, 0), (45, 2)):
        change = np.zeros_like(result.actions)
        change[t, i] = 1e-4
        ends = [result.actions + change, result.actions - change]
        up, down = (cost.evaluate(dynamics.rollout(result.states[0], u), u).sum() for u in ends)
        assert abs(up - down) / 2e-4 < 1e-3


def test_a_start_whose_quaternion_is_not_of_unit_length_is_an_error(make_task) -> None:
    task = make_task(SATELLITE, [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    with pytest.raises(InvalidFieldError, match=r"ILQR\.start: found a quaternion of length 2"):
        ILQR(task.dynamics(), task.cost()).solve(np.array([2.0] + [0.0] * 12), np.zeros((5, 3)))


# --- why it stops ---


def test_every_stop_reason_can_be_reached_and_says_whether_that_is_convergence(pendulum, make_linear_problem) -> None:
    problem = make_linear_problem(0)
    reached = {
        swing(pendulum, gradient_tolerance=1e-3, cost_tolerance=1e-15, max_iterations=400).stop_reason,
        swing(pendulum, gradient_tolerance=1e-12, cost_tolerance=1e-4, max_iterations=400).stop_reason,
        swing(pendulum, max_iterations=2).stop_reason,
        swing(pendulum, time_budget=1e-9).stop_reason,
    }
    kind: type = type(problem.cost)

    class Rounded(kind):  # type: ignore[misc]
        """A cost so large that rounding swallows the last reductions."""

        def evaluate(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
            return super().evaluate(states, actions) + 1e12

    class Uphill(kind):  # type: ignore[misc]
        """A gradient that points the wrong way: no step can keep its promise."""

        def quadratize(self, states: np.ndarray, actions: np.ndarray, hessian: str = "exact") -> object:
            q = super().quadratize(states, actions, hessian)
            return type(q)(q.value, -q.lx, -q.lu, q.lxx, q.lux, q.luu)

    for cost, options in (
        (Rounded(**vars(problem.cost)), ILQROptions(gradient_tolerance=1e-300, cost_tolerance=1e-15)),
        (Uphill(**vars(problem.cost)), ILQROptions(max_regularization=1e6)),
    ):
        reached.add(ILQR(problem.dynamics, cost, options).solve(problem.start, problem.zero).stop_reason)
    assert reached == set(STOP_REASONS)


def test_heavy_regularisation_does_not_pass_for_convergence(make_linear_problem) -> None:
    # every step is tiny because μ is huge, not because there is nothing to gain
    problem = make_linear_problem(0)
    options = ILQROptions(cost_tolerance=1e-3, regularization=1e7, max_iterations=3)
    result = ILQR(problem.dynamics, problem.cost, options).solve(problem.start, problem.zero)
    assert result.iterations[-1].actual < 1e-3 * abs(result.cost)
    assert (result.stop_reason, result.converged) == ("max_iterations", False)


def test_the_time_budget_ends_the_search_after_the_iteration_that_used_it_up(pendulum) -> None:
    result = swing(pendulum, time_budget=1e-9)
    assert (len(result.iterations), result.converged) == (1, False)


def test_at_the_optimum_there_is_nothing_to_do(pendulum) -> None:
    best = swing(pendulum, gradient_tolerance=1e-6, cost_tolerance=1e-14, max_iterations=400)
    solver = ILQR(pendulum, swing_cost(), ILQROptions(gradient_tolerance=1e-5))
    again = solver.solve(np.zeros(2), best.actions)
    assert (len(again.iterations), again.stop_reason) == (0, "gradient")
    np.testing.assert_array_equal(again.actions, best.actions)


# --- the result ---


def test_the_feedback_of_the_result_is_that_of_the_model_without_regularisation(make_linear_problem) -> None:
    problem = make_linear_problem(3)
    results = [
        ILQR(problem.dynamics, problem.cost, ILQROptions(regularization=mu, max_iterations=1)).solve(
            problem.start, problem.zero
        )
        for mu in (0.0, 20.0)
    ]
    assert np.abs(results[0].actions - results[1].actions).max() > 0.01
    # on a linear model the gains do not depend on the trajectory
    np.testing.assert_allclose(results[1].gains, results[0].gains, rtol=1e-9, atol=1e-12)


def test_a_trajectory_that_is_not_finite_is_never_taken_even_if_its_cost_is(make_linear_problem) -> None:
    problem = make_linear_problem(0)

    class Blind(type(problem.cost)):  # type: ignore[misc]
        """A cost that does not look at the last state."""

        def evaluate(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
            return super().evaluate(np.nan_to_num(states, nan=0.0), actions)

    class Cliff(type(problem.dynamics)):  # type: ignore[misc]
        """A model that is lost beyond actions of 0.2."""

        def step(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
            after = super().step(states, actions)
            return np.where(np.abs(actions).max(axis=1, keepdims=True) > 0.2, np.nan, after)

    d = problem.dynamics
    cliff = Cliff(d.a, d.b, d.c, d.action.lower, d.action.upper)
    options = ILQROptions(max_iterations=20, max_regularization=1e6)
    result = ILQR(cliff, Blind(**vars(problem.cost)), options).solve(problem.start, problem.zero)
    assert np.isfinite(result.states).all()
    assert np.abs(result.actions).max() <= 0.2


def test_the_callback_hears_of_every_iteration_in_order(pendulum) -> None:
    heard: list[object] = []
    solver = ILQR(pendulum, swing_cost(), ILQROptions(max_iterations=5))
    result = solver.solve(np.zeros(2), np.full((30, 1), 0.5), heard.append)
    assert tuple(heard) == result.iterations


def test_the_phases_account_for_the_time(pendulum) -> None:
    timing = swing(pendulum, 60, max_iterations=30).timing
    assert set(timing) == {"derivatives", "backward", "forward", "total"}
    phases = timing["derivatives"] + timing["backward"] + timing["forward"]
    assert 0.5 * timing["total"] < phases <= timing["total"]


def test_the_law_has_the_noise_of_the_maximum_entropy_controller_and_none_at_a_limit(make_linear_problem) -> None:
    problem = make_linear_problem(2, limit=0.3)
    result = ILQR(problem.dynamics, problem.cost).solve(problem.start, problem.zero)
    law = result.controller(temperature=0.5)
    held = ~result.free
    assert held.any()
    for t in range(problem.steps):
        free = np.flatnonzero(result.free[t])
        block = np.ix_(free, free)
        if free.size:
            np.testing.assert_allclose(law.covariances[t][block], 0.5 * np.linalg.inv(result.q_uu[t][block]), rtol=1e-9)
        np.testing.assert_array_equal(law.covariances[t][held[t]], 0.0)
    np.testing.assert_array_equal(result.controller().covariances, 0.0)
    np.testing.assert_array_equal(law.planned_actions, result.actions)
    with pytest.raises(InvalidFieldError, match="temperature: found -1"):
        result.controller(temperature=-1.0)


def test_the_summary_says_in_one_line_how_it_went(pendulum) -> None:
    text = swing(pendulum, max_iterations=2).summary()
    assert text.startswith("stopped (max iterations) after 2 iterations in ")
    assert "\n" not in text
    for word in ("cost", "gradient", "derivatives", "backward", "forward"):
        assert word in text


def test_the_same_task_and_seed_give_the_same_plan_to_the_last_bit(task_files: Path) -> None:
    plans = [plan_task(load_task(task_files / "arm_reach.yaml"), 1, seed=3) for _ in range(2)]
    np.testing.assert_array_equal(plans[0].actions, plans[1].actions)
    np.testing.assert_array_equal(plans[0].gains, plans[1].gains)
