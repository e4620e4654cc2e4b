"""A task: what its file says, as objects."""

from __future__ import annotations

import numpy as np
import pytest

from mbpl_control.core import InvalidFieldError, TaskError
from mbpl_control.models import GeneratedDynamics, MujocoDynamics, PinocchioDynamics
from mbpl_control.tasks import load_task


def test_the_file_becomes_conditions_limits_and_dimensions(task) -> None:
    assert (task.horizon, task.dt, task.description) == (30, 0.02, "Reach.")
    assert [c.name for c in task.conditions] == ["train 0", "train 1", "straight"]
    assert [c.held_out for c in task.conditions] == [False, False, True]
    np.testing.assert_array_equal(task.condition(1).state, [0.3, 0.4, 0.1, 0.5, 0.0, 0.0])
    np.testing.assert_array_equal(task.condition(0).target, [0.5, 0.0, 0.1])
    np.testing.assert_array_equal(task.condition(1).target, [0.4, 0.0, 0.2])
    np.testing.assert_array_equal(task.action.upper, [30.0, 20.0, 5.0])
    np.testing.assert_array_equal(task.action.lower, [-30.0, -20.0, -5.0])
    np.testing.assert_array_equal(task.velocity_limits(), [1.0, 1.0, 1.0])
    assert task.state == task.observation == task.robot.state


@pytest.mark.parametrize("index", [-1, 3])
def test_a_condition_there_is_not_is_refused(task, index: int) -> None:
    with pytest.raises(TaskError, match=rf"spoilt\.yaml: no start condition {index}; there are 3, from 0"):
        task.condition(index)


def test_limits_come_from_the_model_unless_the_file_says_otherwise(write_task, task_text: str) -> None:
    text = task_text.replace("limits: {effort: [30.0, 20.0, 5.0], velocity: 1.0}", "")
    task = load_task(write_task(text))
    np.testing.assert_array_equal(task.action.upper, [40.0, 20.0, 10.0])
    np.testing.assert_array_equal(task.velocity_limits(), [3.0, 4.0, 1.0])
    assert task.effort_rate_limits() is None
    whole = load_task(write_task(task_text.replace("velocity: 1.0", "velocity: 1, effort_rate: 50")))
    np.testing.assert_array_equal(whole.effort_rate_limits(), [50.0, 50.0, 50.0])


def test_the_backend_is_the_analytic_one_where_it_models_the_whole_robot(task, write_task, task_text: str) -> None:
    # by kernels of its own where this machine has them
    assert task.backend() == ("pinocchio" if task.why_not_generated() else "generated")
    ours, theirs = task.dynamics("pinocchio"), task.dynamics("mujoco")
    assert isinstance(task.dynamics(), PinocchioDynamics | GeneratedDynamics)
    assert isinstance(ours, PinocchioDynamics)
    assert isinstance(theirs, MujocoDynamics)
    assert ours.substeps == theirs.substeps == 4
    x = np.stack([c.state for c in task.conditions])
    u = np.tile(task.robot.gravity(x[0, :3]), (3, 1))
    np.testing.assert_allclose(ours.step(x, u), theirs.step(x, u), atol=1e-9)
    by_time = load_task(write_task(task_text.replace("substeps: 4", "timestep: 0.004")))
    assert by_time.dynamics("pinocchio").substeps == by_time.dynamics("mujoco").substeps == 5


