"""The cost as a function of the task's own state, against the one that planners see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mbpl_control.core import TaskError
from mbpl_control.costs import KinematicPoints, StatePoints
from mbpl_control.tasks import Task, load_task

TARGET = "state: [frame_positions(tip), joint_velocities, frame_velocities(tip), joint_positions]\ntarget:"
COST = """\
cost:
  - {term: frame_distance, frames: [tip, lower], offsets: [[0, 0, 0], [-0.1, 0, 0.2]], l1: 0.3, l2: 2.0, log: 0.1}
  - {term: frame_distance, frame: tip, l2: 10.0, l1: 0.2, ramp: final(4)}
  - {term: frame_position, frame: tip, weight: [1.0, 2.0, 3.0], ramp: linear}
  - {term: frame_position, frame: lower, weight: 2.0}
  - {term: frame_orientation, frame: tip, weight: 0.5, target: [1.0, 0.0, 0.0, 0.0]}
  - {term: state, weight: 0.7, target: 0.1}
  - {term: state, block: velocities, joints: [reach, shoulder], weight: [0.1, 0.3]}
  - {term: cosine, joints: [elbow, shoulder], weight: [1.0, 2.0], target: 0.4}
  - {term: action, weight: 0.001, target: gravity}
  - {term: joint_limits, weight: 0.1}
"""


@pytest.fixture
def made(write_task, task_text: str) -> Callable[[str, str], Task]:
    """The task with another state and other terms."""

    def make(target: str = TARGET, cost: str = COST) -> Task:
        text = task_text.replace("target:", target, 1)
        before, after = text.index("cost:"), text.index("limits:")
        return load_task(write_task(text[:before] + cost + text[after:]))

    return make


def trajectories(task: Task, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Robot's states (count, T+1, nx) within the limits, and actions."""
    rng = np.random.default_rng(0)
    q = rng.uniform([-1.0, -1.0, 0.02], [1.0, 1.0, 0.18], (count, task.horizon + 1, 3))
    states = np.concatenate([q, rng.normal(size=q.shape)], axis=2)
    return states, rng.normal(size=(count, task.horizon, 3))


@pytest.mark.parametrize("condition", range(3))
def test_what_a_learner_pays_is_what_a_planner_pays_for_many_trajectories_at_once(made, condition: int) -> None:
    task = made()
    robot, actions = trajectories(task, 4)
    x = task.task_state(robot.reshape(-1, 6)).reshape(4, task.horizon + 1, 12)
    expected = task.cost(condition).evaluate(robot, actions)
    np.testing.assert_allclose(task.learning_cost(condition).evaluate(x, actions), expected, rtol=1e-12)
    for one, u, costs in zip(x, actions, expected, strict=True):
        np.testing.assert_allclose(task.learning_cost(condition).quadratize(one, u).value, costs, rtol=1e-12)


def test_its_derivatives_equal_finite_differences_by_every_number_of_the_state(made) -> None:
    task = made()
    cost = task.learning_cost(1)
    robot, actions = trajectories(task, 1)
    x, u = task.task_state(robot[0]), actions[0]
    expansion, n, h = cost.quadratize(x, u), x.shape[1], 1e-5
    # the exact second derivatives are those of the gradient
    for i in range(n):
        step = np.zeros(n)
        step[i] = h
        plus, minus = cost.quadratize(x + step, u), cost.quadratize(x - step, u)
        np.testing.assert_allclose(expansion.lx[:, i], (plus.value - minus.value) / (2 * h), rtol=1e-6, atol=1e-5)
        np.testing.assert_allclose(expansion.lxx[:, :, i], (plus.lx - minus.lx) / (2 * h), rtol=1e-5, atol=1e-4)
    for i in range(3):
        step = np.zeros(3)
        step[i] = h
        slope = (cost.evaluate(x, u + step) - cost.evaluate(x, u - step))[:-1] / (2 * h)
        np.testing.assert_allclose(expansion.lu[:, i], slope, rtol=1e-6, atol=1e-7)


def test_a_frame_that_the_state_holds_is_read_off_it_and_any_other_follows_from_the_joints(made) -> None:
    two, one, weighted, other = made().learning_cost().terms[:4]
    assert isinstance(one.points, StatePoints)
    assert isinstance(weighted.points, StatePoints)
    assert isinstance(other.points, KinematicPoints)
    # one of the two is not held
    assert isinstance(two.points, KinematicPoints)
    # off the manifold of the kinematics the cost still is that of the three numbers
    x = np.random.default_rng(1).normal(size=(2, 12))
    d2 = np.sum((x[:, :3] - [0.5, 0.0, 0.1]) ** 2, axis=1)
    np.testing.assert_allclose(one.evaluate(x, np.zeros((1, 3))), 10.0 * d2 + 0.2 * np.sqrt(d2 + 1e-5))


