"""A robot from an MJCF or a URDF: names, limits, what its state and action are."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import mujoco
import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import ModelError
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.state_space import StateSpace
from mbpl_control.core.validation import Array
from mbpl_control.models.kinematics import Kinematics
from mbpl_control.models.loading import LoadedRobot, load_robot

_HINGE = int(mujoco.mjtJoint.mjJNT_HINGE)
_SLIDE = int(mujoco.mjtJoint.mjJNT_SLIDE)
_BALL = int(mujoco.mjtJoint.mjJNT_BALL)
#: What robots compute with, by thread.
_SCRATCH = threading.local()


class RobotModel:
    """A robot as its file describes it. Joint coordinates are MuJoCo's, whatever the file's format.

    The state is (positions, velocities) of all joints in the order of the file; a hinge without limits is an angle,
    a ball or free joint holds a quaternion w x y z. The action is one number per actuator, in the unit of the joint
    it drives:
    for a motor the effort at the joint, gear included.

    Frames are bodies and sites (MJCF) or links (URDF); a site hides a body of its name. Mocap bodies of an MJCF are the
    scene: they carry no frames, and a start condition may place them.

    Attributes:
        path: the file.
        name: the model's name.
        joint_names: all joints, in order.
        state: what x is.
        action: what u is, with the limits of the file.
        nq: numbers of the positions.
        nv: numbers of the velocities.
        actuated: (m,) index into the velocities of the joint each actuator drives.
        actuated_positions: (m,) index into the positions of the same joints.
        gears: (m,) effort at the joint per unit of control.
        position_lower: (nv,) rad or m; −inf where a joint has no limit.
        position_upper: (nv,) rad or m.
        velocity_limits: (nv,) rad/s or m/s; +inf where the file gives none.
    """

    def __init__(self, path: Path, loaded: LoadedRobot) -> None:
        """Use `RobotModel.from_file`."""
        self.path = path
        self._loaded = loaded
        model = loaded.model
        self.name = model.names[: model.names.index(b"\0")].decode() or path.stem
        self.nq, self.nv = int(model.nq), int(model.nv)
        if model.njnt == 0:
            raise ModelError(f"{path}: no movable joint; a robot needs at least one")
        if model.na:
            raise ModelError(f"{path}: {model.na} actuator activations; only direct drives work")
        self.joint_names = tuple(model.joint(j).name for j in range(model.njnt))
        if "" in self.joint_names:
            raise ModelError(f"{path}: joint {self.joint_names.index('')} has no name")
        self.state = _state_definition(model, self.joint_names)
        self.action = _action_definition(model, path)
        joints = model.actuator_trnid[:, 0]
        self.actuated = np.array(model.jnt_dofadr[joints], dtype=np.intp)
        self.actuated_positions = np.array(model.jnt_qposadr[joints], dtype=np.intp)
        self.gears = np.array(model.actuator_gear[:, 0])
        self.position_lower = np.full(self.nv, -np.inf)
        self.position_upper = np.full(self.nv, np.inf)
        self.velocity_limits = np.full(self.nv, np.inf)
        for j, name in enumerate(self.joint_names):
            dofs = model.dof_jntid == j
            if model.jnt_limited[j] and model.jnt_type[j] in (_HINGE, _SLIDE):
                self.position_lower[dofs], self.position_upper[dofs] = model.jnt_range[j]
            self.velocity_limits[dofs] = loaded.velocity_limits.get(name, np.inf)

    @classmethod
    def from_file(cls, path: str | Path, actuated: Sequence[str] | None = None) -> RobotModel:
        """Read an MJCF or a URDF.

        Args:
            path: the file.
            actuated: for a file without actuators, the joints that get a motor; all when None.

        Raises:
            ModelError: the file is missing or broken, or asks for something that is not supported.
        """
        path = Path(path)
        return cls(path, load_robot(path, None if actuated is None else tuple(actuated)))

    @cached_property
    def velocity_joints(self) -> tuple[str, ...]:
        """Name of the joint each of the nv velocities belongs to."""
        model = self._loaded.model
        return tuple(self.joint_names[int(j)] for j in model.dof_jntid)

    @property
    def is_one_number_per_joint(self) -> bool:
        """Whether every joint is a hinge or a slide, as joint states and commands on the graph need."""
        return self.nq == self.nv == len(self.joint_names)

    @property
    def description(self) -> str:
        """Text of the robot's file, as it is published to the graph."""
        return self._loaded.xml

    @property
    def description_format(self) -> str:
        """Whether the description is "mjcf" or "urdf"."""
        return self._loaded.format

    @cached_property
    def kinematics(self) -> Kinematics:
        """Where the robot's frames are."""
        return Kinematics(self._loaded.model, str(self.path))

    @property
    def frame_names(self) -> tuple[str, ...]:
        """Bodies and sites (MJCF), or links (URDF)."""
        return self.kinematics.frame_names

    @property
    def body_names(self) -> tuple[str, ...]:
        """Bodies, without the world."""
        model = self._loaded.model
        return tuple(model.body(b).name for b in range(1, model.nbody))

    @cached_property
    def movable_bodies(self) -> dict[str, int]:
        """Bodies of the scene that may be placed anywhere (mocap bodies), with their rows in MuJoCo's `mocap_pos`."""
        model = self._loaded.model
        rows = {model.body(b).name: int(model.body_mocapid[b]) for b in range(1, model.nbody)}
        return {name: row for name, row in rows.items() if row >= 0}

    def check_movable(self, body: str) -> None:
        """Raise `ModelError` when `body` is none that may be placed."""
        if body in self.movable_bodies:
            return
        what = "is part of the robot or fixed" if body in self.body_names else "does not exist"
        known = ", ".join(self.movable_bodies) or "none"
        raise ModelError(f"{self.path}: body '{body}' {what}; those that may be placed (mocap bodies): {known}")

    def place(self, data: mujoco.MjData, bodies: Mapping[str, Array]) -> None:
        """Put bodies of the scene at positions (3,), m; all others stay where they are.

        Raises:
            ModelError: a body is none that may be placed.
        """
        for body, position in bodies.items():
            self.check_movable(body)
            data.mocap_pos[self.movable_bodies[body]] = position

    def mujoco_model(self, timestep: float | None = None) -> mujoco.MjModel:
        """A model of one's own to simulate and to change.

        Args:
            timestep: s of a physics step; that of the file when None.
        """
        model = self._loaded.spec.compile()
        if timestep is not None:
            model.opt.timestep = timestep
        return model

    def split(self, state: Array) -> tuple[Array, Array]:
        """Positions (..., nq) and velocities (..., nv) of states (..., nx)."""
        return state[..., : self.nq], state[..., self.nq :]

    @cached_property
    def position_space(self) -> StateSpace:
        """The space of the positions."""
        return StateSpace(self.state.blocks[0].spaces)

    def rest_action(self, positions: Array) -> Array:
        """Action that asks for nothing: no effort, no velocity, or the position where the joint is. (nq,) → (m,)."""
        if self.action.interface == "position":
            return np.asarray(positions, dtype=np.float64)[self.actuated_positions]
        return np.zeros(self.action.size)

    def holding_action(self, positions: Array) -> Array:
        """Action that keeps the robot still: efforts against gravity, no velocity, or its position. (nq,) → (m,)."""
        return self.gravity(positions) if self.action.interface == "effort" else self.rest_action(positions)

    def gravity(self, positions: Array) -> Array:
        """Efforts of the driven joints (m,) that balance gravity and springs at rest, at positions (nq,).

        Where no actuator drives a joint, nothing balances it.
        """
        data = self._scratch
        data.qpos[:] = positions
        data.qvel[:] = 0.0
        mujoco.mj_fwdPosition(self._loaded.model, data)
        mujoco.mj_fwdVelocity(self._loaded.model, data)
        return (data.qfrc_bias - data.qfrc_passive)[self.actuated]

    def inertia(self, positions: Array) -> Array:
        """Joint-space inertia M(q) with armature, kg m² or kg. (nq,) → (nv, nv)."""
        model, data = self._loaded.model, self._scratch
        data.qpos[:] = positions
        mujoco.mj_fwdPosition(model, data)
        out = np.empty((self.nv, self.nv))
        mujoco.mj_fullM(model, data, out)
        return out

    @property
    def _scratch(self) -> mujoco.MjData:
        """Data of this thread's own: MuJoCo lets other threads run while it works on them."""
        known = _SCRATCH.__dict__.setdefault("of", weakref.WeakKeyDictionary())
        if self not in known:
            known[self] = mujoco.MjData(self._loaded.model)
        return known[self]


