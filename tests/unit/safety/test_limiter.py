"""Limits on commands against figures worked out by hand, and against the simulated robot."""

from __future__ import annotations

import itertools

import mujoco
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mbpl_control.safety import CommandLimiter, Limits
from mbpl_control.tasks import load_task

G = 9.81
REST = np.zeros(3)
#: Effort that holds the hinge of the gantry: 1 kg at 0.2 m, horizontal; positive about +y turns it down.
GRAVITY = np.array([0.0, 0.0, -0.2 * G])
LONG = 1e6


@pytest.fixture
def limiter(gantry) -> CommandLimiter:
    return CommandLimiter(Limits.of_task(gantry), gantry.robot)


def test_a_command_within_all_limits_is_passed_on_untouched(limiter) -> None:
    wanted = np.array([3.0, -19.0, 3.9])
    given, changed = limiter.apply(wanted, wanted, REST, REST, 0.005)
    np.testing.assert_array_equal(given, wanted)
    assert not changed
    assert limiter.counts == {"effort_rate": 0, "position_velocity": 0, "effort": 0}


def test_an_effort_beyond_its_range_is_cut_to_it(limiter) -> None:
    given, changed = limiter.apply(np.array([11.0, -50.0, 4.5]), REST, REST, REST, LONG)
    np.testing.assert_array_equal(given, [10.0, -20.0, 4.0])
    assert changed
    assert limiter.counts == {"effort_rate": 0, "position_velocity": 0, "effort": 1}
    assert limiter.last_reason == "effort: 'y' -50 became -20"


def test_an_effort_changes_no_faster_than_its_rate(limiter) -> None:
    last = np.array([1.0, 2.0, -1.0])
    given, _ = limiter.apply(np.array([10.0, -20.0, -1.0]), last, REST, REST, 0.005)
    # rates are 1000, 2500 and 400 a second
    np.testing.assert_allclose(given, [6.0, -10.5, -1.0])
    assert limiter.counts["effort_rate"] == 1


def test_an_effort_that_speed_takes_beyond_the_rate_is_what_the_joints_near_a_bound_leave() -> None:
    task = load_task("arm_reach")
    limits, rng = Limits.of_task(task), np.random.default_rng(0)
    limiter = CommandLimiter(limits, task.robot)
    subsets = [np.array(near) for near in itertools.product((False, True), repeat=len(limits.lower))]
    changed_again = found = 0
    while found < 150:
        q = rng.uniform(task.robot.position_lower, task.robot.position_upper)
        v = rng.uniform(-1.1, 1.1, len(q)) * limits.velocity
        wanted, last = rng.uniform(limits.lower, limits.upper, (2, len(q)))
        given, _ = limiter.apply(wanted, last, q, v, 0.005)
        beyond = np.abs(given - last) > 0.005 * limits.rate + 1e-9
        if not beyond.any():
            continue
        found += 1
        again, _ = limiter.apply(given, last, q, v, 0.005)
        changed_again += bool((np.abs(again - given) > 0.005 * limits.upper)[beyond].any())
        bounds = [(near, b) for near in subsets for b in limiter.effort_range(q, v, near)]
        meets = [near & np.isclose(given, np.clip(b, limits.lower, limits.upper), atol=1e-9) for near, b in bounds]
        assert (np.any(meets, axis=0) | ~beyond).all()
    # so that a judge must not hold what the limits make of their own result against them
    assert changed_again > 0


def test_a_joint_at_top_speed_is_driven_no_further_than_gravity_asks(limiter) -> None:
    speed = np.array([2.0, -5.0, 8.0])
    given, _ = limiter.apply(np.array([10.0, -20.0, 4.0]), REST, REST, speed, LONG)
    np.testing.assert_allclose(given, [0.0, 0.0, GRAVITY[2]], atol=1e-12)


def test_above_top_speed_the_whole_range_brakes_within_a_tenth_of_it(limiter) -> None:
    # β = range / (v_max / 10) = 20 / 0.2 = 100 N s/m
    given, _ = limiter.apply(np.array([10.0, 0.0, 0.0]), REST, REST, np.array([2.05, 0.0, 0.0]), LONG)
    np.testing.assert_allclose(given[0], -100.0 * 0.05)
    given, _ = limiter.apply(np.array([10.0, 0.0, 0.0]), REST, REST, np.array([2.2, 0.0, 0.0]), LONG)
    np.testing.assert_allclose(given[0], -10.0)


