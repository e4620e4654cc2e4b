"""Planners on learned dynamics: where all is linear and quadratic, each does what LQR does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.gymnasium_tasks import FALLEN, RAIL, gymnasium_problem
from mbpl_control.mbrl.learned_dynamics import Transitions
from mbpl_control.mbrl.learned_model import LearnedModel, LearningCost
from mbpl_control.mbrl.mixture_dynamics import MixtureDynamics
from mbpl_control.mbrl.planning.cem import CEM, CEMOptions
from mbpl_control.mbrl.planning.ilqr import ILQRPlanner, ILQRPlannerOptions
from mbpl_control.mbrl.planning.mppi import MPPI, MPPIOptions, path_weights
from mbpl_control.mbrl.planning.planner import Planner
from mbpl_control.mbrl.planning.propagation import Expectation, Propagation, Scenarios
from mbpl_control.mbrl.planning.registry import PLANNERS, build_planner, problem_planner
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.trajopt.lqr import LQRSolution, solve_lqr

HORIZON = 8
A = np.array([[1.0, 0.3], [0.2, 1.05]])
B = np.array([[0.05], [0.4]])
Q, R = np.diag([1.0, 0.3]), np.array([[0.2]])
NOISE = np.array([0.05, 0.1])
START = np.array([0.8, -0.3])


def _no_environment() -> None:
    raise AssertionError("a planner has no environment")


def cost(x: Tensor, u: Tensor, y: Tensor) -> Tensor:
    """½ yᵀQy + ½ uᵀRu."""
    return 0.5 * (y.square() * torch.tensor(np.diag(Q))).sum(dim=1) + 0.5 * (u.square() * R[0, 0]).sum(dim=1)


def linear_problem(limit: float = 4.0) -> LearningProblem:
    return LearningProblem(
        name="linear",
        make=_no_environment,  # type: ignore[arg-type]
        n=2,
        lower=np.array([-limit]),
        upper=np.array([limit]),
        dt=0.1,
        steps=50,
        reward=lambda x, u, y: -cost(x, u, y),
        cost=cost,
        ended=lambda y: torch.zeros(len(y), dtype=torch.bool),
    )


@pytest.fixture(scope="module")
def learned() -> MixtureDynamics:
    """One cluster: linear-Gaussian, whatever it learned from."""
    rng = np.random.default_rng(0)
    x, u = rng.normal(size=(400, 2)), rng.normal(size=(400, 1))
    model = MixtureDynamics(2, 1, seed=0)
    model.learn(Transitions(x, u, x @ A.T + u @ B.T + 0.05 + NOISE * rng.normal(size=(400, 2))))
    return model


def lqr(learned: MixtureDynamics) -> tuple[LQRSolution, Array, Array, Array]:
    """The regulator of the model itself over the horizon; the start costs nothing, each successor does."""
    (a,), (b,) = learned.jacobian(np.zeros((1, 2)), np.zeros((1, 1)))
    (c,) = learned.mean(np.zeros((1, 2)), np.zeros((1, 1)))
    q = np.tile(Q, (HORIZON + 1, 1, 1))
    q[0] = 0.0
    parts = np.tile(a, (HORIZON, 1, 1)), np.tile(b, (HORIZON, 1, 1)), np.tile(c, (HORIZON, 1))
    solution = solve_lqr(parts[0], parts[1], q, np.tile(R, (HORIZON, 1, 1)), constant=parts[2])
    return solution, *parts


def best(learned: MixtureDynamics) -> tuple[Array, Array, float]:
    """States, actions and cost of LQR on the mean."""
    solution, *parts = lqr(learned)
    states, actions = solution.rollout(*parts, START)
    total = 0.5 * np.einsum("ti,ij,tj->", states[1:], Q, states[1:]) + 0.5 * R[0, 0] * np.square(actions).sum()
    return states, actions, float(total)


def planner(
    name: str, learned: MixtureDynamics, propagation: Propagation, limit: float = 4.0, feedback: bool = True
) -> Planner:
    problem = linear_problem(limit)
    model = LearnedModel.of(learned, problem)
    task_cost = LearningCost(problem, model, None if name == "ilqr" else 1e3)
    many = {"horizon": HORIZON, "samples": 400, "propagation": propagation, "feedback": feedback}
    if name == "ilqr":
        return ILQRPlanner(model, task_cost, 50, ILQRPlannerOptions(HORIZON))
    if name == "mppi":
        return MPPI(model, task_cost, 50, MPPIOptions(iterations=20, temperature=0.02, deviation=0.05, **many))  # type: ignore[arg-type]
    search = {**many, "iterations": 15, "elites": 40}
    options = CEMOptions(**search) if name == "cem" else CEMOptions.icem(**{**search, "exponent": 0.5, "decay": 1.0})  # type: ignore[arg-type]
    return CEM(model, task_cost, 50, options)


#: Planners that draw, both ways: offsets to LQR's law, which is the best there is here, and actions, where all that is
#: found is found by the search. iLQR draws nothing.
WAYS = [("ilqr", True), *((name, way) for name in ("cem", "icem", "mppi") for way in (True, False))]
#: How near each comes to the actions of LQR, of which the first is about 1, and to its cost, as a share.
TOLERANCES = {"ilqr": (1e-5, 1e-9), "cem": (0.05, 1e-3), "icem": (0.1, 2e-3), "mppi": (0.1, 2e-3)}


@pytest.mark.parametrize(("name", "feedback"), WAYS)
def test_each_planner_plans_what_lqr_does_on_linear_dynamics_and_a_quadratic_cost(
    learned: MixtureDynamics, name: str, feedback: bool
) -> None:
    states, actions, total = best(learned)
    plan = planner(name, learned, Propagation("mean"), feedback=feedback).plan(START, np.random.default_rng(1))
    by_action, by_cost = TOLERANCES[name]
    np.testing.assert_allclose(plan.actions[0], actions[0], atol=by_action)
    assert total * (1.0 - 1e-9) <= plan.cost <= total * (1.0 + by_cost)
    np.testing.assert_allclose(plan.states, states, atol=by_action)
    assert plan.actions.shape == (HORIZON, 1) and plan.gains.shape == (HORIZON, 1, 2)


def test_gains_of_ilqr_on_a_linear_model_are_those_of_lqr(learned: MixtureDynamics) -> None:
    plan = planner("ilqr", learned, Propagation("mean")).plan(START, np.random.default_rng(1))
    solution, *_ = lqr(learned)
    np.testing.assert_allclose(plan.gains, solution.gains, atol=1e-6)


def test_an_expected_cost_over_particles_is_that_of_the_mean_and_what_noise_adds(learned: MixtureDynamics) -> None:
    """Open loop: ½ Σ_t tr(Q Σ_t) with Σ_{t+1} = A Σ_t Aᵀ + N, whatever the actions."""
    _, actions, total = best(learned)
    (a,), _ = learned.jacobian(np.zeros((1, 2)), np.zeros((1, 1)))
    noise = np.diag(np.square(learned.moments(np.zeros((1, 2)), np.zeros((1, 1)))[1][0]))
    spread, added = np.zeros((2, 2)), 0.0
    for _ in range(HORIZON):
        spread = a @ spread @ a.T + noise
        added += 0.5 * float(np.trace(Q @ spread))
    problem = linear_problem()
    model = LearnedModel.of(learned, problem)
    many = Scenarios.drawn(model, Propagation("ts_infinity", 40_000), HORIZON, np.random.default_rng(2))
    costs = Expectation(model, LearningCost(problem, model), START, many)(actions[None]).costs
    assert costs[0] == pytest.approx(total + added, rel=0.03)
    assert added > 0.1 * total


@pytest.mark.parametrize(("name", "feedback"), WAYS[1:])
def test_a_plan_over_particles_is_that_of_lqr_as_well_as_they_are_many(
    learned: MixtureDynamics, name: str, feedback: bool
) -> None:
    _, actions, _ = best(learned)
    many = planner(name, learned, Propagation("ts_infinity", 30), feedback=feedback)
    plan = many.plan(START, np.random.default_rng(2))
    np.testing.assert_allclose(plan.actions[0], actions[0], atol=0.2)


@pytest.mark.parametrize("name", ["cem", "icem", "mppi"])
def test_offsets_to_a_law_find_the_plan_of_lqr_where_actions_drawn_fall_to_a_growing_mode(name: str) -> None:
    """x' = 1.3 x + u over 30 steps: what the first action is off by has grown by 1.3²⁹, about 2000, in the end."""
    rng = np.random.default_rng(8)
    x, u = rng.normal(size=(50, 1)), rng.normal(size=(50, 1))
    learned = MixtureDynamics(1, 1, seed=0)
    learned.learn(Transitions(x, u, 1.3 * x + u))
    problem = replace(linear_problem(), n=1, cost=lambda x, u, y: 0.5 * (y.square() + u.square()).sum(dim=1))
    model = LearnedModel.of(learned, problem)
    steps, one = 30, np.ones((30, 1, 1))
    weights = np.ones((steps + 1, 1, 1))
    weights[0] = 0.0
    least = 0.5 * solve_lqr(1.3 * one, one, weights, one).value_hessians[0, 0, 0]
    costs = {}
    for feedback in (True, False):
        many = {"horizon": steps, "samples": 50, "deviation": 0.05, "feedback": feedback}
        many["propagation"] = Propagation("mean")
        build = {"cem": CEMOptions, "icem": CEMOptions.icem, "mppi": MPPIOptions}[name]
        made = (MPPI if name == "mppi" else CEM)(model, LearningCost(problem, model, None), 50, build(**many))  # type: ignore[arg-type]
        costs[feedback] = made.plan(np.ones(1), np.random.default_rng(9)).cost / least
    assert 1.0 - 1e-6 <= costs[True] <= 2.0
    assert costs[False] > 100.0


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_offsets_lead_around_an_end_that_lqr_would_run_into(seed: int) -> None:
    """x' = x + 0.3 u from (−1, 0.05) to (1, 0): the straight way goes through where episodes end."""
    rng = np.random.default_rng(8)
    x, u = rng.normal(size=(50, 2)), rng.normal(size=(50, 2))
    learned = MixtureDynamics(2, 2, seed=0)
    learned.learn(Transitions(x, u, x + 0.3 * u))
    goal, start = torch.tensor([1.0, 0.0]), np.array([-1.0, 0.05])
    problem = replace(
        linear_problem(),
        lower=-np.ones(2),
        upper=np.ones(2),
        cost=lambda x, u, y: (y - goal).square().sum(dim=1) + 0.01 * u.square().sum(dim=1),
        ended=lambda y: y.norm(dim=1) < 0.4,
    )
    model = LearnedModel.of(learned, problem)
    straight = ILQRPlanner(model, LearningCost(problem, model, None), 50, ILQRPlannerOptions(15)).plan(start, rng)
    assert np.linalg.norm(straight.states, axis=1).min() < 0.3
    options = CEMOptions.icem(horizon=15, samples=200, iterations=5, propagation=Propagation("mean"))
    plan = CEM(model, LearningCost(problem, model), 50, options).plan(start, np.random.default_rng(seed))
    assert np.linalg.norm(plan.states, axis=1).min() >= 0.4
    np.testing.assert_allclose(plan.states[-1], goal, atol=0.3)


