"""The way to a start position."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import RefusedError
from mbpl_control.models import MujocoDynamics
from mbpl_control.runtime import HoldGains
from mbpl_control.runtime.approach import approach_law
from mbpl_control.tasks import Task, load_task


@pytest.fixture(scope="module")
def arm(task_files: Path) -> Task:
    return load_task(task_files / "arm_reach.yaml")


def test_it_leads_from_rest_to_rest_on_a_straight_line_within_its_part_of_the_speed_limits(arm: Task) -> None:
    here, goal = arm.conditions[0].state[:7], arm.conditions[1].state[:7]
    law = approach_law(arm, here, goal, speed_fraction=0.3)
    q, v = arm.robot.split(law.nominal_states)
    np.testing.assert_allclose([q[0], q[-1]], [here, goal], atol=1e-12)
    np.testing.assert_allclose(v[[0, -1]], 0.0, atol=1e-12)
    along = (q - here) @ (goal - here) / np.sum((goal - here) ** 2)
    np.testing.assert_allclose(q, here + along[:, None] * (goal - here), atol=1e-12)
    assert (np.diff(along) > -1e-12).all()
    share = np.abs(v) / arm.velocity_limits()
    # the slowest joint sets the pace, rounded up to whole steps
    assert 0.25 < share.max() <= 0.3 + 1e-12
    # velocities are those of the path
    np.testing.assert_allclose(0.5 * (v[1:] + v[:-1]), np.diff(q, axis=0) / law.dt, atol=2e-2 * np.abs(v).max())


def test_its_actions_are_the_inverse_dynamics_of_the_path(arm: Task) -> None:
    here, goal = arm.conditions[0].state[:7], arm.conditions[1].state[:7]
    law = approach_law(arm, here, goal)
    # played without feedback, by a model of its own
    dynamics = MujocoDynamics(arm.robot, law.dt, 0.002)
    states = dynamics.rollout(law.nominal_states[0], law.nominal_actions)
    off = np.abs(states[:, :7] - law.nominal_states[:, :7]).max()
    assert off < 0.05 * np.abs(goal - here).max()


def test_its_gains_are_those_of_the_hold_at_the_goal(arm: Task) -> None:
    goal = arm.conditions[1].state[:7]
    law = approach_law(arm, arm.conditions[0].state[:7], goal, frequency=9.0)
    gains = HoldGains(arm.robot, goal, 9.0)
    error = np.zeros(14)
    error[3], error[10] = 0.01, -0.1
    pulled = law.mean(5, law.nominal_states[5] + error) - law.planned_actions[5]
    expected = np.zeros(7)
    expected[3] = -0.01 * gains.stiffness[3] + 0.1 * gains.damping[3]
    np.testing.assert_allclose(pulled, expected, atol=1e-9)
    assert law.end_rule == "hold"


def test_a_joint_without_limits_goes_the_short_way(make_task) -> None:
    text = """<mujoco><worldbody><body><joint name="j"/><geom size="0.1" contype="0"/></body></worldbody>
    <actuator><motor joint="j" ctrlrange="-50 50" ctrllimited="true"/></actuator></mujoco>"""
    law = approach_law(make_task(text, [0.0]), np.array([3.0]), np.array([-3.0]))
    np.testing.assert_allclose(law.nominal_states[-1, 0], 2 * np.pi - 3.0)


def test_a_way_that_cannot_be_gone_is_refused_with_its_reason(arm: Task, task_files: Path, make_task) -> None:
    goal = arm.conditions[1].state[:7].copy()
    goal[3] = 1.0
    with pytest.raises(RefusedError, match=r"1 of 'elbow' is outside -2\.3 to 0\.3"):
        approach_law(arm, arm.conditions[0].state[:7], goal)
    acrobot = load_task(task_files / "acrobot_swingup.yaml")
    with pytest.raises(RefusedError, match="no actuator drives 'shoulder', which is 0.200 away from it"):
        approach_law(acrobot, np.zeros(2), np.array([0.2, 0.0]))
    # a few degrees are left to the hold
    assert approach_law(acrobot, np.zeros(2), np.array([0.04, 0.0])).steps >= 10
    text = """<mujoco><worldbody><body><joint name="j"/><geom size="0.1" contype="0"/></body></worldbody>
    <actuator><position joint="j" ctrlrange="-3 3" ctrllimited="true"/></actuator></mujoco>"""
    with pytest.raises(RefusedError, match="actuators take position, not effort"):
        approach_law(make_task(text, [0.0]), np.zeros(1), np.ones(1))
