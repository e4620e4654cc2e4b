"""Bodies of the scene that a start condition places, and what robots meet in it."""

from __future__ import annotations

import mujoco
import numpy as np
import pytest

from mbpl_control.agents import Simulation
from mbpl_control.core import ModelError, TaskError
from mbpl_control.models import MujocoDynamics
from mbpl_control.tasks import Task, load_task

#: A slide along x that runs into a wall; the wall is 0.1 m thick and stands at x = 1 unless it is placed.
ROBOT = """
<mujoco><option timestep="0.005" gravity="0 0 0"/>
<worldbody><body name="wall" mocap="true" pos="1 0 0"><geom type="box" size="0.05 0.5 0.5"/><site name="mark"/></body>
<body name="post" pos="0 5 0"><geom size="0.1"/></body>
<body name="cart"><joint name="x" type="slide" axis="1 0 0" damping="2"/><geom size="0.1" mass="1"/></body></worldbody>
<actuator><motor joint="x" ctrlrange="-5 5" ctrllimited="true"/></actuator></mujoco>
"""
STARTS = {
    "train": [
        {"positions": [0.0], "bodies": {"wall": [0.6, 0.0, 0.0]}},
        {"positions": [0.0], "bodies": {"wall": [0.3, 0.0, 0.0]}},
        {"positions": [0.0]},
    ]
}
#: Where the cart's surface meets the wall's.
STOPS = (0.45, 0.15, 0.85)


@pytest.fixture(scope="module")
def task(make_task) -> Task:
    return make_task(ROBOT, [0.0], start=STARTS)


def stop(simulation: Simulation) -> float:
    """Where the cart comes to rest under 2 N, m."""
    for _ in range(1000):
        simulation.command(np.array([2.0]))
        simulation.step()
    return float(simulation.state[0])


def test_a_condition_says_where_its_bodies_are(task: Task) -> None:
    assert [dict(c.bodies) != {} for c in task.conditions] == [True, True, False]
    np.testing.assert_array_equal(task.condition(1).bodies["wall"], [0.3, 0.0, 0.0])


def test_a_reset_places_the_bodies_of_its_condition_and_all_others_where_the_file_has_them(task: Task) -> None:
    simulation = Simulation(task)
    assert stop(simulation) == pytest.approx(STOPS[0], abs=0.01)
    for condition in (1, 2, 0):
        start = task.condition(condition)
        simulation.reset(start.state, bodies=start.bodies)
        assert stop(simulation) == pytest.approx(STOPS[condition], abs=0.01)


def test_a_reset_to_positions_alone_leaves_the_scene_as_it_is(task: Task) -> None:
    simulation = Simulation(task)
    simulation.reset(np.zeros(2), bodies=task.condition(1).bodies)
    simulation.reset(np.zeros(2))
    assert stop(simulation) == pytest.approx(STOPS[1], abs=0.01)


@pytest.mark.parametrize("condition", range(3))
def test_planners_meet_the_scene_of_their_condition(task: Task, condition: int) -> None:
    dynamics = task.dynamics(condition=condition)
    assert isinstance(dynamics, MujocoDynamics)
    x = np.zeros((1, 2))
    for _ in range(100):
        x = dynamics.step(x, np.array([[2.0]]))
    assert x[0, 0] == pytest.approx(STOPS[condition], abs=0.01)
    # against the wall an action moves nothing any more, as the derivatives know, too
    _, b = dynamics.linearize(np.repeat(x, 2, axis=0), np.full((1, 1), 2.0))
    _, free = dynamics.linearize(np.zeros((2, 2)), np.full((1, 1), 2.0))
    assert abs(b[0, 1, 0]) < 0.5 * free[0, 1, 0]


def test_frames_are_the_robots_and_not_the_scenes(task: Task) -> None:
    assert task.robot.frame_names == ("post", "cart")
    with pytest.raises(ModelError, match="no frame 'mark'"):
        task.robot.kinematics.check("mark")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("cart", r"start\.train\[0\]\.bodies\.cart: .*body 'cart' is part of the robot or fixed; .*: wall"),
        ("post", r"start\.train\[0\]\.bodies\.post: .*body 'post' is part of the robot or fixed; .*: wall"),
        ("door", r"start\.train\[0\]\.bodies\.door: .*body 'door' does not exist; .*\(mocap bodies\): wall"),
    ],
)
def test_a_body_that_cannot_be_placed_is_told_by_line_and_key(make_task, body: str, message: str) -> None:
    start = {"train": [{"positions": [0.0], "bodies": {body: [0.0, 0.0, 0.0]}}]}
    with pytest.raises(TaskError, match=r"made\.yaml:\d+: " + message):
        make_task(ROBOT, [0.0], start=start)


def test_a_place_is_three_numbers(make_task) -> None:
    with pytest.raises(TaskError, match=r"start\.train\[0\]\.bodies\.wall: .*at least 3"):
        make_task(ROBOT, [0.0], start={"train": [{"positions": [0.0], "bodies": {"wall": [1.0, 2.0]}}]})


def test_each_condition_of_the_peg_task_has_its_hole_where_its_target_is(task_files) -> None:
    task = load_task(task_files / "arm_peg.yaml")
    simulation = Simulation(task)
    floor = simulation.model.geom("floor").id
    for condition in task.conditions:
        simulation.reset(condition.state, bodies=condition.bodies)
        # the target is the middle of the floor's upper side
        top = simulation.data.geom_xpos[floor] + [0.0, 0.0, simulation.model.geom_size[floor, 2]]
        np.testing.assert_allclose(top, condition.target, atol=1e-12)
    offsets = [0.3 - c.target[1] for c in task.conditions]
    np.testing.assert_allclose(offsets[:4], [0.2, 0.1, -0.1, -0.2], atol=1e-12)
    np.testing.assert_allclose(offsets[4:], [0.15, 0.05, 0.0, -0.05, -0.15], atol=1e-12)


