"""Robot files to compiled MuJoCo models: MJCF as it is, URDF with actuators and without meshes."""

from __future__ import annotations

import logging
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import mujoco
import numpy as np

from mbpl_control.core.errors import FileFormatError, ModelError
from mbpl_control.core.user_files import MAX_TEXT_BYTES, check_size

_LOG = logging.getLogger("mbpl.mujoco")
# MuJoCo's own way is a file MUJOCO_LOG.TXT in the working directory, whatever that is; divergence is an error of
# ours anyway
mujoco.set_mju_user_warning(_LOG.debug)


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

    A file without actuators, as every URDF is one: each hinge and slide, or each of `actuated`, gets a motor of gear 1
    whose limit is the joint's effort. Meshes and mimic constraints of a URDF are left out: the model serves control,
    not display or contact. A `<mujoco>` element in a URDF counts, as MuJoCo documents it.

    Raises:
        ModelError: the file is missing, too large or broken, nothing in it moves or is driven, a limit is no limit, or
            `actuated` is given for a file that has actuators of its own.
    """
    if not path.is_file():
        raise ModelError(f"robot file '{path}' does not exist")
    try:
        check_size(path, MAX_TEXT_BYTES)
    except FileFormatError as error:
        raise ModelError(str(error)) from error
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
        elif actuated is not None:
            own = ", ".join(a.name or "one without a name" for a in spec.actuators)
            raise ModelError(f"{path}: has actuators of its own ({own}); joints to drive cannot be chosen")
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
        names = [model.joint(j).name for j in range(model.njnt)]
        limits = {name: _speed(path, name, v) for name, v in zip(names, values, strict=True)}
    return LoadedRobot(model, spec, text, "mjcf", limits)


def _speed(path: Path, joint: str, value: float | str) -> float:
    try:
        speed = float(value)
    except ValueError:
        speed = np.nan
    if not speed > 0.0:
        raise ModelError(f"{path}: velocity limit of joint '{joint}' is {value}; must be a number above 0")
    return speed


def _load_urdf(path: Path, text: str, root: ElementTree.Element, actuated: tuple[str, ...] | None) -> LoadedRobot:
    limits: dict[str, float] = {}
    for joint in root.findall("joint"):
        limit = joint.find("limit")
        velocity = limit.get("velocity") if limit is not None else None
        if velocity is not None and joint.get("type") != "fixed":
            limits[joint.get("name", "")] = _speed(path, joint.get("name", ""), velocity)
        for mimic in joint.findall("mimic"):
            joint.remove(mimic)
    for link in root.findall("link"):
        for kind in ("visual", "collision"):
            for shape in link.findall(kind):
                if shape.find("geometry/mesh") is not None:
                    link.remove(shape)
    extension = root.find("mujoco")
    if extension is None:
        extension = ElementTree.SubElement(root, "mujoco")
    compiler = extension.find("compiler")
    if compiler is None:
        compiler = ElementTree.SubElement(extension, "compiler")
    # frames of fixed links must survive, and inertias are the author's business
    compiler.set("fusestatic", "false")
    for key in ("discardvisual", "inertiafromgeom"):
        compiler.attrib.setdefault(key, "false")
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
    movable = [j for j in spec.joints if j.type in (mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)]
    names = [j.name for j in movable]
    if not names:
        raise ModelError(f"{path}: no movable joint; a robot needs at least one hinge or slide")
    for name in actuated or ():
        if name not in names:
            raise ModelError(f"{path}: no joint '{name}' to drive; it has: {', '.join(names)}")
    for joint in movable:
        if actuated is not None and joint.name not in actuated:
            continue
        motor = spec.add_actuator(name=joint.name, target=joint.name, trntype=mujoco.mjtTrn.mjTRN_JOINT)
        motor.set_to_motor()
        low, high = joint.actfrcrange
        if low < high:
            motor.ctrllimited = True
            motor.ctrlrange = [low, high]
