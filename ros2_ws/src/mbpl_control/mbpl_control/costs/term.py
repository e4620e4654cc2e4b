"""One term of a cost, and how its weight runs along the horizon."""

from __future__ import annotations

import functools
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, Indices
from mbpl_control.costs.accumulation import add
from mbpl_control.costs.one_pass import Instruction

_PART = re.compile(r"(initial|final)\((\d+)\)")


@dataclass(frozen=True)
class Expansion:
    """Second-order expansion of a term at N points; None where the term does not depend on something.

    Derivatives by the state are mostly zeros: they come over the k numbers the term depends on. Second derivatives come
    as their diagonal, or in full.

    Attributes:
        value: l (N,).
        gradient: by the `columns` of the state (N, k).
        curvature: second derivatives by them, diagonal (N, k) or all (N, k, k).
        columns: k numbers of the state's tangent space.
        tangent_size: ndx.
        lu: by the action (N, m).
        action_curvature: diagonal (N, m) of luu.
    """

    value: Array
    gradient: Array | None = None
    curvature: Array | None = None
    columns: Indices | None = None
    tangent_size: int = 0
    lu: Array | None = None
    action_curvature: Array | None = None

    def add_to(
        self, weights: Array, by_state: tuple[Array, Array, Array], by_action: tuple[Array, Array, Array]
    ) -> None:
        """Add it, weighed (N,), to values, gradients and second derivatives of the same N points.

        Args:
            weights: (N,).
            by_state: l (N,), lx (N, ndx), lxx (N, ndx, ndx).
            by_action: l (N,), lu (N, m), luu (N, m, m).
        """
        if self.columns is not None and self.gradient is not None and self.curvature is not None:
            add(weights, self.columns, (self.value, self.gradient, self.curvature), by_state)
        elif self.lu is not None and self.action_curvature is not None:
            columns = np.arange(self.lu.shape[1])
            add(weights, columns, (self.value, self.lu, self.action_curvature), by_action)
        else:
            by_state[0][:] += weights * self.value

    @property
    def lx(self) -> Array:
        """Gradient by the state (N, ndx), in full."""
        return self._in_full()[0]

    @property
    def lxx(self) -> Array:
        """Second derivatives by the state (N, ndx, ndx), in full."""
        return self._in_full()[1]

    def _in_full(self) -> tuple[Array, Array]:
        count, size = len(self.value), self.tangent_size
        lx, lxx = np.zeros((count, size)), np.zeros((count, size, size))
        if self.columns is not None and self.gradient is not None and self.curvature is not None:
            add(np.ones(count), self.columns, (self.value, self.gradient, self.curvature), (np.zeros(count), lx, lxx))
        return lx, lxx


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

    def instruction(self) -> Instruction | None:
        """The term for one pass over all terms; None where it takes part in none."""
        return None

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


@functools.lru_cache(maxsize=1024)
def ramp_weights(ramp: str, steps: int) -> Array:
    """Weights (T+1,) of a term along T steps; kept, and so not to be written to.

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
    weights = _ramp(ramp, steps)
    weights.setflags(write=False)
    return weights


def _ramp(ramp: str, steps: int) -> Array:
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
