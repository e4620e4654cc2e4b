"""Positions, orientations and derivatives of frames, for batches of joint positions."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import mujoco
import numpy as np

from mbpl_control.core.errors import ModelError
from mbpl_control.core.validation import Array

if TYPE_CHECKING:
    from mbpl_control.models.chain import Chain


@dataclass(frozen=True)
class FrameMotion:
    """A frame at B joint positions, in world axes.

    Attributes:
        positions: p (B, 3), m.
        rotations: R (B, 3, 3); columns are the frame's axes.
        jacobians: J (B, 6, nv): rows 0-2 dp, 3-5 the angular velocity, per unit of each velocity.
    """

    positions: Array
    rotations: Array
    jacobians: Array


class Kinematics:
    r"""Forward kinematics along the chain of joints that carries a frame, vectorised over the batch.

    For joint j with world axis a_j and anchor o_j, the columns of the Jacobian at the point p are

        hinge: (a_j × (p − o_j), a_j)        slide: (a_j, 0)

    and the second derivatives follow from the first, since joint i turns everything that hangs on it:

        ∂²p / ∂q_i ∂q_j = a_i × J_j   for a hinge i at or before j on the chain, 0 for a slide i

    with the symmetric part for two axes of one ball joint. Derivatives are in the tangent space of the positions.

    Source: Featherstone 2008, chapter 2.
    """

    def __init__(self, model: mujoco.MjModel, source: str) -> None:
        """Keep the tree of `model`; `source` names it in errors."""
        self._model = model
        self._source = source
        #: body, position and quaternion in it of each frame
        self._frames: dict[str, tuple[int, Array, Array]] = {}
        # mocap bodies are the scene: where they are is a matter of the start condition
        scene = model.body_mocapid[model.body_rootid] >= 0
        for b in np.flatnonzero(~scene)[1:].tolist():
            self._frames[model.body(b).name] = (b, np.zeros(3), np.array([1.0, 0.0, 0.0, 0.0]))
        for s in np.flatnonzero(~scene[model.site_bodyid]).tolist():
            place, turn = np.array(model.site_pos[s]), np.array(model.site_quat[s])
            self._frames[model.site(s).name] = (int(model.site_bodyid[s]), place, turn)
        self._frames.pop("", None)
        self._chains: dict[str, Chain] = {}

    @property
    def frame_names(self) -> tuple[str, ...]:
        """Every frame with a name: bodies, then sites."""
        return tuple(self._frames)

    def check(self, frame: str) -> None:
        """Raise `ModelError` listing what there is, the nearest name first, when there is no such frame."""
        if frame in self._frames:
            return
        close = difflib.get_close_matches(frame, self._frames, n=1)
        hint = f"did you mean '{close[0]}'? " if close else ""
        raise ModelError(f"{self._source}: no frame '{frame}'; {hint}it has: {', '.join(self._frames)}")

    def body(self, frame: str) -> str:
        """Name of the body that carries `frame`.

        Raises:
            ModelError: the robot has no such frame.
        """
        self.check(frame)
        return str(self._model.body(self._frames[frame][0]).name)

    def motion(self, frame: str, positions: Array) -> FrameMotion:
        """Pose and Jacobian of `frame`. (B, nq) → B of each.

        Raises:
            ModelError: the robot has no such frame.
        """
        q = np.atleast_2d(np.asarray(positions, dtype=np.float64))
        return FrameMotion(*self._chain(frame).walk(q, int(self._model.nv))[:3])

    def positions(self, frame: str, positions: Array) -> Array:
        """Positions p (B, 3) of `frame`, m. (B, nq)."""
        return self.motion(frame, positions).positions

    def position_hessians(self, frame: str, positions: Array) -> Array:
        """∂²p / ∂q_i ∂q_j of `frame` (B, 3, nv, nv). (B, nq)."""
        motion, chain, axes, turning = self._walk(frame, positions)
        nv = self._model.nv
        out = np.zeros((len(positions), 3, nv, nv))
        joint_of = self._model.dof_jntid
        linear = motion.jacobians[:, :3]
        for n, i in enumerate(chain):
            if not turning[n]:
                continue
            for k in chain[n:]:
                second = np.cross(axes[n], linear[:, :, k])
                if k != i and joint_of[k] == joint_of[i]:
                    other = axes[list(chain).index(k)]
                    second = 0.5 * (second + np.cross(other, linear[:, :, i]))
                out[:, :, i, k] = second
                out[:, :, k, i] = second
        return out

    def rotation_hessians(self, frame: str, positions: Array) -> Array:
        """∂J_angular,j / ∂q_i (B, 3, nv, nv): derivatives of columns j of the angular Jacobian by q_i.

        They are not symmetric. A joint turns the axes of those after it, and a ball joint also its own, which move with
        the body.
        """
        _, chain, axes, turning = self._walk(frame, positions)
        nv = self._model.nv
        out = np.zeros((len(positions), 3, nv, nv))
        joint_of = self._model.dof_jntid
        for n, i in enumerate(chain):
            for k, j in enumerate(chain):
                if turning[n] and turning[k] and (k >= n or joint_of[i] == joint_of[j]):
                    out[:, :, j, i] = np.cross(axes[n], axes[k])
        return out

    def _walk(self, frame: str, positions: Array) -> tuple[FrameMotion, list[int], list[Array], list[bool]]:
        """Motion of the frame; number, world axis (B, 3) and whether it turns of each degree of freedom it hangs on."""
        chain = self._chain(frame)
        q = np.atleast_2d(np.asarray(positions, dtype=np.float64))
        p, r, jacobians, axes = chain.walk(q, int(self._model.nv))
        ordered = [axes[:, d] for d in range(len(chain.dofs))]
        return FrameMotion(p, r, jacobians), chain.dofs.tolist(), ordered, chain.turning.tolist()

    def _chain(self, frame: str) -> Chain:
        if frame not in self._chains:
            self.check(frame)
            # compiled: a node that asks for no frame does not pay for loading it
            from mbpl_control.models.chain import Chain

            self._chains[frame] = Chain.to_body(self._model, *self._frames[frame])
        return self._chains[frame]
