"""The simulated robot against figures worked out by hand: rails without gravity, masses of 1 kg each."""

from __future__ import annotations

from typing import Any

import mujoco
import numpy as np
import pytest
from scipy.stats import binom, chi2

from mbpl_control.agents import Simulation, SimulationOptions
from mbpl_control.core import InvalidFieldError, ModelError, RefusedError
from mbpl_control.tasks import Task, load_task

#: A cart of 1 kg that carries one of 1 kg on a rail across; both have damping of 0.5 N s/m.
CARTS = """
<mujoco model="carts">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.002" gravity="0 0 0"/>
  <default><geom contype="0" conaffinity="0" size="0.1" mass="1"/><joint type="slide" damping="{damping}"/></default>
  <worldbody>
    <body name="lower"><joint name="x" axis="1 0 0"/><geom/>
      <body name="upper"><joint name="y" axis="0 1 0"/><geom/></body>
    </body>
  </worldbody>
  <actuator><motor name="mx" joint="x" gear="2" ctrlrange="-50 50"/>
  <motor name="my" joint="y" ctrlrange="-50 50"/></actuator>
</mujoco>
"""


@pytest.fixture(scope="module")
def carts(make_task) -> Task:
    """Without damping."""
    return make_task(CARTS.format(damping=0), [0.0, 0.0])


@pytest.fixture(scope="module")
def damped(make_task) -> Task:
    return make_task(CARTS.format(damping=0.5), [0.0, 0.0])


def simulation(task: Task, **options: Any) -> Simulation:
    return Simulation(task, SimulationOptions(**options))


def drive(s: Simulation, effort: tuple[float, float], periods: int) -> np.ndarray:
    """The same command every period; states after each."""
    out = []
    for _ in range(periods):
        s.command(np.array(effort))
        s.step()
        out.append(s.state)
    return np.array(out)


# --- physics ---


def test_an_effort_accelerates_what_it_moves(carts) -> None:
    s = simulation(carts, rate=500.0)
    states = drive(s, (3.0, 2.0), 500)
    # 3 N on 2 kg, 2 N on 1 kg, for a second
    np.testing.assert_allclose(states[-1, 2:], [1.5, 2.0], rtol=1e-9)
    np.testing.assert_allclose(s.measure().effort, [3.0, 2.0])


def test_a_period_is_as_many_physics_steps_as_it_takes(carts) -> None:
    assert simulation(carts, rate=500.0).substeps == 1
    assert simulation(carts, rate=200.0).substeps == 3
    assert simulation(carts, rate=200.0, timestep=0.001).substeps == 5
    assert simulation(carts, rate=2000.0).substeps == 1
    s = simulation(carts, rate=200.0)
    assert s.model.opt.timestep == pytest.approx(0.005 / 3)


def test_the_physics_is_mujocos_own_to_the_last_bit(task_files) -> None:
    task = load_task(task_files / "arm_reach.yaml")
    s = simulation(task, rate=250.0)
    hold = task.robot.gravity(s.data.qpos)
    model = task.robot.mujoco_model(0.002)
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = task.robot.split(task.conditions[0].state)
    mujoco.mj_forward(model, data)
    for k in range(50):
        s.command(hold + 0.1 * k)
        s.step()
        data.ctrl[:] = (hold + 0.1 * k) / task.robot.gears
        mujoco.mj_step(model, data, 2)
        np.testing.assert_array_equal(s.state, np.concatenate([data.qpos, data.qvel]))


@pytest.mark.parametrize("duration", [0.1, 0.04, 0.4])
def test_a_push_changes_the_momentum_by_its_impulse(carts, duration: float) -> None:
    s = simulation(carts, rate=500.0)
    s.disturb("upper", np.array([6.0, -4.0, 100.0, 0.0, 0.0, 0.0]), 0.2, duration)
    states = drive(s, (0.0, 0.0), 500)
    np.testing.assert_array_equal(states[:100, 2:], 0.0)
    # 2 kg along x, 1 kg along y; the force upwards does nothing
    np.testing.assert_allclose(states[-1, 2:] * [2.0, 1.0], np.array([6.0, -4.0]) * duration, rtol=1e-9)
    half = states[99 + round(250 * duration), 2:] * [2.0, 1.0]
    np.testing.assert_allclose(half, 0.5 * np.array([6.0, -4.0]) * duration, rtol=1e-9)