def test_first_actions_hold_the_start_still_or_are_noise_within_the_limits(task, write_task, task_text: str) -> None:
    hold = task.robot.gravity(task.condition(1).state[:3])
    assert hold[2] < -5.0
    np.testing.assert_allclose(task.initial_actions(1), np.tile([hold[0], hold[1], -5.0], (30, 1)))
    noisy = load_task(write_task(task_text.replace("max_iterations: 50", "initial_actions: zero, initial_noise: 1000")))
    one, same, other = (noisy.initial_actions(0, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
    assert (np.abs(one) <= noisy.action.upper).all()


def test_a_target_of_its_own_takes_the_place_of_the_conditions(task) -> None:
    start = task.condition(0)
    states, actions = np.tile(start.state, (task.horizon + 1, 1)), np.zeros((task.horizon, task.action.size))
    own = task.cost(0).evaluate(states, actions)
    np.testing.assert_array_equal(task.cost(0, start.target).evaluate(states, actions), own)
    # what is where it should be pays for the rest alone
    here = task.robot.kinematics.positions("tip", start.state[None, : task.robot.nq])[0]
    assert (task.cost(0, here).evaluate(states, actions) < own).all()
    with pytest.raises(InvalidFieldError, match="target"):
        task.cost(0, np.array([0.0, np.nan, 0.0]))


def test_success_is_the_largest_distance_over_the_last_states(task) -> None:
    rng = np.random.default_rng(0)
    q = rng.uniform(-0.5, 0.5, (31, 3))
    states = np.concatenate([q, np.zeros((31, 3))], axis=1)
    # the tip of a planar arm turned about +y by φ: x = r cos φ, z = −r sin φ
    first, both = q[:, 0], q[:, 0] + q[:, 1]
    reach = 0.3 + q[:, 2]
    tip = np.stack(
        [0.3 * np.cos(first) + reach * np.cos(both), 0 * first, -0.3 * np.sin(first) - reach * np.sin(both)], axis=1
    )
    expected = np.linalg.norm(tip - [0.4, 0.0, 0.2], axis=1)
    np.testing.assert_allclose(task.distances(states, 1), expected, atol=1e-12)
    np.testing.assert_allclose(task.distances(states.reshape(1, 31, 6), 1), expected[None], atol=1e-12)
    success = task.success(states, 1)
    assert (success.ok, success.limit, success.unit) == (False, 0.02, "m")
    assert success.distance == pytest.approx(expected[-3:].max())
    assert task.success_frame == "tip"


@pytest.mark.parametrize(
    ("rule", "state", "ok", "distance", "unit"),
    [
        # the elbow has no limits: a whole turn more is the same angle
        ("{joints: [elbow], angles: [3.14], within: 0.1}", [0.0, -3.14, 0.0], True, 2 * np.pi - 6.28, "rad"),
        # the shoulder has: it would have to go back
        ("{joints: [shoulder], angles: [1.9], within: 0.1}", [-1.9, 0.0, 0.0], False, 3.8, "rad"),
        ("{joints: [reach], angles: [0.2], within: 0.1}", [0.0, 0.0, 0.15], True, 0.05, "m"),
        ("{joints: [elbow, shoulder], angles: [0.0, 0.0], within: 0.1}", [0.3, 0.2, 0.0], False, 0.3, "rad"),
    ],
)
def test_success_of_joints_is_the_largest_of_their_distances(
    write_task, task_text: str, rule: str, state: list[float], ok: bool, distance: float, unit: str
) -> None:
    text = task_text.replace("{frame: tip, target: condition, within: 0.02, over_last: 3}", rule)
    task = load_task(write_task(text))
    success = task.success(np.tile(np.array([*state, 0.0, 0.0, 0.0]), (31, 1)))
    assert (success.ok, success.unit) == (ok, unit)
    assert success.distance == pytest.approx(distance)
    assert task.success_frame is None


def test_without_a_rule_nothing_counts(write_task, task_text: str) -> None:
    task = load_task(write_task("\n".join(line for line in task_text.splitlines() if not line.startswith("success"))))
    states = np.zeros((31, 6))
    assert not task.success(states).ok
    assert np.isnan(task.distances(states)).all()


def test_a_target_that_is_nowhere_is_missed_when_the_task_is_loaded(write_task, task_text: str) -> None:
    text = task_text.replace("target: [0.5, 0.0, 0.1]\n", "").replace(
        "frame: tip, l2", "frame: tip, target: [0, 0, 1], l2"
    )
    with pytest.raises(TaskError, match=r"success\.target: neither here nor at the start condition 'train 0'"):
        load_task(write_task(text))
    text = task_text.replace("target: [0.5, 0.0, 0.1]\n", "").replace("target: condition", "target: [0.0, 0.0, 1.0]")
    with pytest.raises(TaskError, match=r"cost\[0\]\.target: .*'condition', but no target there"):
        load_task(write_task(text))


def test_a_state_with_frames_holds_their_positions_and_velocities(write_task, task_text: str) -> None:
    blocks = "state: [joint_velocities, frame_positions(tip), joint_positions, frame_velocities(tip)]\ndt: 0.02  "
    text = task_text.replace("dt: 0.02  ", blocks + "\nobservation: [joint_positions]\n".replace("\n", "", 1))
    text = text.replace("dt: 0.02  observation", "dt: 0.02\nobservation")
    task = load_task(write_task(text))
    assert task.state.size == 12
    assert task.observation.size == 3
    rng = np.random.default_rng(2)
    x = rng.normal(size=(4, 6)) * 0.3
    full = task.task_state(x)
    np.testing.assert_array_equal(full[:, :3], x[:, 3:])
    np.testing.assert_array_equal(full[:, 6:9], x[:, :3])
    np.testing.assert_allclose(full[:, 3:6], task.robot.kinematics.positions("tip", x[:, :3]))
    h = 1e-6
    ahead = task.robot.kinematics.positions("tip", x[:, :3] + h * x[:, 3:])
    back = task.robot.kinematics.positions("tip", x[:, :3] - h * x[:, 3:])
    np.testing.assert_allclose(full[:, 9:], (ahead - back) / (2 * h), atol=1e-8)
    picked = full[:, task.observation.selection_from(task.state)]
    np.testing.assert_array_equal(picked, x[:, :3])


def test_the_hash_changes_with_what_the_task_says_and_not_with_how(write_task, task_text: str, robot_text: str) -> None:
    first = load_task(write_task(task_text)).hash
    same = task_text.replace("# steps", "# so many").replace("dt: 0.02", "dt: 2.0e-2").replace("l2: 10.0", "l2: 10")
    assert load_task(write_task(same)).hash == first
    assert load_task(write_task(task_text.replace("l2: 10.0", "l2: 10.5"))).hash != first
    assert load_task(write_task(task_text, robot_text.replace("900", "901"))).hash != first


def test_a_task_may_have_a_name_of_its_own(write_task, task_text: str) -> None:
    assert load_task(write_task("name: grab\n" + task_text)).name == "grab"


FLOATER = """<mujoco><compiler angle="radian" autolimits="true"/><default><geom contype="0"/></default><worldbody>
<body><freejoint name="base"/><geom size="0.1"/><body><joint name="b" type="ball"/><geom size="0.1"/>
<body><joint name="j" range="-1 1"/><geom size="0.1"/><site name="tip" pos="0.2 0 0"/></body></body></body></worldbody>
<actuator><motor joint="j" ctrlrange="-1 1"/></actuator></mujoco>"""
UPRIGHT = [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.6, 0.8, 0.0, 0.5]


def test_rotations_of_a_start_are_checked_and_so_are_limits_beside_them(make_task) -> None:
    task = make_task(FLOATER, UPRIGHT)
    np.testing.assert_array_equal(task.condition(0).state[:12], UPRIGHT)
    with pytest.raises(TaskError, match=r"start\.train\[0\]\.positions: a quaternion of length 0\.5 at number 3"):
        make_task(FLOATER, [*UPRIGHT[:3], 0.5, *UPRIGHT[4:]])
    with pytest.raises(TaskError, match=r"positions: 1\.5 for 'j'; the model allows -1 to 1"):
        make_task(FLOATER, [*UPRIGHT[:-1], 1.5])
    with pytest.raises(TaskError, match=r"success\.joints: a ball or free joint"):
        make_task(FLOATER, UPRIGHT, success={"joints": ["b.rotation"], "angles": [0.0], "within": 0.1})


def test_a_target_that_moves_leaves_the_terms_alone_that_are_not_about_it(task_files) -> None:
    task, elsewhere = load_task(task_files / "arm_reach.yaml"), np.array([0.3, 0.2, 0.5])
    first, moved, again = task.cost(1), task.cost(1, elsewhere), load_task(task_files / "arm_reach.yaml")
    kept = [a is b for a, b in zip(first.terms, moved.terms, strict=True)]
    assert any(kept) and not all(kept)
    steps = task.horizon
    x, u = np.tile(task.condition(1).state, (steps + 1, 1)), np.zeros((steps, task.action.size))

    def values(cost) -> list[float]:
        return cost.evaluate(x, u).tolist()

    for target in (elsewhere, -elsewhere):
        assert values(task.cost(1, target)) == values(again.cost(1, target))
    assert values(task.cost(1)) == values(first) != values(moved)
