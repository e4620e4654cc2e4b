"""MuJoCo as a model: its own steps, and derivatives against finite differences, also on rotations."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError, ModelError
from mbpl_control.models import MujocoDynamics, RobotModel
from mbpl_control.models.mujoco_dynamics import substeps_of


def actions_of(robot: RobotModel, count: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 0.5 * rng.uniform(robot.action.lower, robot.action.upper, (count, robot.action.size))


@pytest.mark.parametrize("name", ["arm7", "tree", "floater"])
def test_a_step_holds_the_action_over_its_physics_steps(robots, random_states, name: str) -> None:
    robot = robots[name]
    dynamics = MujocoDynamics(robot, 0.01)
    x, u = random_states(robot, 1)[0], actions_of(robot, 1)[0]
    model = robot.mujoco_model()
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = robot.split(x)
    data.ctrl[:] = u / model.actuator_gear[:, 0]
    for _ in range(dynamics.substeps):
        mujoco.mj_step(model, data)
    expected = np.concatenate([data.qpos, data.qvel])
    np.testing.assert_array_equal(dynamics.step(x[None], u[None])[0], expected)


@pytest.mark.parametrize("name", ["arm7", "cartpole", "acrobot", "tree", "floater", "panda"])
def test_derivatives_equal_finite_differences_in_the_tangent_space(
    robots, random_states, numeric_linearization, name: str
) -> None:
    robot = robots[name]
    dynamics = MujocoDynamics(robot, 0.01)
    states, actions = random_states(robot, 3), actions_of(robot, 3)
    a, b = dynamics.linearize(states, actions)
    for t in range(3):
        numeric_a, numeric_b = numeric_linearization(dynamics, states[t], actions[t])
        np.testing.assert_allclose(a[t], numeric_a, atol=1e-6 * max(1.0, np.abs(numeric_a).max()))
        np.testing.assert_allclose(b[t], numeric_b, atol=1e-6 * max(1.0, np.abs(numeric_b).max()))


def test_the_number_of_threads_changes_no_bit(robots, random_states) -> None:
    robot = robots["arm7"]
    states, actions = random_states(robot, 11), actions_of(robot, 11)
    results = [MujocoDynamics(robot, 0.01, threads=n).linearize(states, actions) for n in (1, 2, 5)]
    for a, b in results[1:]:
        np.testing.assert_array_equal(a, results[0][0])
        np.testing.assert_array_equal(b, results[0][1])


def test_a_batch_is_stepped_as_each_of_its_members(robots, random_states) -> None:
    robot = robots["floater"]
    dynamics = MujocoDynamics(robot, 0.01)
    states, actions = random_states(robot, 6), actions_of(robot, 6)
    singly = [dynamics.step(x[None], u[None])[0] for x, u in zip(states, actions, strict=True)]
    np.testing.assert_array_equal(dynamics.step(states, actions), singly)


#: A slab that is pushed over a table and against a post; the post stands where it is put.
PUSHED = """
<mujoco model="pushed">
  <option timestep="0.002"/>
  <worldbody>
    <geom type="plane" size="2 2 0.1"/>
    <body name="post" mocap="true" pos="0.6 0 0.1"><geom type="box" size="0.05 0.3 0.1"/></body>
    <body pos="0 0 0.051">
      <joint name="x" type="slide" axis="1 0 0"/><joint name="z" type="slide" axis="0 0 1"/>
      <joint name="tilt" axis="0 1 0"/>
      <geom type="box" size="0.1 0.1 0.05" mass="1"/>
    </body>
  </worldbody>
  <actuator><motor joint="x" gear="2" ctrlrange="-20 20"/></actuator>
</mujoco>
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_many_states_are_stepped_by_threads_as_each_alone_to_the_last_bit_in_contact_too(make_robot, threads) -> None:
    robot = make_robot(PUSHED)
    placed = {"post": np.array([0.4, 0.0, 0.1])}
    many = MujocoDynamics(robot, 0.01, threads=threads, bodies=placed)
    alone = MujocoDynamics(robot, 0.01, threads=1, bodies=placed)
    rng = np.random.default_rng(3)
    starts = rng.normal(size=(60, 6)) * [0.2, 0.002, 0.05, 1.0, 0.1, 0.1] + [0.1, 0, 0, 1, 0, 0]
    plans = rng.uniform(-40.0, 40.0, (60, 5, 1))
    states = many.rollouts(starts, plans)
    singly = np.array([alone.rollout(x, u) for x, u in zip(starts, plans, strict=True)])
    np.testing.assert_array_equal(states, singly)
    # the table carries the slab, and where the post stands matters
    elsewhere = MujocoDynamics(robot, 0.01, threads=threads).rollouts(starts, plans)
    assert (np.abs(elsewhere - states).max(axis=(1, 2)) > 1e-3).sum() > 5
    assert np.abs(states[:, -1, 1]).max() < 0.1


