"""Planning on learned dynamics: steps until a pole stands, and what it costs to follow a plan blindly."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from report import Row
from rich.progress import track

from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.evaluation import StepLearner, learn, solved_at
from mbpl_control.mbrl.gymnasium_tasks import gymnasium_problem
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics
from mbpl_control.mbrl.learned_model import LearnedModel, LearningCost
from mbpl_control.mbrl.linear_quadratic import LinearQuadraticLearner
from mbpl_control.mbrl.model_learner import Collection
from mbpl_control.mbrl.mpc_learner import MpcLearner
from mbpl_control.mbrl.planning.cem import CEM, CEMOptions
from mbpl_control.mbrl.planning.ilqr import ILQRPlanner, ILQRPlannerOptions
from mbpl_control.mbrl.planning.mppi import MPPI, MPPIOptions
from mbpl_control.mbrl.planning.planner import Planner
from mbpl_control.mbrl.planning.propagation import Propagation
from mbpl_control.mbrl.planning.stochastic_lq import expected_cost
from mbpl_control.mbrl.problem import LearningProblem, run_episode

TASK = "InvertedPendulum-v5"
SEEDS, BUDGET = (0, 1, 2), 900
ENSEMBLE = EnsembleOptions(members=3, hidden=(32, 32), steps=600, learning_rate=3e-3)
HORIZON, SAMPLES = 30, 40


def pendulum_planner(name: str, learned: LearnedDynamics, problem: LearningProblem) -> Planner:
    """A planner that is quick enough to be judged over a thousand steps."""
    model = LearnedModel.of(learned, problem)
    cost, steps = LearningCost(problem, model, None if name == "ilqr" else 100.0), problem.steps
    propagation = Propagation("ts_infinity")
    if name == "icem":
        options = CEMOptions.icem(
            horizon=HORIZON, samples=SAMPLES, iterations=2, elites=8, deviation=0.3, propagation=propagation
        )
        return CEM(model, cost, steps, options)
    if name == "cem":
        return CEM(model, cost, steps, CEMOptions(HORIZON, SAMPLES, 2, 8, 0.3, propagation=propagation))
    if name == "mppi":
        return MPPI(model, cost, steps, MPPIOptions(HORIZON, SAMPLES, 2, propagation=propagation))
    return ILQRPlanner(model, cost, steps, ILQRPlannerOptions(HORIZON, 2))


def linear_learner(seed: int) -> StepLearner:
    """One linear model and its regulator."""
    return LinearQuadraticLearner(gymnasium_problem(TASK), seed, Collection(initial=25, every=25))


def mpc_learner(name: str) -> Callable[[int], StepLearner]:
    """An ensemble and a planner."""

    def build(seed: int) -> StepLearner:
        problem = gymnasium_problem(TASK)
        dynamics = EnsembleDynamics(problem.n, problem.m, seed, ENSEMBLE)
        plan = lambda learned, task: pendulum_planner(name, learned, task)  # noqa: E731
        return MpcLearner(problem, dynamics, plan, seed, Collection(initial=50, every=50, exploration=0.1))

    return build


def until_solved(title: str, build: Callable[[int], StepLearner], target: float | None) -> list[Row]:
    """Steps until three evaluations in a row stand to the end, of each seed."""
    rows = []
    for seed in track(SEEDS, title, transient=True):
        begin = time.perf_counter()
        found = learn(build(seed), BUDGET, episodes=1, seed=seed)
        at = solved_at(found, gymnasium_problem(TASK).enough)
        name = f"{TASK}, {title}, seed {seed}: " + ("steps until solved" if at else "NOT solved within the budget")
        rows.append(Row(name, float(at or BUDGET), "steps", target if at else 0.0))
        returns = " ".join(f"{each.mean:.0f}" for each in found)
        rows.append(Row(f"  returns {returns}; wall time", time.perf_counter() - begin, "s"))
    return rows


def steps_to_solve(planners: tuple[str, ...] = ("icem", "cem", "mppi", "ilqr")) -> list[Row]:
    """The linear baseline, then MPC on an ensemble with each planner."""
    rows = until_solved("linear model and LQR", linear_learner, None)
    for name in planners:
        rows += until_solved(f"ensemble and {name}", mpc_learner(name), float(BUDGET))
    return rows


class Blind:
    """Follows a plan for so many steps without looking, then makes a new one."""

    def __init__(self, planner: Planner, every: int, seed: int) -> None:
        """Keep them."""
        self._planner, self._every, self._rng = planner, every, np.random.default_rng(seed)

    def __call__(self, state: np.ndarray, step: int) -> np.ndarray:
        """The action of a step."""
        if step == 0:
            self._planner.forget()
        if step % self._every == 0:
            self._actions = self._planner.plan(state, self._rng, step).actions
        return np.array(self._actions[step % self._every])


def blind_on_the_pendulum() -> list[Row]:
    """How long the pole stands under one plan, and under a new one each so many steps, of the same model."""
    problem = gymnasium_problem(TASK)
    rows = []
    for seed in SEEDS:
        learner = mpc_learner("icem")(seed)
        assert isinstance(learner, MpcLearner)
        while learner.steps < 300:
            learner.advance()
        planner = pendulum_planner("ilqr", learner.dynamics, problem)
        for every in (1, 2, 5, 10, HORIZON):
            environment = problem.make()
            act = Blind(planner, every, seed)
            stands = [len(run_episode(environment, act, 20_000 + k, problem.steps).rewards) for k in range(3)]
            environment.close()
            name = f"{TASK}, ensemble of seed {seed}, a new plan every {every} steps: the pole stands"
            rows.append(Row.of_samples(name, stands, "steps"))
    return rows


def blind_in_closed_form() -> list[Row]:
    """An unstable chain of two numbers, 20 steps: what noise costs until one looks again."""
    steps = 20
    a, b = np.array([[1.0, 0.1], [0.3, 1.0]]), np.array([[0.0], [0.1]])
    arrays = (
        np.tile(a, (steps, 1, 1)),
        np.tile(b, (steps, 1, 1)),
        np.tile(np.eye(2), (steps + 1, 1, 1)),
        np.tile([[0.1]], (steps, 1, 1)),
    )
    noise, start = 0.01 * np.eye(2), np.array([1.0, 0.0])
    costs = {every: expected_cost(*arrays, noise, start, every) for every in (1, 2, 5, 10, steps)}
    return [
        Row(f"stochastic LQ, a look every {every} steps: expected cost over closed loop", cost / costs[1], "1")
        for every, cost in costs.items()
    ]


def planning_rows() -> list[Row]:
    """All of it."""
    return [*steps_to_solve(), *blind_in_closed_form(), *blind_on_the_pendulum()]
