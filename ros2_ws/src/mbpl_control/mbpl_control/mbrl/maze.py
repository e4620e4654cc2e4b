"""Mazes with Gymnasium's interface, the one of Sutton's Dyna among them."""

from __future__ import annotations

from typing import Any

import gymnasium
from gymnasium.spaces import Discrete, Space

from mbpl_control.core.errors import InvalidFieldError

#: Start S, goal G, walls #. The shortest way is 14 steps.
DYNA_MAZE = """\
.......#G
..#....#.
S.#....#.
..#......
.....#...
.........
"""
#: Row and column of a step up, right, down and left.
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))


class Maze(gymnasium.Env[int, int]):
    """A grid to find a way through; a step into a wall or over the edge stays where it is.

    | | meaning | size |
    | --- | --- | --- |
    | observation | row × columns + column | `Discrete(rows × columns)` |
    | action | up, right, down, left | `Discrete(4)` |
    | reward | 1 for the step onto the goal, which ends the episode, else 0 | |

    Args:
        layout: lines of equal length of `.`, `#`, one `S` and one `G`.

    Raises:
        InvalidFieldError: the layout is something else.

    Source: Sutton and Barto 2018, "Reinforcement learning", example 8.1.
    """

    def __init__(self, layout: str = DYNA_MAZE) -> None:
        """Read the layout."""
        lines = layout.split()
        cells = "".join(lines)
        if not lines or any(len(line) != len(lines[0]) for line in lines) or set(cells) - set(".#SG"):
            raise InvalidFieldError("Maze", "layout", repr(layout)[:60], "lines of equal length of '.', '#', 'S', 'G'")
        if cells.count("S") != 1 or cells.count("G") != 1:
            found = f"{cells.count('S')} starts, {cells.count('G')} goals"
            raise InvalidFieldError("Maze", "layout", found, "one of each")
        self.rows, self.columns = len(lines), len(lines[0])
        self.start, self.goal = cells.index("S"), cells.index("G")
        self._walls = {i for i, cell in enumerate(cells) if cell == "#"}
        spaces: tuple[Space[Any], Space[Any]] = Discrete(self.rows * self.columns), Discrete(len(MOVES))
        self.observation_space, self.action_space = spaces
        self._at = self.start

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[int, dict[str, Any]]:
        """Back to the start."""
        super().reset(seed=seed)
        self._at = self.start
        return self._at, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        """One step; see the class.

        Raises:
            InvalidFieldError: no such action.
        """
        if action not in self.action_space:
            raise InvalidFieldError("Maze", "action", str(action), f"0 to {len(MOVES) - 1}")
        row, column = divmod(self._at, self.columns)
        down, right = MOVES[action]
        row, column = row + down, column + right
        to = row * self.columns + column
        if 0 <= row < self.rows and 0 <= column < self.columns and to not in self._walls:
            self._at = to
        done = self._at == self.goal
        return self._at, float(done), done, False, {}
