"""Tasks and environments of Gymnasium as learning problems."""

from __future__ import annotations

from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from torch.func import grad, hessian, jacfwd, jacrev, vmap

from mbpl_control.core import InvalidFieldError, TaskError
from mbpl_control.mbrl.evaluation import EVALUATION_SEEDS, StepLearner, learn
from mbpl_control.mbrl.problem import LearningProblem, run_episode
from mbpl_control.mbrl.task_environment import TaskEnvironment
from mbpl_control.mbrl.task_problem import load_problem, task_problem
from mbpl_control.mbrl.task_view import MeanCost, TaskView
from mbpl_control.tasks import load_task

TASKS = ("cartpole_swingup", "reacher_2link", "arm_reach", "arm_peg", "pendulum_swingup")


@pytest.fixture(scope="module", params=TASKS)
def problem(request: pytest.FixtureRequest, task_files: Path) -> LearningProblem:
    return load_problem(task_files / f"{request.param}.yaml")


def visited(problem: LearningProblem, count: int) -> tuple[torch.Tensor, ...]:
    """States, actions and successors of a first few steps."""
    rng = np.random.default_rng(1)
    middle, half = 0.5 * (problem.upper + problem.lower), 0.1 * (problem.upper - problem.lower)
    environment = problem.make()
    episode = run_episode(environment, lambda *_: middle + half * rng.standard_normal(problem.m), 0, count)
    t = episode.transitions
    return tuple(torch.tensor(part) for part in (t.states, t.actions, t.successors))


def test_derivatives_of_reward_and_cost_are_those_of_finite_differences_twice(problem: LearningProblem) -> None:
    x, u, y = (part[-2:].clone().requires_grad_() for part in visited(problem, 8))
    for rated in (problem.reward, problem.cost):
        assert torch.autograd.gradcheck(rated, (x, u, y), atol=1e-5, rtol=1e-4)
        assert torch.autograd.gradgradcheck(rated, (x, u, y), atol=1e-4, rtol=1e-3)


