"""Robot files to compiled MuJoCo models: MJCF as it is, URDF with actuators and without meshes."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from mbpl_control.core.errors import ModelError


@dataclass(frozen=True)
class LoadedRobot:
    """A compiled model and what MuJoCo does not keep of the file.

    Attributes:
        model: the compiled model, with at least one actuator.
        spec: what it was compiled from.
        xml: text of the file as it is published to the graph.
        format: "mjcf" or "urdf".
        velocity_limits: by joint name, rad/s or m/s; only those the file gives.
    """

    model: mujoco.MjModel
    spec: mujoco.MjSpec
    xml: str
    format: str
    velocity_limits: dict[str, float]


def load_robot(path: Path, actuated: tuple[str, ...] | None = None) -> LoadedRobot:
    """Read an MJCF or a URDF.

    A URDF has no actuators: every movable joint, or each of `actuated`, gets a motor of gear 1 whose limit is the joint's
    effort. Its meshes and its mimic constraints are left out: the model serves control, not display or contact.

    Raises:
        ModelError: the file is missing or broken, or nothing in it moves or is driven.
    """
    if not path.is_file():
        raise ModelError(f"robot file '{path}' does not exist")
    text = path.read_text(encoding="utf-8", errors="replace")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        raise ModelError(f"{path}: not well-formed XML: {error}") from error
    if root.tag == "robot":
        return _load_urdf(path, text, root, actuated)
    if root.tag == "mujoco":
        return _load_mjcf(path, text, actuated)
    raise ModelError(f"{path}: root element <{root.tag}>; must be <mujoco> (MJCF) or <robot> (URDF)")


def _load_mjcf(path: Path, text: str, actuated: tuple[str, ...] | None) -> LoadedRobot:
    try:
        spec = mujoco.MjSpec.from_file(str(path))
        if not spec.actuators:
            _add_motors(spec, path, actuated)
        model = spec.compile()
    except ValueError as error:
        raise ModelError(f"{path}: MuJoCo cannot read it: {error}") from error
    limits: dict[str, float] = {}
    given = [i for i in range(model.nnumeric) if model.numeric(i).name == "velocity_limits"]
    if given:
        values = np.array(model.numeric(given[0]).data)
        if len(values) != model.njnt:
            raise ModelError(
                f"{path}: <numeric name='velocity_limits'> has {len(values)} numbers; must have "
                f"{model.njnt}, one a joint"
            )
        limits = {model.joint(j).name: float(v) for j, v in enumerate(values)}
    return LoadedRobot(model, spec, text, "mjcf", limits)


def _load_urdf(
    path: Path, text: str, root: ElementTree.Element, actuated: tuple[str, ...] | None
) -> LoadedRobot:
    limits: dict[str, float] = {}
    for joint in root.findall("joint"):
        limit = joint.find("limit")
        if limit is not None and limit.get("velocity"):
            limits[joint.get("name", "")] = float(limit.get("velocity", "inf"))
        for mimic in joint.findall("mimic"):
            joint.remove(mimic)
    for link in root.findall("link"):
        for kind in ("visual", "collision"):
            for shape in link.findall(kind):
                if shape.find("geometry/mesh") is not None:
                    link.remove(shape)
    for extension in root.findall("mujoco"):
        root.remove(extension)
    extension = ElementTree.SubElement(root, "mujoco")
    # frames of fixed links must survive, and inertias are the author's business
    ElementTree.SubElement(
        extension, "compiler", fusestatic="false", discardvisual="false", inertiafromgeom="false"
    )
    try:
        spec = mujoco.MjSpec.from_string(ElementTree.tostring(root, encoding="unicode"))
        for geom in spec.geoms:
            geom.contype = geom.conaffinity = 0
        _add_motors(spec, path, actuated)
        model = spec.compile()
    except ValueError as error:
        raise ModelError(f"{path}: MuJoCo cannot read it: {error}") from error
    return LoadedRobot(model, spec, text, "urdf", limits)


def _add_motors(spec: mujoco.MjSpec, path: Path, actuated: tuple[str, ...] | None) -> None:
    """A motor of gear 1 on each hinge and slide, limited by the joint's own effort limit."""
    movable = [
        j
        for j in spec.joints
        if j.type in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)
    ]
    names = [j.name for j in movable]
    if not names:
        raise ModelError(f"{path}: no movable joint; a robot needs at least one hinge or slide")
    for name in actuated or ():
        if name not in names:
            raise ModelError(f"{path}: no joint '{name}' to drive; it has: {', '.join(names)}")
    for joint in movable:
        if actuated is not None and joint.name not in actuated:
            continue
        motor = spec.add_actuator(
            name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT
        )
        motor.set_to_motor()
        low, high = joint.actfrcrange
        if low < high:
            motor.ctrllimited = True
            motor.ctrlrange = [low, high]
