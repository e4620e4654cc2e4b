"""Terms on the position and orientation of a frame of the robot."""

from __future__ import annotations

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_positive, float_array
from mbpl_control.costs.rotations import inverse_left_jacobian, rotation_vector
from mbpl_control.costs.term import Expansion, Term
from mbpl_control.models.kinematics import Kinematics


class _FrameTerm(Term):
    """What terms on a frame share: positions are the first nq numbers of x, and the first nv of its tangent."""

    def __init__(
        self, kinematics: Kinematics, frame: str, nq: int, tangent_size: int, ramp: str
    ) -> None:
        kinematics.check(frame)
        self.kinematics = kinematics
        self.frame = frame
        self.ramp = ramp
        self._nq, self._ndx = nq, tangent_size

    def _embed(self, value: Array, gradient: Array, hessian: Array) -> Expansion:
        """Derivatives by positions as derivatives by the state."""
        count, nv = gradient.shape
        lx = np.zeros((count, self._ndx))
        lxx = np.zeros((count, self._ndx, self._ndx))
        lx[:, :nv] = gradient
        lxx[:, :nv, :nv] = hessian
        return Expansion(value, lx, lxx)


class FramePositionCost(_FrameTerm):
    r"""l = ½ Σ_i w_i (p(q) − p*)_i².

    Gradient Jᵀ W e, second derivative Jᵀ W J + Σ_i w_i e_i ∂²p_i/∂q²; Gauss-Newton keeps the first part.

    Args:
        kinematics: of the robot.
        frame: name of a body, site or link.
        nq: numbers of the positions, which lead x.
        tangent_size: ndx.
        weights: w (3,), 1/m², zero or more, in world axes.
        target: p* (3,), m.
        ramp: see `ramp_weights`.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        frame: str,
        nq: int,
        tangent_size: int,
        weights: Array,
        target: Array,
        ramp: str = "constant",
    ) -> None:
        """Check and keep the parameters."""
        super().__init__(kinematics, frame, nq, tangent_size, ramp)
        self.weights = float_array("FramePositionCost", "weights", weights, (3,))
        if (self.weights < 0.0).any():
            found = f"{self.weights.min()}"
            raise InvalidFieldError("FramePositionCost", "weights", found, "0 or more")
        self.target = float_array("FramePositionCost", "target", target, (3,))

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Term.evaluate`."""
        e = self.kinematics.positions(self.frame, states[:, : self._nq]) - self.target
        return 0.5 * (e * e) @ self.weights

    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """See `Term.expand`."""
        q = states[:, : self._nq]
        motion = self.kinematics.motion(self.frame, q)
        e = motion.positions - self.target
        j = motion.jacobians[:, :3]
        weighted = self.weights * e
        hessian = j.transpose(0, 2, 1) @ (self.weights[:, None] * j)
        if exact:
            second = self.kinematics.position_hessians(self.frame, q)
            hessian = hessian + np.einsum("bk,bkij->bij", weighted, second)
        gradient = np.einsum("bki,bk->bi", j, weighted)
        return self._embed(0.5 * np.einsum("bk,bk->b", e, weighted), gradient, hessian)