def test_planners_look_as_far_as_brings_the_cart_of_a_pole_back_within_fifty_steps() -> None:
    """1 / (1 − ρ) steps, ρ the spectral radius of A + B K_0 with the first gain of LQR over H steps."""
    pole: Any = gymnasium_problem("InvertedPendulum-v5").make().unwrapped

    def moved(z: Array) -> Array:
        pole.set_state(z[:2], z[2:4])
        pole.do_simulation(z[4:], pole.frame_skip)
        return np.concatenate([pole.data.qpos, pole.data.qvel])

    ab = np.array([(moved(1e-5 * e) - moved(-1e-5 * e)) / 2e-5 for e in np.eye(5)]).T
    a, b = ab[:, :4], ab[:, 4:]
    pole.close()

    def radius(cart: float, horizon: int) -> float:
        q = np.tile(2.0 * np.diag([cart, 1.0 / FALLEN**2, 0.0, 0.0]), (horizon + 1, 1, 1))
        q[0] = 0.0
        parts = (np.tile(a, (horizon, 1, 1)), np.tile(b, (horizon, 1, 1)), q, np.full((horizon, 1, 1), 2e-3))
        return float(np.abs(np.linalg.eigvals(a + b @ solve_lqr(*parts).gains[0])).max())

    found = [[radius(cart, horizon) for horizon in (15, 25, 30, 40)] for cart in (0.1, 1.0 / RAIL**2)]
    # the figures of docs/planning.md
    np.testing.assert_allclose(found, [[0.9997, 0.9981, 0.9967, 0.9925], [0.9967, 0.9842, 0.9759, 0.9643]], atol=1e-4)
    for options in (CEMOptions(), MPPIOptions(), ILQRPlannerOptions()):
        assert 1.0 / (1.0 - radius(1.0 / RAIL**2, options.horizon)) < 50.0


