"""The filter that knows no robot, and the one that filters nothing."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import chi2

from mbpl_control.core import InvalidFieldError, StateSpace
from mbpl_control.estimation import ModelFreeFilter, PassThrough

DT = 0.01
ACCELERATION, POSITION, VELOCITY = 20.0, 1e-3, 5e-2
F = np.array([[1.0, DT], [0.0, 1.0]])
G = ACCELERATION * np.array([0.5 * DT**2, DT])
R = np.diag([POSITION**2, VELOCITY**2])


def simulate(joints: int, steps: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints under white accelerations held over a step, and measurements. (T+1, 2n) each."""
    rng = np.random.default_rng(seed)
    x = np.zeros((steps + 1, 2, joints))
    for t in range(steps):
        x[t + 1] = F @ x[t] + np.outer(G, rng.standard_normal(joints))
    noise = np.array([POSITION, VELOCITY])[:, None] * rng.standard_normal(x.shape)
    return x.reshape(steps + 1, -1), (x + noise).reshape(steps + 1, -1)


def test_each_joint_has_the_kalman_filter_of_the_textbook() -> None:
    _, z = simulate(2, 60, 0)
    f = ModelFreeFilter(2, ACCELERATION, POSITION, VELOCITY)
    f.reset(z[0])
    means, p = z[0].reshape(2, 2).T.copy(), R.copy()
    for measured in z[1:]:
        f.predict(DT, None)
        f.update(measured)
        p = F @ p @ F.T + np.outer(G, G)
        gain = p @ np.linalg.inv(p + R)
        means = np.array(
            [F @ mean + gain @ (zj - F @ mean) for mean, zj in zip(means, measured.reshape(2, 2).T, strict=True)]
        )
        p = (np.eye(2) - gain) @ p
    np.testing.assert_allclose(f.mean, means.T.ravel(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(f.covariance, np.kron(p, np.eye(2)), rtol=1e-7, atol=1e-14)


def test_its_covariance_is_that_of_its_errors_also_through_drop_outs() -> None:
    runs, steps, joints = 100, 80, 3
    values = np.empty((runs, steps))
    for run in range(runs):
        x, z = simulate(joints, steps, run)
        f = ModelFreeFilter(joints, ACCELERATION, POSITION, VELOCITY)
        f.reset(z[0])
        for t in range(steps):
            f.predict(DT, None)
            # every third measurement is lost, and a stretch in the middle
            if t % 3 and not 40 <= t < 50:
                f.update(z[t + 1])
            error = x[t + 1] - f.mean
            values[run, t] = error @ np.linalg.solve(f.covariance, error)
    low, high = chi2.ppf([0.025, 0.975], runs * 2 * joints)
    sums = values.sum(axis=0)
    assert np.mean((sums > low) & (sums < high)) >= 0.85
    assert low < sums.mean() < high


def test_a_sensor_that_wraps_is_followed_across_the_seam_when_the_space_is_known() -> None:
    f = ModelFreeFilter(2, ACCELERATION, POSITION, VELOCITY, StateSpace(["angle", "euclidean"]))
    f.reset(np.array([3.14, 3.14, 1.0, 1.0]))
    f.predict(DT, None)
    f.update(np.array([3.15 - 2 * np.pi, 3.15, 1.0, 1.0]))
    assert f.mean[0] == pytest.approx(f.mean[1])
    np.testing.assert_allclose(f.mean[2:], 1.0, atol=0.1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((0, 1.0, 1.0, 1.0), "joints: found 0; must be at least 1"),
        ((2, 0.0, 1.0, 1.0), "acceleration: .*above 0"),
        ((2, 1.0, -1.0, 1.0), "position_noise: .*above 0"),
        ((2, 1.0, 1.0, 0.0), "velocity_noise: .*above 0"),
        ((2, 1.0, 1.0, 1.0, StateSpace(["angle"])), "space: found of 1 numbers; must be of 2"),
    ],
)
def test_a_wrong_setting_is_named(arguments, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=f"ModelFreeFilter.{message}"):
        ModelFreeFilter(*arguments)


def test_without_a_filter_the_measurement_is_the_state_and_positions_move_on_in_a_gap() -> None:
    f = PassThrough()
    f.reset(np.array([1.0, 2.0, 0.5, -1.0]))
    assert f.covariance is None
    f.update(np.array([1.5, 2.0, 0.5, -1.0]))
    measured = f.mean
    f.predict(0.1, None)
    np.testing.assert_allclose(f.mean, [1.55, 1.9, 0.5, -1.0])
    # what was measured is not changed behind the back of whoever measured it
    np.testing.assert_array_equal(measured, [1.5, 2.0, 0.5, -1.0])