@pytest.mark.parametrize("side", [1.0, -1.0])
@pytest.mark.parametrize(
    ("inside", "allowed"), [(0.2, 2.0), (0.1, 2.0), (0.05, 1.0), (0.0, 0.0), (-0.05, -1.0), (-0.1, -2.0)]
)
def test_the_speed_allowed_falls_to_zero_at_the_soft_limit_and_points_back_beyond(
    limiter, side: float, inside: float, allowed: float
) -> None:
    # the soft limit is at 0.9, the zone 0.1 wide, κ = v_max / zone = 20 / s; at the speed allowed only gravity remains
    q, v = np.array([side * (0.9 - inside), 0.0, 0.0]), np.array([side * allowed, 0.0, 0.0])
    given, _ = limiter.apply(np.array([side * 10.0, 0.0, 0.0]), REST, q, v, LONG)
    np.testing.assert_allclose(given[0], 0.0, atol=1e-9)


def test_a_command_away_from_a_limit_is_free(limiter) -> None:
    q = np.array([0.9, 0.0, 0.0])
    given, changed = limiter.apply(np.array([-9.0, 0.0, 0.0]), REST, q, REST, LONG)
    np.testing.assert_array_equal(given, [-9.0, 0.0, 0.0])
    assert not changed


def test_effort_is_last_whatever_speed_and_position_ask_for(limiter) -> None:
    # far beyond the limit and racing on: the bound asks for far more than the joint has
    given, _ = limiter.apply(REST, REST, np.array([3.0, 0.0, 0.0]), np.array([50.0, 0.0, 0.0]), 1e-4)
    assert given[0] == -10.0
    assert limiter.counts["position_velocity"] == limiter.counts["effort"] == 1


numbers = st.floats(-1e3, 1e3)
triples = st.tuples(numbers, numbers, numbers)


@given(triples, triples, triples, triples, st.floats(1e-5, 1.0))
def test_no_state_and_no_wish_gets_more_than_the_range(gantry_limiter, wanted, last, q, v, dt) -> None:
    limits = gantry_limiter.limits
    given, _ = gantry_limiter.apply(*(np.array(a) for a in (wanted, last, q, v)), dt)
    assert (given <= limits.upper).all()
    assert (given >= limits.lower).all()


@pytest.fixture(scope="module")
def gantry_limiter(gantry) -> CommandLimiter:
    return CommandLimiter(Limits.of_task(gantry), gantry.robot)


@given(triples, triples, triples)
def test_no_joint_is_brought_more_than_half_way_to_the_speed_allowed(gantry, gantry_limiter, wanted, q, v) -> None:
    limits, robot = gantry_limiter.limits, gantry.robot
    q, v = np.array(q) / 500.0, np.array(v) / 100.0
    u = np.clip(np.array(wanted), limits.lower, limits.upper)
    given, _ = gantry_limiter.apply(u, u, q, v, 0.005)
    # as the page of the class says, for each joint by itself
    model = robot.mujoco_model()
    data = mujoco.MjData(model)
    data.qpos[:] = q
    mujoco.mj_forward(model, data)
    inertia = np.empty((3, 3))
    mujoco.mj_fullM(model, data, inertia)
    light = np.diag(np.linalg.inv(inertia))
    beta = np.minimum((limits.upper - limits.lower) / (0.1 * limits.velocity), 0.5 / (0.005 * light))
    high = np.array([np.clip(20.0 * (0.9 - q[0]), -2.0, 2.0), 5.0, 8.0])
    low = np.array([np.clip(20.0 * (-0.9 - q[0]), -2.0, 2.0), -5.0, -8.0])
    # too fast already: nothing but gravity, or less; how much less depends on the joints that brake at once
    gravity = robot.gravity(q)
    most = np.clip(gravity + beta * np.maximum(high - v, 0.0), limits.lower, limits.upper)
    least = np.clip(gravity + beta * np.minimum(low - v, 0.0), limits.lower, limits.upper)
    assert (given <= np.maximum(most, least) + 1e-9).all()
    assert (given >= np.minimum(most, least) - 1e-9).all()


SLEDGE = """<mujoco><option timestep="0.001"/><compiler autolimits="true"/><worldbody><body>
<joint name="x" type="slide" axis="1 0 0" range="-1 1"/><geom size="0.1" mass="0.1"/></body></worldbody>
<actuator><motor joint="x" ctrlrange="-10 10"/></actuator>{custom}</mujoco>"""


@pytest.mark.parametrize("custom", ['<custom><numeric name="velocity_limits" data="2"/></custom>', ""])
def test_full_effort_against_a_limit_never_reaches_it_in_simulation(make_task, custom: str) -> None:
    task = make_task(SLEDGE.format(custom=custom), [0.65], limits={"position_soft_zone": 0.1})
    limiter = CommandLimiter(Limits.of_task(task), task.robot)
    model = task.robot.mujoco_model()
    data = mujoco.MjData(model)
    data.qpos[0] = 0.65
    command, furthest, fastest = np.zeros(1), 0.0, 0.0
    for _ in range(400):
        command, _ = limiter.apply(np.array([10.0]), command, data.qpos, data.qvel, 0.002)
        data.ctrl[:] = command
        mujoco.mj_step(model, data, 2)
        furthest, fastest = max(furthest, data.qpos[0]), max(fastest, data.qvel[0])
    assert 0.85 < furthest < 1.0
    assert fastest > 1.0
    if custom:
        assert fastest < 1.1 * 2.0


