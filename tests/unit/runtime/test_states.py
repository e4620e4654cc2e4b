"""Which states of the robot are taken."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from mbpl_control.core import RefusedError
from mbpl_control.runtime import RobotSample
from mbpl_control.runtime.states import StateRecord
from mbpl_control.safety.jumps import JumpCheck
from mbpl_control.tasks import load_task

MS = 1_000_000


@pytest.fixture
def record(sledge) -> StateRecord:
    return StateRecord(JumpCheck(sledge), 0.1)


def sample(milliseconds: float, q: tuple[float, float] = (0.0, 0.0)) -> RobotSample:
    return RobotSample(np.array([*q, 0.0, 0.0]), np.array(q), np.zeros(2), round(milliseconds * MS))


def test_ages_count_on_the_steady_clock_and_stamps_on_that_of_the_robot(record) -> None:
    assert record.age(5) == -1.0
    assert record.stamp_ns == 0
    assert record.take(sample(100.0), 7_000 * MS) == 0.0
    assert record.age(7_050 * MS) == pytest.approx(0.05)
    assert record.take(sample(103.0), 7_060 * MS) == pytest.approx(0.003)
    assert record.stamp_ns == 103 * MS


def test_a_state_from_the_past_is_refused_and_the_last_one_stays(record) -> None:
    record.take(sample(100.0), 0)
    with pytest.raises(RefusedError, match=r"its stamp is 0\.001000 s before the last one's, 0\.100000 s"):
        record.take(sample(99.0), 5 * MS)
    assert record.stamp_ns == 100 * MS
    assert record.age(5 * MS) == pytest.approx(0.005)


def test_a_clock_that_was_set_back_is_believed_once_no_state_came_for_the_timeout(record) -> None:
    record.take(sample(5000.0), 0)
    with pytest.raises(RefusedError):
        record.take(sample(20.0), 100 * MS)
    assert record.take(sample(25.0, (9.0, 9.0)), 105 * MS) == 0.0
    assert record.set_back == pytest.approx(4.975)
    assert (record.stamp_ns, record.jumped) == (25 * MS, "")
    assert record.take(sample(30.0, (9.0, 9.0)), 110 * MS) == pytest.approx(0.005)
    assert record.set_back == 0.0


@pytest.mark.parametrize("part", ["x", "q", "v"])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_state_with_a_number_that_is_not_finite_is_refused(record, part: str, bad: float) -> None:
    good = sample(100.0)
    values = getattr(good, part).copy()
    values[-1] = bad
    with pytest.raises(RefusedError, match="not finite"):
        record.take(replace(good, **{part: values}), 0)
    assert record.sample is None


def test_a_state_that_is_sent_again_is_fresh_again(record) -> None:
    record.take(sample(100.0), 0)
    assert not record.repeats(sample(101.0), 30 * MS)
    assert record.age(40 * MS) == pytest.approx(0.04)
    assert record.repeats(sample(100.0), 30 * MS)
    assert record.age(40 * MS) == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("moved", "joint"),
    [
        # 10 × 50 m/s × 5 ms + 0.05 m
        ((2.549, 0.0), ""),
        ((2.551, 0.0), "x"),
        ((-2.6, 0.0), "x"),
        ((0.0, 2.6), "y"),
    ],
)
def test_a_position_that_moves_as_no_joint_can_is_a_jump(record, moved: tuple[float, float], joint: str) -> None:
    record.take(sample(100.0), 0)
    record.take(sample(105.0, moved), 0)
    assert record.jumped == joint
    record.take(sample(110.0, moved), 0)
    assert record.jumped == ""


def test_a_joint_without_a_speed_limit_is_not_judged(make_task) -> None:
    rail = """<mujoco><worldbody><body><joint name="x" type="slide"/><geom size="1" mass="1"/></body></worldbody>
    <actuator><motor joint="x" ctrlrange="-5 5"/></actuator></mujoco>"""
    task = make_task(rail, [0.0])
    assert np.isinf(task.velocity_limits()).all()
    assert JumpCheck(task).joint(np.array([0.0]), np.array([1e6]), 0.005) == ""


def test_the_bounds_of_a_jump_can_be_set(sledge) -> None:
    record = StateRecord(JumpCheck(sledge, margin=0.01, factor=1.0), 0.1)
    record.take(sample(100.0), 0)
    # 50 m/s × 5 ms + 0.01 m
    record.take(sample(105.0, (0.259, 0.0)), 0)
    assert record.jumped == ""
    record.take(sample(110.0, (0.521, 0.0)), 0)
    assert record.jumped == "x"


def test_a_sensor_that_wraps_an_unlimited_angle_does_not_jump() -> None:
    record = StateRecord(JumpCheck(load_task("acrobot_swingup")), 0.1)
    record.take(sample(100.0, (3.14, 0.0)), 0)
    record.take(sample(105.0, (-3.14, 0.0)), 0)
    assert record.jumped == ""