def test_the_peg_fits_the_hole_with_half_a_millimetre_and_nothing_but_the_peg_touches_it(task_files) -> None:
    task = load_task(task_files / "arm_peg.yaml")
    model = task.robot.mujoco_model()
    peg = model.geom("peg").id
    collides = {model.geom(g).name for g in range(model.ngeom) if model.geom_contype[g] or model.geom_conaffinity[g]}
    scene = {model.geom(g).name for g in range(model.ngeom) if model.geom_bodyid[g] == model.body("hole").id}
    assert collides == scene | {"peg"}
    # the guides lean in by 0.05 rad from 34 mm, 3 mm thick, at the lower end of their 0.1 m
    inner = 0.034 - 0.003 * np.cos(0.05) - 0.05 * np.sin(0.05)
    assert 1e3 * (inner - model.geom_size[peg, 0]) == pytest.approx(0.5, abs=0.05)
    for name, axis, sign in (("right", 0, 1), ("left", 0, -1), ("far", 1, 1), ("near", 1, -1)):
        g = model.geom(f"guide_{name}").id
        rotation = np.empty(9)
        mujoco.mju_quat2Mat(rotation, model.geom_quat[g])
        corners = np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) * model.geom_size[g]
        world = corners @ rotation.reshape(3, 3).T + model.geom_pos[g]
        assert (sign * world[:, axis]).min() == pytest.approx(inner, abs=1e-9)


def test_the_links_of_the_peg_arm_weigh_what_their_shapes_do(task_files) -> None:
    model = load_task(task_files / "arm_peg.yaml").robot.mujoco_model()

    def capsule(length: float, radius: float) -> float:
        return 1000.0 * np.pi * radius**2 * (length + 4.0 / 3.0 * radius)

    def ball(radius: float) -> float:
        return 1000.0 * 4.0 / 3.0 * np.pi * radius**3

    finger = capsule(float(np.hypot(0.09137, 0.00495)), 0.01) + capsule(0.09137, 0.01)
    expected = {
        "shoulder": capsule(0.6, 0.1) + 2 * ball(0.05) + 2 * ball(0.03),
        "lift_link": capsule(0.2, 0.1),
        "upper_arm": capsule(0.2, 0.02) + capsule(0.4, 0.06),
        "elbow_link": capsule(0.04, 0.06),
        "forearm": capsule(0.2, 0.02) + capsule(0.321, 0.05),
        "wrist_link": capsule(0.04, 0.01),
        "hand": capsule(0.04, 0.01) + capsule(0.04, 0.05) + 2 * finger,
        "peg": 2000.0 * np.pi * 0.028**2 * 0.3,
    }
    for body, mass in expected.items():
        assert model.body(body).mass[0] == pytest.approx(mass, rel=1e-9), body


def test_the_fork_carries_the_puck_along_between_its_prongs(task_files) -> None:
    task = load_task(task_files / "puck_push.yaml")
    assert task.backend() == "mujoco"
    dynamics, kinematics = task.dynamics(), task.robot.kinematics
    x = task.conditions[0].state[None]
    begin = x[0, 3:5].copy()
    for _ in range(25):
        motion = kinematics.motion("tip", x[:, :5])
        # 5 N along y at the fork, the fork held pointing there
        torque = motion.jacobians[0, :2, :3].T @ np.array([0.0, 5.0])
        torque[2] += 2.0 * (np.pi / 2 - x[0, :3].sum()) - 0.3 * x[0, 5:8].sum()
        x = dynamics.step(x, torque[None])
    tip, puck = kinematics.positions("tip", x[:, :5])[0], x[0, 3:5]
    assert puck[1] - begin[1] > 0.05
    # a disc of 40 mm against two balls of 12 mm, 25 mm off the axis on either side, which may have turned a little
    gap = np.sqrt((0.040 + 0.012) ** 2 - 0.025**2)
    assert np.linalg.norm(puck - tip[:2]) == pytest.approx(gap, abs=2e-3)


def test_the_state_of_the_puck_is_in_the_state_and_no_motor_drives_it(task_files) -> None:
    task = load_task(task_files / "puck_push.yaml")
    assert task.state.joint_names[3:] == task.robot.joint_names[3:] == ("puck_x", "puck_y")
    assert task.action.joint_names == ("shoulder", "elbow", "wrist")
    x = np.random.default_rng(0).normal(size=(3, 10))
    place = task.robot.kinematics.positions("puck", x[:, :5])
    np.testing.assert_allclose(place, np.column_stack([x[:, 3:5], np.full(3, 0.02)]), atol=1e-12)


def test_a_rod_of_the_rotary_pendulum_falls_like_a_pendulum_of_a_metre(task_files) -> None:
    task = load_task(task_files / "rotary_pendulum_balance.yaml")
    model = task.robot.mujoco_model()
    rod = model.body("rod").id
    com = model.body_ipos[rod, 2]
    about_the_hinge = model.body_inertia[rod, 0] + model.body_mass[rod] * com**2
    # the length of the point pendulum of the same period, J / (m l)
    assert about_the_hinge / (model.body_mass[rod] * abs(com)) == pytest.approx(1.0, rel=0.05)
    assert task.action.joint_names == ("arm",)
    assert task.robot.gravity(np.array([0.3, 2.0])) == pytest.approx(0.0, abs=1e-12)