def test_a_state_that_is_the_robots_own_costs_what_planners_see(task) -> None:
    robot, actions = trajectories(task, 1)
    ours, theirs = task.learning_cost(2).quadratize(robot[0], actions[0]), task.cost(2).quadratize(robot[0], actions[0])
    for name in ("value", "lx", "lu", "lxx", "lux", "luu"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))


@pytest.mark.parametrize(
    ("state", "term", "missing"),
    [
        ("[joint_positions]", "{term: state, block: velocities, weight: 1.0}", "joint_velocities of 'shoulder'"),
        ("[joint_velocities]", "{term: cosine, joints: [elbow], weight: 1.0}", "joint_positions of 'elbow'"),
        ("[joint_velocities]", "{term: joint_limits, weight: 1.0}", "joint_positions of 'shoulder'"),
        ("[frame_velocities(tip)]", "{term: frame_distance, frame: tip, l2: 1.0}", "joint_positions of 'shoulder'"),
    ],
)
def test_a_state_without_a_joint_that_a_term_needs_is_no_state_to_learn_in(
    made, state: str, term: str, missing: str
) -> None:
    task = made(f"state: {state}\ntarget:", f"cost:\n  - {term}\n")
    with pytest.raises(TaskError, match=rf"spoilt\.yaml:\d+: cost\[0\]\.\w+: the state has no {missing}"):
        task.learning_cost()
    # a planner does not mind: it knows the robot's own state
    task.cost()


def test_the_peg_costs_what_the_example_of_the_reference_does(task_files) -> None:
    task = load_task(task_files / "arm_peg.yaml")
    gains = np.array([3.09, 1.08, 0.393, 0.674, 0.111, 0.152, 0.098])
    rng = np.random.default_rng(3)
    x, u = rng.normal(size=(101, 26)), rng.normal(size=(100, 7))
    for condition in task.conditions:
        hole = condition.target
        d2 = np.sum((x[:, 14:20] - np.concatenate([hole, hole + [0.0, 0.0, 0.3]])) ** 2, axis=1)
        expected = 5.0 * d2 + 0.05 * np.log(1e-5 + d2)
        expected[:-1] += 0.5 * u**2 @ (5e-5 / gains)
        found = task.learning_cost(condition.index).evaluate(x, u)
        np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("{term: frame_distance, l2: 1.0}", r"cost\[0\]: must name either a frame or frames"),
        ("{term: frame_distance, frame: tip, frames: [tip], l2: 1.0}", r"cost\[0\]: must name either a frame or fr"),
        ("{term: frame_distance, frames: [], l2: 1.0}", r"cost\[0\]\.frames: .*at least 1 item"),
        ("{term: frame_distance, frames: [tip, lower], offsets: [[0, 0, 0]], l2: 1.0}", r"cost\[0\]: offsets must"),
        ("{term: frame_distance, frame: tip, offsets: [], l2: 1.0}", r"cost\[0\]: offsets must have one point a"),
        ("{term: frame_distance, frames: [tip, hand], l2: 1.0}", r"cost\[0\]\.frames: .*no frame 'hand'"),
    ],
)
def test_frames_and_offsets_that_do_not_fit_are_told_by_line_and_key(made, term: str, message: str) -> None:
    with pytest.raises(TaskError, match=rf"spoilt\.yaml:\d+: {message}"):
        made(cost=f"cost:\n  - {term}\n")


def test_the_reacher_pays_five_times_the_squared_distance_and_the_squared_control(task_files) -> None:
    task = load_task(task_files / "reacher_2link.yaml")
    rng = np.random.default_rng(4)
    x, u = rng.normal(size=(101, 10)), rng.uniform(-200.0, 200.0, (100, 2))
    for condition in task.conditions:
        expected = 5.0 * np.sum((x[:, 4:7] - condition.target) ** 2, axis=1)
        expected[:-1] += np.sum((u / 200.0) ** 2, axis=1)
        np.testing.assert_allclose(task.learning_cost(condition.index).evaluate(x, u), expected)