LIGHT = """<mujoco><option gravity="0 0 0"/><compiler autolimits="true" angle="radian"/><worldbody><body>
<joint name="j"/><inertial pos="0 0 0" mass="1" diaginertia="{i} {i} {i}"/></body></worldbody>
<actuator><motor joint="j" ctrlrange="-10 10"/></actuator>
<custom><numeric name="velocity_limits" data="6"/></custom></mujoco>"""


@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("inertia", [0.0015, 0.001, 0.1])
def test_a_strong_motor_on_a_light_joint_is_held_at_its_top_speed_without_chatter(make_task, inertia, late) -> None:
    # the model says 0.0015 kg m²: the whole effort would reach 33 rad/s within a period, and a lighter robot more
    task = make_task(LIGHT.format(i=0.1 if inertia == 0.1 else 0.0015), [0.0])
    limiter = CommandLimiter(Limits.of_task(task), task.robot, 0.005)
    speed, command, queue, speeds = 0.0, np.zeros(1), [np.zeros(1)] * late, []
    for _ in range(400):
        command, _ = limiter.apply(np.array([10.0]), command, np.zeros(1), np.array([speed]), 0.005)
        queue.append(command)
        speed += 0.005 * queue.pop(0)[0] / inertia
        speeds.append(speed)
    # without delay it is approached from below; a command that is late is stopped one period too late
    assert max(speeds) < 6.0 * (1.75 if late else 1.001)
    assert np.ptp(speeds[-50:]) < 1e-3
    assert speeds[-1] == pytest.approx(6.0, rel=1e-3)


@pytest.mark.parametrize("push", [[1, 1, 1], [-1, -1, 1], [1, -1, 1], [-1, 1, -1]])
def test_the_joints_of_an_arm_at_full_effort_keep_to_their_limits_together(repository, push) -> None:
    task = load_task(repository / "examples" / "my_robot" / "planar_reach.yaml")
    limits = Limits.of_task(task)
    limiter = CommandLimiter(limits, task.robot, 0.005)
    model = task.robot.mujoco_model(0.001)
    data = mujoco.MjData(model)
    data.qpos[:] = [0.8, 0.4, 0.2]
    command, speeds, positions = np.zeros(3), [], []
    for _ in range(600):
        command, _ = limiter.apply(limits.upper * push, command, data.qpos, data.qvel, 0.005)
        data.ctrl[:] = command
        mujoco.mj_step(model, data, 5)
        speeds.append(data.qvel.copy())
        positions.append(data.qpos.copy())
    assert (np.abs(speeds).max(axis=0) < 1.5 * limits.velocity).all()
    # at the end each joint rests in its soft zone, and none ever hit its limit at more than a tenth of its top speed
    at_limit = (np.array(positions) > limits.position_upper) | (np.array(positions) < limits.position_lower)
    assert (np.abs(speeds)[at_limit] < 0.1 * np.broadcast_to(limits.velocity, at_limit.shape)[at_limit]).all()
    assert np.abs(speeds[-1]).max() < 0.05


def test_a_commanded_velocity_falls_to_zero_at_the_soft_limit(servo_gantry) -> None:
    task = servo_gantry("velocity")
    limiter = CommandLimiter(Limits.of_task(task), task.robot)
    for q, expected in ((0.0, 2.0), (0.85, 1.0), (0.9, 0.0), (0.95, -1.0)):
        given, _ = limiter.apply(np.array([3.0, 4.0, -9.0]), REST, np.array([q, 0.0, 0.0]), REST, LONG)
        # joint y may move at 5, its command reaches 4; the swing may move at 8
        np.testing.assert_allclose(given, [expected, 4.0, -8.0], atol=1e-12)


def test_a_commanded_position_stays_within_the_limits_and_moves_at_the_speed_of_the_joint(servo_gantry) -> None:
    task = servo_gantry("position")
    limiter = CommandLimiter(Limits.of_task(task), task.robot)
    given, _ = limiter.apply(np.array([3.0, 4.0, -9.0]), REST, REST, REST, 0.1)
    np.testing.assert_allclose(given, [0.2, 0.5, -0.8])
    given, _ = limiter.apply(np.array([3.0, 4.0, -9.0]), REST, REST, REST, LONG)
    np.testing.assert_allclose(given, [1.0, 4.0, -9.0])
