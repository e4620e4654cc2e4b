"""What a robot's state and action are, and what holds it still."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import mujoco
import numpy as np
import pinocchio
import pytest

from mbpl_control.core import ModelError
from mbpl_control.models import resolve

PANDA = "package://example-robot-data/robots/panda_description/urdf/panda.urdf"

TENDON = '<tendon><fixed name="t"><joint joint="j" coef="1"/></fixed></tendon>'
BODY = '<body name="b"><joint name="j" {joint}/><geom size="0.1"/></body>'


def robot_text(actuator: str, joint: str = "", extra: str = "") -> str:
    body = BODY.format(joint=joint)
    return f"""<mujoco><compiler angle="radian"/><default><geom contype="0"/></default><worldbody>{body}</worldbody>
    <actuator>{actuator}</actuator>{extra}</mujoco>"""


def test_an_unlimited_hinge_is_an_angle_a_limited_one_a_number_a_free_joint_a_pose(robots) -> None:
    cartpole, floater = robots["cartpole"].state, robots["floater"].state
    assert cartpole.blocks[0].spaces == ("euclidean", "angle")
    assert cartpole.blocks[0].units == ("m", "rad")
    assert floater.blocks[0].spaces == ("euclidean",) * 3 + ("quaternion", "quaternion", "angle")
    assert floater.blocks[1].units == ("m/s",) * 3 + ("rad/s",) * 7
    assert (robots["floater"].nq, robots["floater"].nv) == (12, 10)
    assert robots["cartpole"].is_one_number_per_joint
    assert not robots["floater"].is_one_number_per_joint


def test_the_tangent_space_of_the_state_is_the_one_mujoco_integrates_in(robots, random_states) -> None:
    robot = robots["floater"]
    x = random_states(robot, 1)[0]
    model = robot.mujoco_model()
    q, step = x[: robot.nq].copy(), np.random.default_rng(0).normal(size=robot.nv)
    ours = robot.position_space.integrate(q, step)
    mujoco.mj_integratePos(model, q, step, 1.0)
    np.testing.assert_allclose(ours, q, atol=1e-12)


def test_limits_are_those_at_the_joint_gear_included(robots) -> None:
    action = robots["tree"].action
    np.testing.assert_allclose(action.lower, [-40.0, -6.0, -2.0])
    np.testing.assert_allclose(action.upper, [60.0, 10.0, 2.0])


def test_the_tightest_of_control_force_and_joint_limits_counts(make_robot) -> None:
    text = robot_text(
        '<motor joint="j" gear="2" ctrlrange="-4 4" ctrllimited="true" forcerange="-3 5" forcelimited="true"/>',
        'actuatorfrcrange="-7 5.5" actuatorfrclimited="true"',
    )
    action = make_robot(text).action
    np.testing.assert_allclose([action.lower[0], action.upper[0]], [-6.0, 5.5])


@pytest.mark.parametrize(
    ("actuator", "interface", "unit"),
    [
        ('<motor joint="j"/>', "effort", "N*m"),
        ('<position joint="j" kp="20" kv="3"/>', "position", "rad"),
        ('<velocity joint="j" kv="4"/>', "velocity", "rad/s"),
    ],
)
def test_the_interface_is_read_off_the_actuator(make_robot, actuator: str, interface: str, unit: str) -> None:
    action = make_robot(robot_text(actuator)).action
    assert (action.interface, action.units) == (interface, (unit,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (robot_text('<general joint="j" gainprm="3" biastype="affine" biasprm="0 1 2"/>'), "none of <motor>"),
        (robot_text('<intvelocity joint="j" kp="2" actrange="-1 1"/>'), "actuator activations"),
        (robot_text('<motor joint="j"/><motor joint="j"/>'), "joint 'j' is driven by two actuators"),
        (robot_text('<motor name="m" joint="j" gear="0"/>'), "gear of actuator 'm' is 0"),
        (robot_text('<motor joint="elbow"/>'), "MuJoCo cannot read it: .*elbow"),
        (robot_text('<motor joint="j"/>', '/><joint axis="1 0 0"'), "joint 1 has no name"),
        (
            robot_text('<motor joint="j"/><position joint="k"/>', '/><joint name="k" axis="1 0 0"'),
            "effort, position; a robot's actuators must share one interface",
        ),
        (robot_text('<motor joint="j"/>', 'type="ball"'), "drives a joint that is no hinge or slide"),
        (robot_text('<motor name="pull" tendon="t"/>', extra=TENDON), "'pull' does not drive a joint directly"),
        ("<mujoco><worldbody><body><geom size='0.1'/></body></worldbody></mujoco>", "no movable joint"),
    ],
)
def test_what_is_not_supported_is_refused_with_a_reason(make_robot, text: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make_robot(text)


@pytest.mark.parametrize("name", ["arm7", "panda", "acrobot", "cartpole", "tree", "floater"])
def test_gravity_is_the_slope_of_the_potential_energy_along_the_driven_joints(robots, random_states, name) -> None:
    robot = robots[name]
    model = robot.mujoco_model()
    data = mujoco.MjData(model)

    def energy(q: np.ndarray) -> float:
        data.qpos[:] = q
        mujoco.mj_kinematics(model, data)
        mujoco.mj_comPos(model, data)
        return float(-np.sum(model.body_mass[:, None] * data.xipos * model.opt.gravity))

    h = 1e-6
    for x in random_states(robot, 3):
        q = x[: robot.nq]
        slopes = [energy(robot.position_space.integrate(q, h * e)) for e in np.eye(robot.nv)[robot.actuated]]
        back = [energy(robot.position_space.integrate(q, -h * e)) for e in np.eye(robot.nv)[robot.actuated]]
        np.testing.assert_allclose(robot.gravity(q), (np.array(slopes) - back) / (2 * h), atol=1e-6)


def test_gravity_of_a_urdf_is_the_one_pinocchio_reads_out_of_it(robots, random_states) -> None:
    robot = robots["panda"]
    model = pinocchio.buildModelFromUrdf(str(resolve(PANDA)))
    data = model.createData()
    for x in random_states(robot, 5):
        q = x[: robot.nq]
        expected = pinocchio.computeGeneralizedGravity(model, data, q)
        np.testing.assert_allclose(robot.gravity(q), expected, atol=1e-9)


def test_threads_that_ask_at_once_get_their_own_answers(robots, random_states) -> None:
    """As a planner's thread and the one that takes targets do."""
    robot = robots["arm7"]
    q = random_states(robot, 4)[:, : robot.nq]
    expected = [(robot.gravity(each), robot.inertia(each)) for each in q]

    def ask(i: int) -> None:
        for _ in range(1000):
            np.testing.assert_array_equal(robot.gravity(q[i]), expected[i][0])
            np.testing.assert_array_equal(robot.inertia(q[i]), expected[i][1])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(ask, range(4)))


