"""Terms on the position and orientation of a frame of the robot."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_positive, float_array
from mbpl_control.costs.accumulation import squares
from mbpl_control.costs.one_pass import DISTANCE, ORIENTATION, POSITION, Instruction
from mbpl_control.costs.points import JointColumns, PointMap
from mbpl_control.costs.rotations import inverse_left_jacobian, rotation_vector
from mbpl_control.costs.term import Expansion, Term
from mbpl_control.models.kinematics import Kinematics


class FramePositionCost(Term):
    r"""l = ½ Σ_i w_i (p(x) − p*)_i².

    Gradient Jᵀ W e, second derivative Jᵀ W J + Σ_i w_i e_i ∂²p_i/∂x²; Gauss-Newton keeps the first part.

    Args:
        points: p(x), one point.
        weights: w (3,), 1/m², zero or more, in world axes.
        target: p* (3,), m.
        ramp: see `ramp_weights`.
    """

    def __init__(self, points: PointMap, weights: Array, target: Array, ramp: str = "constant") -> None:
        """Check and keep the parameters."""
        self.points, self.ramp = points, ramp
        if points.count != 1:
            raise InvalidFieldError("FramePositionCost", "points", f"{points.count} points", "1 point")
        self.weights = float_array("FramePositionCost", "weights", weights, (3,))
        if (self.weights < 0.0).any():
            found = f"{self.weights.min()}"
            raise InvalidFieldError("FramePositionCost", "weights", found, "0 or more")
        self.target = float_array("FramePositionCost", "target", target, (3,))

    def instruction(self) -> Instruction | None:
        """See `Term.instruction`; not where the state holds the point."""
        frames = self.points.frames()
        return Instruction(POSITION, np.concatenate([self.weights, self.target]), frames=frames) if frames else None

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Term.evaluate`."""
        e = self.points.positions(states) - self.target
        return 0.5 * (e * e) @ self.weights

    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """See `Term.expand`."""
        p, j = self.points.motion(states)
        e = p - self.target
        gradient, hessian = squares(e, j, self.weights)
        if exact and (second := self.points.curvature(states, self.weights * e)) is not None:
            hessian = hessian + second
        return Expansion(0.5 * (e * e) @ self.weights, gradient, hessian, self.points.columns, self.points.tangent_size)


