"""Holding still."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbpl_control.models import RobotModel
from mbpl_control.runtime import HoldExecutor, HoldGains, RobotSample

ROD = """<mujoco><compiler angle="radian" autolimits="true"/><worldbody><body><joint name="j" axis="0 1 0" {joint}/>
<inertial pos="0 0 -0.5" mass="2" diaginertia="0.1 0.1 0.1"/></body></worldbody>
<actuator><{actuator} joint="j" ctrlrange="{limit}"/></actuator></mujoco>"""
#: About the hinge: 2 kg at 0.5 m, and 0.1 of its own.
INERTIA = 2 * 0.5**2 + 0.1


@pytest.fixture
def make_rod(tmp_path):
    def make(limit: str = "-100 100", actuator: str = "motor", joint: str = "") -> RobotModel:
        (tmp_path / "rod.xml").write_text(ROD.format(limit=limit, actuator=actuator, joint=joint))
        return RobotModel.from_file(tmp_path / "rod.xml")

    return make


def sample(q: float, v: float = 0.0) -> RobotSample:
    return RobotSample(np.array([q, v]), np.array([q]), np.array([v]), 0)


def test_gains_are_those_of_a_critically_damped_joint_with_its_own_inertia(make_rod) -> None:
    gains = HoldGains(make_rod(), np.zeros(1), frequency=12.0)
    np.testing.assert_allclose(gains.stiffness, [INERTIA * 144.0])
    np.testing.assert_allclose(gains.damping, [2.0 * INERTIA * 12.0])


def test_a_weak_motor_has_a_softer_hold_still_critically_damped(make_rod) -> None:
    gains = HoldGains(make_rod("-3 5"), np.zeros(1), frequency=12.0, reach=0.1)
    np.testing.assert_allclose(gains.stiffness, [30.0])
    np.testing.assert_allclose(gains.damping, [2.0 * np.sqrt(30.0 * INERTIA)])


def test_the_position_held_is_the_first_one_seen_with_gravity_balanced(make_rod) -> None:
    robot = make_rod()
    gains = HoldGains(robot, np.zeros(1))
    hold = HoldExecutor(robot, gains)
    gravity = 2 * 9.81 * 0.5 * np.sin(0.7)
    np.testing.assert_allclose(hold.evaluate(sample(0.7)), [gravity], atol=1e-9)
    off = hold.evaluate(sample(0.8, 0.5))
    expected = 2 * 9.81 * 0.5 * np.sin(0.8) - 0.1 * gains.stiffness - 0.5 * gains.damping
    np.testing.assert_allclose(off, expected, atol=1e-9)


def test_a_soft_hold_has_no_spring(make_rod) -> None:
    robot = make_rod()
    gains = HoldGains(robot, np.zeros(1))
    hold = HoldExecutor(robot, gains, soft=True)
    hold.evaluate(sample(0.7))
    np.testing.assert_allclose(
        hold.evaluate(sample(0.8, 0.5)), 2 * 9.81 * 0.5 * np.sin(0.8) - 0.5 * gains.damping, atol=1e-9
    )


def test_a_joint_without_limits_is_held_across_the_seam_of_its_angle(make_rod) -> None:
    robot = make_rod()
    gains = HoldGains(robot, np.zeros(1))
    hold = HoldExecutor(robot, gains)
    hold.evaluate(sample(np.pi - 0.01))
    # a sensor that wraps says −π + 0.01 when the joint went on by 0.02
    u = hold.evaluate(sample(-np.pi + 0.01))
    np.testing.assert_allclose(u, robot.gravity(np.array([np.pi + 0.01])) - 0.02 * gains.stiffness, atol=1e-9)


def test_a_swinging_rod_comes_to_rest_where_the_hold_began(make_rod) -> None:
    robot = make_rod()
    model = robot.mujoco_model(0.001)
    data = mujoco.MjData(model)
    data.qpos[0], data.qvel[0] = 0.9, 1.0
    hold = HoldExecutor(robot, HoldGains(robot, np.array([0.9])))
    furthest = 0.0
    for _ in range(1000):
        data.ctrl[:] = hold.evaluate(sample(data.qpos[0], data.qvel[0]))
        mujoco.mj_step(model, data)
        furthest = max(furthest, abs(data.qpos[0] - 0.9))
    # q̈ + 2ω q̇ + ω² q = 0 from q̇ = v₀ goes v₀ / (e ω) far
    assert furthest == pytest.approx(1.0 / (np.e * 12.0), rel=0.05)
    assert abs(data.qpos[0] - 0.9) < 1e-3


@pytest.mark.parametrize(("actuator", "expected"), [("position", 0.7), ("velocity", 0.0)])
def test_a_servo_is_held_by_its_own_means(make_rod, actuator: str, expected: float) -> None:
    robot = make_rod("-2 2", actuator)
    hold = HoldExecutor(robot, HoldGains(robot, np.zeros(1)))
    hold.evaluate(sample(0.7))
    np.testing.assert_allclose(hold.evaluate(sample(0.9, 1.0)), [expected])