def _state_definition(model: mujoco.MjModel, names: tuple[str, ...]) -> StateDefinition:
    positions: list[tuple[str, str, str]] = []
    velocities: list[tuple[str, str, str]] = []
    for j, name in enumerate(names):
        kind = int(model.jnt_type[j])
        if kind == _SLIDE:
            positions.append((name, "euclidean", "m"))
            velocities.append((name, "euclidean", "m/s"))
        elif kind == _HINGE:
            space = "euclidean" if model.jnt_limited[j] else "angle"
            positions.append((name, space, "rad"))
            velocities.append((name, "euclidean", "rad/s"))
        else:
            if kind != _BALL:
                positions += [(f"{name}.{axis}", "euclidean", "m") for axis in "xyz"]
                velocities += [(f"{name}.v{axis}", "euclidean", "m/s") for axis in "xyz"]
            positions.append((f"{name}.rotation", "quaternion", "1"))
            velocities += [(f"{name}.w{axis}", "euclidean", "rad/s") for axis in "xyz"]

    def block(kind: str, rows: list[tuple[str, str, str]]) -> StateBlock:
        names, spaces, units = zip(*rows, strict=True)
        return StateBlock(kind, names, spaces, units)

    return StateDefinition((block("joint_positions", positions), block("joint_velocities", velocities)))


