"""Analytic derivatives against finite differences, and Pinocchio against MuJoCo on the same files."""

from __future__ import annotations

import numpy as np
import pinocchio
import pytest

from mbpl_control.core import InvalidFieldError, ModelError
from mbpl_control.models import MujocoDynamics, PinocchioDynamics, RobotModel, resolve, rigid_tree

PANDA = "package://example-robot-data/robots/panda_description/urdf/panda.urdf"
#: Trees both models take whole; within the joint limits both do the same.
TREES = ["arm7", "acrobot", "pendulum", "reacher_2link", "panda", "tree"]


def actions_of(robot: RobotModel, count: int, seed: int = 1) -> np.ndarray:
    """Efforts that keep even the light fingers of a gripper off their limits for a step."""
    rng = np.random.default_rng(seed)
    return 0.02 * rng.uniform(robot.action.lower, robot.action.upper, (count, robot.action.size))


@pytest.mark.parametrize("substeps", [1, 5])
@pytest.mark.parametrize("name", TREES)
def test_pinocchio_and_mujoco_agree_step_by_step_and_in_their_derivatives(
    robots, random_states, name: str, substeps: int
) -> None:
    robot = robots[name]
    dt = 0.01
    ours = PinocchioDynamics(robot, dt, substeps)
    theirs = MujocoDynamics(robot, dt, dt / substeps)
    states, actions = random_states(robot, 5), actions_of(robot, 5)
    expected = theirs.step(states, actions)
    np.testing.assert_allclose(ours.step(states, actions), expected, atol=1e-9 * max(1.0, np.abs(expected).max()))
    for mine, other in zip(ours.linearize(states, actions), theirs.linearize(states, actions), strict=True):
        np.testing.assert_allclose(mine, other, atol=2e-6 * max(1.0, np.abs(other).max()))


@pytest.mark.parametrize("name", TREES)
def test_derivatives_equal_finite_differences(robots, random_states, numeric_linearization, name: str) -> None:
    robot = robots[name]
    dynamics = PinocchioDynamics(robot, 0.02, 2)
    states, actions = random_states(robot, 3), actions_of(robot, 3)
    a, b = dynamics.linearize(states, actions)
    for t in range(3):
        numeric_a, numeric_b = numeric_linearization(dynamics, states[t], actions[t])
        np.testing.assert_allclose(a[t], numeric_a, atol=1e-6 * max(1.0, np.abs(numeric_a).max()))
        np.testing.assert_allclose(b[t], numeric_b, atol=1e-6 * max(1.0, np.abs(numeric_b).max()))


def test_both_models_stay_together_along_a_whole_trajectory(robots) -> None:
    robot = robots["arm7"]
    start = np.array([0.0, 1.0, 0.0, -0.5, 0.0, 0.2, 0.0] + [0.0] * 7)
    actions = np.tile(robot.gravity(start[:7]), (50, 1)) + np.random.default_rng(0).normal(size=(50, 7))
    ours = PinocchioDynamics(robot, 0.02, 10).rollout(start, actions)
    theirs = MujocoDynamics(robot, 0.02, 0.002).rollout(start, actions)
    np.testing.assert_allclose(ours, theirs, atol=1e-8)


def test_the_panda_moves_as_in_the_model_pinocchio_reads_out_of_its_urdf(robots, random_states) -> None:
    robot = robots["panda"]
    ours, theirs = rigid_tree.build(robot), pinocchio.buildModelFromUrdf(str(resolve(PANDA)))
    assert list(ours.names)[1:] == list(theirs.names)[1:] == list(robot.joint_names)
    our_data, their_data = ours.createData(), theirs.createData()
    rng = np.random.default_rng(2)
    for x in random_states(robot, 5):
        q, v = robot.split(x)
        effort = 10.0 * rng.normal(size=robot.nv)
        expected = pinocchio.aba(theirs, their_data, q, v, effort)
        found = pinocchio.aba(ours, our_data, q, v, effort)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
        pinocchio.framesForwardKinematics(theirs, their_data, q)
        pose = their_data.oMf[theirs.getFrameId("panda_hand_tcp")]
        motion = robot.kinematics.motion("panda_hand_tcp", q[None])
        np.testing.assert_allclose(motion.positions[0], pose.translation, atol=1e-9)
        np.testing.assert_allclose(motion.rotations[0], pose.rotation, atol=1e-9)


