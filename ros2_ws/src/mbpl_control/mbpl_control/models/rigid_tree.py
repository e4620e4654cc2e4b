"""A compiled MuJoCo model as a Pinocchio model with the same joint coordinates."""

from __future__ import annotations

import mujoco
import numpy as np
import pinocchio

from mbpl_control.core.errors import ModelError
from mbpl_control.core.validation import Array
from mbpl_control.models.robot import RobotModel

_DISABLED = int(
    mujoco.mjtDisableBit.mjDSBL_GRAVITY
    | mujoco.mjtDisableBit.mjDSBL_DAMPER
    | mujoco.mjtDisableBit.mjDSBL_EULERDAMP
    | mujoco.mjtDisableBit.mjDSBL_ACTUATION
)
_HINGE, _SLIDE = int(mujoco.mjtJoint.mjJNT_HINGE), int(mujoco.mjtJoint.mjJNT_SLIDE)


def unsupported(robot: RobotModel, friction: bool = False) -> str:
    """Why the robot is no tree of hinges and slides with motors; empty when it is.

    Args:
        robot: any.
        friction: whether whoever asks models dry friction at the joints.
    """
    model = robot.mujoco_model()
    if any(int(kind) not in (_HINGE, _SLIDE) for kind in model.jnt_type):
        return "it has a ball or free joint"
    if robot.action.interface != "effort":
        return f"its actuators take {robot.action.interface}, not effort"
    for count, what in (
        (model.neq, "equality constraints"),
        (model.ntendon, "tendons"),
        (0 if friction else int(np.count_nonzero(model.dof_frictionloss)), "dry friction"),
        (int(np.count_nonzero(model.jnt_stiffness)), "joint springs"),
        (int(np.count_nonzero(model.body_gravcomp)), "gravity compensation of bodies"),
    ):
        if count:
            return f"it has {what}"
    if model.opt.disableflags & _DISABLED:
        return "it switches off gravity, damping or actuation"
    if model.opt.density or model.opt.viscosity:
        return "it moves in a fluid"
    if np.any(model.geom_contype) and np.any(model.geom_conaffinity):
        return "it has geometry that collides"
    return ""


def check(robot: RobotModel, friction: bool = False) -> None:
    """Raise `ModelError` with the reason when the robot has something that would be dropped."""
    reason = unsupported(robot, friction)
    if reason:
        raise ModelError(f"{robot.path}: not a rigid tree for analytic derivatives: {reason}; use the backend 'mujoco'")


def build(robot: RobotModel, friction: bool = False) -> pinocchio.Model:
    """The same rigid bodies, joints in MuJoCo's order, armature and frames included.

    A joint turns about its anchor; its Pinocchio frame sits there with the axes of the body at rest.

    Args:
        robot: any.
        friction: whether whoever asks models dry friction at the joints; it is not part of the result.

    Raises:
        ModelError: the model has something that would be dropped.
    """
    check(robot, friction)
    source = robot.mujoco_model()
    model = pinocchio.Model()
    model.name = robot.name
    # per body: the Pinocchio joint that carries it, and its frame in that joint's frame
    carriers: list[tuple[int, pinocchio.SE3]] = [(0, pinocchio.SE3.Identity())]
    for b in range(1, source.nbody):
        parent, placement = carriers[int(source.body_parentid[b])]
        placement = placement * pinocchio.SE3(_rotation(source.body_quat[b]), np.array(source.body_pos[b]))
        first = int(source.body_jntadr[b])
        for j in range(first, first + int(source.body_jntnum[b])):
            address = int(source.jnt_qposadr[j])
            anchor = pinocchio.SE3(np.eye(3), np.array(source.jnt_pos[j]))
            at_rest = _joint_placement(source, j, float(source.qpos0[address]))
            parent = model.addJoint(
                parent,
                _joint(source, j),
                placement * anchor * at_rest,
                robot.joint_names[j],
            )
            placement = anchor.inverse()
        inertia = pinocchio.Inertia(
            float(source.body_mass[b]),
            np.array(source.body_ipos[b]),
            _spatial_inertia(source, b),
        )
        model.appendBodyToJoint(parent, inertia, placement)
        name = source.body(b).name or f"body{b}"
        model.addFrame(pinocchio.Frame(name, parent, 0, placement, pinocchio.FrameType.BODY))
        carriers.append((parent, placement))
    for s in range(source.nsite):
        parent, placement = carriers[int(source.site_bodyid[s])]
        site = pinocchio.SE3(_rotation(source.site_quat[s]), np.array(source.site_pos[s]))
        name = source.site(s).name
        if name:
            frame = pinocchio.Frame(name, parent, 0, placement * site, pinocchio.FrameType.OP_FRAME)
            model.addFrame(frame)
    model.armature = np.array(source.dof_armature)
    model.gravity = pinocchio.Motion(np.array(source.opt.gravity), np.zeros(3))
    return model


def _joint(source: mujoco.MjModel, j: int) -> pinocchio.JointModel:
    axis = np.array(source.jnt_axis[j])
    slide = source.jnt_type[j] == _SLIDE
    for unit, letter in zip(np.eye(3), "XYZ", strict=True):
        # the aligned joints are cheaper to differentiate than one about any axis
        if np.array_equal(axis, unit):
            return getattr(pinocchio, f"JointModel{'P' if slide else 'R'}{letter}")()
    if slide:
        return pinocchio.JointModelPrismaticUnaligned(axis)
    return pinocchio.JointModelRevoluteUnaligned(axis)


def _joint_placement(source: mujoco.MjModel, j: int, at_rest: float) -> pinocchio.SE3:
    """MuJoCo's joints are at rest in qpos0, Pinocchio's at zero: the motion from one to the other."""
    axis = np.array(source.jnt_axis[j])
    if source.jnt_type[j] == _SLIDE:
        return pinocchio.SE3(np.eye(3), -at_rest * axis)
    return pinocchio.SE3(pinocchio.AngleAxis(-at_rest, axis).toRotationMatrix(), np.zeros(3))


def _spatial_inertia(source: mujoco.MjModel, b: int) -> Array:
    rotation = _rotation(source.body_iquat[b])
    return rotation @ np.diag(source.body_inertia[b]) @ rotation.T


def _rotation(quaternion: Array) -> Array:
    flat = np.empty(9)
    mujoco.mju_quat2Mat(flat, np.array(quaternion))
    return flat.reshape(3, 3)