def test_the_cost_stands_inside_the_transforms_of_torch(problem: LearningProblem) -> None:
    x, u, y = visited(problem, 6)

    def one(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        return problem.cost(a[None], b[None], c[None])[0]

    whole = problem.cost(x, u, y)
    torch.testing.assert_close(vmap(one)(x, u, y), whole, rtol=1e-12, atol=1e-12)
    leaf = y.clone().requires_grad_()
    (slopes,) = torch.autograd.grad(problem.cost(x, u, leaf).sum(), leaf)
    torch.testing.assert_close(vmap(grad(one, argnums=2))(x, u, y), slopes, rtol=1e-10, atol=1e-10)
    backwards = vmap(jacrev(jacrev(one, argnums=2), argnums=2))(x, u, y)
    forwards = vmap(jacfwd(grad(one, argnums=2), argnums=2))(x, u, y)
    torch.testing.assert_close(forwards, backwards, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(vmap(hessian(one, argnums=2))(x, u, y), backwards, rtol=1e-9, atol=1e-9)


def test_the_reward_is_what_the_environment_of_learning_pays(problem: LearningProblem) -> None:
    environment, rng = problem.make(), np.random.default_rng(0)
    middle, half = 0.5 * (problem.upper + problem.lower), 0.1 * (problem.upper - problem.lower)
    episode = run_episode(environment, lambda *_: middle + half * rng.standard_normal(problem.m), 4, 20)
    t = episode.transitions
    assert t.states.shape == (20, problem.n)
    told = problem.reward(*(torch.tensor(part) for part in (t.states, t.actions, t.successors)))
    np.testing.assert_allclose(told.numpy(), episode.rewards, rtol=1e-9, atol=1e-9)
    ended = problem.ended(torch.tensor(t.successors))
    assert ended.dtype == torch.bool and not ended.any()


@pytest.mark.parametrize("name", ["cartpole_swingup", "pendulum_swingup", "reacher_2link"])
def test_whoever_stays_where_he_is_pays_what_the_task_makes_him_pay(name: str, task_files: Path) -> None:
    task = load_task(task_files / f"{name}.yaml")
    view = TaskView(task, [0])
    state = task.conditions[0].state + 0.1
    action = 0.2 * task.action.upper
    states, actions = np.tile(state, (task.horizon + 1, 1)), np.tile(action, (task.horizon, 1))
    seen = view.of(task.task_state(state[None]), 0)
    paid = task.horizon * MeanCost(view).value(seen, action[None])[0]
    assert paid == pytest.approx(task.cost(0).evaluate(states, actions).sum(), rel=1e-12)


def test_an_expansion_about_zero_has_numbers_although_no_angle_is_there(task_files: Path) -> None:
    problem = load_problem(task_files / "cartpole_swingup.yaml")
    x = torch.zeros(1, problem.n, dtype=torch.float64, requires_grad=True)
    u = torch.zeros(1, 1, dtype=torch.float64)
    (slope,) = torch.autograd.grad(problem.cost(x, u, x).sum(), x, create_graph=True)
    (second,) = torch.autograd.grad(slope[0, 3], x)
    assert torch.isfinite(slope).all() and torch.isfinite(second).all()
    # Σ w̄ (1 − cos(θ − π)) = Σ w̄ (1 + cos θ) curves by −Σ w̄ = −(0.1 · 201 + 50 · 40) / 200 along sin θ
    assert float(second[0, 3]) == pytest.approx(-(0.1 * 201 + 50.0 * 40) / 200)


class Still(StepLearner):
    """Does nothing, and learns nothing."""

    def __init__(self, problem: LearningProblem) -> None:
        self.problem, self.steps = problem, 0

    def advance(self) -> None:
        self.steps += 10

    def act(self, state: np.ndarray, step: int) -> np.ndarray:
        return np.zeros(self.problem.m)


def test_learners_are_judged_by_the_tasks_own_cost_from_every_training_condition(task_files: Path) -> None:
    task = load_task(task_files / "rotary_pendulum_balance.yaml")
    found = learn(Still(task_problem(task)), 35, episodes=1, seed=2, in_a_row=None, every=20)
    assert [each.steps for each in found] == [20, 40]
    expected = []
    for k in range(3):
        environment = TaskEnvironment(task, features=True)
        episode = run_episode(environment, lambda *_: np.zeros(1), EVALUATION_SEEDS + 2000 + k, None, {"condition": k})
        expected.append(episode.total)
    assert found[0].returns == tuple(expected)
    # a rod that nobody holds falls
    assert found[0].successes == (False, False, False) and not found[0].solves(-np.inf)


def test_a_problem_is_found_by_name_whether_ours_or_of_gymnasium(
    task_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MBPL_TASK_PATH", str(task_files))
    assert load_problem("cartpole_swingup").name == "cartpole_swingup"
    assert load_problem("gym:InvertedPendulum-v5").enough == 1000.0
    with pytest.raises(InvalidFieldError, match=r"task: found 'Ant-v5'; must be one of InvertedPendulum-v5"):
        load_problem("gym:Ant-v5")
    with pytest.raises(TaskError, match="no task 'cartpole_swing'; did you mean 'cartpole_swingup'"):
        load_problem("cartpole_swing")


def test_pendulum_of_gymnasium_pays_what_its_problem_says() -> None:
    problem = load_problem("gym:Pendulum-v1")
    rng = np.random.default_rng(0)
    environment = gymnasium.make("Pendulum-v1")
    episode = run_episode(environment, lambda *_: rng.uniform(-2.0, 2.0, 1), 3)
    t = episode.transitions
    told = problem.reward(*(torch.tensor(part, dtype=torch.float64) for part in (t.states, t.actions, t.successors)))
    # its observations are float32
    np.testing.assert_allclose(told.numpy(), episode.rewards, rtol=1e-4, atol=1e-5)
    assert len(episode.rewards) == problem.steps
    assert environment.action_space.low == problem.lower and environment.action_space.high == problem.upper
