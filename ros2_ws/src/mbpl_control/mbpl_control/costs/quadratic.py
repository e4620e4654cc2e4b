"""Quadratic terms on the state and on the action."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_space import SPACE_SIZES, StateSpace
from mbpl_control.core.validation import Array, Indices, float_array
from mbpl_control.costs.one_pass import ACTION, COSINE, STATE, Instruction
from mbpl_control.costs.rotations import inverse_left_jacobian
from mbpl_control.costs.term import Expansion, Term


class StateCost(Term):
    r"""l = ½ Σ_i w_i (x ⊖ x*)_i².

    On angles the difference is wrapped; on a quaternion with weight w it is the squared rotation angle, whose second
    derivative is w times the symmetric part of the inverse right Jacobian of SO(3).

    Args:
        space: the state's space.
        weights: w (ndx,), zero or more; equal over the three numbers of a quaternion.
        target: x* (nx,).
        ramp: see `ramp_weights`.
    """

    def __init__(self, space: StateSpace, weights: Array, target: Array, ramp: str = "constant") -> None:
        """Check and keep the parameters."""
        owner = "StateCost"
        self.space = space
        self.ramp = ramp
        self.weights = float_array(owner, "weights", weights, (space.tangent_size,))
        if (self.weights < 0.0).any():
            raise InvalidFieldError(owner, "weights", f"{self.weights.min()}", "0 or more")
        self.target = float_array(owner, "target", target, (space.size,))
        space.check(owner, "target", self.target)
        self._quaternions: list[int] = []
        column = 0
        for name in space.spaces:
            if name == "quaternion":
                part = self.weights[column : column + 3]
                if np.ptp(part) > 0.0:
                    raise InvalidFieldError(owner, "weights", str(part), "equal on a quaternion")
                if part[0] > 0.0:
                    self._quaternions.append(column)
            column += SPACE_SIZES[name][1]

    def instruction(self) -> Instruction | None:
        """See `Term.instruction`; not with quaternions."""
        if self.space.size != self.space.tangent_size:
            return None
        wraps = [float(name == "angle") for name in self.space.spaces]
        return Instruction(STATE, np.concatenate([self.weights, self.target, wraps]))

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Term.evaluate`."""
        d = self.space.difference(states, self.target)
        return 0.5 * (d * d) @ self.weights

    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """See `Term.expand`."""
        d = self.space.difference(states, self.target)
        # on a quaternion too: the inverse Jacobian of the logarithm leaves its own argument as it is
        gradient = d * self.weights
        curvature = np.empty_like(d)
        curvature[:] = self.weights
        if self._quaternions and exact:
            curvature = np.tile(np.diag(self.weights), (len(d), 1, 1))
            for c in self._quaternions:
                jacobian = inverse_left_jacobian(-d[:, c : c + 3])
                part = 0.5 * (jacobian + jacobian.transpose(0, 2, 1))
                curvature[:, c : c + 3, c : c + 3] = self.weights[c] * part
        size = self.space.tangent_size
        return Expansion(0.5 * (d * d) @ self.weights, gradient, curvature, np.arange(size), size)


class CosineCost(Term):
    r"""l = Σ_i w_i (1 − cos(q_i − q*_i)): the height of a pendulum, smooth over the whole turn.

    Args:
        indices: (k,) of the angles, into the state and into its tangent space.
        tangent_size: ndx.
        weights: w (k,), zero or more.
        target: q* (k,), rad.
        ramp: see `ramp_weights`.
    """

    def __init__(
        self,
        indices: tuple[Indices, Indices],
        tangent_size: int,
        weights: Array,
        target: Array,
        ramp: str = "constant",
    ) -> None:
        """Check and keep the parameters."""
        self._in_state, self._in_tangent = (np.asarray(i, dtype=np.intp) for i in indices)
        self._ndx = tangent_size
        count = len(self._in_state)
        self.weights = float_array("CosineCost", "weights", weights, (count,))
        if (self.weights < 0.0).any():
            raise InvalidFieldError("CosineCost", "weights", f"{self.weights.min()}", "0 or more")
        self.target = float_array("CosineCost", "target", target, (count,))
        self.ramp = ramp

    def instruction(self) -> Instruction:
        """See `Term.instruction`."""
        indices = np.concatenate([self._in_state, self._in_tangent])
        return Instruction(COSINE, np.concatenate([self.weights, self.target]), indices)

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Term.evaluate`."""
        return (1.0 - np.cos(states[:, self._in_state] - self.target)) @ self.weights

    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """See `Term.expand`; Gauss-Newton takes 2 sin²(Δ/2) as the residual √2 sin(Δ/2) squared."""
        error = states[:, self._in_state] - self.target
        gradient = self.weights * np.sin(error)
        diagonal = self.weights * (np.cos(error) if exact else np.cos(0.5 * error) ** 2)
        return Expansion((1.0 - np.cos(error)) @ self.weights, gradient, diagonal, self._in_tangent, self._ndx)


class ActionCost(Term):
    r"""l = ½ Σ_i w_i (u_i − u*_i)².

    Args:
        weights: w (m,), zero or more.
        target: u* (m,).
        ramp: see `ramp_weights`.
    """

    on_actions = True

    def __init__(self, weights: Array, target: Array, ramp: str = "constant") -> None:
        """Check and keep the parameters."""
        self.weights = float_array("ActionCost", "weights", weights, (None,))
        if (self.weights < 0.0).any():
            raise InvalidFieldError("ActionCost", "weights", f"{self.weights.min()}", "0 or more")
        self.target = float_array("ActionCost", "target", target, self.weights.shape)
        self.ramp = ramp

    def instruction(self) -> Instruction:
        """See `Term.instruction`."""
        return Instruction(ACTION, np.concatenate([self.weights, self.target]))

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Term.evaluate`."""
        d = actions - self.target
        return 0.5 * (d * d) @ self.weights

    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """See `Term.expand`."""
        d = actions - self.target
        diagonal = np.empty_like(d)
        diagonal[:] = self.weights
        return Expansion(0.5 * (d * d) @ self.weights, lu=d * self.weights, action_curvature=diagonal)
