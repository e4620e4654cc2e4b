"""Marginals of a linear-Gaussian law on linear dynamics, against the covariance of the whole trajectory written out."""

from __future__ import annotations

import numpy as np

from mbpl_control.core import LinearGaussianController, LinearGaussianDynamics
from mbpl_control.demo.records import LawRecord
from mbpl_control.report.tube import fitted_tube, frame_tube, state_covariances
from mbpl_control.tasks import Task


def test_marginals_equal_the_covariance_of_the_written_out_linear_map_of_all_noise() -> None:
    rng = np.random.default_rng(3)
    steps, n, m = 6, 4, 2
    a, b = rng.normal(size=(steps, n, n)), rng.normal(size=(steps, n, m))
    gains = rng.normal(size=(steps, m, n))
    roots = rng.normal(size=(steps, m, m))
    covariances = roots @ roots.transpose(0, 2, 1)
    found = state_covariances(a, b, gains, covariances)
    # x_t = Σ_s G_ts w_s, where the columns of G_ts come from running the closed loop with one unit of noise
    for t in range(steps + 1):
        total = np.zeros((n, n))
        for s in range(t):
            response = b[s].copy()
            for k in range(s + 1, t):
                response = (a[k] + b[k] @ gains[k]) @ response
            total += response @ covariances[s] @ response.T
        np.testing.assert_allclose(found[t], total, rtol=1e-10, atol=1e-12)


def test_the_tube_of_a_real_robot_equals_a_monte_carlo_of_the_model_within_its_sampling_error(arm_reach: Task) -> None:
    steps, samples, rng = 8, 4000, np.random.default_rng(5)
    start = arm_reach.condition(0).state
    hold = arm_reach.robot.gravity(start[:7])
    actions = np.tile(hold, (steps, 1))
    dynamics = arm_reach.dynamics()
    states = dynamics.rollout(start, actions)[:-1]
    gains = np.concatenate([-5.0 * np.eye(7), -1.0 * np.eye(7)], axis=1)
    gains = np.repeat(gains[None], steps, axis=0)
    sigma = np.repeat(0.01 * np.eye(7)[None], steps, axis=0)
    planned, spread = frame_tube(arm_reach, LawRecord(states, actions, gains, sigma))
    deviation = np.sqrt(np.einsum("tii->ti", spread))
    x = np.repeat(start[None], samples, axis=0)
    for t in range(steps):
        u = actions[t] + (x - states[t]) @ gains[t].T + 0.1 * rng.standard_normal((samples, 7))
        x = dynamics.step(x, u)
    points = arm_reach.robot.kinematics.positions("tip", x[:, :7])
    # the relative error of a standard deviation from N samples is 1/√(2N); four of those, and a little for curvature
    np.testing.assert_allclose(points.std(axis=0), deviation[-1], rtol=4.0 / np.sqrt(2.0 * samples) + 0.02)
    np.testing.assert_allclose(points.mean(axis=0), planned[-1], atol=5.0 * deviation[-1].max() / np.sqrt(samples))
    assert (deviation[0] == 0.0).all()
    # the coordinates go together: of the whole covariance an element is off by √((c_ii c_jj + c_ij²) / N)
    found, said = np.cov(points.T), spread[-1]
    error = np.sqrt((np.outer(np.diag(said), np.diag(said)) + said**2) / samples)
    assert (np.abs(found - said) <= 4.0 * error + 0.04 * np.sqrt(np.outer(np.diag(said), np.diag(said)))).all()


def test_a_law_on_fitted_dynamics_goes_where_a_monte_carlo_of_both_goes(arm_reach: Task) -> None:
    rng, steps, samples = np.random.default_rng(8), 5, 20_000
    state, action, dt = arm_reach.state, arm_reach.action, arm_reach.dt
    n, m = state.size, action.size
    a = np.eye(n) + 0.1 * rng.normal(size=(steps, n, n))
    b, c = 0.1 * rng.normal(size=(steps, n, m)), 0.1 * rng.normal(size=(steps, n))
    noise = np.repeat(0.01 * np.eye(n)[None], steps, axis=0)
    fit = LinearGaussianDynamics(state, action, dt, a, b, c, noise)
    law = LinearGaussianController(
        state,
        action,
        dt,
        0.1 * rng.normal(size=(steps + 1, n)),
        rng.normal(size=(steps, m)),
        0.1 * rng.normal(size=(steps, m, n)),
        rng.normal(size=(steps, m)),
        np.repeat(0.04 * np.eye(m)[None], steps, axis=0),
    )
    mean0, cov0 = rng.normal(size=n), 0.02 * np.eye(n)
    means, spread = fitted_tube(fit, law, mean0, cov0)
    x = mean0 + np.sqrt(0.02) * rng.standard_normal((samples, n))
    for t in range(steps):
        u = law.nominal_actions[t] + law.feedforward[t] + (x - law.nominal_states[t]) @ law.gains[t].T
        u += 0.2 * rng.standard_normal((samples, m))
        x = fit.mean(t, x, u) + 0.1 * rng.standard_normal((samples, n))
    deviation = np.sqrt(np.diag(spread[-1]))
    assert (np.abs(x.mean(axis=0) - means[-1]) <= 5.0 * deviation / np.sqrt(samples)).all()
    np.testing.assert_allclose(x.std(axis=0), deviation, rtol=5.0 / np.sqrt(2.0 * samples))