def test_of_many_states_those_that_diverge_are_not_numbers_and_the_others_are_what_they_are_alone(robots) -> None:
    dynamics = MujocoDynamics(robots["cartpole"], 0.05)
    states = np.tile([0.0, 1.0, 0.0, 0.0], (40, 1))
    states[::3] = [0.0, 1.0, 1e6, 1e7]
    states[1::3, 1] = 2e4
    states[2, 0] = np.nan
    actions = np.zeros((40, 1))
    together = dynamics.step(states, actions)
    np.testing.assert_array_equal(
        together, [dynamics.step(x[None], u[None])[0] for x, u in zip(states, actions, strict=True)]
    )
    assert np.isnan(together[::3]).all() and np.isnan(together[2]).all() and np.isfinite(together[1::3]).all()


def test_a_state_that_diverges_is_not_a_number_instead_of_a_robot_at_rest(robots) -> None:
    dynamics = MujocoDynamics(robots["cartpole"], 0.05)
    states = np.array([[0.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1e6, 1e7]])
    after = dynamics.step(states, np.zeros((2, 1)))
    assert np.isfinite(after[0]).all()
    assert np.isnan(after[1]).all()


def test_a_line_search_of_ever_longer_steps_ends_in_numbers_that_are_not_finite(make_robot, robots) -> None:
    robot = make_robot(robots["cartpole"].description.replace('ctrllimited="true"', 'ctrllimited="false"'))
    dynamics = MujocoDynamics(robot, 0.05)
    steps, start = 4, np.array([0.0, 0.3, 0.0, 0.0])
    nominal = dynamics.rollout(start, np.zeros((steps, 1)))
    unlimited = np.full(1, np.inf)
    states, actions = dynamics.rollout_feedback(
        nominal,
        np.zeros((steps, 1)),
        np.full((steps, 1), 1e9),
        np.zeros((steps, 1, 4)),
        np.array([0.0, 1.0]),
        -unlimited,
        unlimited,
    )
    np.testing.assert_array_equal(states[0], nominal)
    assert not np.isfinite(states[1, -1]).all()
    np.testing.assert_array_equal(actions[:, 0, 0], [0.0, 1e9])


def test_the_integrator_rk4_is_refused_with_what_to_use_instead(make_robot, robots) -> None:
    text = robots["cartpole"].description.replace('integrator="Euler"', 'integrator="RK4"')
    with pytest.raises(ModelError, match="integrator RK4 has no derivatives; use Euler, implicit or implicitfast"):
        MujocoDynamics(make_robot(text), 0.02)


@pytest.mark.parametrize("integrator", ["Euler", "implicit", "implicitfast"])
def test_every_other_integrator_has_exact_derivatives(
    make_robot, robots, random_states, numeric_linearization, integrator
) -> None:
    text = robots["acrobot"].description.replace('integrator="Euler"', f'integrator="{integrator}"')
    robot = make_robot(text)
    dynamics = MujocoDynamics(robot, 0.02)
    states, actions = random_states(robot, 2), actions_of(robot, 2)
    a, b = dynamics.linearize(states, actions)
    numeric_a, numeric_b = numeric_linearization(dynamics, states[1], actions[1])
    np.testing.assert_allclose(a[1], numeric_a, atol=1e-6)
    np.testing.assert_allclose(b[1], numeric_b, atol=1e-6)


def test_another_duration_of_a_step_is_that_of_a_model_made_for_it(robots, random_states) -> None:
    robot = robots["tree"]
    changed, made = MujocoDynamics(robot, 0.01, 0.005), MujocoDynamics(robot, 0.006, 0.003)
    changed.set_duration(0.006)
    states, actions = random_states(robot, 4), actions_of(robot, 4)
    np.testing.assert_array_equal(changed.step(states, actions), made.step(states, actions))


@pytest.mark.parametrize(
    ("dt", "timestep", "message"),
    [
        (0.011, 0.002, r"dt: found 0\.011 s; must be a whole multiple of the physics step of 0\.002 s"),
        (0.001, 0.002, "a whole multiple"),
        (0.0, 0.002, "finite and above 0"),
        (0.02, -1.0, "finite and above 0"),
    ],
)
def test_a_step_must_be_a_whole_number_of_physics_steps(dt: float, timestep: float, message: str) -> None:
    with pytest.raises(InvalidFieldError, match=message):
        substeps_of("MujocoDynamics", dt, timestep)


def test_a_step_may_miss_the_multiple_by_rounding_alone() -> None:
    assert substeps_of("MujocoDynamics", 0.3, 0.1) == 3
    assert substeps_of("MujocoDynamics", 0.02 * (1 + 1e-9), 0.002) == 10


def test_there_must_be_a_thread(robots) -> None:
    with pytest.raises(InvalidFieldError, match="threads: found 0; must be a whole number"):
        MujocoDynamics(robots["arm7"], 0.02, threads=0)


def test_a_servo_takes_its_own_unit_without_the_gear(make_robot) -> None:
    robot = make_robot(
        """<mujoco><option timestep="0.01" gravity="0 0 0"/><worldbody><body><joint name="j" armature="1"/>
        <geom size="0.1" mass="1"/></body></worldbody>
        <actuator><position joint="j" kp="50" kv="10" ctrlrange="-2 2" ctrllimited="true"/></actuator></mujoco>"""
    )
    dynamics = MujocoDynamics(robot, 0.01)
    states = dynamics.rollout(np.zeros(2), np.full((500, 1), 1.2))
    assert states[-1, 0] == pytest.approx(1.2, abs=1e-3)
