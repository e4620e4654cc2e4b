"""First controllers on a robot whose actuators stand in another order than its joints."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg

from mbpl_control.core import ActionDefinition, InvalidFieldError, TaskError
from mbpl_control.learning.initial import first_controller
from mbpl_control.tasks import Task
from mbpl_control.tasks.learning_schema import InitialSection

MASSES = {"a": 1.0, "b": 4.0, "c": 0.5}
#: In the order of the actuators.
DRIVEN = ("c", "a")
ROBOT = """<mujoco>
  <option timestep="0.05" gravity="0 0 -9.81"/>
  <worldbody>
    <body name="a"><joint name="a" type="slide" axis="1 0 0"/><geom size="0.1" mass="1.0"/><site name="tip"/></body>
    <body name="b" pos="0 1 0"><joint name="b" type="slide" axis="0 1 0"/><geom size="0.1" mass="4.0"/></body>
    <body name="c" pos="0 2 0"><joint name="c" type="slide" axis="0 0 1"/><geom size="0.1" mass="0.5"/></body>
  </worldbody>
  <actuator>
    <motor name="lift" joint="c" ctrllimited="true" ctrlrange="-20 20"/>
    <motor name="push" joint="a" ctrllimited="true" ctrlrange="-20 20"/>
  </actuator>
</mujoco>"""


@pytest.fixture
def task(make_task: Callable[..., Task]) -> Task:
    """Frames come first in the state; joint b is driven by nothing."""
    return make_task(
        ROBOT,
        [0.3, 0.2, 0.1],
        robot={"model": "robot.xml", "frames": ["tip"]},
        state=["frame_positions(tip)", "joint_velocities", "joint_positions"],
        horizon=200,
    )


def section(kind: str, **fields: object) -> InitialSection:
    # what really moves: 1 / mass
    inertia = [1.0 / MASSES[joint] for joint in DRIVEN]
    return InitialSection.model_validate({"kind": kind, "inverse_inertia": inertia, **fields})


@pytest.mark.parametrize("kind", ["pd", "lqr_init"])
def test_a_push_off_the_start_is_corrected_at_the_driven_joints(task: Task, kind: str) -> None:
    law = first_controller(task, 0, section(kind, stiffness=5.0, damping=3.0), smoothing=0.0)
    positions = task.state.indices("joint_positions", DRIVEN)
    start = task.task_state(task.conditions[0].state[None])[0]
    full = task.conditions[0].state.copy()
    full[:3] += [0.2, 0.0, -0.1]
    dynamics = task.dynamics()
    for t in range(task.horizon):
        u = law.mean(t, task.task_state(full[None])[0])
        full = dynamics.step(full[None], u[None])[0]
    end = task.task_state(full[None])[0]
    np.testing.assert_allclose(end[positions], start[positions], atol=5e-3)
    np.testing.assert_allclose(end[task.state.indices("joint_velocities")], 0.0, atol=5e-3)


@pytest.mark.parametrize("kind", ["pd", "lqr_init"])
def test_each_actuator_listens_to_its_own_joint_alone(task: Task, kind: str) -> None:
    law = first_controller(task, 0, section(kind), smoothing=1.5)
    for i, joint in enumerate(DRIVEN):
        own = [int(task.state.indices(f"joint_{what}", [joint])[0]) for what in ("positions", "velocities")]
        # the last step has no time left to correct anything of LQR's but the speed
        assert (law.gains[:-1, i, own] < 0.0).all()
        assert (np.delete(law.gains[:, i], own, axis=1) == 0.0).all()
    assert (law.name, law.noise_smoothing, law.steps) == (kind, 1.5, 200)


def test_far_from_the_end_lqr_init_is_scipys_riccati_gain_of_double_integrators(task: Task) -> None:
    options = section("lqr_init", stiffness=2.0, damping=0.3, variance=4.0)
    law = first_controller(task, 0, options, smoothing=0.0)
    for i, joint in enumerate(DRIVEN):
        force = task.dt / MASSES[joint]
        a, b = np.array([[1.0, task.dt], [0.0, 1.0]]), np.array([[task.dt * force], [force]])
        q, r = np.diag([2.0, 2.0 * 0.3]) / 4.0, np.eye(1) / 4.0
        p = scipy.linalg.solve_discrete_are(a, b, q, r)
        curvature = r + b.T @ p @ b
        own = [int(task.state.indices(f"joint_{what}", [joint])[0]) for what in ("positions", "velocities")]
        np.testing.assert_allclose(law.gains[0, i, own], -np.linalg.solve(curvature, b.T @ p @ a)[0], rtol=1e-6)
        assert law.covariances[0, i, i] == pytest.approx(1.0 / curvature[0, 0], rel=1e-6)


def test_hold_is_the_effort_against_gravity_with_the_noise_it_is_given(task: Task) -> None:
    law = first_controller(task, 0, section("hold", std=[0.5, 2.0]), smoothing=0.0)
    # the first actuator lifts 0.5 kg, the second pushes along the ground
    np.testing.assert_allclose(law.nominal_actions, np.tile([0.5 * 9.81, 0.0], (200, 1)), atol=1e-9)
    np.testing.assert_array_equal(law.gains, 0.0)
    np.testing.assert_array_equal(law.covariances, np.tile(np.diag([0.25, 4.0]), (200, 1, 1)))
    free = first_controller(task, 0, section("hold", bias="zero"), smoothing=0.0)
    np.testing.assert_array_equal(free.nominal_actions, 0.0)


@pytest.mark.parametrize(("kind", "field"), [("pd", "std"), ("lqr_init", "inverse_inertia")])
def test_a_list_that_has_not_one_number_an_actuator_is_refused(task: Task, kind: str, field: str) -> None:
    with pytest.raises(
        InvalidFieldError, match=rf"learning\.initial\.{field}: found 3 numbers; must be 1 number, or 2"
    ):
        first_controller(task, 0, section(kind, **{field: [1.0, 1.0, 1.0]}), smoothing=0.0)


def test_a_state_without_the_driven_joints_is_refused(make_task: Callable[..., Task]) -> None:
    frames = {"model": "robot.xml", "frames": ["tip"]}
    task = make_task(ROBOT, [0.0, 0.0, 0.0], robot=frames, state=["frame_positions(tip)", "joint_velocities"])
    assert isinstance(task.action, ActionDefinition)
    with pytest.raises(TaskError, match="joint_positions of every driven joint"):
        first_controller(task, 0, section("pd"), smoothing=0.0)
