"""A trial as a Rerun recording (.rrd): the robot moves, with its target, and its numbers as curves.

    /robot/BODY              pose in the world over time
    /robot/BODY/GEOM         its shape: box, sphere, ellipsoid, capsule, cylinder or mesh; does not change
    /target                  where success wants the frame, if the task has one
    /path/FRAME              its way through space
    /state/NAME, /action/NAME, /cost     curves

Timelines: `time`, s since the start, and `step`. Needs rerun-sdk, which is not among the requirements.

Source: https://rerun.io, archetypes of rerun-sdk.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import mujoco
import numpy as np

from mbpl_control.bags.export.parts import state_names
from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core.errors import FileFormatError, RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.tasks.task import Task

if TYPE_CHECKING:
    from types import ModuleType

APPLICATION = "mbpl"
#: Groups of geoms that MuJoCo's own viewer shows, as long as a model has any there.
SHOWN_GROUPS = (0, 1, 2)
#: Half the side and the thickness of a plane, which MuJoCo may take as endless, m.
PLANE, THIN = 1.5, 0.001
TARGET_RADIUS, TARGET_COLOR = 0.012, (26, 150, 65)


def rerun() -> ModuleType:
    """The library.

    Raises:
        RefusedError: it is not installed.
    """
    try:
        import rerun as module
    except ImportError as error:
        raise RefusedError(
            f"format 'rerun' needs rerun-sdk, which is not installed here: pip install -r requirements/rerun.txt "
            f"({error})"
        ) from error
    return module


def write_rerun(recorded: RecordedTrial, task: Task, path: Path) -> Path:
    """Write a recording of a trial; its path. It appears whole or not at all.

    Args:
        recorded: the trial.
        task: whose robot it was.
        path: of the file.

    Raises:
        RefusedError: rerun-sdk is not installed, or the robot's states are not of the task's robot.
        FileFormatError: the file exists, or cannot be written.
    """
    rr = rerun()
    if path.exists():
        raise FileFormatError(f"{path}: exists already; nothing was changed. Choose another name")
    robot = task.robot
    if recorded.robot_states.shape[1] != robot.nq + robot.nv:
        raise RefusedError(
            f"{recorded.path}: {recorded.robot_states.shape[1]} numbers of the robot; that of task '{task.name}' has "
            f"{robot.nq + robot.nv}"
        )
    if not path.absolute().parent.is_dir():
        raise FileFormatError(f"{path.absolute().parent}: no such directory")
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with rr.RecordingStream(APPLICATION, recording_id=recorded.path.name) as stream:
            stream.save(partial)
            _Scene(rr, stream, recorded, task).write()
            stream.flush()
            stream.disconnect()
        os.replace(partial, path)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be written: {error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return path


class _Scene:
    """What is drawn of one trial."""

    def __init__(self, rr: Any, stream: Any, recorded: RecordedTrial, task: Task) -> None:
        """Compute where all bodies are at every step."""
        self.rr, self.stream, self.recorded, self.task = rr, stream, recorded, task
        self.model = task.robot.mujoco_model()
        self.times = recorded.trial.times
        self.names = [self._body(b) for b in range(self.model.nbody)]
        self.positions, self.quaternions = self._poses()

    def write(self) -> None:
        """Everything."""
        rr, trial = self.rr, self.recorded.trial
        self.stream.log("/", rr.ViewCoordinates.RIGHT_HAND_Z_UP, static=True)
        for b, name in enumerate(self.names):
            if b:
                x, y, z, w = self.quaternions[:, b, [1, 2, 3, 0]].T
                poses = rr.Transform3D.columns(
                    translation=self.positions[:, b], quaternion=np.stack([x, y, z, w], axis=1)
                )
                self._columns(f"robot/{name}", poses, len(self.times))
        groups = {int(g) for g in self.model.geom_group}
        shown = SHOWN_GROUPS if groups & set(SHOWN_GROUPS) else tuple(groups)
        for g in range(self.model.ngeom):
            if self.model.geom_group[g] in shown:
                self._geom(g)
        self._goal()
        for i, label in enumerate(state_names(trial.state)):
            self._curve(f"state/{_part(label)}", trial.states[:, i])
        for i, label in enumerate(trial.action.actuator_names):
            self._curve(f"action/{_part(label)}", trial.actions[:, i])
        if trial.costs.size:
            self._curve("cost", trial.costs)

    def _poses(self) -> tuple[Array, Array]:
        """Positions (T+1, bodies, 3), m, and quaternions w x y z (T+1, bodies, 4) in the world."""
        model, robot = self.model, self.task.robot
        data = mujoco.MjData(model)
        if self.recorded.trial.condition >= 0:
            robot.place(data, self.task.condition(self.recorded.trial.condition).bodies)
        positions, quaternions = [], []
        for state in self.recorded.robot_states:
            data.qpos[:] = state[: robot.nq]
            mujoco.mj_kinematics(model, data)
            positions.append(data.xpos.copy())
            quaternions.append(data.xquat.copy())
        return np.array(positions), np.array(quaternions)

    def _geom(self, g: int) -> None:
        rr, model = self.rr, self.model
        size, kind = model.geom_size[g], model.geom_type[g]
        material = model.geom_matid[g]
        rgba = model.mat_rgba[material] if material >= 0 else model.geom_rgba[g]
        color = [int(round(255 * float(c))) for c in rgba]
        if color[3] == 0:
            return
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, model.geom_quat[g])
        place = np.array(model.geom_pos[g])
        style = {"colors": [color], "fill_mode": rr.components.FillMode.Solid}
        geom = mujoco.mjtGeom
        if kind == geom.mjGEOM_BOX:
            shape = rr.Boxes3D(half_sizes=[size], **style)
        elif kind == geom.mjGEOM_PLANE:
            half = [s if s > 0.0 else PLANE for s in size[:2]]
            shape = rr.Boxes3D(half_sizes=[[*half, THIN]], **style)
        elif kind == geom.mjGEOM_SPHERE:
            shape = rr.Ellipsoids3D(half_sizes=[[size[0]] * 3], **style)
        elif kind == geom.mjGEOM_ELLIPSOID:
            shape = rr.Ellipsoids3D(half_sizes=[size], **style)
        elif kind == geom.mjGEOM_CYLINDER:
            shape = rr.Cylinders3D(lengths=[2.0 * size[1]], radii=[size[0]], **style)
        elif kind == geom.mjGEOM_CAPSULE:
            # Rerun's capsule begins at its origin, MuJoCo's has it in the middle
            shape = rr.Capsules3D(lengths=[2.0 * size[1]], radii=[size[0]], **style)
            place = place - rotation.reshape(3, 3)[:, 2] * size[1]
        elif kind == geom.mjGEOM_MESH:
            shape = self._mesh(int(model.geom_dataid[g]), color)
        else:
            # a height field or a signed distance field; the robots that are loaded have none that moves
            return
        entity = f"robot/{self.names[model.geom_bodyid[g]]}/{_part(model.geom(g).name) or f'geom_{g}'}"
        w, x, y, z = (float(v) for v in model.geom_quat[g])
        self.stream.log(
            entity, rr.Transform3D(translation=place, quaternion=rr.Quaternion(xyzw=[x, y, z, w])), static=True
        )
        self.stream.log(entity, shape, static=True)

    def _mesh(self, m: int, color: list[int]) -> Any:
        model = self.model
        first, count = model.mesh_vertadr[m], model.mesh_vertnum[m]
        face, faces = model.mesh_faceadr[m], model.mesh_facenum[m]
        return self.rr.Mesh3D(
            vertex_positions=model.mesh_vert[first : first + count],
            triangle_indices=model.mesh_face[face : face + faces],
            albedo_factor=color,
        )

    def _goal(self) -> None:
        rr, task, trial = self.rr, self.task, self.recorded.trial
        frame = task.success_frame
        if frame is not None:
            points = task.robot.kinematics.positions(frame, self.recorded.robot_states[:, : task.robot.nq])
            self.stream.log(f"path/{_part(frame)}", rr.LineStrips3D([points]), static=True)
        target = task.condition(trial.condition).target if trial.condition >= 0 else None
        if target is not None:
            goal = rr.Points3D([target], radii=TARGET_RADIUS, colors=[TARGET_COLOR], labels=["target"])
            self.stream.log("target", goal, static=True)

    def _curve(self, entity: str, values: Array) -> None:
        self._columns(entity, self.rr.Scalars.columns(scalars=values), len(values))

    def _columns(self, entity: str, columns: Any, count: int) -> None:
        rr = self.rr
        indexes = [
            rr.TimeColumn("time", duration=self.times[:count]),
            rr.TimeColumn("step", sequence=np.arange(count)),
        ]
        self.stream.send_columns(entity, indexes=indexes, columns=columns)

    def _body(self, b: int) -> str:
        return _part(self.model.body(b).name) or f"body_{b}"


def _part(name: str) -> str:
    """A name as one part of an entity's path."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "_", name)