def test_pushes_add_up_and_are_seen_while_they_last(carts) -> None:
    s = simulation(carts, rate=500.0)
    s.disturb("lower", np.array([1.0, 0, 0, 0, 0, 0]), 0.0, 0.2)
    s.disturb("lower", np.array([2.0, 0, 0, 0, 0, 0]), 0.1, 0.2)
    assert len(s.pushes) == 1
    drive(s, (0.0, 0.0), 75)
    assert len(s.pushes) == 2
    drive(s, (0.0, 0.0), 125)
    assert s.pushes == ()
    assert 2.0 * s.state[2] == pytest.approx(0.2 + 0.4)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"mass_scale": 2.0}, [0.75, 1.0]),
        ({"mass_scale": 0.5}, [3.0, 4.0]),
        ({"payload": 1.0}, [1.0, 1.0]),
        ({"mass_scale": 2.0, "payload": 2.0}, [0.5, 0.5]),
    ],
)
def test_wrong_masses_accelerate_as_they_should(carts, options: dict[str, float], expected: list[float]) -> None:
    s = simulation(carts, rate=500.0, **options)
    np.testing.assert_allclose(drive(s, (3.0, 2.0), 500)[-1, 2:], expected, rtol=1e-9)


@pytest.mark.parametrize("scale", [1.0, 3.0, 0.0])
def test_wrong_damping_brakes_as_it_should(damped, scale: float) -> None:
    s = simulation(damped, rate=500.0, damping_scale=scale)
    s.reset(np.array([0.0, 0.0, 1.0, 0.0]))
    # v' = −d v / m, by steps of 2 ms with the damping at the new velocity
    expected = (1.0 / (1.0 + 0.002 * 0.5 * scale / 2.0)) ** 100
    s.command(np.zeros(2))
    s.step()
    s.data.qvel[:] = [1.0, 0.0]
    np.testing.assert_allclose(drive(s, (0.0, 0.0), 100)[-1, 2], expected, rtol=1e-9)


def test_options_may_change_on_the_way_but_not_the_rate(carts) -> None:
    s = simulation(carts, rate=500.0)
    drive(s, (2.0, 0.0), 250)
    s.change(SimulationOptions(rate=500.0, mass_scale=4.0))
    drive(s, (2.0, 0.0), 250)
    # half a second at 1 m/s², then half a second at a quarter
    assert s.state[2] == pytest.approx(0.5 + 0.125)
    with pytest.raises(RefusedError, match="rate and timestep cannot change"):
        s.change(SimulationOptions(rate=100.0))
    assert s.options.mass_scale == 4.0


def test_physics_that_has_no_answer_is_an_error_and_no_robot_at_rest(carts) -> None:
    s = simulation(carts)
    s.reset(np.array([0.0, 0.0, 1e11, 0.0]))
    s.command(np.zeros(2))
    with pytest.raises(ModelError, match=r"the simulation diverged at 0\.015 s"):
        s.step()


# --- sensors ---


def test_sensor_noise_is_white_normal_and_of_the_size_asked_for(carts) -> None:
    s = simulation(carts, position_noise=1e-3, velocity_noise=2e-2, seed=4)
    count = 5000
    draws = np.array([np.concatenate([m.q, m.v]) for m in (s.measure() for _ in range(count))])
    sigma = np.array([1e-3, 1e-3, 2e-2, 2e-2])
    low, high = chi2.ppf([0.0005, 0.9995], count)
    sums = np.sum((draws / sigma) ** 2, axis=0)
    assert ((sums > low) & (sums < high)).all()
    off_diagonal = np.corrcoef(draws.T) - np.eye(4)
    assert (np.abs(off_diagonal) < 4.0 / np.sqrt(count)).all()
    lagged = [np.corrcoef(draws[1:, i], draws[:-1, i])[0, 1] for i in range(4)]
    assert (np.abs(lagged) < 4.0 / np.sqrt(count)).all()


def test_without_noise_the_sensors_tell_the_truth(carts) -> None:
    s = simulation(carts)
    drive(s, (3.0, 2.0), 20)
    measured = s.measure()
    np.testing.assert_array_equal(np.concatenate([measured.q, measured.v]), s.state)
    assert measured.stamp_ns == s.now_ns == 21 * 5_000_000


def test_measurements_are_lost_as_often_as_asked_for(carts) -> None:
    s = simulation(carts, drop_states=0.3, seed=1)
    lost = sum(s.measure() is None for _ in range(4000))
    low, high = binom.ppf([0.0005, 0.9995], 4000, 0.3)
    assert low < lost < high


# --- commands ---


