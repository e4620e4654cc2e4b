"""Generated kernels against Pinocchio, on every robot with a fixed base that example-robot-data has.

The generated source is run on arrays of numpy: what is compiled is the same text, and takes longer to prepare.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pinocchio
import pytest

from mbpl_control.core import ModelError
from mbpl_control.models import resolve
from mbpl_control.models.codegen import robot_kernels
from mbpl_control.models.codegen.tree import read_tree, unsupported

PANDA = "package://example-robot-data/robots/panda_description/urdf/panda.urdf"
ROBOTS = resolve(PANDA).parents[2]
MOST_JOINTS = 14
COUNT = 4


def fixed_base_robots() -> list[Path]:
    """Files of all robots that kernels can be generated for, one for each robot's set of joints."""
    found: dict[tuple[object, ...], Path] = {}
    for path in sorted(ROBOTS.glob("**/*.urdf")):
        try:
            model = pinocchio.buildModelFromUrdf(str(path))
        except (ValueError, RuntimeError):
            continue  # some files hold what Pinocchio itself refuses
        if unsupported(model) == "" and model.nv <= MOST_JOINTS:
            masses = tuple(round(inertia.mass, 9) for inertia in model.inertias)
            found.setdefault((model.nv, tuple(model.names), masses), path)
    return list(found.values())


def close(found: np.ndarray, expected: np.ndarray, tolerance: float = 1e-10) -> None:
    """Whether two agree to `tolerance` of the largest number."""
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=tolerance * max(1.0, float(np.abs(expected).max())))


def whole(upper: np.ndarray) -> np.ndarray:
    """The symmetric matrix of which Pinocchio fills the upper triangle."""
    return np.triu(upper) + np.triu(upper, 1).T


@pytest.fixture(params=fixed_base_robots(), ids=lambda path: path.stem)
def model(request):
    """A robot with motors that have inertia."""
    model = pinocchio.buildModelFromUrdf(str(request.param))
    model.armature = np.random.default_rng(5).uniform(0.01, 0.1, model.nv)
    return model


def draws(model: pinocchio.Model) -> tuple[np.ndarray, ...]:
    """Positions, velocities, and efforts or accelerations, (COUNT, ...) each; the first at rest."""
    rng = np.random.default_rng(1)
    low, high = np.full(model.nq, -3.0), np.full(model.nq, 3.0)
    pinocchio.seed(1)
    q = np.array([pinocchio.randomConfiguration(model, low, high) for _ in range(COUNT)])
    v, third = rng.normal(size=(2, COUNT, model.nv))
    v[0] = 0.0
    return q, v, third


def test_forward_dynamics_and_its_derivatives(model) -> None:
    q, v, effort = draws(model)
    damping, h = np.random.default_rng(2).uniform(0.0, 0.5, model.nv), 0.01
    tree = read_tree(model, damping)
    inputs = {"q": q, "v": v, "effort": effort, "h": np.full((COUNT, 1), h)}
    found = robot_kernels.forward_derivatives(tree).evaluate(**inputs)
    alone = robot_kernels.forward(tree).evaluate(**inputs)["acceleration"]
    model.armature = model.armature + h * damping
    data = model.createData()
    for k in range(COUNT):
        pinocchio.computeABADerivatives(model, data, q[k], v[k], effort[k] - damping * v[k])
        by_effort = whole(data.Minv)
        close(found["acceleration"][k], data.ddq)
        close(alone[k], data.ddq)
        close(found["by_q"][k], data.ddq_dq)
        close(found["by_v"][k], data.ddq_dv - by_effort * damping)
        close(found["by_effort"][k], by_effort)


def test_inverse_dynamics_and_its_derivatives(model) -> None:
    q, v, acceleration = draws(model)
    damping = np.random.default_rng(2).uniform(0.0, 0.5, model.nv)
    tree = read_tree(model, damping)
    inputs = {"q": q, "v": v, "acceleration": acceleration}
    found = robot_kernels.inverse_derivatives(tree).evaluate(**inputs)
    alone = robot_kernels.inverse(tree).evaluate(**inputs)["effort"]
    data = model.createData()
    for k in range(COUNT):
        pinocchio.computeRNEADerivatives(model, data, q[k], v[k], acceleration[k])
        close(found["effort"][k], data.tau + damping * v[k])
        close(alone[k], data.tau + damping * v[k])
        close(found["by_q"][k], data.dtau_dq)
        close(found["by_v"][k], data.dtau_dv + np.diag(damping))
        close(found["inertia"][k], whole(pinocchio.crba(model, data, q[k])))


def test_frames_and_their_jacobians(model) -> None:
    q, _, _ = draws(model)
    every = [frame.name for frame in model.frames]
    names = tuple(name for name in every if every.count(name) == 1)[-4:]
    found = robot_kernels.frames(read_tree(model, frames=names)).evaluate(q=q)
    data = model.createData()
    for k in range(COUNT):
        pinocchio.computeJointJacobians(model, data, q[k])
        pinocchio.updateFramePlacements(model, data)
        for f, name in enumerate(names):
            number = model.getFrameId(name)
            jacobian = pinocchio.getFrameJacobian(model, data, number, pinocchio.LOCAL_WORLD_ALIGNED)
            close(found["positions"][k, f], data.oMf[number].translation)
            close(found["rotations"][k, f], data.oMf[number].rotation)
            close(found["jacobians"][k, f], jacobian)


def test_joints_that_are_no_hinge_or_slide_are_refused_by_name() -> None:
    model = pinocchio.Model()
    model.addJoint(0, pinocchio.JointModelSpherical(), pinocchio.SE3.Identity(), "ball")
    with pytest.raises(ModelError, match="joint 'ball' is a JointModelSpherical"):
        read_tree(model)
