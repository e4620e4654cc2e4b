"""Positions, orientations and derivatives of frames, for batches of joint positions."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

import mujoco
import numpy as np
from numpy.typing import NDArray

from mbpl_control.core.errors import ModelError
from mbpl_control.core.validation import Array

_FREE, _BALL = int(mujoco.mjtJoint.mjJNT_FREE), int(mujoco.mjtJoint.mjJNT_BALL)
_SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)


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
        self._frames: dict[str, tuple[int, Array, Array]] = {}
        for b in range(1, model.nbody):
            self._frames[model.body(b).name] = (b, np.zeros(3), np.eye(3))
        for s in range(model.nsite):
            rotation = _matrix(model.site_quat[s][None])[0]
            self._frames[model.site(s).name] = (
                int(model.site_bodyid[s]),
                np.array(model.site_pos[s]),
                rotation,
            )
        self._frames.pop("", None)

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
        raise ModelError(
            f"{self._source}: no frame '{frame}'; {hint}it has: {', '.join(self._frames)}"
        )

    def motion(self, frame: str, positions: Array) -> FrameMotion:
        """Pose and Jacobian of `frame`. (B, nq) → B of each.

        Raises:
            ModelError: the robot has no such frame.
        """
        return self._walk(frame, positions)[0]

    def positions(self, frame: str, positions: Array) -> Array:
        """p (B, 3) of `frame`, m. (B, nq)."""
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
        """∂J_angular,j / ∂q_i (B, 3, nv, nv): derivative of column j of the angular Jacobian by q_i, not symmetric."""
        _, chain, axes, turning = self._walk(frame, positions)
        nv = self._model.nv
        out = np.zeros((len(positions), 3, nv, nv))
        for n, i in enumerate(chain):
            for k in range(n, len(chain)):
                if turning[n] and turning[k]:
                    out[:, :, chain[k], i] = np.cross(axes[n], axes[k])
        return out

    def _walk(
        self, frame: str, positions: Array
    ) -> tuple[FrameMotion, list[int], list[Array], list[bool]]:
        self.check(frame)
        model = self._model
        body, offset, turned = self._frames[frame]
        q = np.atleast_2d(np.asarray(positions, dtype=np.float64))
        count = len(q)
        chain: list[int] = []
        while body:
            chain.append(body)
            body = int(model.body_parentid[body])
        p = np.zeros((count, 3))
        r = np.broadcast_to(np.eye(3), (count, 3, 3))
        dofs: list[int] = []
        axes: list[Array] = []
        anchors: list[Array] = []
        turning: list[bool] = []
        for b in reversed(chain):
            p = p + r @ model.body_pos[b]
            r = r @ _matrix(model.body_quat[b][None])[0]
            first = int(model.body_jntadr[b])
            for j in range(first, first + int(model.body_jntnum[b])):
                address, dof = int(model.jnt_qposadr[j]), int(model.jnt_dofadr[j])
                kind = int(model.jnt_type[j])
                if kind == _FREE:
                    p, r = q[:, address : address + 3], _matrix(q[:, address + 3 : address + 7])
                    for axis in range(3):
                        unit = np.broadcast_to(np.eye(3)[axis], (count, 3))
                        dofs.append(dof + axis)
                        axes.append(unit)
                        anchors.append(p)
                        turning.append(False)
                    for axis in range(3):
                        dofs.append(dof + 3 + axis)
                        axes.append(r[:, :, axis])
                        anchors.append(p)
                        turning.append(True)
                    continue
                anchor = p + r @ model.jnt_pos[j]
                if kind == _BALL:
                    r = r @ _matrix(q[:, address : address + 4])
                    for axis in range(3):
                        dofs.append(dof + axis)
                        axes.append(r[:, :, axis])
                        anchors.append(anchor)
                        turning.append(True)
                    p = anchor - r @ model.jnt_pos[j]
                    continue
                axis_world = r @ model.jnt_axis[j]
                dofs.append(dof)
                axes.append(axis_world)
                anchors.append(anchor)
                turning.append(kind != _SLIDE)
                moved = q[:, address] - model.qpos0[address]
                if kind == _SLIDE:
                    p = p + axis_world * moved[:, None]
                else:
                    r = r @ _turn(model.jnt_axis[j], moved)
                    p = anchor - r @ model.jnt_pos[j]
        p = p + r @ offset
        r = r @ turned
        jacobians = np.zeros((count, 6, model.nv))
        for dof, axis, anchor, turns in zip(dofs, axes, anchors, turning):
            jacobians[:, :3, dof] = np.cross(axis, p - anchor) if turns else axis
            if turns:
                jacobians[:, 3:, dof] = axis
        return FrameMotion(p, r, jacobians), dofs, axes, turning


def _turn(axis: NDArray[np.float64], angle: Array) -> Array:
    """Rotations by `angle` (B,) about a unit axis (3,): Rodrigues' formula. (B, 3, 3)."""
    x, y, z = axis
    skew = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    s, c = np.sin(angle)[:, None, None], np.cos(angle)[:, None, None]
    return np.eye(3) + s * skew + (1.0 - c) * (skew @ skew)


def _matrix(quaternion: Array) -> Array:
    """Rotation matrices of quaternions w x y z. (B, 4) → (B, 3, 3)."""
    q = quaternion / np.linalg.norm(quaternion, axis=-1, keepdims=True)
    w, v = q[:, :1, None], q[:, 1:]
    outer = 2.0 * v[:, :, None] * v[:, None, :]
    skew = np.zeros((len(q), 3, 3))
    skew[:, 0, 1], skew[:, 0, 2] = -v[:, 2], v[:, 1]
    skew[:, 1, 0], skew[:, 1, 2] = v[:, 2], -v[:, 0]
    skew[:, 2, 0], skew[:, 2, 1] = -v[:, 1], v[:, 0]
    return (2.0 * w * w - 1.0) * np.eye(3) + outer + 2.0 * w * skew
