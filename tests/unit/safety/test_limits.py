"""Which limits a robot's commands must keep to, from its model and its task."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError
from mbpl_control.safety import Limits

PENDULUM = """<mujoco><worldbody><body><joint name="j" {joint}/><geom size="0.1"/></body></worldbody>
<actuator><motor name="m" joint="j" {motor}/></actuator></mujoco>"""


def test_limits_come_from_the_model_unless_the_task_says_otherwise(gantry) -> None:
    limits = Limits.of_task(gantry)
    assert limits.names == ("x", "y", "swing")
    np.testing.assert_array_equal(limits.lower, [-10.0, -20.0, -4.0])
    np.testing.assert_array_equal(limits.upper, [10.0, 30.0, 4.0])
    np.testing.assert_array_equal(limits.velocity, [2.0, 5.0, 8.0])
    np.testing.assert_array_equal(limits.position_upper, [1.0, np.inf, np.inf])
    np.testing.assert_array_equal(limits.soft_zone, [0.1, 0.0, 0.0])
    # the whole range within 20 ms
    np.testing.assert_allclose(limits.rate, [1000.0, 2500.0, 400.0])


def test_a_task_tightens_effort_rate_velocity_and_soft_zone(make_task, gantry) -> None:
    task = make_task(
        gantry.robot.description,
        [0.0, 0.0, 0.0],
        limits={"effort": [5, 10, 1], "effort_rate": 50.0, "velocity": [1.0, 1.0, 2.0], "position_soft_zone": 0.3},
    )
    limits = Limits.of_task(task)
    np.testing.assert_array_equal(limits.upper, [5.0, 10.0, 1.0])
    np.testing.assert_array_equal(limits.lower, [-5.0, -10.0, -1.0])
    np.testing.assert_array_equal(limits.rate, [50.0, 50.0, 50.0])
    np.testing.assert_array_equal(limits.velocity, [1.0, 1.0, 2.0])
    np.testing.assert_array_equal(limits.soft_zone, [0.3, 0.0, 0.0])


def test_without_a_figure_the_soft_zone_is_two_percent_of_the_range(make_task) -> None:
    task = make_task(PENDULUM.format(joint='range="-90 90"', motor='ctrlrange="-1 1"'), [0.0])
    np.testing.assert_allclose(Limits.of_task(task).soft_zone, [0.02 * np.pi])


def test_a_position_may_be_commanded_to_move_no_faster_than_the_joint(servo_gantry) -> None:
    np.testing.assert_allclose(Limits.of_task(servo_gantry("position")).rate, [2.0, 5.0, 8.0])
    np.testing.assert_allclose(Limits.of_task(servo_gantry("velocity")).rate, [300.0, 250.0, 900.0])


def test_an_actuator_without_limits_cannot_be_commanded_until_someone_gives_one(make_task) -> None:
    text = PENDULUM.format(joint="", motor="")
    message = r"no limit of actuator 'm'; must be finite: give its range in robot\.xml, or limits\.effort in made\.yaml"
    with pytest.raises(InvalidFieldError, match=message):
        Limits.of_task(make_task(text, [0.0]))
    np.testing.assert_array_equal(Limits.of_task(make_task(text, [0.0], limits={"effort": 3.0})).upper, [3.0])


def test_a_robot_with_ball_joints_cannot_be_commanded_joint_by_joint(make_task) -> None:
    text = """<mujoco><worldbody><body><joint name="b" type="ball"/><geom size="0.1"/><body><joint name="j"/>
    <geom size="0.1"/></body></body></worldbody>
    <actuator><motor joint="j" ctrlrange="-1 1"/></actuator></mujoco>"""
    with pytest.raises(InvalidFieldError, match="ball or free joints; must be one of hinges and slides"):
        Limits.of_task(make_task(text, [1.0, 0.0, 0.0, 0.0, 0.0]))