class FrameDistanceCost(Term):
    r"""l = l2 d² + l1 √(d² + α) + log · ln(d² + α),   d = |p(x) − p*|.

    The quadratic brings the frame near from afar; the smooth distance and the logarithm pull it in at the end, where a
    quadratic has no force left. With several points, d² is the sum of their squared distances. With s = d² and
    l = f(s): gradient 2 f' Jᵀe, second derivative 2 f' (JᵀJ + e·∂²p/∂x²) + 4 f'' Jᵀe eᵀJ; Gauss-Newton keeps
    2 f' JᵀJ.

    Args:
        points: p(x), k points.
        target: p* (3k,), m.
        l1: weight of the smooth distance, 1/m.
        l2: weight of the squared distance, 1/m².
        log: weight of the logarithm.
        alpha: α, m².
        ramp: see `ramp_weights`.

    Source: Levine, Finn, Darrell and Abbeel 2016, "End-to-end training of deep visuomotor policies", section 5.2.
    """

    def __init__(
        self,
        points: PointMap,
        target: Array,
        l1: float = 0.0,
        l2: float = 0.0,
        log: float = 0.0,
        alpha: float = 1e-5,
        ramp: str = "constant",
    ) -> None:
        """Check and keep the parameters."""
        self.points, self.ramp = points, ramp
        self.target = float_array("FrameDistanceCost", "target", target, (3 * points.count,))
        for name, value in (("l1", l1), ("l2", l2), ("log", log)):
            if not (np.isfinite(value) and value >= 0.0):
                raise InvalidFieldError("FrameDistanceCost", name, str(value), "0 or more")
        if l1 == l2 == log == 0.0:
            found = "l1 = l2 = log = 0"
            raise InvalidFieldError("FrameDistanceCost", "l1", found, "a weight above 0 somewhere")
        self.l1, self.l2, self.log = float(l1), float(l2), float(log)
        self.alpha = check_positive("FrameDistanceCost", "alpha", alpha, "m²")

    def _shape(self, s: Array) -> tuple[Array, Array, Array]:
        """Values f, f', f'' by the squared distance."""
        z = s + self.alpha
        root = np.sqrt(z)
        f = self.l2 * s + self.l1 * root + self.log * np.log(z)
        first = self.l2 + 0.5 * self.l1 / root + self.log / z
        return f, first, -0.25 * self.l1 / (z * root) - self.log / (z * z)

    def instruction(self) -> Instruction | None:
        """See `Term.instruction`; not where the state holds the points."""
        floats = np.concatenate([[self.l1, self.l2, self.log, self.alpha], self.target])
        frames = self.points.frames()
        return Instruction(DISTANCE, floats, frames=frames) if frames else None

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Term.evaluate`."""
        e = self.points.positions(states) - self.target
        return self._shape(np.einsum("bk,bk->b", e, e))[0]

    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """See `Term.expand`."""
        p, j = self.points.motion(states)
        e = p - self.target
        f, first, second = self._shape(np.einsum("bk,bk->b", e, e))
        twice = 2.0 * first[:, None]
        gradient, hessian = squares(e, j, twice)
        if exact:
            if (curvature := self.points.curvature(states, twice * e)) is not None:
                hessian = hessian + curvature
            je = np.einsum("bki,bk->bi", j, e)
            hessian = hessian + 4.0 * second[:, None, None] * je[:, :, None] * je[:, None, :]
        return Expansion(f, gradient, hessian, self.points.columns, self.points.tangent_size)

    def majorize(self, states: Array, actions: Array, spreads: Array, exact: bool) -> Expansion:
        r"""The quadratic that lies on no side but above: f is concave in s = d², so its tangent in s bounds it.

            f(s) ≤ f(s̄) + f'(s̄) (s − s̄),   s̄ = |d̄|² + tr Σ_p,   Σ_p = J Σ Jᵀ

        This is ½ w |d|² plus a constant, w = 2 f'(s̄) = 2 l2 + l1 / √(s̄ + α) + 2 log / (s̄ + α), centred on the target
        and positive semidefinite; the mean of the bound under the spread is f(s̄). It touches f where d² = s̄. By
        kinematics the points are linear in x about the means, and it bounds the cost of those.

        Source: majorise-minimise, e.g. Hunter and Lange 2004, "A tutorial on MM algorithms".
        """
        p, j = self.points.motion(states)
        e = p - self.target
        columns = self.points.columns
        part = spreads[:, columns[:, None], columns]
        variance = np.einsum("bki,bij,bkj->b", j, part, j, optimize=True)
        f, first, _ = self._shape(np.einsum("bk,bk->b", e, e) + variance)
        gradient, hessian = squares(e, j, 2.0 * first[:, None])
        return Expansion(f - first * variance, gradient, hessian, columns, self.points.tangent_size)


class FrameOrientationCost(Term):
    r"""l = ½ w |φ|²,   φ = log(R(q) R*ᵀ) in world axes, rad.

    With J the angular Jacobian: gradient w Jᵀφ, second derivative w (Jᵀ J_l⁻¹(φ) J + φ·∂J/∂q); Gauss-Newton keeps w
    JᵀJ. At half a turn from the target the cost has a kink.

    Args:
        kinematics: of the robot.
        frame: name of a body, site or link.
        joints: where x holds the positions of the joints.
        weight: w, 1/rad², above zero.
        target: R* (3, 3).
        ramp: see `ramp_weights`.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        frame: str,
        joints: JointColumns,
        weight: float,
        target: Array,
        ramp: str = "constant",
    ) -> None:
        """Check and keep the parameters."""
        kinematics.check(frame)
        self.kinematics, self.frame, self.joints, self.ramp = kinematics, frame, joints, ramp
        self.weight = check_positive("FrameOrientationCost", "weight", weight)
        self.target = float_array("FrameOrientationCost", "target", target, (3, 3))
        if np.abs(self.target @ self.target.T - np.eye(3)).max() > 1e-6:
            found = "a matrix that is not orthonormal"
            raise InvalidFieldError("FrameOrientationCost", "target", found, "a rotation")

    def instruction(self) -> Instruction:
        """See `Term.instruction`."""
        frame = self.joints.frame(self.kinematics, self.frame)
        return Instruction(ORIENTATION, np.concatenate([[self.weight], self.target.ravel()]), frames=(frame,))

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Term.evaluate`."""
        motion = self.kinematics.motion(self.frame, states[:, self.joints.in_state])
        phi = rotation_vector(motion.rotations, self.target)
        return 0.5 * self.weight * np.einsum("bk,bk->b", phi, phi)

    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """See `Term.expand`."""
        q = states[:, self.joints.in_state]
        motion = self.kinematics.motion(self.frame, q)
        phi = rotation_vector(motion.rotations, self.target)
        j = motion.jacobians[:, 3:]
        gradient, hessian = squares(phi, j, np.full(3, self.weight))
        if exact:
            turned = self.kinematics.rotation_hessians(self.frame, q)
            hessian = j.transpose(0, 2, 1) @ inverse_left_jacobian(phi) @ j + np.einsum("bk,bkij->bij", phi, turned)
            # equal to its transpose up to rounding; for a ball joint this is the symmetric part that counts
            hessian = 0.5 * self.weight * (hessian + hessian.transpose(0, 2, 1))
        value = 0.5 * self.weight * np.einsum("bk,bk->b", phi, phi)
        return Expansion(value, gradient, hessian, self.joints.columns, self.joints.tangent_size)
