"""Frames and their derivatives against MuJoCo's own kinematics and against finite differences."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mbpl_control.core import ModelError, StateSpace
from mbpl_control.models import RobotModel
from mbpl_control.models.chain import LANES

FRAMES = {
    "arm7": ["tip", "forearm"],
    "cartpole": ["tip", "pole"],
    "panda": ["panda_hand_tcp", "panda_link5", "panda_leftfinger"],
    "tree": ["tip", "elbow", "hand", "branch"],
    "floater": ["tip", "hull", "arm"],
}
CASES = [(robot, frame) for robot, frames in FRAMES.items() for frame in frames]


def mujoco_motion(robot: RobotModel, frame: str, q: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position, rotation and Jacobian of a site or body as MuJoCo computes them."""
    model = robot.mujoco_model()
    data = mujoco.MjData(model)
    data.qpos[:] = q
    mujoco.mj_forward(model, data)
    jacobian = np.zeros((6, model.nv))
    site = mujoco.mj_name2id(model, mujoco.mjtObj.mjOBJ_SITE, frame)
    if site >= 0:
        mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], site)
        return data.site_xpos[site], data.site_xmat[site].reshape(3, 3), jacobian
    body = model.body(frame).id
    mujoco.mj_jacBody(model, data, jacobian[:3], jacobian[3:], body)
    return data.xpos[body], data.xmat[body].reshape(3, 3), jacobian


@pytest.mark.parametrize(("name", "frame"), CASES)
def test_poses_and_jacobians_are_those_of_mujoco(robots, random_states, name: str, frame: str) -> None:
    robot = robots[name]
    # more than are walked at a time, and not a multiple of that
    q = random_states(robot, 2 * LANES + 3)[:, : robot.nq]
    motion = robot.kinematics.motion(frame, q)
    for i in range(len(q)):
        position, rotation, jacobian = mujoco_motion(robot, frame, q[i])
        np.testing.assert_allclose(motion.positions[i], position, atol=1e-12)
        np.testing.assert_allclose(motion.rotations[i], rotation, atol=1e-12)
        np.testing.assert_allclose(motion.jacobians[i], jacobian, atol=1e-12)


@pytest.mark.parametrize(("name", "frame"), CASES)
def test_second_derivatives_of_the_position_equal_finite_differences(robots, random_states, name, frame) -> None:
    robot = robots[name]
    space = StateSpace(robot.state.blocks[0].spaces)
    q = random_states(robot, 3, seed=4)[:, : robot.nq]
    hessians = robot.kinematics.position_hessians(frame, q)
    h, n = 1e-4, robot.nv
    numeric = np.zeros((len(q), 3, n, n))

    def moved(i: int, a: float, j: int, b: float) -> np.ndarray:
        dx = np.zeros((len(q), n))
        dx[:, i] += a
        dx[:, j] += b
        return robot.kinematics.positions(frame, space.integrate(q, dx))

    for i in range(n):
        for j in range(n):
            second = moved(i, h, j, h) - moved(i, h, j, -h) - moved(i, -h, j, h) + moved(i, -h, j, -h)
            numeric[:, :, i, j] = second / (4 * h * h)
    np.testing.assert_allclose(hessians, numeric, atol=2e-6)


@pytest.mark.parametrize(("name", "frame"), CASES)
def test_derivatives_of_the_angular_jacobian_equal_finite_differences(robots, random_states, name, frame) -> None:
    robot = robots[name]
    space = robot.position_space
    q = random_states(robot, 3, seed=5)[:, : robot.nq]
    hessians = robot.kinematics.rotation_hessians(frame, q)
    h = 1e-6
    for i in range(robot.nv):
        dx = np.zeros((len(q), robot.nv))
        dx[:, i] = h
        plus = robot.kinematics.motion(frame, space.integrate(q, dx)).jacobians[:, 3:]
        minus = robot.kinematics.motion(frame, space.integrate(q, -dx)).jacobians[:, 3:]
        numeric = (plus - minus) / (2 * h)
        np.testing.assert_allclose(hessians[:, :, :, i], numeric, atol=1e-8)


def test_a_jacobian_maps_velocities_to_those_of_the_frame(robots, random_states) -> None:
    robot = robots["floater"]
    x = random_states(robot, 1)[0]
    q, v = robot.split(x)
    h = 1e-6
    later = robot.position_space.integrate(q, h * v)
    now, then = (robot.kinematics.motion("tip", p[None]) for p in (q, later))
    np.testing.assert_allclose((then.positions - now.positions)[0] / h, now.jacobians[0, :3] @ v, atol=1e-5)
    turn = Rotation.from_matrix(then.rotations[0] @ now.rotations[0].T).as_rotvec() / h
    np.testing.assert_allclose(turn, now.jacobians[0, 3:] @ v, atol=1e-5)


def test_an_unknown_frame_is_refused_with_the_nearest_name_and_all_there_are(robots) -> None:
    kinematics = robots["tree"].kinematics
    with pytest.raises(ModelError, match=r"no frame 'tipp'; did you mean 'tip'\? it has: base, upper, hand, branch"):
        kinematics.motion("tipp", np.zeros((1, 5)))


def test_a_site_hides_the_body_of_its_name(make_robot) -> None:
    robot = make_robot(
        """<mujoco><worldbody><body name="hand"><joint name="j"/><geom size="0.1"/><site name="hand" pos="1 0 0"/>
        </body></worldbody></mujoco>"""
    )
    np.testing.assert_allclose(robot.kinematics.positions("hand", np.zeros((1, 1)))[0], [1.0, 0.0, 0.0])


@pytest.mark.parametrize("turns", [0.0, 1e3, -1e6])
def test_a_joint_may_have_turned_many_times(make_robot, turns: float) -> None:
    """An angle of k turns and a bit is that bit, as far as a number holds it."""
    robot = make_robot(
        """<mujoco><worldbody><body name="hand"><joint name="j" axis="0 0 1"/><geom size="0.1"/>
        <site name="tip" pos="1 0 0"/></body></worldbody></mujoco>"""
    )
    angles = np.linspace(-3.0, 3.0, 50) + 2.0 * np.pi * turns
    expected = np.stack([np.cos(angles), np.sin(angles), np.zeros(50)], axis=1)
    np.testing.assert_allclose(robot.kinematics.positions("tip", angles[:, None]), expected, atol=1e-15)
