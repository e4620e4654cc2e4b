"""A trial as a Rerun recording, read back by Rerun: every body is where MuJoCo has it, at every step."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest

from mbpl_control.bags.export.rerun import write_rerun
from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core import FileFormatError, RefusedError, Trial
from mbpl_control.tasks import Task, load_task

STEPS = 7
needs_rerun = pytest.mark.skipif(
    importlib.util.find_spec("rerun") is None,
    reason="NOT CHECKED: what a Rerun recording holds, for rerun-sdk is not installed here "
    "(pip install -r requirements/rerun.txt)",
)


def trial_of(task: Task, path: Path) -> RecordedTrial:
    """The robot turning every joint a little each step."""
    rng = np.random.default_rng(2)
    start = task.condition(0).state
    robot = start + 0.05 * np.arange(STEPS + 1)[:, None] * rng.uniform(0.5, 1.0, len(start))
    actions = rng.normal(size=(STEPS, task.action.size))
    costs = np.arange(STEPS + 1.0)
    trial = Trial(
        task.state,
        task.action,
        task.dt,
        task.task_state(robot),
        actions,
        costs=costs,
        task=task.name,
        task_hash=task.hash,
        condition=0,
    )
    return RecordedTrial(path / "some bag", trial, None, {}, True, robot, 0)


def read_back(path: Path) -> dict[str, dict[str, Any]]:
    """Entity → column → values, in the order of the steps, of all chunks of a recording."""
    from rerun.chunk import RrdReader

    out: dict[str, dict[str, Any]] = {}
    for chunk in RrdReader(path).stream():
        batch = chunk.to_record_batch()
        mine = out.setdefault(chunk.entity_path, {"static": chunk.is_static})
        mine |= dict(zip(batch.schema.names, (column.to_pylist() for column in batch.columns), strict=True))
    return out


def column(entity: dict[str, Any], ending: str) -> list[Any]:
    (name,) = (name for name in entity if name.endswith(ending))
    return entity[name]


@needs_rerun
@pytest.mark.parametrize("name", ["arm_reach", "panda_reach"])
def test_every_body_is_where_mujoco_has_it_at_every_step_with_its_shape(
    name: str, task_files: Path, tmp_path: Path
) -> None:
    task = load_task(task_files / f"{name}.yaml")
    recorded = trial_of(task, tmp_path)
    found = read_back(write_rerun(recorded, task, tmp_path / "trial.rrd"))
    model = task.robot.mujoco_model()
    data = mujoco.MjData(model)
    expected = []
    for state in recorded.robot_states:
        data.qpos[:] = state[: task.robot.nq]
        mujoco.mj_forward(model, data)
        expected.append(data.xpos.copy())
    shapes = {}
    for b in range(1, model.nbody):
        entity = found[f"/robot/{model.body(b).name}"]
        positions = np.array(column(entity, "Transform3D:translation"))[:, 0]
        np.testing.assert_allclose(positions, np.array(expected)[:, b], atol=1e-6)
        assert column(entity, "step") == list(range(STEPS + 1))
        shapes[b] = [e for e in found if e.startswith(f"/robot/{model.body(b).name}/")]
    shown = {int(model.geom_bodyid[g]) for g in range(model.ngeom) if model.geom_group[g] <= 2} - {0}
    assert shown and all(shapes[b] for b in shown)
    assert all(found[e]["static"] for entities in shapes.values() for e in entities)


#: One joint, and a geom of every shape that has one, each with a pose of its own.
SHAPES = """
<mujoco model="shapes">
  <asset><mesh name="wedge" vertex="0 0 0  0.2 0 0  0 0.1 0  0 0 0.3"/></asset>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1"/>
    <body name="link">
      <joint name="turn" type="hinge" axis="0 1 0" range="-3 3" limited="true"/>
      <geom name="box" type="box" size="0.1 0.2 0.3" pos="0 0 0.1" rgba="1 0 0 1"/>
      <geom name="ball" type="sphere" size="0.07"/>
      <geom name="egg" type="ellipsoid" size="0.1 0.2 0.05"/>
      <geom name="can" type="cylinder" size="0.05 0.2"/>
      <geom name="rod" type="capsule" fromto="0.1 0.2 0.3  0.4 0.2 0.7" size="0.03"/>
      <geom name="wedge" type="mesh" mesh="wedge"/>
    </body>
  </worldbody>
  <actuator><motor name="turn" joint="turn" ctrlrange="-1 1" ctrllimited="true"/></actuator>