def test_gravity_holds_the_arm_still(robots, random_states) -> None:
    robot = robots["arm7"]
    model = robot.mujoco_model()
    data = mujoco.MjData(model)
    q = random_states(robot, 1)[0, :7]
    data.qpos[:] = q
    data.ctrl[:] = robot.gravity(q)
    mujoco.mj_step(model, data, 500)
    np.testing.assert_allclose(data.qpos, q, atol=1e-9)


def test_springs_are_balanced_too(make_robot) -> None:
    robot = make_robot(robot_text('<motor joint="j"/>', 'stiffness="3" springref="0.5"'))
    # the geom is centred on the joint, so gravity does nothing
    np.testing.assert_allclose(robot.gravity(np.array([0.9])), [3.0 * 0.4], atol=1e-12)


@pytest.mark.parametrize(
    ("actuator", "rest", "hold"),
    [("motor", 0.0, 3.0 * 0.4), ("velocity", 0.0, 0.0), ("position", 0.9, 0.9)],
)
def test_resting_and_holding_mean_what_the_interface_says(make_robot, actuator, rest, hold) -> None:
    robot = make_robot(robot_text(f'<{actuator} joint="j"/>', 'stiffness="3" springref="0.5"'))
    q = np.array([0.9])
    np.testing.assert_allclose(robot.rest_action(q), [rest])
    np.testing.assert_allclose(robot.holding_action(q), [hold], atol=1e-12)


def test_driven_joints_are_found_among_positions_and_velocities(robots) -> None:
    robot = robots["floater"]
    np.testing.assert_array_equal(robot.actuated, [9])
    np.testing.assert_array_equal(robot.actuated_positions, [11])
