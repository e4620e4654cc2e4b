"""The demo's records come out of bags as the trial was: written here message by message, with known figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mbpl_control.bags import EpisodeWriter
from mbpl_control.bags.types import typestore
from mbpl_control.core import BagError
from mbpl_control.demo.program import FEEDBACK, SwapSpec, TrialSpec, World
from mbpl_control.demo.reading import check_bag, read_law, read_swaps, read_trial
from mbpl_control.tasks import Task

#: Ticks of 5 ms: hold, then the trial of 125 steps of 20 ms, then the fallback.
HOLD_TICKS, TRIAL_TICKS, AFTER = 20, 500, 10
LATENCY_NS = 700_000
SPEC = TrialSpec(FEEDBACK, World("none"), 0, 3)


def positions_at(task: Task, tick: int) -> np.ndarray:
    """The arm turns its pan at 0.1 rad/s from the first tick of the trial on."""
    q = task.condition(0).state[:7].copy()
    q[0] += 0.1 * 0.005 * max(tick - HOLD_TICKS, 0)
    return q


@pytest.fixture
def write(arm_reach: Task, tmp_path: Path) -> Callable[..., Path]:
    """Writes a bag; `ticks` cuts it short, `skip_steps` leaves steps of the applied law out."""
    types = typestore().types

    def stamped(tick: int) -> Any:
        stamp = types["builtin_interfaces/msg/Time"](sec=tick // 200, nanosec=tick % 200 * 5_000_000)
        return types["std_msgs/msg/Header"](stamp=stamp, frame_id="world")

    def make(ticks: int = HOLD_TICKS + TRIAL_TICKS + AFTER, skip_steps: range = range(0)) -> Path:
        writer = EpisodeWriter(tmp_path / "bag", {"task": "arm_reach"})
        for tick in range(ticks):
            step = (tick - HOLD_TICKS) // 4
            controller = "hold" if tick < HOLD_TICKS else FEEDBACK if tick < HOLD_TICKS + TRIAL_TICKS else "fallback"
            q, arrival = positions_at(arm_reach, tick), 10**18 + tick * 5_000_000
            state = types["mbpl_msgs/msg/RobotState"](
                header=stamped(tick),
                sequence=tick + 1,
                joint_names=list(arm_reach.robot.joint_names),
                position=q,
                velocity=np.full(7, 0.1 if tick >= HOLD_TICKS else 0.0),
                effort=np.zeros(0),
                definition_hash="",
                state=arm_reach.task_state(np.concatenate([q, np.zeros(7)])[None])[0],
                covariance=np.zeros(0),
            )
            writer.write_message("/mbpl/state", "mbpl_msgs/msg/RobotState", arrival, state)
            command = types["mbpl_msgs/msg/JointCommand"](
                header=stamped(tick),
                sequence=tick + 1,
                state_sequence=tick + 1,
                joint_names=list(arm_reach.action.joint_names),
                interface="effort",
                values=np.full(7, 1.0 if controller == FEEDBACK else 4.0),
                controller=controller,
                step=step if controller == FEEDBACK else -1,
            )
            writer.write_message("/mbpl/joint_commands", "mbpl_msgs/msg/JointCommand", arrival + LATENCY_NS, command)
            if controller == FEEDBACK and (tick - HOLD_TICKS) % 4 == 0 and step not in skip_steps:
                law = _law(types, arm_reach, stamped(tick), step)
                writer.write_message("/mbpl/applied_law", "mbpl_msgs/msg/FeedbackLaw", arrival + LATENCY_NS, law)
        return writer.close()

    return make


def _law(types: Any, task: Task, header: Any, step: int) -> Any:
    blocks = [
        types["mbpl_msgs/msg/StateBlock"](kind=b.kind, names=list(b.names), spaces=list(b.spaces), units=list(b.units))
        for b in task.state.blocks
    ]
    own = task.action
    action = types["mbpl_msgs/msg/ActionDefinition"](
        actuator_names=list(own.actuator_names),
        joint_names=list(own.joint_names),
        interface=own.interface,
        units=list(own.units),
        lower=own.lower,
        upper=own.upper,
        hash=own.hash,
    )
    return types["mbpl_msgs/msg/FeedbackLaw"](
        header=header,
        sequence=step + 1,
        controller=FEEDBACK,
        joint_names=list(task.action.joint_names),
        state_definition=types["mbpl_msgs/msg/StateDefinition"](blocks=blocks, hash=task.state.hash),
        action_definition=action,
        reference_state=np.arange(20.0) + step,
        action=np.arange(7.0) - step,
        gain=np.arange(140.0) * step,
        covariance=np.eye(7).ravel() * step,
        valid_from=header.stamp,
        valid_until=header.stamp,
        step=step,
    )


def test_a_trial_comes_out_with_its_own_states_commands_and_times_and_nothing_around_them(
    arm_reach: Task, write: Callable[..., Path]
) -> None:
    trial = read_trial(arm_reach, SPEC, write())
    np.testing.assert_allclose(trial.times, 0.02 * np.arange(126), atol=1e-12)
    expected = np.array([positions_at(arm_reach, HOLD_TICKS + 4 * t) for t in range(126)])
    np.testing.assert_array_equal(trial.states[:, :7], expected)
    np.testing.assert_allclose(trial.command_times, 0.005 * np.arange(TRIAL_TICKS), atol=1e-9)
    assert (trial.commands == 1.0).all()
    np.testing.assert_allclose(trial.latencies, 1e-9 * LATENCY_NS, atol=1e-9)
    target = arm_reach.condition(0).target
    np.testing.assert_allclose(trial.distances, np.linalg.norm(trial.points - target, axis=1), atol=1e-12)
    # the tip goes round the vertical axis through the shoulder by 0.1 rad/s for 2.5 s
    angle = np.arctan2(trial.points[:, 1], trial.points[:, 0])
    np.testing.assert_allclose(angle - angle[0], 0.1 * trial.times, atol=1e-9)
    assert trial.final_distance == trial.distances[-1]


def test_a_bag_without_the_end_of_the_trial_is_an_error_that_names_it(
    arm_reach: Task, write: Callable[..., Path]
) -> None:
    bag = write(ticks=HOLD_TICKS + TRIAL_TICKS - 100)
    with pytest.raises(BagError, match=r"bag: does not hold the whole trial of 'ilqr_feedback'"):
        read_trial(arm_reach, SPEC, bag)


def test_swaps_are_found_in_the_bag_with_their_jumps_and_speeds(arm_reach: Task, write: Callable[..., Path]) -> None:
    run = read_swaps(arm_reach, SwapSpec("chain", 0, ((0.0, FEEDBACK),), 1.0), write())
    first, second = run.swaps
    assert (first.before, first.after, second.before, second.after) == ("hold", FEEDBACK, FEEDBACK, "fallback")
    assert first.time == pytest.approx(0.1)
    assert (first.speed, second.speed) == (pytest.approx(0.1), pytest.approx(0.1))
    # every command goes from 4 to 1; the narrowest limit is 10
    assert run.largest_jump == pytest.approx(3.0 / arm_reach.action.upper.min())


def test_the_applied_law_comes_out_row_by_row_in_the_order_of_its_steps(
    arm_reach: Task, write: Callable[..., Path]
) -> None:
    law = read_law(arm_reach, write())
    assert law.nominal_states.shape == (125, 20)
    np.testing.assert_array_equal(law.nominal_states[9], np.arange(20.0) + 9)
    np.testing.assert_array_equal(law.nominal_actions[9], np.arange(7.0) - 9)
    np.testing.assert_array_equal(law.gains[9], np.arange(140.0).reshape(7, 20) * 9)
    np.testing.assert_array_equal(law.covariances[9], np.eye(7) * 9)


def test_steps_of_the_applied_law_that_are_missing_are_joined_from_their_neighbours(
    arm_reach: Task, write: Callable[..., Path]
) -> None:
    law = read_law(arm_reach, write(skip_steps=range(9, 12)))
    assert law.nominal_states.shape == (125, 20)
    # all of it is linear in the step
    np.testing.assert_allclose(law.nominal_states[10], np.arange(20.0) + 10)
    np.testing.assert_allclose(law.gains[11], np.arange(140.0).reshape(7, 20) * 11)
    np.testing.assert_allclose(law.covariances[9], np.eye(7) * 9)


def test_a_hole_in_the_applied_law_is_an_error_that_tells_its_length(
    arm_reach: Task, write: Callable[..., Path]
) -> None:
    with pytest.raises(BagError, match="119 of 125 steps have an applied law, 6 in a row have none"):
        read_law(arm_reach, write(skip_steps=range(9, 15)))


def test_both_readers_find_every_message_of_a_good_bag(write: Callable[..., Path]) -> None:
    check = check_bag(write())
    assert check.problem == ""
    assert check.messages == 2 * (HOLD_TICKS + TRIAL_TICKS + AFTER) + 125


def test_a_bag_with_a_byte_gone_wrong_is_found_unreadable(write: Callable[..., Path]) -> None:
    bag = write()
    (file,) = bag.glob("*.mcap")
    data = bytearray(file.read_bytes())
    data[len(data) // 8] ^= 0xFF  # in a chunk of messages, and not in the index that nobody needs
    file.write_bytes(data)
    assert check_bag(bag).problem != ""


def test_a_bag_without_its_messages_is_found_unreadable(write: Callable[..., Path]) -> None:
    bag = write()
    for file in bag.glob("*.mcap"):
        file.unlink()
    assert check_bag(bag).problem.startswith("rosbags: ")
