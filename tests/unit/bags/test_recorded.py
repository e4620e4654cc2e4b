"""Trials come out of bags as they were, aligned by the stamps of the robot's clock, whatever arrived when."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_trial import (
    ACTION,
    CONTROLLER,
    DT,
    HOLD_TICKS,
    METADATA,
    START_NS,
    STATE,
    STEPS,
    TICK_NS,
    TICKS_A_STEP,
    Message,
    action_of,
    command_at,
    header,
    law_of,
    state_at,
    trial_messages,
    write_foreign,
    write_trial,
)
from mcap.reader import make_reader
from rosbags.rosbag2 import StoragePlugin

from mbpl_control.bags import EpisodeWriter
from mbpl_control.bags.recorded import RecordedTrial, find_bags, read_all, read_recorded
from mbpl_control.core import BagError, StateDefinition

STATES = np.array([state_at(HOLD_TICKS + t * TICKS_A_STEP) for t in range(STEPS + 1)])
ACTIONS = np.array([action_of(t) for t in range(STEPS)])


def stamp_of(message: Any) -> int:
    return message.header.stamp.sec * 10**9 + message.header.stamp.nanosec


def check_trial(found: RecordedTrial) -> None:
    """All that the known trial is."""
    trial = found.trial
    assert (trial.state, trial.action, trial.dt) == (STATE, ACTION, DT)
    np.testing.assert_array_equal(trial.states, STATES)
    np.testing.assert_allclose(trial.actions, ACTIONS, rtol=1e-15)
    np.testing.assert_array_equal(trial.times, DT * np.arange(STEPS + 1))
    np.testing.assert_array_equal(found.robot_states, STATES)
    assert found.start_ns == START_NS
    assert (trial.controller, trial.stop_reason) == (CONTROLLER, "completed")


def check_law(found: RecordedTrial) -> None:
    """The law of each step, to the bit."""
    law = found.law
    assert law is not None and law.steps == STEPS and law.name == CONTROLLER
    for t in range(STEPS):
        expected = law_of(t)
        np.testing.assert_array_equal(law.nominal_states[t], expected["reference_state"])
        np.testing.assert_array_equal(law.planned_actions[t], expected["action"])
        np.testing.assert_array_equal(law.gains[t], expected["gain"])
        np.testing.assert_array_equal(law.covariances[t], expected["covariance"])
    np.testing.assert_array_equal(law.nominal_states[STEPS], law.nominal_states[STEPS - 1])


def test_a_recorded_trial_comes_out_with_its_states_actions_law_costs_and_metadata(tmp_path: Path) -> None:
    found = read_recorded(write_trial(tmp_path / "bag"))
    check_trial(found)
    check_law(found)
    assert found.complete and found.metadata["cost"] == 3.25 and found.metadata["seed"] == 7
    assert found.trial.cost == pytest.approx(3.25)
    assert (found.trial.condition, found.trial.seed, found.trial.success) == (2, 7, True)
    assert (found.trial.task, found.trial.task_hash) == ("two_joints", "f00")
    assert found.trial.metadata["law_sequence"] == 4
    assert found.trial.metadata["interpolated_states"] == found.trial.metadata["steps_without_command"] == 0


@pytest.mark.parametrize("order", ["late", "backwards", "all_at_once", "shuffled"])
def test_when_messages_arrived_changes_nothing(tmp_path: Path, order: str) -> None:
    rng = np.random.default_rng(0)

    def arrive(messages: Iterator[Message]) -> Iterator[Message]:
        for number, (topic, kind, arrival, message) in enumerate(messages):
            times = {"late": arrival + number * 10**9, "backwards": 10**18 - arrival // 10, "all_at_once": 10**18}
            yield topic, kind, times.get(order, int(rng.integers(10**18))), message

    found = read_recorded(write_trial(tmp_path / "bag", arrive))
    check_trial(found)
    check_law(found)


@pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name.lower())
def test_a_bag_recorded_by_hand_is_read_without_our_metadata(tmp_path: Path, storage: StoragePlugin) -> None:
    found = read_recorded(write_foreign(tmp_path / "bag", trial_messages(), storage))
    check_trial(found)
    check_law(found)
    assert dict(found.metadata) == {} and found.complete
    assert (found.trial.condition, found.trial.seed) == (2, 7)


def test_a_bag_by_hand_without_told_trials_holds_what_a_controller_commanded(tmp_path: Path) -> None:
    found = read_recorded(write_foreign(tmp_path / "bag", trial_messages(tell=False)))
    check_trial(found)
    check_law(found)
    assert found.trial.costs.size == 0 and found.trial.condition == -1


def test_a_trial_that_was_told_without_its_start_begins_with_its_controllers_first_command(tmp_path: Path) -> None:
    def unstamped(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in messages:
            if topic == "/mbpl/trials":
                message.header = header(0)
            yield topic, kind, arrival, message

    found = read_recorded(write_trial(tmp_path / "bag", unstamped))
    check_trial(found)
    assert found.trial.cost == pytest.approx(3.25)


def test_a_state_that_hold_and_then_the_controller_answered_begins_the_trial(tmp_path: Path) -> None:
    def answer_twice(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in messages:
            if topic == "/mbpl/joint_commands" and stamp_of(message) == START_NS:
                held = replace(message, controller="hold", values=np.full(2, 9.0), sequence=message.sequence - 1)
                yield topic, kind, arrival, held
            yield topic, kind, arrival, message

    check_trial(read_recorded(write_trial(tmp_path / "told", answer_twice)))
    check_trial(read_recorded(write_trial(tmp_path / "untold", answer_twice, tell=False)))


def test_a_bag_by_hand_may_hold_several_trials(tmp_path: Path) -> None:
    def both() -> Iterator[Message]:
        yield from trial_messages()
        yield from trial_messages(after_ns=10**10, seed=8)

    bag = write_foreign(tmp_path / "bag", both())
    with pytest.raises(BagError, match="holds 2 trials; must be one"):
        read_recorded(bag)
    first, second = read_all([bag])
    check_trial(first)
    assert second.start_ns == START_NS + 10**10 and second.trial.seed == 8
    np.testing.assert_array_equal(second.trial.states, first.trial.states)


def test_a_controller_that_applies_no_laws_has_none(tmp_path: Path) -> None:
    found = read_recorded(write_trial(tmp_path / "bag", laws=False))
    check_trial(found)
    assert found.law is None


def test_the_bag_of_a_killed_recorder_is_a_shorter_trial_that_says_so(tmp_path: Path) -> None:
    bag = write_trial(tmp_path / "bag", flush_every=20, tell=False)
    (bag / "metadata.yaml").unlink()
    (bag / "unfinished.json").write_text('{"controller": "ilqr_feedback", "seed": 7, "dt": 0.02, "horizon": 25}')
    file = bag / "bag.mcap"
    content = file.read_bytes()
    steps = []
    with open(file, "rb") as stream:
        chunks = [chunk.chunk_start_offset for chunk in make_reader(stream).get_summary().chunk_indexes]
    for torn_at in (8, 12, 16):
        file.write_bytes(content[: chunks[torn_at] + 10])
        found = read_recorded(bag)
        assert not found.complete and found.trial.seed == 7
        steps.append(found.trial.steps)
        assert found.trial.stop_reason == f"aborted: the bag ends after step {steps[-1]} of {STEPS}"
        np.testing.assert_array_equal(found.trial.states, STATES[: steps[-1] + 1])
        np.testing.assert_allclose(found.trial.actions, ACTIONS[: steps[-1]], rtol=1e-15)
        assert found.law is not None and found.law.steps == steps[-1]
    assert 0 < steps[0] < steps[1] < steps[2] < STEPS


def dropping(*lost: tuple[str, int]) -> Callable[[Iterator[Message]], Iterator[Message]]:
    """Leaves out messages of a topic by their tick since the start of the trial."""

    def change(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in messages:
            tick = (stamp_of(message) - START_NS) // TICK_NS if hasattr(message, "header") else -1
            if (topic.rsplit("/", 1)[-1], tick) not in lost:
                yield topic, kind, arrival, message

    return change


def test_a_state_that_got_lost_is_joined_along_the_shortest_way_and_counted(tmp_path: Path) -> None:
    # joint b passes π in step 7: the mean of its neighbours would be near zero
    step = 7
    assert abs(STATES[step, 1] - STATES[step + 1, 1]) > 6.0
    tick = (step + 1) * TICKS_A_STEP
    found = read_recorded(write_trial(tmp_path / "bag", dropping(("state", tick), ("state", tick - 1))))
    assert found.trial.metadata["interpolated_states"] == 1
    difference = STATE.space.difference(found.trial.states, STATES)
    np.testing.assert_allclose(difference, 0.0, atol=1e-12)


def test_a_step_without_commands_keeps_the_one_before_and_is_counted(tmp_path: Path) -> None:
    lost = [("joint_commands", 4 * TICKS_A_STEP + k) for k in range(TICKS_A_STEP)]
    found = read_recorded(write_trial(tmp_path / "bag", dropping(*lost)))
    assert found.trial.metadata["steps_without_command"] == 1
    np.testing.assert_array_equal(found.trial.actions[4], command_at(HOLD_TICKS + 4 * TICKS_A_STEP - 1))


def test_states_lost_for_too_long_are_an_error_that_says_when(tmp_path: Path) -> None:
    lost = [("state", 40 + k) for k in range(30)]
    with pytest.raises(BagError, match=r"bag: the states around 0\.200 s of the trial got lost; gaps of at most 0\.1"):
        read_recorded(write_trial(tmp_path / "bag", dropping(*lost)))


def test_laws_that_got_lost_are_joined_and_a_larger_hole_is_an_error(tmp_path: Path) -> None:
    lost = [("applied_law", (9 + k) * TICKS_A_STEP) for k in range(3)]
    found = read_recorded(write_trial(tmp_path / "bag", dropping(*lost)))
    assert found.law is not None and found.law.metadata["steps_without_law"] == 3
    np.testing.assert_allclose(found.law.gains[10], law_of(10)["gain"], atol=1e-12)
    np.testing.assert_allclose(found.law.covariances[11], law_of(11)["covariance"], atol=1e-12)
    np.testing.assert_allclose(found.law.nominal_states[9], law_of(9)["reference_state"], atol=1e-12)
    lost = [("applied_law", (9 + k) * TICKS_A_STEP) for k in range(6)]
    with pytest.raises(BagError, match="19 of 25 steps have an applied law, 6 in a row have none; at most 5"):
        read_recorded(write_trial(tmp_path / "other", dropping(*lost)))


def test_a_law_on_a_part_of_the_state_commands_the_same_on_the_whole(tmp_path: Path) -> None:
    velocities = StateDefinition(STATE.blocks[1:])

    def narrow(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in messages:
            if topic == "/mbpl/applied_law":
                message.state_definition.blocks = message.state_definition.blocks[1:]
                message.state_definition.hash = velocities.hash
                message.reference_state = message.reference_state[2:]
                message.gain = message.gain.reshape(2, 4)[:, 2:].ravel()
            yield topic, kind, arrival, message

    found = read_recorded(write_trial(tmp_path / "bag", narrow))
    assert found.law is not None and found.applied is not None
    assert found.law.state == STATE and found.applied.state == velocities
    for t in range(STEPS):
        gain, error = law_of(t)["gain"][:, 2:], STATES[t, 2:] - law_of(t)["reference_state"][2:]
        expected = law_of(t)["action"] + gain @ error
        np.testing.assert_allclose(found.law.mean(t, STATES[t]), expected, rtol=1e-12)
        np.testing.assert_allclose(found.applied.mean(t, STATES[t, 2:]), expected, rtol=1e-12)


def test_the_law_of_a_stream_stays_in_force_until_the_next(tmp_path: Path) -> None:
    def stream(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in messages:
            if topic == "/mbpl/applied_law":
                if message.step % 3:
                    continue
                message.step = -1
            yield topic, kind, arrival, message

    found = read_recorded(write_trial(tmp_path / "bag", stream))
    assert found.law is not None
    for t in range(STEPS):
        np.testing.assert_array_equal(found.law.gains[t], law_of(t - t % 3)["gain"])


@pytest.mark.parametrize(
    ("topic", "words"),
    [
        ("/mbpl/state", "no messages on a topic state of type mbpl_msgs/msg/RobotState"),
        ("/mbpl/joint_commands", "no messages on a topic joint_commands of type mbpl_msgs/msg/JointCommand"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, topic: str, words: str) -> None:
    bag = write_trial(tmp_path / "bag", lambda messages: (m for m in messages if m[0] != topic))
    with pytest.raises(BagError, match=f"bag: {words}"):
        read_recorded(bag)


def test_the_bag_of_a_trial_that_was_aborted_before_it_began_stops_nobody_who_asks_to_be_told(tmp_path: Path) -> None:
    why = "aborted: waited in vain for the manager to hold the robot at the start"
    for name, ending in (("1", {"stop_reason": why}), ("2", {"stop_reason": why, "steps": 3}), ("3", {})):
        writer = EpisodeWriter(tmp_path / name, METADATA)
        for topic, kind, arrival, message in trial_messages():
            if topic == "/mbpl/state":
                writer.write_message(topic, kind, arrival, message)
        writer.close(ending)
    good = write_trial(tmp_path / "4")
    told: list[tuple[str, str]] = []
    found = list(read_all([tmp_path / "1", good], without_trial=lambda path, words: told.append((path.name, words))))
    assert [one.path for one in found] == [good] and told == [("1", why)]
    # who does not ask is stopped, and so is who meets a bag that lost what it says it had, or says nothing
    for name in ("1", "2", "3"):
        with pytest.raises(BagError, match=f"{name}: no messages on a topic joint_commands"):
            list(read_all([tmp_path / name], without_trial=None if name == "1" else lambda *_: None))


def test_a_bag_that_tells_too_little_asks_for_the_task(tmp_path: Path) -> None:
    bag = write_foreign(tmp_path / "bag", trial_messages(tell=False, laws=False))
    with pytest.raises(BagError, match="nothing tells how long a step of 'ilqr_feedback' is; give the task"):
        read_recorded(bag)


def test_a_number_that_is_none_is_an_error_that_names_the_topic(tmp_path: Path) -> None:
    def spoil(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in messages:
            if topic == "/mbpl/state" and stamp_of(message) == START_NS + 8 * TICK_NS:
                message.state = message.state * np.nan
            yield topic, kind, arrival, message

    with pytest.raises(BagError, match=r"bag: state: message 9 of the trial has a number not finite"):
        read_recorded(write_trial(tmp_path / "bag", spoil))


def test_the_topics_of_two_robots_in_one_bag_are_refused(tmp_path: Path) -> None:
    def double(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in messages:
            yield topic, kind, arrival, message
            yield topic.replace("/mbpl", "/other"), kind, arrival, message

    with pytest.raises(BagError, match="holds both /mbpl/.* and /other/.*; must be the topics of one robot"):
        read_recorded(write_trial(tmp_path / "bag", double))


def test_the_bags_below_a_directory_are_found_and_read_one_after_the_other(tmp_path: Path) -> None:
    write_trial(tmp_path / "b" / "two")
    write_trial(tmp_path / "a")
    killed = write_trial(tmp_path / "c", flush_every=1)
    (killed / "metadata.yaml").unlink()
    assert find_bags(tmp_path) == [tmp_path / "a", tmp_path / "b" / "two", tmp_path / "c"]
    assert find_bags(tmp_path / "a") == [tmp_path / "a"]
    told: list[tuple[int, int]] = []
    for found in read_all(find_bags(tmp_path), progress=lambda done, total: told.append((done, total))):
        check_trial(found)
    assert told == [(1, 3), (2, 3), (3, 3)]
    (tmp_path / "nothing").mkdir()
    with pytest.raises(BagError, match="nothing: no bags"):
        find_bags(tmp_path / "nothing")


def test_a_trial_whose_commands_by_another_controller_cut_it_short_says_who(tmp_path: Path) -> None:
    def interrupt(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in messages:
            if topic == "/mbpl/joint_commands" and stamp_of(message) >= START_NS + 10 * TICKS_A_STEP * TICK_NS:
                message.controller = "fallback"
            yield topic, kind, arrival, message

    bag = write_trial(tmp_path / "bag", interrupt, tell=False)
    (bag / "metadata.yaml").unlink()
    (bag / "unfinished.json").write_text('{"controller": "ilqr_feedback", "horizon": 25}')
    found = read_recorded(bag)
    assert found.trial.steps == 10
    assert found.trial.stop_reason == "aborted: fallback took over after step 10 of 25"
    assert METADATA["controller"] == found.trial.controller and header(0).stamp.sec == 0
