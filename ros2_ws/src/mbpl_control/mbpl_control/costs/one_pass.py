"""All terms of a cost that are of the usual kinds in one compiled pass along the trajectory.

Term by term, most of the time goes into the calls: a task has ten of them, and a step of each is a hundred operations.
The formulas are those of the terms, each written down where the term is.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.compiled import plain
from mbpl_control.core.validation import Array
from mbpl_control.models.kinematics import Kinematics

#: Kinds of terms. They are compiled into `kernels`, whose cache does not notice a change here: touch that file, too.
STATE, ACTION, LIMITS, COSINE, POSITION, DISTANCE, ORIENTATION = range(7)
_NO_FRAME = np.zeros((0, 3)), np.zeros((0, 3, 3)), np.zeros((0, 6, 0))
for _each in _NO_FRAME:
    # as the arrays of a frame are; compiled functions tell the two apart
    _each.setflags(write=False)


class Frame(NamedTuple):
    """A frame that terms ask for; x[begin:end] are the joints' positions, `column` the first in the tangent space."""

    kinematics: Kinematics
    name: str
    begin: int
    end: int
    column: int


class Instruction(NamedTuple):
    """A term as numbers.

    Attributes:
        kind: one of the constants above.
        floats: its parameters.
        ints: numbers of what it depends on.
        frames: likewise.
    """

    kind: int
    floats: Array
    ints: NDArray[np.int64] = np.zeros(0, np.int64)
    frames: tuple[Frame, ...] = ()


class Schedule(NamedTuple):
    """When terms count along a trajectory of T steps.

    Attributes:
        weights: of each term at each state (terms, T+1).
        spans: the first state and the one after the last that each frame is asked for at; a row at least.
    """

    weights: Array
    spans: NDArray[np.int64]


class OnePass:
    """Instructions of several terms, run together.

    Args:
        instructions: one a term.
        ndx: numbers of a difference of states.
        m: numbers of an action.
    """

    def __init__(self, instructions: list[Instruction], ndx: int, m: int) -> None:
        """Lay the parameters of all of them one after another."""
        self._ndx, self._m = ndx, m
        self._frames = list(dict.fromkeys(frame for each in instructions for frame in each.frames))
        table, floats, ints = [], [np.zeros(1)], [np.zeros(1, np.int64)]
        for each in instructions:
            frames = [self._frames.index(frame) for frame in each.frames]
            numbers = np.concatenate([np.array(frames, np.int64), each.ints])
            sizes = len(each.frames), sum(map(len, ints)), len(each.ints), sum(map(len, floats))
            table.append((each.kind, *sizes))
            floats.append(np.asarray(each.floats, np.float64))
            ints.append(numbers)
        self._table = np.array(table, np.int64)
        self._floats, self._ints = np.concatenate(floats), np.concatenate(ints)
        self._columns = np.array([frame.column for frame in self._frames] or [0], np.int64)
        #: which terms ask for each frame
        self._users = [[i for i, each in enumerate(instructions) if frame in each.frames] for frame in self._frames]

    def schedule(self, weights: Array) -> Schedule:
        """When each term counts, by its weights at each state (terms, T+1); they are not written to any more."""
        spans = np.zeros((max(1, len(self._frames)), 2), np.int64)
        for span, users in zip(spans, self._users, strict=False):
            asked = np.flatnonzero(weights[users].any(axis=0))
            if asked.size:
                span[:] = asked[0], asked[-1] + 1
        return Schedule(plain(weights), spans)

    def values(self, schedule: Schedule, states: Array, actions: Array) -> Array:
        """Costs (L, T+1) of L trajectories.

        Args:
            schedule: of a trajectory of T steps.
            states: (L, T+1, nx).
            actions: (L, T, m).
        """
        value = np.zeros(states.shape[:2])
        none = np.zeros((0, 0)), np.zeros((0, 0, 0))
        self._run(False, schedule, states, actions, value, (*none, *none))
        return value

    def expand(self, schedule: Schedule, states: Array, actions: Array) -> tuple[Array, Array, Array, Array, Array]:
        """Values l (T+1,), lx (T+1, ndx), lu (T, m), lxx and luu along one trajectory, Gauss-Newton."""
        steps, ndx, m = len(actions), self._ndx, self._m
        value = np.zeros((1, steps + 1))
        lx, lxx = np.zeros((steps + 1, ndx)), np.zeros((steps + 1, ndx, ndx))
        lu, luu = np.zeros((steps, m)), np.zeros((steps, m, m))
        self._run(True, schedule, states[None], actions[None], value, (lx, lxx, lu, luu))
        return value[0], lx, lu, lxx, luu

    def _run(
        self,
        derive: bool,
        schedule: Schedule,
        states: Array,
        actions: Array,
        value: Array,
        totals: tuple[Array, Array, Array, Array],
    ) -> None:
        # compiled: a node that only reads a task does not pay for loading it
        from mbpl_control.costs.kernels import one_pass

        count = len(states)
        motions = []
        for frame, (begin, end) in zip(self._frames, schedule.spans.tolist(), strict=False):
            q = states[:, begin:end, frame.begin : frame.end].reshape(count * (end - begin), -1)
            motion = frame.kinematics.motion(frame.name, q)
            motions.append((motion.positions, motion.rotations, motion.jacobians))
        positions, rotations, jacobians = zip(*(motions or [_NO_FRAME]), strict=True)
        one_pass(
            derive,
            self._table,
            self._floats,
            self._ints,
            schedule.weights,
            plain(states),
            plain(actions),
            positions,
            rotations,
            jacobians,
            schedule.spans,
            self._columns,
            value,
            *totals,
        )
