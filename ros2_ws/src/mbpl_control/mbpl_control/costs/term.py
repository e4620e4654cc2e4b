"""One term of a cost, and how its weight runs along the horizon."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, Indices

_PART = re.compile(r"(initial|final)\((\d+)\)")
#: Some numbers of a tangent space: a stretch of it, or one by one.
Columns = slice | Indices


@dataclass(frozen=True)
class Expansion:
    """Second-order expansion of a term at N points; None where the term does not depend on something.

    Second derivatives are mostly zeros, and what they are added to is large: they come as their diagonal, or as the
    block over k numbers of the state, outside of which they are zero.

    Attributes:
        value: l (N,).
        lx: (N, ndx).
        state_curvature: diagonal (N, ndx) of lxx, or its block (N, k, k) over `columns`.
        lu: (N, m).
        action_curvature: diagonal (N, m) of luu.
        columns: the k numbers of a block; all of them when None.
    """

    value: Array
    lx: Array | None = None
    state_curvature: Array | None = None
    lu: Array | None = None
    action_curvature: Array | None = None
    columns: Columns | None = None

    @property
    def lxx(self) -> Array | None:
        """Second derivatives by the state (N, ndx, ndx), in full."""
        return _in_full(self.lx, self.state_curvature, self.columns)

    @property
    def luu(self) -> Array | None:
        """Second derivatives by the action (N, m, m), in full."""
        return _in_full(self.lu, self.action_curvature)


def add_curvature(total: Array, weights: Array, part: Array, columns: Columns | None = None) -> None:
    """Add `weights` (N,) times second derivatives to `total` (N, n, n).

    Args:
        total: what is added to.
        weights: (N,).
        part: diagonal (N, n), or block (N, k, k).
        columns: the k numbers of a block; all of them when None.
    """
    if part.ndim == 2:
        np.einsum("nii->ni", total)[...] += weights[:, None] * part
    else:
        total[_block(columns)] += weights[:, None, None] * part


def block_of(matrices: Array, columns: Columns) -> Array:
    """Rows and columns `columns` of matrices. (N, n, n) → (N, k, k)."""
    return matrices[_block(columns)]


def _block(columns: Columns | None) -> tuple[slice, Columns, Columns]:
    if columns is None:
        return slice(None), slice(None), slice(None)
    if isinstance(columns, slice):
        return slice(None), columns, columns
    return slice(None), columns[:, None], columns


def _in_full(gradient: Array | None, curvature: Array | None, columns: Columns | None = None) -> Array | None:
    if gradient is None or curvature is None:
        return None
    count, size = gradient.shape
    total = np.zeros((count, size, size))
    add_curvature(total, np.ones(count), curvature, columns)
    return total


class Term(ABC):
    """A term l(x, u) of a cost, before its ramp.

    Attributes:
        ramp: see `ramp_weights`.
        on_actions: whether it depends on actions, and so is not evaluated at the final state.
    """

    ramp: str = "constant"
    on_actions: bool = False

    @abstractmethod
    def evaluate(self, states: Array, actions: Array) -> Array:
        """Values l at N points. (N, nx), (N, m) → (N,); a term on states alone ignores the actions."""

    @abstractmethod
    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """Value and derivatives at N points.

        Args:
            states: (N, nx).
            actions: (N, m); empty for a term on states alone.
            exact: whether second derivatives of residuals count, or are dropped (Gauss-Newton).
        """

    def majorize(self, states: Array, actions: Array, spreads: Array, exact: bool) -> Expansion:
        """A quadratic to minimise in place of the term, about N normal distributions of the state.

        A term that has a quadratic upper bound gives that; all others give `expand` at the means.

        Args:
            states: means (N, nx).
            actions: (N, m); empty for a term on states alone.
            spreads: covariances of the states (N, ndx, ndx).
            exact: as of `expand`.
        """
        return self.expand(states, actions, exact)


def ramp_weights(ramp: str, steps: int) -> Array:
    """Weights (T+1,) of a term along T steps.

    | ramp | weight of state t |
    | --- | --- |
    | constant | 1 |
    | linear | (t + 1) / (T + 1) |
    | quadratic | ((t + 1) / (T + 1))² |
    | final | 1 at T, else 0 |
    | final(n) | 1 on the last n states, else 0 |
    | initial(n) | 1 on the first n states, else 0 |

    Raises:
        InvalidFieldError: no such ramp, or it counts more states than there are.
    """
    t = np.arange(1, steps + 2) / (steps + 1)
    if ramp == "constant":
        return np.ones(steps + 1)
    if ramp == "linear":
        return t
    if ramp == "quadratic":
        return t * t
    match = _PART.fullmatch("final(1)" if ramp == "final" else ramp)
    if match is None:
        allowed = "constant, linear, quadratic, final, final(n) or initial(n)"
        raise InvalidFieldError("Term", "ramp", repr(ramp), allowed)
    part, count = match.group(1), int(match.group(2))
    if not 1 <= count <= steps + 1:
        raise InvalidFieldError("Term", "ramp", ramp, f"{part}(1) to {part}({steps + 1})")
    weights = np.zeros(steps + 1)
    weights[-count:] = 1.0
    return weights if part == "final" else weights[::-1]