@pytest.mark.parametrize(("name", "feedback"), WAYS)
def test_plans_stay_within_the_limits(learned: MixtureDynamics, name: str, feedback: bool) -> None:
    made = planner(name, learned, Propagation("mean"), limit=0.3, feedback=feedback)
    plan = made.plan(np.array([4.0, 4.0]), np.random.default_rng(3))
    assert np.abs(plan.actions).max() == pytest.approx(0.3, abs=0.05)
    assert (np.abs(plan.actions) <= 0.3).all()


@pytest.mark.parametrize("name", sorted(PLANNERS))
def test_what_was_forgotten_leaves_no_trace_and_the_same_seed_plans_the_same_to_the_last_bit(
    learned: MixtureDynamics, name: str
) -> None:
    used, new = (problem_planner(name, learned, linear_problem()) for _ in range(2))
    rng = np.random.default_rng(4)
    for step in range(3):
        used.plan(START, rng, step)
    used.forget()
    one, two = (each.plan(START, np.random.default_rng(5)) for each in (used, new))
    np.testing.assert_array_equal(one.actions, two.actions)
    assert one.cost == two.cost


@pytest.mark.parametrize("name", sorted(PLANNERS))
def test_a_plan_that_goes_on_from_the_last_is_better_than_one_from_nothing(learned: MixtureDynamics, name: str) -> None:
    """Where one iteration is all there is, and actions are drawn, the plan before is worth something."""
    mean = Propagation("mean")
    options = {
        "cem": lambda: CEMOptions(
            HORIZON, samples=20, iterations=1, elites=4, deviation=0.1, feedback=False, propagation=mean
        ),
        "icem": lambda: CEMOptions.icem(
            horizon=HORIZON, samples=20, iterations=1, elites=4, deviation=0.1, feedback=False, propagation=mean
        ),
        "mppi": lambda: MPPIOptions(HORIZON, 20, 1, deviation=0.05, feedback=False, propagation=mean),
        "ilqr": lambda: ILQRPlannerOptions(HORIZON, iterations=1, first_iterations=1),
    }[name]()
    problem = replace(linear_problem(), cost=lambda x, u, y: torch.cosh(cost(x, u, y)))
    model = LearnedModel.of(learned, problem)
    kind = {"cem": CEM, "icem": CEM, "mppi": MPPI, "ilqr": ILQRPlanner}[name]
    warm, cold = [], []
    for seed in range(10):
        made = kind(model, LearningCost(problem, model, None), 50, options)  # type: ignore[call-arg, arg-type]
        rng = np.random.default_rng(seed)
        cold.append(made.plan(START, rng).cost)
        warm.append([made.plan(START, rng).cost for _ in range(5)][-1])
    assert np.mean(warm) < np.mean(cold)