def test_commands_are_lost_as_often_as_asked_for(carts) -> None:
    s = simulation(carts, drop_commands=0.2, seed=1, watchdog_timeout=10.0)
    s.step()
    kept = 0
    for k in range(2000):
        s.command(np.array([0.0, 1e-6 * (k + 1)]))
        s.step()
        kept += s.data.ctrl[1] == 1e-6 * (k + 1)
    low, high = binom.ppf([0.0005, 0.9995], 2000, 0.8)
    assert low < kept < high


@pytest.mark.parametrize(("delay", "periods"), [(0.0, 0), (0.005, 1), (0.012, 3), (0.02, 4)])
def test_a_command_acts_after_its_delay_in_whole_periods(carts, delay: float, periods: int) -> None:
    s = simulation(carts, command_delay=delay, watchdog_timeout=1.0)
    s.command(np.zeros(2))
    for _ in range(10):
        s.step()
    s.command(np.array([0.0, 1.0]))
    moving = []
    for _ in range(8):
        s.step()
        moving.append(bool(s.state[3] > 0.0))
    assert moving.index(True) == periods


def test_the_robot_stands_on_its_brakes_until_the_first_command(make_task) -> None:
    task = make_task(CARTS.format(damping=0).replace("0 0 0", "0 -9.81 0"), [0.0, 0.0])
    s = simulation(task)
    for _ in range(20):
        s.step()
    np.testing.assert_array_equal(s.state, 0.0)
    s.command(np.zeros(2))
    s.step()
    assert s.state[3] == pytest.approx(-9.81 * 0.005)


@pytest.mark.parametrize("watchdog", ["brake", "zero"])
def test_without_commands_the_watchdog_acts_within_its_time(carts, watchdog: str) -> None:
    s = simulation(carts, watchdog=watchdog, watchdog_timeout=0.05)
    last = drive(s, (0.0, 2.0), 40)[-1]
    velocities = []
    for _ in range(40):
        s.step()
        velocities.append(s.state[3])
    # the last command of 2 N goes on for 50 ms: 10 periods, of which the first went with the command
    np.testing.assert_allclose(velocities[:10], last[3] + 0.01 * np.arange(1, 11))
    expected = 0.0 if watchdog == "brake" else last[3] + 0.1
    np.testing.assert_allclose(velocities[10:], expected)
    assert s.measure().effort.tolist() == [0.0, 0.0]
    assert s.braked == (watchdog == "brake")
    s.command(np.array([0.0, 1.0]))
    s.step()
    assert s.state[3] == pytest.approx(expected + 0.005)


def test_a_watchdog_lets_a_position_servo_stay_where_it_is(make_task) -> None:
    text = """<mujoco><option gravity="0 0 0"/><worldbody>
    <body><joint name="j" armature="1"/><geom size="0.1" contype="0"/></body></worldbody>
    <actuator><position joint="j" kp="40" kv="12" ctrlrange="-3 3"/></actuator></mujoco>"""
    s = simulation(make_task(text, [0.0]), watchdog="zero", watchdog_timeout=0.05)
    drive(s, (1.0,), 400)
    for _ in range(400):
        s.step()
    assert s.state[0] == pytest.approx(1.0, abs=1e-3)


# --- repetition ---

NOISY = {"position_noise": 1e-3, "velocity_noise": 1e-2, "drop_states": 0.1, "drop_commands": 0.1}


def trajectory(s: Simulation, periods: int = 60) -> bytes:
    """Everything a user sees of feedback over noisy sensors and lost messages."""
    out, u = [], np.zeros(2)
    for _ in range(periods):
        m = s.measure()
        if m is not None:
            u = np.array([1.0, -1.0]) - 3.0 * m.q - 0.5 * m.v
            out.append(np.concatenate([m.q, m.v, m.effort]))
        s.command(u)
        s.step()
    return np.concatenate(out).tobytes()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(carts) -> None:
    one, same, other = (trajectory(simulation(carts, seed=seed, **NOISY)) for seed in (5, 5, 6))
    assert one == same
    assert one != other


def test_a_reset_with_a_seed_gives_the_same_bits_whatever_happened_before(carts) -> None:
    s = simulation(carts, **NOISY)
    start = np.array([0.1, -0.2, 0.3, 0.0])
    s.reset(start, seed=9)
    one = trajectory(s)
    s.disturb("upper", np.array([50.0, 0, 0, 0, 0, 0]), 0.0, 10.0)
    s.change(SimulationOptions(command_delay=0.05, **NOISY))
    trajectory(s, 7)
    s.change(SimulationOptions(**NOISY))
    s.reset(start, seed=9)
    assert trajectory(s) == one
    s.reset(start)
    assert trajectory(s) != one


