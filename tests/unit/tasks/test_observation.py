"""What a policy may see of a task's state."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from mbpl_control.core import TaskError
from mbpl_control.tasks import Task, load_task

STATE = "state: [joint_positions, frame_positions(tip), joint_velocities, frame_velocities(tip)]\n"


@pytest.fixture
def made(write_task, task_text: str) -> Callable[[str], Task]:
    """The task with frame points in its state and an observation."""

    def make(observation: str, state: str = STATE) -> Task:
        text = task_text.replace("target:", f"{state}observation: {observation}\ntarget:", 1)
        return load_task(write_task(text))

    return make


def test_a_policy_sees_the_blocks_it_is_given_and_frames_as_seen_from_the_target(made) -> None:
    task = made("[frame_velocities(tip), frame_offsets(tip), joint_positions]")
    assert [b.kind for b in task.observation.blocks] == ["frame_velocity", "frame_offset", "joint_positions"]
    assert task.observation.blocks[1].units == ("m", "m", "m")
    x = np.random.default_rng(0).normal(size=(5, 12))
    for condition, target in ((0, [0.5, 0.0, 0.1]), (1, [0.4, 0.0, 0.2])):
        expected = np.concatenate([x[:, 9:12], x[:, 3:6] - target, x[:, :3]], axis=1)
        np.testing.assert_allclose(task.observe(x, condition), expected)
        np.testing.assert_allclose(task.observe(x.reshape(5, 1, 12), condition), expected[:, None])


def test_its_map_gives_the_same_numbers_and_their_derivative(made) -> None:
    task = made("[joint_velocities, frame_offsets(tip)]")
    x = np.random.default_rng(1).normal(size=(4, 12))
    for condition in range(3):
        matrix, offset = task.observation_map(condition)
        assert (matrix.shape, offset.shape) == ((6, 12), (6,))
        np.testing.assert_allclose(task.observe(x, condition), x @ matrix.T + offset)
        np.testing.assert_allclose(
            (task.observe(x + 1e-3, condition) - task.observe(x, condition)) / 1e-3, np.ones((4, 6)), rtol=1e-9
        )


def test_without_an_observation_a_policy_sees_the_state(task) -> None:
    x = np.random.default_rng(2).normal(size=(3, 6))
    np.testing.assert_array_equal(task.observe(x, 1), x)
    matrix, offset = task.observation_map(1)
    np.testing.assert_array_equal(matrix, np.eye(6))
    np.testing.assert_array_equal(offset, np.zeros(6))


@pytest.mark.parametrize("index", [-1, 3])
def test_a_condition_there_is_not_has_no_observation(task, index: int) -> None:
    with pytest.raises(TaskError, match=f"no start condition {index}"):
        task.observe(np.zeros((1, 6)), index)
    with pytest.raises(TaskError, match=f"no start condition {index}"):
        task.observation_map(index)


@pytest.mark.parametrize(
    ("observation", "state", "message"),
    [
        ("[frame_offset(tip)]", STATE, r"observation: .*'frame_offset\(tip\)' must be .* or frame_offsets\(FRAME\)"),
        ("[frame_offsets]", STATE, r"observation: .*'frame_offsets' must be"),
        ("[joint_positions]", "state: [frame_offsets(tip)]\n", r"state: .*'frame_offsets\(tip\)' must be joint_pos"),
        ("[frame_offsets(tip)]", "", r"observation\[0\]: not in the task's state: the state has no frame_position of"),
        ("[joint_positions, frame_velocities(tip)]", "", r"observation\[1\]: not in the task's state"),
        ("[frame_offsets(tipp)]", STATE, r"observation\[0\]: .*no frame 'tipp'; did you mean 'tip'"),
    ],
)
def test_what_cannot_be_seen_is_told_by_line_and_key(made, observation: str, state: str, message: str) -> None:
    with pytest.raises(TaskError, match=r"spoilt\.yaml:[56]: " + message):
        made(observation, state)


def test_an_offset_needs_a_target(make_task) -> None:
    robot = """<mujoco><worldbody><body name="b"><joint name="j"/><geom size="0.1"/></body></worldbody>
    <actuator><motor joint="j" ctrlrange="-1 1" ctrllimited="true"/></actuator></mujoco>"""
    with pytest.raises(TaskError, match=r"observation\[0\]: start condition 'train 0' has no target"):
        make_task(robot, [0.0], state=["frame_positions(b)"], observation=["frame_offsets(b)"])


def test_the_peg_is_seen_from_the_hole_and_the_blind_policy_sees_its_joints_alone(task_files) -> None:
    task, blind = (load_task(task_files / f"{name}.yaml") for name in ("arm_peg", "arm_peg_blind"))
    assert (task.state.size, task.observation.size, blind.observation.size) == (26, 26, 14)
    assert blind.state == task.state
    # a robot and a hole that are moved together look the same from the hole
    x = np.random.default_rng(3).normal(size=(2, 26))
    moved = x.copy()
    moved[:, [15, 18]] += task.condition(3).target[1] - task.condition(0).target[1]
    np.testing.assert_allclose(task.observe(moved, 3), task.observe(x, 0), atol=1e-12)
    np.testing.assert_array_equal(blind.observe(x, 0), x[:, :14])
