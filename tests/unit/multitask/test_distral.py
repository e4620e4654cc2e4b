"""Distral in tables: its limits, its optimum, and a corridor that several tasks share."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import logsumexp

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.dyna import run_episodes
from mbpl_control.mbrl.maze import two_rooms
from mbpl_control.multitask.distral import (
    Regularisation,
    SharedCounts,
    SoftQLearning,
    TabularTask,
    distral,
    shared_policy,
    soft_value_iteration,
)

DISCOUNT = 0.9
RIGHT = 1


def random_task(seed: int, states: int = 6, actions: int = 3) -> TabularTask:
    """Any transitions, a tenth of each ends the episode."""
    rng = np.random.default_rng(seed)
    transitions = 0.9 * rng.dirichlet(np.ones(states), (states, actions))
    return TabularTask(transitions, rng.normal(size=(states, actions)), rng.dirichlet(np.ones(states)))


def random_policy(seed: int, states: int = 6, actions: int = 3) -> Array:
    return np.random.default_rng(seed).dirichlet(np.ones(actions), states)


def evaluated(task: TabularTask, policy: Array, rewards: Array) -> Array:
    """V of a policy whose reward in a state is given, by one linear system (S,)."""
    chain = np.einsum("sa,sat->st", policy, task.transitions)
    return np.linalg.solve(np.eye(len(chain)) - DISCOUNT * chain, rewards)


def regularised(task: TabularTask, policy: Array, shared: Array, kl: float, entropy: float) -> Array:
    """V of a policy with the terms of c_KL and c_Ent written out (S,)."""
    plain = task.rewards - kl * np.log(policy / shared) - entropy * np.log(policy)
    return evaluated(task, policy, (policy * plain).sum(axis=1))


@pytest.mark.parametrize(("kl", "entropy"), [(0.5, 0.2), (1.0, 0.0), (0.0, 0.7)])
def test_the_soft_policy_is_the_best_of_all_for_the_regularised_return(kl: float, entropy: float) -> None:
    task, shared, by = random_task(0), random_policy(1), Regularisation(kl, entropy, DISCOUNT)
    values = soft_value_iteration(task, shared, by)
    policy = by.policy(values, shared)
    best = regularised(task, policy, shared, kl, entropy)
    np.testing.assert_allclose(best, by.soft_values(values, shared), atol=1e-8)
    for seed in range(20):
        other = 0.9 * policy + 0.1 * random_policy(seed + 10)
        assert (regularised(task, other, shared, kl, entropy) < best).all()


def test_without_kl_each_task_is_solved_by_itself_with_an_entropy_bonus() -> None:
    task, entropy = random_task(2), 0.3
    by = Regularisation(0.0, entropy, DISCOUNT)
    values = soft_value_iteration(task, random_policy(3), by)
    expected = np.zeros(6)
    for _ in range(500):
        q = task.rewards + DISCOUNT * np.einsum("sat,t->sa", task.transitions, expected)
        expected = entropy * logsumexp(q / entropy, axis=1)
    np.testing.assert_allclose(values, q, atol=1e-8)
    # and what is shared has no say: not even a shared policy that excludes an action
    np.testing.assert_array_equal(values, soft_value_iteration(task, np.eye(3)[np.zeros(6, dtype=int)], by))


def test_when_kl_dominates_policies_become_the_shared_one_and_values_its_own() -> None:
    task, shared, entropy = random_task(4), random_policy(5), 0.3
    expected = evaluated(task, shared, (shared * (task.rewards - entropy * np.log(shared))).sum(axis=1))
    errors = []
    for kl in (1e2, 1e3):
        by = Regularisation(kl, entropy, DISCOUNT)
        values = soft_value_iteration(task, shared, by)
        away = np.abs(by.policy(values, shared) - shared).max()
        errors.append((away, np.abs(by.soft_values(values, shared) - expected).max()))
    # V = E_π0[Q] + c_Ent H(π0) + O(1 / c_KL), and π − π0 = O(1 / c_KL)
    for first, second in zip(*errors, strict=True):
        assert second == pytest.approx(0.1 * first, rel=0.05)
    assert max(errors[1]) < 1e-2


def test_without_both_it_is_value_iteration() -> None:
    task, shared = random_task(6), random_policy(7)
    by = Regularisation(5e-5, 5e-5, DISCOUNT)
    values = soft_value_iteration(task, shared, by)
    expected = np.zeros(6)
    for _ in range(500):
        expected = (task.rewards + DISCOUNT * task.transitions @ expected).max(axis=1)
    np.testing.assert_allclose(values.max(axis=1), expected, atol=5e-3)
    np.testing.assert_array_equal(by.policy(values, shared).argmax(axis=1), values.argmax(axis=1))


def test_the_shared_policy_is_the_most_likely_one_for_what_the_tasks_do() -> None:
    tasks = [random_task(seed) for seed in (8, 9)]
    policies = [random_policy(seed) for seed in (10, 11)]
    visits = [task.visits(policy, DISCOUNT) for task, policy in zip(tasks, policies, strict=True)]
    # visits by powers of the chain
    chain = np.einsum("sa,sat->st", policies[0], tasks[0].transitions)
    power = sum((DISCOUNT**t * np.linalg.matrix_power(chain.T, t) @ tasks[0].starts for t in range(400)), np.zeros(6))
    np.testing.assert_allclose(visits[0], power, atol=1e-10)
    best = shared_policy(policies, visits, random_policy(12))

    def likelihood(shared: Array) -> float:
        return float(
            sum((d[:, None] * policy * np.log(shared)).sum() for d, policy in zip(visits, policies, strict=True))
        )

    for seed in range(20):
        assert likelihood(0.9 * best + 0.1 * random_policy(seed + 20)) < likelihood(best)


def test_each_round_raises_the_objective_until_nothing_is_left() -> None:
    found = distral([random_task(seed) for seed in (13, 14, 15)], Regularisation(0.5, 0.1, DISCOUNT))
    steps = np.diff(found.objectives)
    assert len(steps) > 3
    assert (steps > -1e-8).all()
    assert steps[-1] < 1e-8
    np.testing.assert_allclose(found.policy.sum(axis=1), 1.0)


def test_tasks_of_two_rooms_share_the_way_through_the_corridor() -> None:
    mazes = [two_rooms((r, 0), goal) for r, goal in ((0, (0, 10)), (4, (0, 8)), (2, (4, 9)), (0, (4, 7)))]
    tasks = [TabularTask.of_maze(maze) for maze in mazes]
    found = distral(tasks, Regularisation(0.02, 0.005), rounds=8)
    corridor = [2 * 11 + column for column in (4, 5, 6)]
    assert found.policy[corridor, RIGHT].min() > 0.9
    # from a start that no task had, it finds the second room by itself
    through = TabularTask.of_maze(two_rooms((3, 1), (2, 7)))
    blank = np.full_like(found.policy, 0.25)
    reached = [float((through.visits(p, 0.95)[:, None] * p * through.rewards).sum()) for p in (found.policy, blank)]
    assert reached[0] > 5.0 * reached[1]


def test_soft_q_learning_comes_to_the_values_of_soft_value_iteration() -> None:
    maze = two_rooms((2, 5), (2, 7))
    by, shared = Regularisation(0.02, 0.01), np.full((55, 4), 0.25)
    learner = SoftQLearning(shared, by, seed=0, step_size=1.0)
    run_episodes(maze, learner, 300, seed=0)
    expected = soft_value_iteration(TabularTask.of_maze(maze), shared, by)
    corridor = [2 * 11 + column for column in (5, 6)]
    np.testing.assert_allclose(learner.values[corridor, RIGHT], expected[corridor, RIGHT], rtol=1e-2)


def test_q_begins_at_what_entropy_alone_is_worth_where_nothing_is_shared() -> None:
    task, shared, by = random_task(16), np.full((6, 3), 1.0 / 3.0), Regularisation(0.2, 0.1, DISCOUNT)
    endless = TabularTask(task.transitions / 0.9, np.zeros((6, 3)), task.starts)
    learner = SoftQLearning(shared, by, seed=0)
    np.testing.assert_allclose(learner.values, soft_value_iteration(endless, shared, by), rtol=1e-7)


def test_visits_of_an_episode_are_discounted_and_make_the_shared_policy() -> None:
    learner = SoftQLearning(np.full((3, 2), 0.5), Regularisation(1.0, 0.0, 0.5), seed=0)
    for state, action in ((0, 1), (1, 0), (0, 1)):
        learner.learn(state, action, 0.0, 2, False)
    visits = learner.visited()
    np.testing.assert_allclose(visits, [[0.0, 1.25], [0.5, 0.0], [0.0, 0.0]])
    assert learner.visited().sum() == 0.0
    counts = SharedCounts(3, 2, constant=0.25, keep=0.5)
    counts.add(visits)
    counts.add(np.zeros((3, 2)))
    np.testing.assert_allclose(counts.policy, [[0.25 / 1.125, 0.875 / 1.125], [0.5 / 0.75, 0.25 / 0.75], [0.5, 0.5]])


def test_wrong_weights_tasks_and_policies_are_named() -> None:
    with pytest.raises(InvalidFieldError, match=r"kl \+ entropy"):
        Regularisation(0.0, 0.0)
    with pytest.raises(InvalidFieldError, match="discount: found 1.0"):
        Regularisation(1.0, 0.0, 1.0)
    with pytest.raises(InvalidFieldError, match="rows of sum 1 at most"):
        TabularTask(np.ones((2, 1, 2)), np.zeros((2, 1)), np.array([1.0, 0.0]))
    with pytest.raises(InvalidFieldError, match="all alike"):
        distral([random_task(0), random_task(0, states=5)], Regularisation(1.0, 0.0))
    with pytest.raises(InvalidFieldError, match="never tried"):
        SoftQLearning(np.array([[1.0, 0.0]]), Regularisation(1.0, 0.0), seed=0)
    with pytest.raises(SolverError, match="after 3 iterations"):
        soft_value_iteration(random_task(0), random_policy(0), Regularisation(1.0, 0.0), most=3)
    with pytest.raises(InvalidFieldError, match=r"goal: found \(0, 4\); must be a free cell"):
        two_rooms((0, 0), (0, 4))