@pytest.mark.parametrize("name", ["cem", "icem", "mppi"])
def test_an_angle_that_is_measured_a_turn_away_changes_no_action(name: str) -> None:
    """θ' = θ + 0.1 v, v' = v + u, a cost of cos θ: nothing knows of whole turns but the numbers."""
    rng = np.random.default_rng(10)
    x, u = rng.normal(size=(100, 2)), rng.normal(size=(100, 1))
    learned = MixtureDynamics(2, 1, seed=0)
    learned.learn(Transitions(x, u, x @ np.array([[1.0, 0.1], [0.0, 1.0]]).T + u @ np.array([[0.0, 1.0]])))
    problem = replace(
        linear_problem(), cost=lambda x, u, y: 1.0 - torch.cos(y[:, 0]) + 0.1 * (y[:, 1] ** 2 + u[:, 0] ** 2)
    )
    of_numbers = LearnedModel.of(learned, problem)
    block = StateBlock("joint_positions", ("a",), ("angle",), ("rad",))
    speed = StateBlock("joint_velocities", ("a",), ("euclidean",), ("rad/s",))
    model = LearnedModel(learned, StateDefinition((block, speed)), of_numbers.action, problem.dt)
    found = []
    for turn in (0.0, 2.0 * np.pi):
        made, rng = build_planner(name, model, LearningCost(problem, model, None), 50), np.random.default_rng(11)
        made.plan(np.array([3.1, 1.0]), rng, 0)
        found.append(made.plan(np.array([3.2 - turn, 1.0]), rng, 1).actions)
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)


