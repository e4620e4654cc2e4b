"""Cost terms of a task file against the formulas they stand for."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mbpl_control.core import TaskError
from mbpl_control.tasks import load_task

Q = np.array([0.4, -0.3, 0.12])
V = np.array([0.2, -0.1, 0.5])
X = np.concatenate([Q, V])
U = np.array([3.0, -2.0, 1.0])


@pytest.fixture
def cost_of(write_task, task_text: str):
    """Cost of one step at X and U, by one term alone."""

    def cost(**term: Any) -> float:
        before, after = task_text.index("cost:"), task_text.index("limits:")
        text = task_text[:before] + f"cost: [{json.dumps(term)}]\n" + task_text[after:]
        task = load_task(write_task(text))
        return float(task.cost(1).evaluate(np.stack([X, X]), U[None])[0])

    return cost


def test_a_state_term_weighs_the_block_it_names(cost_of) -> None:
    assert cost_of(term="state", weight=2.0) == pytest.approx(X @ X)
    assert cost_of(term="state", block="positions", weight=[1.0, 2.0, 3.0]) == pytest.approx(0.5 * Q**2 @ [1, 2, 3])
    assert cost_of(term="state", block="velocities", weight=1.0, target=0.2) == pytest.approx(
        0.5 * ((V - 0.2) ** 2).sum()
    )


def test_weights_and_targets_belong_to_the_joints_in_the_order_they_are_named(cost_of) -> None:
    found = cost_of(term="state", block="positions", joints=["reach", "shoulder"], weight=[5.0, 7.0], target=[0.1, 1.0])
    assert found == pytest.approx(0.5 * (5.0 * (Q[2] - 0.1) ** 2 + 7.0 * (Q[0] - 1.0) ** 2))
    found = cost_of(term="cosine", joints=["elbow", "shoulder"], weight=[5.0, 7.0], target=[0.1, 1.0])
    assert found == pytest.approx(5.0 * (1 - np.cos(Q[1] - 0.1)) + 7.0 * (1 - np.cos(Q[0] - 1.0)))


def test_an_action_term_counts_from_zero_from_a_target_or_from_what_holds_the_start(cost_of, task) -> None:
    assert cost_of(term="action", weight=2.0) == pytest.approx(U @ U)
    assert cost_of(term="action", weight=[1, 0, 0], target=[1.0, 9.0, 9.0]) == pytest.approx(0.5 * 4.0)
    hold = task.robot.gravity(task.condition(1).state[:3])
    assert cost_of(term="action", weight=1.0, target="gravity") == pytest.approx(0.5 * ((U - hold) ** 2).sum())


def test_terms_on_a_frame_measure_from_their_target_or_that_of_the_start(cost_of, task) -> None:
    motion = task.robot.kinematics.motion("tip", Q[None])
    error = motion.positions[0] - [0.4, 0.0, 0.2]
    d2 = error @ error
    assert cost_of(term="frame_position", frame="tip", weight=[1.0, 2.0, 3.0]) == pytest.approx(
        0.5 * error**2 @ [1, 2, 3]
    )
    found = cost_of(term="frame_distance", frame="tip", l1=2.0, l2=3.0, log=0.5, alpha=0.01)
    assert found == pytest.approx(3.0 * d2 + 2.0 * np.sqrt(d2 + 0.01) + 0.5 * np.log(d2 + 0.01))
    own = motion.positions[0] - [0.0, 0.0, 1.0]
    assert cost_of(term="frame_distance", frame="tip", l2=1.0, target=[0, 0, 1]) == pytest.approx(own @ own)


def test_an_orientation_is_the_squared_angle_to_its_target(cost_of, task) -> None:
    target = Rotation.from_rotvec([0.1, 0.5, -0.3])
    is_now = Rotation.from_matrix(task.robot.kinematics.motion("tip", Q[None]).rotations[0])
    angle = (is_now * target.inv()).magnitude()
    quaternion = target.as_quat()[[3, 0, 1, 2]].tolist()
    found = cost_of(term="frame_orientation", frame="tip", weight=3.0, target=quaternion)
    assert found == pytest.approx(1.5 * angle**2)


def test_the_barrier_covers_the_joints_that_have_limits(cost_of) -> None:
    def barrier(q: float, low: float, high: float) -> float:
        half = 0.5 * (high - low)
        return -np.log((q - low) / half) - np.log((high - q) / half)

    found = cost_of(term="joint_limits", weight=2.0, delta=0.05)
    assert found == pytest.approx(2.0 * (barrier(Q[0], -2.0, 2.0) + barrier(Q[2], 0.0, 0.2)))


@pytest.mark.parametrize(
    ("term", "message"),
    [
        (
            {"term": "cosine", "joints": ["reach"], "weight": 1.0},
            r"cost\[0\]\.joints: .*'reach', no hinge; must be hinges",
        ),
        ({"term": "cosine", "joints": ["knee"], "weight": 1.0}, r"cost\[0\]\.joints: .*no joint_positions of 'knee'"),
        ({"term": "state", "weight": [1.0, 2.0]}, r"cost\[0\]\.weight: .*2 numbers; must be 1 number, or 6"),
        ({"term": "state", "weight": 1.0, "target": [1.0]}, r"cost\[0\]\.target: .*1 numbers; must be 1 number, or 6"),
        ({"term": "frame_distance", "frame": "tip"}, r"cost\[0\]\.l1: .*a weight above 0 somewhere"),
        (
            {"term": "frame_orientation", "frame": "tip", "weight": 1.0, "target": [1.0, 1.0, 0.0, 0.0]},
            r"cost\[0\]\.target: .*a quaternion of length 1\.414; must be of unit length",
        ),
        ({"term": "frame_position", "frame": "tip", "weight": [1.0]}, r"cost\[0\]\.weight: .*1 number, or 3"),
    ],
)
def test_a_term_that_does_not_fit_the_robot_is_told_by_its_key(cost_of, term: dict[str, Any], message: str) -> None:
    with pytest.raises(TaskError, match=message):
        cost_of(**term)


def test_terms_reach_rotations_of_ball_and_free_joints(make_task) -> None:
    text = """<mujoco><default><geom contype="0"/></default><worldbody><body><joint name="b" type="ball"/>
    <geom size="0.1"/><body><joint name="j"/><geom size="0.1"/></body></body></worldbody>
    <actuator><motor joint="j" ctrlrange="-1 1"/></actuator></mujoco>"""
    turned = Rotation.from_rotvec([0.0, 0.3, 0.4]).as_quat()[[3, 0, 1, 2]].tolist()
    task = make_task(text, [1.0, 0.0, 0.0, 0.0, 0.0], cost=[{"term": "state", "block": "positions", "weight": 2.0}])
    x = np.array([[*turned, 0.1, 0.0, 0.0, 0.0, 0.0]])
    found = task.cost().evaluate(np.repeat(x, 2, axis=0), np.zeros((1, 1)))[0]
    assert found == pytest.approx(0.5**2 + 0.1**2)
    with pytest.raises(TaskError, match=r"cost\[0\]\.target: .*a quaternion of length 0\.6"):
        make_task(
            text,
            [1.0, 0.0, 0.0, 0.0, 0.0],
            cost=[{"term": "state", "block": "positions", "weight": 2.0, "target": 0.3}],
        )
    with pytest.raises(TaskError, match=r"cost\[0\]\.term: .*ball or free joints; must be one of hinges and slides"):
        make_task(text, [1.0, 0.0, 0.0, 0.0, 0.0], cost=[{"term": "joint_limits", "weight": 2.0}])