@pytest.mark.parametrize("name", ["arm7", "tree"])
def test_frames_of_the_tree_are_where_the_kinematics_say(robots, random_states, name: str) -> None:
    robot = robots[name]
    model = rigid_tree.build(robot)
    data = model.createData()
    q = random_states(robot, 1)[0, : robot.nq]
    pinocchio.framesForwardKinematics(model, data, q)
    for frame in robot.frame_names:
        pose = data.oMf[model.getFrameId(frame)]
        motion = robot.kinematics.motion(frame, q[None])
        np.testing.assert_allclose(motion.positions[0], pose.translation, atol=1e-12)
        np.testing.assert_allclose(motion.rotations[0], pose.rotation, atol=1e-12)


def test_a_falling_pendulum_swings_with_the_period_of_the_textbook(make_robot) -> None:
    robot = make_robot(
        """<mujoco><worldbody><body><joint name="j" axis="0 1 0"/><inertial pos="0 0 -0.5" mass="2"
        diaginertia="1e-9 1e-9 1e-9"/></body></worldbody></mujoco>"""
    )
    dynamics = PinocchioDynamics(robot, 1e-3)
    states = dynamics.rollout(np.array([0.02, 0.0]), np.zeros((3000, 1)))
    up = np.flatnonzero((states[:-1, 0] < 0.0) & (states[1:, 0] >= 0.0))
    period = 1e-3 * float(np.mean(np.diff(up)))
    assert period == pytest.approx(2 * np.pi * np.sqrt(0.5 / 9.81), rel=2e-3)


def test_another_duration_of_a_step_is_that_of_a_model_made_for_it(robots, random_states) -> None:
    robot = robots["tree"]
    changed, made = PinocchioDynamics(robot, 0.01, 2), PinocchioDynamics(robot, 0.006, 2)
    changed.set_duration(0.006)
    states, actions = random_states(robot, 4), actions_of(robot, 4)
    np.testing.assert_array_equal(changed.step(states, actions), made.step(states, actions))
    for a, b in zip(changed.linearize(states, actions), made.linearize(states, actions), strict=True):
        np.testing.assert_array_equal(a, b)


ARM = """<mujoco><compiler angle="radian"/>{option}<default><geom contype="0"/></default><worldbody>
<body name="b" {body}><joint name="j" {joint}/><geom size="0.1" {geom}/></body>
<body pos="1 0 0"><joint name="k"/><geom size="0.1"/></body>
</worldbody><actuator>{actuator}</actuator>{extra}</mujoco>"""
PLAIN = {"option": "", "body": "", "joint": "", "geom": "", "actuator": '<motor joint="k"/>', "extra": ""}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"joint": 'type="ball"'}, "a ball or free joint"),
        ({"actuator": '<velocity joint="k"/>'}, "its actuators take velocity, not effort"),
        ({"extra": '<equality><joint joint1="j" joint2="k"/></equality>'}, "equality constraints"),
        ({"extra": '<tendon><fixed><joint joint="j" coef="1"/></fixed></tendon>'}, "tendons"),
        ({"joint": 'frictionloss="0.1"'}, "dry friction"),
        ({"joint": 'stiffness="2"'}, "joint springs"),
        ({"body": 'gravcomp="1"'}, "gravity compensation of bodies"),
        ({"option": '<option density="1000"/>'}, "it moves in a fluid"),
        ({"option": '<option><flag gravity="disable"/></option>'}, "switches off gravity"),
        ({"option": '<option><flag damper="disable"/></option>'}, "switches off gravity, damping"),
        ({"geom": 'contype="1"'}, "geometry that collides"),
    ],
)
def test_what_the_tree_would_drop_is_refused_with_the_reason_and_the_way_out(make_robot, changes, reason: str) -> None:
    robot = make_robot(ARM.format(**{**PLAIN, **changes}))
    assert reason in rigid_tree.unsupported(robot)
    with pytest.raises(ModelError, match=f"not a rigid tree.*{reason}.*use the backend 'mujoco'"):
        PinocchioDynamics(robot, 0.01)


def test_a_plain_arm_is_a_rigid_tree(make_robot) -> None:
    assert rigid_tree.unsupported(make_robot(ARM.format(**PLAIN))) == ""


@pytest.mark.parametrize(
    ("dt", "substeps", "message"),
    [(0.0, 1, "dt: .*above 0"), (0.01, 0, "substeps: found 0; must be a whole number"), (0.01, 1.5, "substeps")],
)
def test_a_step_without_duration_or_substeps_is_refused(robots, dt, substeps, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        PinocchioDynamics(robots["arm7"], dt, substeps)
