"""What a policy may see of a task's state."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.errors import MbplError
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import Array
from mbpl_control.tasks.conditions import Condition
from mbpl_control.tasks.reading import TaskDocument


class Observation:
    r"""Numbers of the state, some of them relative to the target: o = M x + b, M a selection.

    A block `frame_offset` is the position of its frame minus the target of the start condition; every other block is
    the state's own.

    Args:
        document: the task's file.
        state: what x is.
        definition: what o is, one block for each entry of the file.
        conditions: whose targets are meant.

    Raises:
        TaskError: the state does not hold what a block is made of, or a condition lacks the target.
    """

    def __init__(
        self,
        document: TaskDocument,
        state: StateDefinition,
        definition: StateDefinition,
        conditions: tuple[Condition, ...],
    ) -> None:
        """Find each number of o in x."""
        columns, offsets = [], np.zeros((len(conditions), definition.size))
        column = 0
        for i, block in enumerate(definition.blocks):
            relative = block.kind == "frame_offset"
            kind = "frame_position" if relative else block.kind
            try:
                columns.append(state.indices(kind, block.names))
            except MbplError as error:
                raise document.error(["observation", i], f"not in the task's state: {error}") from error
            for condition in conditions if relative else ():
                if condition.target is None:
                    raise document.error(["observation", i], f"start condition '{condition.name}' has no target")
                offsets[condition.index, column : column + 3] = -condition.target
            column += block.size
        self._columns, self._offsets, self._state_size = np.concatenate(columns), offsets, state.size

    def observe(self, states: Array, condition: int) -> Array:
        """Observations at states. (..., nx) → (..., no)."""
        return np.asarray(states, dtype=np.float64)[..., self._columns] + self._offsets[condition]

    def map(self, condition: int) -> tuple[Array, Array]:
        """M (no, nx) and b (no,)."""
        matrix = np.zeros((len(self._columns), self._state_size))
        matrix[np.arange(len(self._columns)), self._columns] = 1.0
        return matrix, self._offsets[condition].copy()