class FrameDistanceCost(_FrameTerm):
    r"""l = l2 d² + l1 √(d² + α) + log · ln(d² + α),   d = |p(q) − p*|.

    The quadratic brings the frame near from afar; the smooth distance and the logarithm pull it in at the end, where a
    quadratic has no force left. With s = d² and l = f(s): gradient 2 f' Jᵀe, second derivative
    2 f' (JᵀJ + e·∂²p/∂q²) + 4 f'' Jᵀe eᵀJ; Gauss-Newton keeps 2 f' JᵀJ.

    Args:
        kinematics: of the robot.
        frame: name of a body, site or link.
        nq: numbers of the positions, which lead x.
        tangent_size: ndx.
        target: p* (3,), m.
        l1: weight of the smooth distance, 1/m.
        l2: weight of the squared distance, 1/m².
        log: weight of the logarithm.
        alpha: α, m².
        ramp: see `ramp_weights`.

    Source: Levine, Finn, Darrell and Abbeel 2016, "End-to-end training of deep visuomotor policies", section 5.2.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        frame: str,
        nq: int,
        tangent_size: int,
        target: Array,
        l1: float = 0.0,
        l2: float = 0.0,
        log: float = 0.0,
        alpha: float = 1e-5,
        ramp: str = "constant",
    ) -> None:
        """Check and keep the parameters."""
        super().__init__(kinematics, frame, nq, tangent_size, ramp)
        self.target = float_array("FrameDistanceCost", "target", target, (3,))
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

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Term.evaluate`."""
        e = self.kinematics.positions(self.frame, states[:, : self._nq]) - self.target
        return self._shape(np.einsum("bk,bk->b", e, e))[0]

    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """See `Term.expand`."""
        q = states[:, : self._nq]
        motion = self.kinematics.motion(self.frame, q)
        e = motion.positions - self.target
        j = motion.jacobians[:, :3]
        f, first, second = self._shape(np.einsum("bk,bk->b", e, e))
        je = np.einsum("bki,bk->bi", j, e)
        hessian = j.transpose(0, 2, 1) @ j
        if exact:
            curvature = self.kinematics.position_hessians(self.frame, q)
            hessian = hessian + np.einsum("bk,bkij->bij", e, curvature)
        hessian = 2.0 * first[:, None, None] * hessian
        if exact:
            hessian = hessian + 4.0 * second[:, None, None] * je[:, :, None] * je[:, None, :]
        return self._embed(f, 2.0 * first[:, None] * je, hessian)


class FrameOrientationCost(_FrameTerm):
    r"""l = ½ w |φ|²,   φ = log(R(q) R*ᵀ) in world axes, rad.

    With J the angular Jacobian: gradient w Jᵀφ, second derivative w (Jᵀ J_l⁻¹(φ) J + φ·∂J/∂q); Gauss-Newton keeps w JᵀJ.
    At half a turn from the target the cost has a kink.

    Args:
        kinematics: of the robot.
        frame: name of a body, site or link.
        nq: numbers of the positions, which lead x.
        tangent_size: ndx.
        weight: w, 1/rad², above zero.
        target: R* (3, 3).
        ramp: see `ramp_weights`.
    """

    def __init__(
        self,
        kinematics: Kinematics,
        frame: str,
        nq: int,
        tangent_size: int,
        weight: float,
        target: Array,
        ramp: str = "constant",
    ) -> None:
        """Check and keep the parameters."""
        super().__init__(kinematics, frame, nq, tangent_size, ramp)
        self.weight = check_positive("FrameOrientationCost", "weight", weight)
        self.target = float_array("FrameOrientationCost", "target", target, (3, 3))
        if np.abs(self.target @ self.target.T - np.eye(3)).max() > 1e-6:
            found = "a matrix that is not orthonormal"
            raise InvalidFieldError("FrameOrientationCost", "target", found, "a rotation")

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Term.evaluate`."""
        motion = self.kinematics.motion(self.frame, states[:, : self._nq])
        phi = rotation_vector(motion.rotations @ self.target.T)
        return 0.5 * self.weight * np.einsum("bk,bk->b", phi, phi)

    def expand(self, states: Array, actions: Array, exact: bool) -> Expansion:
        """See `Term.expand`."""
        q = states[:, : self._nq]
        motion = self.kinematics.motion(self.frame, q)
        phi = rotation_vector(motion.rotations @ self.target.T)
        j = motion.jacobians[:, 3:]
        jt = j.transpose(0, 2, 1)
        if exact:
            turned = self.kinematics.rotation_hessians(self.frame, q)
            hessian = jt @ inverse_left_jacobian(phi) @ j
            hessian = hessian + np.einsum("bk,bkij->bij", phi, turned)
            # equal to its transpose up to rounding; for a ball joint this is the symmetric part that counts
            hessian = 0.5 * (hessian + hessian.transpose(0, 2, 1))
        else:
            hessian = jt @ j
        gradient = np.einsum("bki,bk->bi", j, phi)
        value = 0.5 * self.weight * np.einsum("bk,bk->b", phi, phi)
        return self._embed(value, self.weight * gradient, self.weight * hessian)