</mujoco>
"""
TASK = """
robot: {model: shapes.xml}
horizon: 7
dt: 0.02
start: {train: [{positions: [0.0]}]}
cost: [{term: state, block: velocities, weight: 1.0}]
"""


@needs_rerun
def test_every_kind_of_shape_has_its_size_and_stands_where_the_model_puts_it(tmp_path: Path) -> None:
    (tmp_path / "shapes.xml").write_text(SHAPES)
    (tmp_path / "shapes.yaml").write_text(TASK)
    task = load_task(tmp_path / "shapes.yaml")
    found = read_back(write_rerun(trial_of(task, tmp_path), task, tmp_path / "trial.rrd"))

    def of(geom: str, ending: str) -> np.ndarray:
        return np.array(column(found[f"/robot/link/{geom}"], ending)[0])

    np.testing.assert_allclose(of("box", "Boxes3D:half_sizes"), [[0.1, 0.2, 0.3]], rtol=1e-6)
    np.testing.assert_allclose(of("box", "Transform3D:translation"), [[0.0, 0.0, 0.1]], atol=1e-7)
    np.testing.assert_allclose(of("ball", "Ellipsoids3D:half_sizes"), [[0.07] * 3], rtol=1e-6)
    np.testing.assert_allclose(of("egg", "Ellipsoids3D:half_sizes"), [[0.1, 0.2, 0.05]], rtol=1e-6)
    assert (of("can", "Cylinders3D:lengths").item(), of("can", "Cylinders3D:radii").item()) == pytest.approx(
        (0.4, 0.05)
    )
    # Rerun's capsule goes from the origin of its entity along z: from one end of MuJoCo's to the other
    (start,) = of("rod", "Transform3D:translation")
    x, y, z, w = of("rod", "Transform3D:quaternion")[0]
    along = np.array([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)])
    end = start + of("rod", "Capsules3D:lengths").item() * along
    ends = sorted([start.tolist(), end.tolist()])
    np.testing.assert_allclose(ends, [[0.1, 0.2, 0.3], [0.4, 0.2, 0.7]], atol=1e-6)
    # MuJoCo moves the vertices of a mesh to its own centre, and the geom back by as much
    (shift,) = of("wedge", "Transform3D:translation")
    x, y, z, w = of("wedge", "Transform3D:quaternion")[0]
    matrix = np.empty(9)
    mujoco.mju_quat2Mat(matrix, np.array([w, x, y, z]))
    vertices = shift + of("wedge", "Mesh3D:vertex_positions") @ matrix.reshape(3, 3).T
    corners = [[0.0, 0.0, 0.0], [0.0, 0.0, 0.3], [0.0, 0.1, 0.0], [0.2, 0.0, 0.0]]
    order = np.lexsort(np.round(vertices, 4).T[::-1])
    np.testing.assert_allclose(vertices[order], corners, atol=1e-6)
    assert of("wedge", "Mesh3D:triangle_indices").shape == (4, 3)
    assert "/robot/world/floor" in found


@needs_rerun
def test_times_curves_target_and_path_are_those_of_the_trial(task_files: Path, tmp_path: Path) -> None:
    task = load_task(task_files / "arm_reach.yaml")
    recorded = trial_of(task, tmp_path)
    trial = recorded.trial
    found = read_back(write_rerun(recorded, task, tmp_path / "trial.rrd"))
    cost = found["/cost"]
    np.testing.assert_array_equal(np.ravel(column(cost, "Scalars:scalars")), trial.costs)
    times = [t.total_seconds() for t in column(cost, "time")]
    np.testing.assert_allclose(times, trial.times, atol=1e-6)
    states = [e for e in found if e.startswith("/state/")]
    actions = [e for e in found if e.startswith("/action/")]
    assert (len(states), len(actions)) == (trial.state.size, trial.action.size)
    first = found[f"/action/{trial.action.actuator_names[0]}"]
    np.testing.assert_array_equal(np.ravel(column(first, "Scalars:scalars")), trial.actions[:, 0])
    target = task.condition(0).target
    np.testing.assert_allclose(np.ravel(column(found["/target"], "Points3D:positions")), target, atol=1e-6)
    way = np.array(column(found[f"/path/{task.success_frame}"], "LineStrips3D:strips")).reshape(-1, 3)
    frame = task.robot.kinematics.positions(task.success_frame, recorded.robot_states[:, : task.robot.nq])
    np.testing.assert_allclose(way, frame, atol=1e-6)


@needs_rerun
def test_a_recording_that_exists_is_not_overwritten_and_another_robot_is_refused(
    task_files: Path, tmp_path: Path
) -> None:
    arm, pendulum = (load_task(task_files / f"{name}.yaml") for name in ("arm_reach", "pendulum_swingup"))
    recorded = trial_of(arm, tmp_path)
    (tmp_path / "here.rrd").write_text("mine")
    with pytest.raises(FileFormatError, match="exists already"):
        write_rerun(recorded, arm, tmp_path / "here.rrd")
    with pytest.raises(RefusedError, match="14 numbers of the robot; that of task 'pendulum_swingup' has 2"):
        write_rerun(recorded, pendulum, tmp_path / "other.rrd")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["here.rrd"]


def test_without_rerun_the_error_says_what_to_install(
    task_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    task = load_task(task_files / "arm_reach.yaml")
    with pytest.raises(RefusedError, match="pip install -r requirements/rerun.txt"):
        write_rerun(trial_of(task, tmp_path), task, tmp_path / "trial.rrd")
