"""Dyna in a table: the maze of the book, and what its values must become."""

from __future__ import annotations

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.mbrl.dyna import TabularDyna, run_episodes
from mbpl_control.mbrl.maze import DYNA_MAZE, Maze

SHORTEST = 14


def shortest(maze: Maze) -> dict[int, int]:
    """Steps from each cell to the goal, by flooding from the goal."""
    steps, front = {maze.goal: 0}, [maze.goal]
    cells = "".join(DYNA_MAZE.split())
    while front:
        here = front.pop(0)
        row, column = divmod(here, maze.columns)
        for r, c in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            to = r * maze.columns + c
            if 0 <= r < maze.rows and 0 <= c < maze.columns and cells[to] != "#" and to not in steps:
                steps[to] = steps[here] + 1
                front.append(to)
    return steps


def episodes(planning: int, count: int, seed: int) -> np.ndarray:
    maze = Maze()
    learner = TabularDyna(maze.observation_space.n, maze.action_space.n, seed, planning)
    return run_episodes(maze, learner, count, seed)


def test_the_maze_of_the_book_is_an_environment_whose_shortest_way_is_14_steps() -> None:
    maze = Maze()
    check_env(maze, skip_render_check=True)
    assert (maze.rows, maze.columns) == (6, 9)
    assert shortest(maze)[maze.start] == SHORTEST


def test_steps_of_an_episode_fall_with_planning_as_in_the_figure_of_the_book() -> None:
    # figure 8.2: near 14 after some 25 episodes without planning, 5 with five steps of it, 3 with fifty
    found = {
        k: np.mean([episodes(k, 30, seed) for seed in range(runs)], axis=0) for k, runs in ((0, 8), (5, 8), (50, 4))
    }
    # before anything is known of the goal all wander alike
    assert min(f[0] for f in found.values()) > 300.0
    # episode 2: the more planning, the better
    assert found[0][1] > 2.0 * found[5][1] > 4.0 * found[50][1]
    assert found[50][3:].mean() < 2.0 * SHORTEST
    assert found[5][6:].mean() < 2.0 * SHORTEST < found[0][6:15].mean()
    assert found[0][25:].mean() < 4.0 * SHORTEST


def test_values_become_those_of_the_shortest_way() -> None:
    maze = Maze()
    learner = TabularDyna(
        maze.observation_space.n, maze.action_space.n, 3, planning=200, exploration=1.0, step_size=0.5
    )
    run_episodes(maze, learner, 4, 3)
    for cell, steps in shortest(maze).items():
        if steps:
            assert learner.values[cell].max() == pytest.approx(0.95 ** (steps - 1), rel=1e-3)


def test_planning_takes_the_expectation_over_what_was_seen() -> None:
    learner = TabularDyna(3, 1, seed=0, planning=0, discount=0.5)
    learner.values[1, 0], learner.values[2, 0] = 4.0, 100.0
    for reward, successor, ended in ((1.0, 1, False), (1.0, 1, False), (3.0, 1, False), (7.0, 2, True)):
        learner.learn(0, 0, reward, successor, ended)
    # three of four to state 1 with mean reward 5 / 3, one to an end with 7
    assert learner.expected(0, 0) == pytest.approx((3 * (5.0 / 3.0 + 0.5 * 4.0) + 7.0) / 4)


def test_the_same_seed_gives_the_same_episodes() -> None:
    np.testing.assert_array_equal(episodes(5, 6, 11), episodes(5, 6, 11))
    assert (episodes(5, 6, 11) != episodes(5, 6, 12)).any()


def test_an_environment_of_another_size_and_an_action_that_is_none_are_named() -> None:
    with pytest.raises(InvalidFieldError, match=r"spaces \(54, 4\); must be Discrete of \(9, 4\)"):
        run_episodes(Maze(), TabularDyna(9, 4, seed=0), 1, 0)
    with pytest.raises(InvalidFieldError, match="action: found -1; must be 0 to 3"):
        Maze().step(-1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"discount": 1.5}, "discount"), ({"step_size": 0.0}, "step_size"), ({"planning": -1}, "planning")],
)
def test_options_out_of_range_are_named(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        TabularDyna(2, 2, seed=0, **arguments)


@pytest.mark.parametrize(
    ("layout", "message"), [("S..\n.G", "equal length"), ("SG\nS.", "2 starts"), ("S?\n.G", "lines")]
)
def test_a_layout_that_is_no_maze_is_refused(layout: str, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        Maze(layout)