def test_a_reset_moves_the_robot_and_not_the_clock(carts) -> None:
    s = simulation(carts)
    drive(s, (1.0, 0.0), 30)
    before = s.now_ns
    stamp = s.reset(np.array([0.5, 0.0, 0.0, 0.2]))
    assert stamp == s.now_ns == before + s.period_ns
    np.testing.assert_array_equal(s.state, [0.5, 0.0, 0.0, 0.2])
    assert s.braked


def test_after_a_reset_the_joints_stay_locked_for_as_long_as_asked_whatever_is_commanded(carts) -> None:
    s = simulation(carts)
    s.reset(np.array([0.5, 0.0, 0.0, 0.0]), locked=0.012)
    # 12 ms are three periods
    states = drive(s, (0.0, 1.0), 5)
    np.testing.assert_array_equal(states[:3], [[0.5, 0.0, 0.0, 0.0]] * 3)
    np.testing.assert_allclose(states[3:, 3], [0.005, 0.01])


# --- bad input ---


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("rate", 0.0),
        ("rate", float("nan")),
        ("rate", "fast"),
        ("timestep", 1.0),
        ("position_noise", -1e-3),
        ("drop_states", 1.0),
        ("mass_scale", 0.0),
        ("payload", float("inf")),
        ("watchdog_timeout", 0.0),
        ("seed", -1),
        ("command_delay", True),
    ],
)
def test_an_option_out_of_range_is_named_with_its_range(option: str, value: Any) -> None:
    low, high = SimulationOptions.RANGES[option]
    with pytest.raises(
        InvalidFieldError, match=rf"SimulationOptions\.{option}: found {value}; must be {low} to {high}"
    ):
        SimulationOptions(**{option: value})


def test_an_unknown_watchdog_is_refused() -> None:
    with pytest.raises(InvalidFieldError, match="watchdog: found 'bark'; must be one of brake, zero"):
        SimulationOptions(watchdog="bark")


def test_wrong_commands_states_and_pushes_are_refused_and_change_nothing(carts) -> None:
    s = simulation(carts)
    drive(s, (1.0, 1.0), 5)
    state, now = s.state, s.now_ns
    with pytest.raises(InvalidFieldError, match="values: found 3 numbers; must be 2 numbers"):
        s.command(np.zeros(3))
    with pytest.raises(InvalidFieldError, match="values: .*not finite"):
        s.command(np.array([0.0, np.nan]))
    with pytest.raises(InvalidFieldError, match=r"state: found shape \(3,\); must be \(4,\), finite"):
        s.reset(np.zeros(3))
    with pytest.raises(InvalidFieldError, match="finite"):
        s.reset(np.array([0.0, 0.0, np.inf, 0.0]))
    with pytest.raises(InvalidFieldError, match="locked: found -1 s; must be 0 to"):
        s.reset(np.zeros(4), locked=-1)
    with pytest.raises(InvalidFieldError, match="body: found 'table'; must be one of lower, upper"):
        s.disturb("table", np.zeros(6), 0.0, 1.0)
    with pytest.raises(InvalidFieldError, match=r"wrench: found shape \(3,\); must be of shape \(6,\)"):
        s.disturb("upper", np.zeros(3), 0.0, 1.0)
    with pytest.raises(InvalidFieldError, match="wrench: .*must be finite"):
        s.disturb("upper", np.full(6, np.nan), 0.0, 1.0)
    for delay, duration in ((-0.1, 1.0), (0.0, 0.0), (0.0, float("nan"))):
        with pytest.raises(InvalidFieldError, match="delay from 0, duration above 0"):
            s.disturb("upper", np.zeros(6), delay, duration)
    np.testing.assert_array_equal(s.state, state)
    assert (s.now_ns, s.pushes) == (now, ())


def test_a_robot_with_a_ball_joint_has_no_joint_states(make_task) -> None:
    text = """<mujoco><default><geom contype="0"/></default><worldbody><body><joint name="b" type="ball"/>
    <geom size="0.1"/><body><joint name="j"/><geom size="0.1"/></body></body></worldbody>
    <actuator><motor joint="j" ctrlrange="-1 1"/></actuator></mujoco>"""
    with pytest.raises(ModelError, match="this robot has a ball or free joint"):
        Simulation(make_task(text, [1.0, 0.0, 0.0, 0.0, 0.0]))