def _action_definition(model: mujoco.MjModel, path: Path) -> ActionDefinition:
    names, joints, units, lower, upper = [], [], [], [], []
    interfaces = set()
    for a in range(model.nu):
        name = model.actuator(a).name or f"actuator{a}"
        if model.actuator_trntype[a] != mujoco.mjtTrn.mjTRN_JOINT:
            raise ModelError(f"{path}: actuator '{name}' does not drive a joint directly")
        joint = int(model.actuator_trnid[a, 0])
        if model.jnt_type[joint] not in (_HINGE, _SLIDE):
            raise ModelError(f"{path}: actuator '{name}' drives a joint that is no hinge or slide")
        if not model.actuator_gear[a, 0]:
            raise ModelError(f"{path}: gear of actuator '{name}' is 0; it drives nothing")
        interface = _interface(model, a, name, path)
        interfaces.add(interface)
        slide = model.jnt_type[joint] == _SLIDE
        length = "m" if slide else "rad"
        unit = {
            "effort": "N" if slide else "N*m",
            "velocity": f"{length}/s",
            "position": length,
        }[interface]
        low, high = _limits(model, a, joint, interface)
        names.append(name)
        joints.append(model.joint(joint).name)
        units.append(unit)
        lower.append(low)
        upper.append(high)
    if len(interfaces) != 1:
        found = ", ".join(sorted(interfaces)) or "no actuator"
        raise ModelError(f"{path}: {found}; a robot's actuators must share one interface")
    if len(set(joints)) != len(joints):
        twice = next(j for j in joints if joints.count(j) > 1)
        raise ModelError(f"{path}: joint '{twice}' is driven by two actuators; must be one")
    return ActionDefinition(
        tuple(names), tuple(joints), interfaces.pop(), tuple(units), np.array(lower), np.array(upper)
    )


def _interface(model: mujoco.MjModel, a: int, name: str, path: Path) -> str:
    """Which of MuJoCo's actuator shortcuts this is: motor, position or velocity servo."""
    fixed = model.actuator_gaintype[a] == mujoco.mjtGain.mjGAIN_FIXED
    none = model.actuator_biastype[a] == mujoco.mjtBias.mjBIAS_NONE
    affine = model.actuator_biastype[a] == mujoco.mjtBias.mjBIAS_AFFINE
    gain, bias = model.actuator_gainprm[a], model.actuator_biasprm[a]
    if fixed and none and gain[0] == 1.0:
        return "effort"
    if fixed and affine and bias[1] == -gain[0] and bias[0] == 0.0:
        return "position"
    if fixed and affine and bias[1] == 0.0 and bias[2] == -gain[0]:
        return "velocity"
    raise ModelError(f"{path}: actuator '{name}' is none of <motor>, <position>, <velocity>; others are not supported")


def _limits(model: mujoco.MjModel, a: int, joint: int, interface: str) -> tuple[float, float]:
    gear = float(model.actuator_gear[a, 0])
    scale = gear if interface == "effort" else 1.0
    low, high = -np.inf, np.inf
    if model.actuator_ctrllimited[a]:
        low, high = sorted(scale * v for v in model.actuator_ctrlrange[a])
    if interface == "effort":
        if model.actuator_forcelimited[a]:
            force = sorted(gear * v for v in model.actuator_forcerange[a])
            low, high = max(low, force[0]), min(high, force[1])
        if model.jnt_actfrclimited[joint]:
            low = max(low, float(model.jnt_actfrcrange[joint, 0]))
            high = min(high, float(model.jnt_actfrcrange[joint, 1]))
    return float(low), float(high)
