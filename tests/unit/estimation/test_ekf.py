"""The extended Kalman filter: a Kalman filter where the model is linear, consistent where it is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.stats import chi2

from mbpl_control.core import InvalidFieldError
from mbpl_control.estimation import ExtendedKalmanFilter
from mbpl_control.models import Dynamics, MujocoDynamics, PinocchioDynamics, RobotModel

DT = 0.01
EFFORT, POSITION, VELOCITY, ACCELERATION = 0.5, 2e-3, 2e-2, 0.2


@pytest.fixture(scope="module")
def sledge(tmp_path_factory) -> RobotModel:
    """Two slides of 2 kg and 1 kg, damped: a linear system."""
    path = tmp_path_factory.mktemp("robot") / "sledge.xml"
    path.write_text(
        """<mujoco><option gravity="0 0 0"/><default><geom contype="0" size="0.1" mass="1"/></default><worldbody>
        <body><joint name="x" type="slide" axis="1 0 0" damping="3"/><geom/>
        <body><joint name="y" type="slide" axis="0 1 0"/><geom/></body></body></worldbody></mujoco>"""
    )
    return RobotModel.from_file(path)


def filter_of(make: Callable[[float], Dynamics]) -> ExtendedKalmanFilter:
    return ExtendedKalmanFilter(make, EFFORT, POSITION, VELOCITY, ACCELERATION)


def simulate(
    dynamics: Dynamics, start: np.ndarray, actions: np.ndarray, seed: int, effort: float = EFFORT
) -> tuple[np.ndarray, np.ndarray]:
    """States under the very noise the filter expects, and measurements of them. (T+1, 2n) each."""
    rng = np.random.default_rng(seed)
    n, m = len(start) // 2, dynamics.action.size
    floor = ACCELERATION * np.concatenate([np.full(n, 0.5 * DT**2), np.full(n, DT)])
    sensor = np.repeat([POSITION, VELOCITY], n)
    states = [start]
    for u in actions:
        x = dynamics.step(states[-1][None], (u + effort * rng.standard_normal(m))[None])[0]
        states.append(x + floor * rng.standard_normal(2 * n))
    states = np.array(states)
    return states, states + sensor * rng.standard_normal(states.shape)


def nees(f: ExtendedKalmanFilter, x: np.ndarray) -> float:
    """(x − x̂)ᵀ P⁻¹ (x − x̂)."""
    error = x - f.mean
    return float(error @ np.linalg.solve(f.covariance, error))


def test_on_a_linear_system_it_is_the_kalman_filter_of_the_textbook(sledge) -> None:
    f = filter_of(lambda dt: MujocoDynamics(sledge, dt, dt))
    rng = np.random.default_rng(0)
    actions, z = rng.normal(size=(50, 2)), rng.normal(size=(51, 4))
    # semi-implicit Euler with the damping at the new velocity, for masses of 2 kg and 1 kg
    mass, damping = np.array([2.0, 1.0]), np.array([3.0, 0.0])
    keep = mass / (mass + DT * damping)
    a = np.block([[np.eye(2), DT * np.diag(keep)], [np.zeros((2, 2)), np.diag(keep)]])
    push = DT / (mass + DT * damping)
    b = np.vstack([DT * np.diag(push), np.diag(push)])
    floor = ACCELERATION * np.array([0.5 * DT**2] * 2 + [DT] * 2)
    q = EFFORT**2 * b @ b.T + np.diag(floor**2)
    r = np.diag(np.square([POSITION, POSITION, VELOCITY, VELOCITY]))
    f.reset(z[0])
    mean, p = z[0], r.copy()
    for u, measured in zip(actions, z[1:], strict=True):
        f.predict(DT, u)
        f.update(measured)
        mean, p = a @ mean + b @ u, a @ p @ a.T + q
        gain = p @ np.linalg.inv(p + r)
        mean, p = mean + gain @ (measured - mean), (np.eye(4) - gain) @ p
    np.testing.assert_allclose(f.mean, mean, atol=1e-8)
    np.testing.assert_allclose(f.covariance, p, rtol=1e-5, atol=1e-14)


@pytest.mark.parametrize("name", ["acrobot", "arm7"])
def test_its_covariance_is_that_of_its_errors(robot_files, name: str) -> None:
    robot = RobotModel.from_file(robot_files / f"{name}.xml")
    model = MujocoDynamics(robot, DT, DT)
    runs, steps, n = 30, 40, robot.nv
    values = np.empty((runs, steps))
    for run in range(runs):
        rng = np.random.default_rng(1000 + run)
        # away from the joint limits, where the model is smooth
        limited = np.isfinite(robot.position_upper)
        middle = np.zeros(n)
        middle[limited] = 0.5 * (robot.position_lower[limited] + robot.position_upper[limited])
        start = np.concatenate([middle + 0.3 * rng.normal(size=n), 0.5 * rng.normal(size=n)])
        hold = robot.gravity(start[:n])
        states, z = simulate(model, start, np.tile(hold, (steps, 1)), run)
        f = filter_of(lambda dt: MujocoDynamics(robot, dt, dt))
        f.reset(z[0])
        for t in range(steps):
            f.predict(DT, hold)
            f.update(z[t + 1])
            values[run, t] = nees(f, states[t + 1])
    # the sum over independent runs at one time is χ² with runs · 2n degrees of freedom
    low, high = chi2.ppf([0.025, 0.975], runs * 2 * n)
    inside = np.mean((values.sum(axis=0) > low) & (values.sum(axis=0) < high))
    assert inside >= 0.85
    # over all times it can be off by no more than at one of them
    assert low < values.sum(axis=0).mean() < high


def test_a_drop_out_widens_the_covariance_and_the_errors_stay_within_it(robot_files) -> None:
    robot = RobotModel.from_file(robot_files / "acrobot.xml")
    model = MujocoDynamics(robot, DT, DT)
    runs, steps, silent = 40, 40, range(10, 30)
    values, widths = np.empty((runs, steps)), np.empty(steps)
    for run in range(runs):
        states, z = simulate(model, np.array([0.4, -0.3, 0.5, 1.0]), np.zeros((steps, 1)), run)
        f = filter_of(lambda dt: MujocoDynamics(robot, dt, dt))
        f.reset(z[0])
        for t in range(steps):
            f.predict(DT, np.zeros(1))
            if t not in silent:
                f.update(z[t + 1])
            values[run, t] = nees(f, states[t + 1])
            widths[t] = np.trace(f.covariance)
    low, high = chi2.ppf([0.001, 0.999], runs * 4)
    assert ((values.sum(axis=0) > low) & (values.sum(axis=0) < high)).all()
    assert (widths[10:30] > 10.0 * widths[9]).all()
    assert widths[35] == pytest.approx(widths[9], rel=0.05)


def test_it_knows_more_than_the_sensor(robot_files) -> None:
    robot = RobotModel.from_file(robot_files / "arm7.xml")
    model = PinocchioDynamics(robot, DT, 1)
    start = np.concatenate([np.full(7, 0.2), np.zeros(7)])
    states, z = simulate(model, start, np.tile(robot.gravity(start[:7]), (200, 1)), 5, effort=5e-3)
    f = ExtendedKalmanFilter(lambda dt: PinocchioDynamics(robot, dt, 1), 5e-3, POSITION, VELOCITY, 5e-2)
    f.reset(z[0])
    errors = []
    for t in range(200):
        f.predict(DT, robot.gravity(start[:7]))
        f.update(z[t + 1])
        errors.append(f.mean - states[t + 1])
    filtered = np.sqrt(np.mean(np.square(errors[50:]), axis=0))
    measured = np.sqrt(np.mean(np.square(z[51:] - states[51:]), axis=0))
    assert (filtered[:7] < 0.8 * measured[:7]).all()
    assert (filtered[7:] < 0.8 * measured[7:]).all()


def test_one_model_serves_steps_of_any_length(sledge) -> None:
    made = []

    def make(dt: float) -> Dynamics:
        made.append(dt)
        return MujocoDynamics(sledge, dt, dt)

    f = filter_of(make)
    f.reset(np.array([0.0, 0.0, 1.0, 0.0]))
    rng = np.random.default_rng(1)
    for dt in rng.uniform(0.004, 0.006, 100):
        f.predict(dt, None)
    assert len(made) == 1
    # each joint keeps momentum, or loses it to damping alone
    expected = np.prod([2.0 / (2.0 + 3.0 * dt) for dt in np.random.default_rng(1).uniform(0.004, 0.006, 100)])
    assert f.mean[2] == pytest.approx(expected)


def test_an_angle_is_updated_across_its_seam_the_short_way(robot_files) -> None:
    robot = RobotModel.from_file(robot_files / "pendulum.xml")
    f = filter_of(lambda dt: MujocoDynamics(robot, dt, dt))
    f.reset(np.array([np.pi - 1e-3, 0.0]))
    f.predict(DT, np.zeros(1))
    before = f.mean.copy()
    f.update(np.array([-np.pi + 1e-3, 0.0]))
    assert 0.0 < f.mean[0] - before[0] < 2.1e-3


def test_the_covariance_stays_symmetric_and_positive_for_ever(robot_files) -> None:
    robot = RobotModel.from_file(robot_files / "acrobot.xml")
    f = filter_of(lambda dt: MujocoDynamics(robot, dt, dt))
    f.reset(np.zeros(4))
    for _ in range(3000):
        f.predict(DT, None)
        f.update(np.zeros(4))
    np.testing.assert_allclose(f.covariance, f.covariance.T, rtol=1e-9)
    assert np.linalg.eigvalsh(f.covariance).min() > 0.0


@pytest.mark.parametrize("field", ["effort_noise", "position_noise", "velocity_noise", "acceleration_noise"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan")])
def test_noise_must_be_above_zero(field: str, value: float) -> None:
    noise = {"effort_noise": 1.0, "position_noise": 1.0, "velocity_noise": 1.0, field: value}
    with pytest.raises(InvalidFieldError, match=f"ExtendedKalmanFilter.{field}"):
        ExtendedKalmanFilter(lambda dt: None, **noise)  # type: ignore[arg-type,return-value]
