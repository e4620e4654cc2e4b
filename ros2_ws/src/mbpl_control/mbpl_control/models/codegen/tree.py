"""A robot as the generator needs it: joints that turn or slide along the z axis of their frame, and the bodies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pinocchio
from numpy.typing import NDArray

from mbpl_control.core.errors import ModelError
from mbpl_control.core.validation import Array


@dataclass(frozen=True)
class Joint:
    """A joint with the bodies that hang on it. Its frame has the axis of the joint for z.

    Attributes:
        name: of the joint.
        parent: index of the joint it hangs on, −1 for the world.
        rotation: (3, 3) of its frame in the parent's, at zero.
        translation: (3,) likewise, m.
        slides: whether it slides along z instead of turning about it.
        wound: whether the model gives its position as cosine and sine of the angle.
        mass: of its body, kg.
        center: (3,) centre of mass in its frame, m.
        rotational: (3, 3) inertia about the centre of mass in its frame's axes, kg m².
        armature: inertia of the motor as the joint feels it, kg m² or kg.
        damping: N·m·s/rad or N·s/m.
        dry: whether it has dry friction.
    """

    name: str
    parent: int
    rotation: Array
    translation: Array
    slides: bool
    wound: bool
    mass: float
    center: Array
    rotational: Array
    armature: float
    damping: float
    dry: bool = False


@dataclass(frozen=True)
class FramePlace:
    """A frame fixed to a joint: `rotation` (3, 3) and `translation` (3,) in that joint's frame; −1 for the world."""

    name: str
    joint: int
    rotation: Array
    translation: Array


@dataclass(frozen=True)
class Tree:
    """Joints in an order in which parents come first, and gravity (3,), m/s²."""

    name: str
    joints: tuple[Joint, ...]
    gravity: Array
    frames: tuple[FramePlace, ...] = ()

    @property
    def size(self) -> int:
        """Number of joints."""
        return len(self.joints)

    @property
    def dry(self) -> bool:
        """Whether a joint has dry friction."""
        return any(joint.dry for joint in self.joints)

    @property
    def plain(self) -> bool:
        """Whether each joint's position is one number."""
        return not any(joint.wound for joint in self.joints)

    def path(self, i: int) -> list[int]:
        """Joint i and those it hangs on, from i to the root."""
        found = []
        while i >= 0:
            found.append(i)
            i = self.joints[i].parent
        return found


#: What rounding may leave of a zero, relative to the numbers beside it.
ROUNDING = 1e-15
#: Joints of Pinocchio whose position is one number, and those whose position is a cosine and a sine.
PLAIN = ("JointModelR", "JointModelP")
WOUND = "JointModelRUB", "JointModelRevoluteUnboundedUnaligned"


def unsupported(model: pinocchio.Model) -> str:
    """Why no kernels can be generated for a model; empty when they can."""
    for i in range(1, model.njoints):
        kind = model.joints[i].shortname()
        if model.joints[i].nv != 1 or "Mimic" in kind or not kind.startswith((*PLAIN, *WOUND)):
            return f"joint '{model.names[i]}' is a {kind}; generated are hinges and slides on a fixed base"
    return "" if model.njoints > 1 else "it has no joint"


def read_tree(
    model: pinocchio.Model,
    damping: Array | None = None,
    frames: tuple[str, ...] = (),
    right_angle: float = ROUNDING,
    dry: NDArray[np.bool_] | None = None,
) -> Tree:
    """The tree of a Pinocchio model, its armature included.

    Args:
        model: joints that turn or slide, each of one degree of freedom, on a fixed base.
        damping: (nv,) N·m·s/rad or N·s/m; none when None.
        frames: names of frames whose place in the tree is kept.
        right_angle: entries of rotations that are this close to 0, 1 or −1 are taken for that. Files that write π/2
            with twelve digits are 1e-11 away, and every entry that is no zero costs operations.
        dry: (nv,) which joints have dry friction; none when None.

    Raises:
        ModelError: a joint is of another kind, or not exactly one frame has such a name.
    """
    reason = unsupported(model)
    if reason:
        raise ModelError(f"{model.name}: {reason}")
    data = model.createData()
    neutral = pinocchio.neutral(model)
    pinocchio.forwardKinematics(model, data, neutral, np.zeros(model.nv))
    turns = [np.eye(3)]
    joints = []
    for i in range(1, model.njoints):
        direction = np.array(data.joints[i].S).reshape(6)
        slides = bool(np.any(direction[:3]))
        turn = _turn_to(direction[:3] if slides else direction[3:])
        place, inertia = model.jointPlacements[i], model.inertias[i]
        parent = int(model.parents[i])
        velocity = model.joints[i].idx_v
        joints.append(
            Joint(
                name=model.names[i],
                parent=parent - 1,
                rotation=tidy(turns[parent].T @ place.rotation @ turn, right_angle),
                translation=_without_rounding(turns[parent].T @ place.translation),
                slides=slides,
                wound=model.joints[i].nq == 2,
                mass=float(inertia.mass),
                center=_without_rounding(turn.T @ inertia.lever),
                rotational=_without_rounding(_symmetric(turn.T @ inertia.inertia @ turn)),
                armature=float(model.armature[velocity]),
                damping=0.0 if damping is None else float(damping[velocity]),
                dry=dry is not None and bool(dry[velocity]),
            )
        )
        turns.append(turn)
    places = []
    for name in frames:
        found = [frame for frame in model.frames if frame.name == name]
        if len(found) != 1:
            raise ModelError(f"{model.name}: {len(found)} frames are called '{name}'; must be one")
        frame = found[0]
        turn, place = turns[frame.parentJoint], frame.placement
        places.append(
            FramePlace(
                name, int(frame.parentJoint) - 1, tidy(turn.T @ place.rotation, right_angle), turn.T @ place.translation
            )
        )
    return Tree(model.name, tuple(joints), np.array(model.gravity.linear), tuple(places))


def tidy(matrix: Array, tolerance: float) -> Array:
    """`matrix` with entries within `tolerance` of 0, 1 or −1 made exactly that, so that they cost nothing."""
    nearest = np.round(matrix)
    return np.where(np.abs(matrix - nearest) <= tolerance, nearest, matrix)


def _without_rounding(values: Array) -> Array:
    """`values` with those made zero that rounding has left beside the largest."""
    return np.where(np.abs(values) <= ROUNDING * np.abs(values).max(initial=0.0), 0.0, values)


def _symmetric(matrix: Array) -> Array:
    return 0.5 * (matrix + matrix.T)


def _turn_to(axis: Array) -> Array:
    """A rotation that takes z to `axis`; one that only exchanges axes where that is possible."""
    unit = axis / np.linalg.norm(axis)
    z = int(np.argmax(np.abs(unit)))
    x = np.zeros(3)
    x[(z + 1) % 3] = 1.0
    x = x - unit * (unit @ x)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(unit, x), unit], axis=1)
