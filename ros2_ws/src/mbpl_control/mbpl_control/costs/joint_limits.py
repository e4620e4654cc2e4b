"""A barrier that keeps joints off their limits."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.compiled import plain
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, Indices, check_positive, float_array
from mbpl_control.costs.one_pass import LIMITS, Instruction
from mbpl_control.costs.term import Expansion, Term


class JointLimitCost(Term):
    r"""l = w Σ_j [ β(z_lower) + β(z_upper) ] over joints with limits, z the distance to a limit in half ranges.

        β(z) = −ln z                                   for z ≥ δ
        β(z) = ½ [ ((z − 2δ) / δ)² − 1 ] − ln δ        for z < δ

    It is zero at mid range and has two continuous derivatives everywhere: beyond the limit it goes on as a parabola,
    so a trajectory that violates a limit still has a finite cost and is pulled back.

    Args:
        lower: (nv,) rad or m; −inf for a joint without limit.
        upper: (nv,) rad or m.
        indices: positions of those joints in the state and in its tangent space, two (nv,) arrays.
        tangent_size: ndx.
        weight: w, above zero.
        delta: δ, where the parabola takes over, fraction of half the range.
        ramp: see `ramp_weights`.

    Source: Feller and Ebenbauer 2017, "Relaxed logarithmic barrier function based model predictive control".
    """

    def __init__(
        self,
        lower: Array,
        upper: Array,
        indices: tuple[Indices, Indices],
        tangent_size: int,
        weight: float,
        delta: float = 0.1,
        ramp: str = "constant",
    ) -> None:
        """Check and keep the parameters."""
        owner = "JointLimitCost"
        limited = np.isfinite(lower) & np.isfinite(upper)
        if not limited.any():
            raise InvalidFieldError(owner, "lower", "no joint with limits", "at least 1 limited joint")
        self._in_state = np.asarray(indices[0], dtype=np.intp)[limited]
        self._in_tangent = np.asarray(indices[1], dtype=np.intp)[limited]
        self.lower = float_array(owner, "lower", np.asarray(lower)[limited], (None,))
        self.upper = float_array(owner, "upper", np.asarray(upper)[limited], (None,))
        self.weight = check_positive(owner, "weight", weight)
        self.delta = check_positive(owner, "delta", delta)
        if self.delta >= 1.0:
            raise InvalidFieldError(owner, "delta", str(delta), "below 1")
        self.ramp = ramp
        self._ndx = tangent_size

    def _both(self, states: Array) -> tuple[Array, Array, Array]:
        """Value (N, k), and its first and second derivative by each joint."""
        # compiled: what only reads a task does not pay for loading it
        from mbpl_control.costs.kernels import barriers

        q = plain(states[:, self._in_state])
        return barriers(q, self.lower, self.upper, self.delta)

    def instruction(self) -> Instruction:
        """See `Term.instruction`."""
        floats = np.concatenate([[self.weight, self.delta], self.lower, self.upper])
        return Instruction(LIMITS, floats, np.concatenate([self._in_state, self._in_tangent]))

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Term.evaluate`."""
        return self.weight * self._both(states)[0].sum(axis=1)

    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """See `Term.expand`; the barrier is convex, so Gauss-Newton keeps all of it."""
        value, first, second = self._both(states)
        gradient, diagonal = self.weight * first, self.weight * second
        return Expansion(self.weight * value.sum(axis=1), gradient, diagonal, self._in_tangent, self._ndx)