def test_weights_of_mppi_are_the_softmax_of_the_costs() -> None:
    costs = np.random.default_rng(6).uniform(3.0, 9.0, size=50)
    weights = path_weights(costs, 0.7)
    np.testing.assert_allclose(weights, np.exp(-costs / 0.7) / np.exp(-costs / 0.7).sum(), rtol=1e-12)
    np.testing.assert_allclose(path_weights(costs + 1e5, 0.7), weights, rtol=1e-6)
    assert path_weights(np.array([1.0, np.inf]), 0.5).tolist() == [1.0, 0.0]


def test_one_iteration_of_mppi_is_the_mean_of_the_gaussian_that_its_costs_tilt(learned: MixtureDynamics) -> None:
    r"""S = ½ (V − V*)ᵀ G (V − V*) + const and V ~ N(0, σ²): the mean is (G / λ + I / σ²)⁻¹ G V* / λ."""
    horizon, temperature, deviation = 3, 0.5, 0.4
    (a,), (b,) = learned.jacobian(np.zeros((1, 2)), np.zeros((1, 1)))
    (c,) = learned.mean(np.zeros((1, 2)), np.zeros((1, 1)))
    rows, free, x = np.zeros((horizon, 2, horizon)), np.zeros((horizon, 2)), START
    step = np.zeros((2, horizon))
    for t in range(horizon):
        step = a @ step
        step[:, t] += b[:, 0]
        x = a @ x + c
        rows[t], free[t] = step, x
    curvature = np.einsum("tik,ij,tjl->kl", rows, Q, rows) + R[0, 0] * np.eye(horizon)
    pull = -np.einsum("tik,ij,tj->k", rows, Q, free)
    exact = np.linalg.solve(curvature / temperature + np.eye(horizon) / deviation**2, pull / temperature)
    problem = linear_problem(limit=10.0)
    model = LearnedModel.of(learned, problem)
    options = MPPIOptions(
        horizon, 100_000, 1, temperature, deviation / 10.0, feedback=False, propagation=Propagation("mean")
    )
    plan = MPPI(model, LearningCost(problem, model), 50, options).plan(START, np.random.default_rng(7))
    np.testing.assert_allclose(plan.actions[:, 0], exact, atol=0.01)


def test_what_a_planner_cannot_do_is_said(learned: MixtureDynamics) -> None:
    made = planner("cem", learned, Propagation("mean"))
    made.plan(START, np.random.default_rng(0), 5)
    with pytest.raises(InvalidFieldError, match="at least 5, that of the last plan"):
        made.plan(START, np.random.default_rng(0), 4)
    with pytest.raises(InvalidFieldError, match="CEM.state: found shape"):
        made.plan(np.zeros(3), np.random.default_rng(0))
    with pytest.raises(InvalidFieldError, match="one of cem, icem, mppi, ilqr"):
        build_planner("lqr", made.model, made.cost, 50)
    with pytest.raises(InvalidFieldError, match="horizon"):
        ILQRPlanner(made.model, made.cost, 50, ILQRPlannerOptions(horizon=1))
    action = replace(made.model.action, upper=np.array([np.inf]))
    endless = LearnedModel(learned, made.model.state, action, 0.1)
    with pytest.raises(InvalidFieldError, match="finite: samples are drawn"):
        MPPI(endless, made.cost, 50)
