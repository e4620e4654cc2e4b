"""Tasks that run in batches: as their environments say, and as MuJoCo says."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.mbrl.problem import run_episode
from mbpl_control.multitask.batch_problem import BatchProblem, run_batch
from mbpl_control.multitask.pendulum import pendulum
from mbpl_control.multitask.two_link import accelerations, quadrant, tip, two_link_reacher

PROBLEMS = (pendulum(0.7), two_link_reacher())

ARM = """
<mujoco>
  <option gravity="0 0 0"/>
  <worldbody><body>
    <joint axis="0 0 1" damping="0.2"/><inertial pos="0.5 0 0" mass="1" diaginertia="1e-9 1e-9 1e-9"/>
    <body pos="0.5 0 0">
      <joint axis="0 0 1" damping="0.2"/><inertial pos="0.5 0 0" mass="1" diaginertia="1e-9 1e-9 1e-9"/>
      <site name="tip" pos="0.5 0 0"/>
    </body>
  </body></worldbody>
</mujoco>"""

ROD = """
<mujoco>
  <option gravity="0 0 -9.81"/>
  <worldbody><body>
    <joint axis="0 1 0" damping="0.1"/><inertial pos="0 0 1" mass="0.7" diaginertia="1e-9 1e-9 1e-9"/>
  </body></worldbody>
</mujoco>"""


def mujoco_acceleration(xml: str, q: Array, rates: Array, torques: Array) -> tuple[Array, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(xml)
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:], data.qfrc_applied[:] = q, rates, torques
    mujoco.mj_forward(model, data)
    return data.qacc.copy(), data


def test_the_arm_moves_as_mujoco_says() -> None:
    rng = np.random.default_rng(0)
    q, rates, torques = rng.normal(size=(3, 10, 2))
    found = accelerations(*map(torch.from_numpy, (q, rates, torques))).numpy()
    for i in range(10):
        expected, data = mujoco_acceleration(ARM, q[i], rates[i], torques[i])
        np.testing.assert_allclose(found[i], expected, rtol=1e-5)
        np.testing.assert_allclose(tip(torch.from_numpy(q[i : i + 1]))[0], data.site("tip").xpos[:2], atol=1e-12)


def test_the_pendulum_moves_as_mujoco_says() -> None:
    problem, rng = PROBLEMS[0], np.random.default_rng(1)
    for q, rate, torque in rng.normal(size=(10, 3)):
        after, _ = problem.step(np.array([[q, rate, 0.7]]), np.array([[torque]]))
        expected, _ = mujoco_acceleration(ROD, np.array([q]), np.array([rate]), np.array([torque]))
        assert (after[0, 1] - rate) / problem.dt == pytest.approx(expected[0], rel=1e-6)
        assert after[0, 0] == pytest.approx(q + problem.dt * after[0, 1])


def test_a_goal_stays_where_it_is_lies_in_its_quadrant_and_is_what_the_tip_is_paid_for() -> None:
    problem = PROBLEMS[1]
    states = problem.starts(200, np.random.default_rng(2))
    goals = states[:, 4:]
    assert (np.linalg.norm(goals, axis=1) >= 0.4).all() and (np.linalg.norm(goals, axis=1) <= 0.9).all()
    angle = np.arctan2(goals[:, 1], goals[:, 0]) % (2.0 * np.pi)
    np.testing.assert_array_equal(quadrant(states), np.floor(angle / (0.5 * np.pi)))
    after, rewards = problem.step(states, np.tile([4.0, -1.0], (200, 1)))
    np.testing.assert_array_equal(after[:, 4:], goals)
    distance = np.linalg.norm(goals - tip(torch.from_numpy(after[:, :2])).numpy(), axis=1)
    np.testing.assert_allclose(rewards, -distance - 0.01 * (1.0 + 0.25))


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)
def test_an_episode_of_the_environment_is_one_of_the_batch(problem: BatchProblem) -> None:
    learning = problem.learning_problem
    environment = learning.make()
    check_env(environment, skip_render_check=True)
    gain = np.random.default_rng(3).normal(size=(problem.action.size, problem.state.size))
    episode = run_episode(environment, lambda x, _: gain @ x, seed=4)
    assert len(episode.transitions) == problem.steps
    assert not episode.ended

    def feedback(states: Array) -> tuple[Array, Array]:
        return states @ gain.T, np.tile(np.eye(problem.action.size), (len(states), 1, 1))

    batch = run_batch(problem, feedback, np.tile(episode.transitions.states[0], (3, 1)))
    np.testing.assert_allclose(batch.states[:-1, 1], episode.transitions.states, rtol=1e-9)
    np.testing.assert_allclose(batch.returns, episode.total, rtol=1e-9)
    # what is told to a learner is what the environment pays
    x, u, after = (torch.from_numpy(getattr(episode.transitions, name)) for name in ("states", "actions", "successors"))
    limited = u.clamp(torch.from_numpy(learning.lower), torch.from_numpy(learning.upper))
    np.testing.assert_allclose(learning.reward(x, limited, after).numpy(), episode.rewards)
    np.testing.assert_allclose(learning.cost(x, limited, after).numpy(), -episode.rewards)
    assert not learning.ended(after).any()


def test_an_actuator_saturates() -> None:
    problem = PROBLEMS[0]
    x = problem.starts(5, np.random.default_rng(5))
    for most, more in (([[15.0]] * 5, [[80.0]] * 5), ([[-15.0]] * 5, [[-16.0]] * 5)):
        for one, other in zip(problem.step(x, np.array(most)), problem.step(x, np.array(more)), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_same_seed_gives_the_same_bits() -> None:
    problem = PROBLEMS[1]

    def noise(states: Array) -> tuple[Array, Array]:
        return np.zeros((len(states), 2)), np.tile(np.array([[2.0, 0.5], [0.5, 1.0]]), (len(states), 1, 1))

    runs = []
    for seed in (6, 6, 7):
        rng = np.random.default_rng(seed)
        runs.append(run_batch(problem, noise, problem.starts(400, rng), rng))
    np.testing.assert_array_equal(runs[0].states, runs[1].states)
    assert (runs[0].actions != runs[2].actions).any()
    drawn = np.cov(runs[0].actions.reshape(-1, 2).T)
    np.testing.assert_allclose(drawn, [[2.0, 0.5], [0.5, 1.0]], atol=0.06)


def test_starts_of_another_size_and_a_mass_that_is_none_are_named() -> None:
    with pytest.raises(InvalidFieldError, match=r"starts: found shape \(2, 2\)"):
        run_batch(PROBLEMS[0], lambda x: (x, x), np.zeros((2, 2)))
    with pytest.raises(InvalidFieldError, match="mass: found 0.0 kg"):
        pendulum(0.0)
