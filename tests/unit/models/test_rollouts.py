"""Rollouts of the models that compile theirs, against the plain ones of the contract, step by step."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.models import Dynamics, MujocoDynamics, PinocchioDynamics

STEPS = 6


@pytest.fixture(params=["arm7", "cartpole", "acrobot", "tree", "panda"])
def robot(request, robots):
    """Robots with and without joints that turn for ever, fully driven and not."""
    return robots[request.param]


def law(robot, random_states) -> tuple[np.ndarray, ...]:
    """Reference, plan, feedforward and gains of a law that has much to correct."""
    rng = np.random.default_rng(1)
    n, m = robot.state.tangent_size, robot.action.size
    nominal = random_states(robot, STEPS + 1)
    effort = 0.3 * rng.uniform(robot.action.lower, robot.action.upper, (STEPS, m))
    return nominal, effort, 0.1 * rng.normal(size=(STEPS, m)), 0.2 * rng.normal(size=(STEPS, m, n))


@pytest.mark.parametrize("substeps", [1, 3])
def test_pinocchios_rollouts_are_those_of_its_step(robot, random_states, substeps: int) -> None:
    dynamics = PinocchioDynamics(robot, 0.006, substeps)
    nominal, effort, feedforward, gains = law(robot, random_states)
    sizes = np.array([1.0, 0.25, 0.0])
    limits = 0.2 * robot.action.lower, 0.2 * robot.action.upper
    states, actions = dynamics.rollout_feedback(nominal, effort, feedforward, gains, sizes, *limits)
    plans, starts = effort + sizes[:, None, None] * feedforward, np.repeat(nominal[:1], 3, axis=0)
    plain = Dynamics.follow(dynamics, starts, plans, nominal, gains, *limits)
    np.testing.assert_allclose(states, plain[0], rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(actions, plain[1], rtol=1e-10, atol=1e-10)
    # limits were met, and not everywhere
    held = (actions == limits[0]) | (actions == limits[1])
    assert held.any()
    assert not held.all()
    free = Dynamics.follow(dynamics, nominal[:1], effort[None])[0][0]
    np.testing.assert_allclose(dynamics.rollout(nominal[0], effort), free, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("substeps", [1, 3])
def test_derivatives_that_come_with_a_rollout_are_those_taken_afterwards(robot, random_states, substeps: int) -> None:
    dynamics = PinocchioDynamics(robot, 0.006, substeps)
    assert dynamics.shares_derivatives
    arguments = law(robot, random_states)
    together = dynamics.rollout_linearized(*arguments, robot.action.lower, robot.action.upper)
    apart = Dynamics.rollout_linearized(dynamics, *arguments, robot.action.lower, robot.action.upper)
    for mine, plain in zip(together, apart, strict=True):
        np.testing.assert_allclose(mine, plain, rtol=1e-9, atol=1e-9 * max(1.0, np.abs(plain).max()))


def test_trajectories_side_by_side_from_starts_of_their_own_are_those_of_each_alone(robot, random_states) -> None:
    rng, count = np.random.default_rng(2), 20
    nominal, _, _, gains = law(robot, random_states)
    limits = 0.2 * robot.action.lower, 0.2 * robot.action.upper
    starts = random_states(robot, count)
    plans = 0.3 * rng.uniform(robot.action.lower, robot.action.upper, (count, STEPS, robot.action.size))
    for dynamics in (PinocchioDynamics(robot, 0.004), MujocoDynamics(robot, 0.004, 0.004)):
        states, actions = dynamics.follow(starts, plans, nominal, gains, *limits)
        free = dynamics.rollouts(starts, plans)
        for i in range(count):
            alone = dynamics.follow(starts[i : i + 1], plans[i : i + 1], nominal, gains, *limits)
            np.testing.assert_allclose(states[i], alone[0][0], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(actions[i], alone[1][0], rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(free[i], dynamics.rollout(starts[i], plans[i]), rtol=1e-12, atol=1e-12)


def test_a_step_of_several_substeps_is_that_many_steps(robot, random_states) -> None:
    whole, part = PinocchioDynamics(robot, 0.006, 3), PinocchioDynamics(robot, 0.002, 1)
    x, u = random_states(robot, 1), 0.2 * robot.action.upper[None]
    thrice = part.rollout(x[0], np.repeat(u, 3, axis=0))[-1]
    np.testing.assert_allclose(whole.step(x, u)[0], thrice, rtol=1e-12, atol=1e-12)
    a, b = whole.linearize(x, u)
    along = part.rollout(x[0], np.repeat(u, 3, axis=0))[:-1]
    parts_a, parts_b = part.linearize(along, np.repeat(u, 3, axis=0))
    np.testing.assert_allclose(a[0], parts_a[2] @ parts_a[1] @ parts_a[0], rtol=1e-9, atol=1e-10)
    chained = parts_a[2] @ (parts_a[1] @ parts_b[0] + parts_b[1]) + parts_b[2]
    np.testing.assert_allclose(b[0], chained, rtol=1e-9, atol=1e-10)


def test_arrays_that_may_not_be_written_are_taken(robots, random_states) -> None:
    robot = robots["arm7"]
    arguments = law(robot, random_states)
    for array in arguments:
        array.setflags(write=False)
    for dynamics in (PinocchioDynamics(robot, 0.01), MujocoDynamics(robot, 0.01)):
        states, actions, a, b = dynamics.rollout_linearized(*arguments, robot.action.lower, robot.action.upper)
        assert (len(states), len(actions), len(a), len(b)) == (STEPS + 1, STEPS, STEPS, STEPS)


def test_two_models_of_one_robot_do_not_share_what_they_compute(robots, random_states) -> None:
    robot = robots["arm7"]
    one, two = PinocchioDynamics(robot, 0.01), PinocchioDynamics(robot, 0.01)
    states = random_states(robot, 4)
    u = np.zeros((2, robot.action.size))
    before = one.linearize(states[:2], u)
    two.linearize(states[2:], u)
    after = one.linearize(states[:2], u)
    for x, y in zip(before, after, strict=True):
        np.testing.assert_array_equal(x, y)
