"""One term of a cost, and how its weight runs along the horizon."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array

_FINAL = re.compile(r"final\((\d+)\)$")


@dataclass(frozen=True)
class Expansion:
    """Second-order expansion of a term at N points; None where the term does not depend on something.

    Attributes:
        value: l (N,).
        lx: (N, ndx).
        lxx: (N, ndx, ndx).
        lu: (N, m).
        luu: (N, m, m).
    """

    value: Array
    lx: Array | None = None
    lxx: Array | None = None
    lu: Array | None = None
    luu: Array | None = None


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
        """l at N points. (N, nx), (N, m) → (N,); a term on states alone ignores the actions."""

    @abstractmethod
    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """Value and derivatives at N points.

        Args:
            states: (N, nx).
            actions: (N, m); empty for a term on states alone.
            exact: whether second derivatives of residuals count, or are dropped (Gauss-Newton).
        """


def ramp_weights(ramp: str, steps: int) -> Array:
    """Weights (T+1,) of a term along T steps.

    | ramp | weight of state t |
    | --- | --- |
    | constant | 1 |
    | linear | (t + 1) / (T + 1) |
    | quadratic | ((t + 1) / (T + 1))² |
    | final | 1 at T, else 0 |
    | final(n) | 1 on the last n states, else 0 |

    Raises:
        InvalidFieldError: no such ramp, or final(n) is longer than the horizon.
    """
    t = np.arange(1, steps + 2) / (steps + 1)
    if ramp == "constant":
        return np.ones(steps + 1)
    if ramp == "linear":
        return t
    if ramp == "quadratic":
        return t * t
    match = _FINAL.match(ramp)
    if ramp != "final" and match is None:
        allowed = "constant, linear, quadratic, final or final(n)"
        raise InvalidFieldError("Term", "ramp", repr(ramp), allowed)
    count = 1 if match is None else int(match.group(1))
    if not 1 <= count <= steps + 1:
        raise InvalidFieldError("Term", "ramp", ramp, f"final(1) to final({steps + 1})")
    weights = np.zeros(steps + 1)
    weights[-count:] = 1.0
    return weights
