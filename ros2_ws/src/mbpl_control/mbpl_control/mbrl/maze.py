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
        self._at = self.successor(self._at, action)
        done = self._at == self.goal
        return self._at, float(done), done, False, {}

    def successor(self, state: int, action: int) -> int:
        """Where an action leads from a cell; of a wall, too, which is never entered."""
        row, column = divmod(state, self.columns)
        down, right = MOVES[action]
        row, column = row + down, column + right
        to = row * self.columns + column
        return to if 0 <= row < self.rows and 0 <= column < self.columns and to not in self._walls else state


def two_rooms(start: tuple[int, int], goal: tuple[int, int]) -> Maze:
    """Two rooms of 5 × 4 cells and a corridor of 3 between the middles of their walls.

    Args:
        start: row and column; the rooms' columns are 0 to 3 and 7 to 10, the corridor is row 2.
        goal: likewise.

    Raises:
        InvalidFieldError: one of both is no cell, or they are the same.
    """
    cells = [list("....###....") for _ in range(5)]
    cells[2] = list("...........")
    for name, (row, column) in (("start", start), ("goal", goal)):
        if not (0 <= row < 5 and 0 <= column < 11) or cells[row][column] != ".":
            raise InvalidFieldError("two_rooms", name, f"({row}, {column})", "a free cell, and not the other's")
        cells[row][column] = "S" if name == "start" else "G"
    return Maze("\n".join("".join(line) for line in cells))
