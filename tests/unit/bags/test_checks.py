"""Every kind of damage that is planted in a real bag is found, and nothing is found in a healthy one."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from known_trial import START_NS, TICK_NS, Message, header, trial_messages, write_foreign, write_trial
from rosbags.rosbag2 import StoragePlugin

from mbpl_control.bags import EpisodeWriter
from mbpl_control.bags.checks import check_bags
from mbpl_control.bags.inspection import inspect
from mbpl_control.bags.recorded import find_bags
from mbpl_control.bags.types import typestore
from mbpl_control.doctor.finding import Finding, Verdict


def whole(messages: Iterator[Message]) -> Iterator[Message]:
    """The messages with the two topics a trial can do without."""
    types = typestore().types
    for number, (topic, kind, arrival, message) in enumerate(messages):
        if number == 0:
            status = types["mbpl_msgs/msg/ManagerStatus"]
            fields = dict.fromkeys(status.__dataclass_fields__, 0)
            texts = ("mode", "reason", "active_controller", "last_refusal", "last_switch")
            fields |= dict.fromkeys(texts, "") | {
                "header": header(0),
                "controllers": [],
                "joint_names": [],
                "rate": 200.0,
            }
            fields.pop("__msgtype__", None)
            yield "/mbpl/status", "mbpl_msgs/msg/ManagerStatus", arrival, status(**fields)
            text = types["std_msgs/msg/String"](data="<mujoco/>")
            yield "/mbpl/robot_description", "std_msgs/msg/String", arrival, text
        yield topic, kind, arrival, message


def findings(directory: Path) -> dict[str, list[Finding]]:
    """What is said of each bag below a directory, by the bag's name."""
    return {p.name: f for p, f in check_bags([inspect(path) for path in find_bags(directory)]).items()}


def failed(found: list[Finding]) -> dict[str, str]:
    """Checks that fail, with what they found."""
    return {f.check: f.found for f in found if f.verdict is Verdict.FAIL}


def is_tick(message: Any, first: int, last: int) -> bool:
    """Whether a message is stamped in some ticks of the trial."""
    stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec if hasattr(message, "header") else -1
    return START_NS + first * TICK_NS <= stamp < START_NS + last * TICK_NS


def test_a_healthy_bag_is_all_clear(tmp_path: Path) -> None:
    write_trial(tmp_path / "bag", whole)
    found = findings(tmp_path)["bag"]
    assert {f.verdict for f in found} == {Verdict.OK}, found
    assert {"messages", "topics", "rate", "deadlines", "trials"} == {f.check for f in found}
    assert "/mbpl/state: 130 messages at 200.0 Hz" in [f.found for f in found]
    assert "1 of 25 steps, by ilqr_feedback" in [f.found for f in found]


@pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name.lower())
def test_a_healthy_bag_recorded_by_hand_is_all_clear(tmp_path: Path, storage: StoragePlugin) -> None:
    write_foreign(tmp_path / "bag", whole(trial_messages()), storage)
    assert {f.verdict for f in findings(tmp_path)["bag"]} == {Verdict.OK}


@pytest.mark.parametrize("share", [0.02, 0.5, 0.999])
@pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name.lower())
def test_a_truncated_file_is_found(tmp_path: Path, storage: StoragePlugin, share: float) -> None:
    bag = write_foreign(tmp_path / "bag", whole(trial_messages()), storage)
    (file,) = (f for f in bag.iterdir() if f.name != "metadata.yaml")
    file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])
    assert "file" in failed(findings(tmp_path)["bag"])


def test_a_gap_is_found(tmp_path: Path) -> None:
    write_trial(tmp_path / "bag", lambda ms: (m for m in whole(ms) if not is_tick(m[3], 20, 50)))
    found = failed(findings(tmp_path)["bag"])
    assert "0.155 s without a message in a trial, 0.195 s after the first; at most 0.1 s are bridged" in found["gap"]


def test_a_short_gap_that_is_bridged_is_a_warning(tmp_path: Path) -> None:
    write_trial(
        tmp_path / "bag", lambda ms: (m for m in whole(ms) if m[0] != "/mbpl/state" or not is_tick(m[3], 20, 23))
    )
    found = findings(tmp_path)["bag"]
    assert [f.verdict for f in found if f.check == "gap"] == [Verdict.WARN]
    assert "3 messages are missing by their numbers" in failed(found)["dropped"]


def test_reordered_stamps_are_found(tmp_path: Path) -> None:
    def swap(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in whole(messages):
            if topic == "/mbpl/state" and is_tick(message, 30, 31):
                message.header = header(START_NS + 20 * TICK_NS + 1_000_000)
            yield topic, kind, arrival, message

    write_trial(tmp_path / "bag", swap)
    found = failed(findings(tmp_path)["bag"])
    assert found["order"] == "/mbpl/state: 1 messages stamped before one that came earlier"
    assert "clock" not in found


@pytest.mark.parametrize("topic", ["state", "joint_commands"])
def test_a_missing_topic_is_found(tmp_path: Path, topic: str) -> None:
    write_trial(tmp_path / "bag", lambda ms: (m for m in whole(ms) if m[0] != f"/mbpl/{topic}"))
    assert failed(findings(tmp_path)["bag"])["topics"].startswith(f"no {topic} (mbpl_msgs/msg/")


@pytest.mark.parametrize("topic", ["joint_states", "applied_law", "status", "state_definition", "trials"])
def test_a_missing_topic_that_trials_can_do_without_is_a_warning(tmp_path: Path, topic: str) -> None:
    write_trial(tmp_path / "bag", lambda ms: (m for m in whole(ms) if m[0] != f"/mbpl/{topic}"))
    found = [f for f in findings(tmp_path)["bag"] if f.check == "topics"]
    assert [(f.verdict, f.found) for f in found] == [(Verdict.WARN, f"no {topic}")]


def test_a_wrong_type_is_found(tmp_path: Path) -> None:
    def other(messages: Iterator[Message]) -> Iterator[Message]:
        text = typestore().types["std_msgs/msg/String"](data="state")
        for topic, kind, arrival, message in whole(messages):
            wrong = topic == "/mbpl/state"
            yield topic, "std_msgs/msg/String" if wrong else kind, arrival, text if wrong else message

    write_trial(tmp_path / "bag", other)
    found = failed(findings(tmp_path)["bag"])
    assert found["type"] == "/mbpl/state is of std_msgs/msg/String; must be mbpl_msgs/msg/RobotState"


@pytest.mark.parametrize(
    ("topic", "field"),
    [("joint_states", "position"), ("state", "state"), ("joint_commands", "values"), ("applied_law", "gain")],
)
@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_number_that_is_none_is_found(tmp_path: Path, topic: str, field: str, number: float) -> None:
    def spoil(messages: Iterator[Message]) -> Iterator[Message]:
        for name, kind, arrival, message in whole(messages):
            if name == f"/mbpl/{topic}" and is_tick(message, 40, 41):
                values = np.array(getattr(message, field))
                values[-1] = number
                setattr(message, field, values)
            yield name, kind, arrival, message

    write_trial(tmp_path / "bag", spoil)
    assert f"/mbpl/{topic}: 1 of " in failed(findings(tmp_path)["bag"])["numbers"]


def test_a_duplicated_trial_is_found_whatever_its_bag_is_called(tmp_path: Path) -> None:
    write_trial(tmp_path / "first", whole)
    shutil.copytree(tmp_path / "first", tmp_path / "second")
    write_trial(tmp_path / "third", whole, after_ns=10**9)
    found = findings(tmp_path)
    assert failed(found["second"])["duplicate"].endswith(f"as in {tmp_path / 'first'}")
    assert not failed(found["first"]) and not failed(found["third"])


def test_wrong_joint_names_are_found(tmp_path: Path) -> None:
    def rename(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in whole(messages):
            if topic == "/mbpl/joint_commands":
                message.joint_names = ["a", "elbow"]
            yield topic, kind, arrival, message

    write_trial(tmp_path / "bag", rename)
    assert failed(findings(tmp_path)["bag"])["joints"] == "/mbpl/joint_commands: elbow; the state is one of a, b"


def test_a_clock_that_was_set_back_is_found(tmp_path: Path) -> None:
    def reset(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in whole(messages):
            if is_tick(message, 60, 10_000):
                stamp = message.header.stamp
                message.header = header(stamp.sec * 10**9 + stamp.nanosec - 4_000_000_000)
            yield topic, kind, arrival, message

    write_trial(tmp_path / "bag", reset)
    found = failed(findings(tmp_path)["bag"])
    assert "the clock was set back 1 times" in found["clock"]
    assert "order" not in found


def test_an_empty_bag_is_found(tmp_path: Path) -> None:
    EpisodeWriter(tmp_path / "bag", {}).close()
    assert failed(findings(tmp_path)["bag"]) == {"messages": "none"}


def test_missed_deadlines_are_told(tmp_path: Path) -> None:
    def late(messages: Iterator[Message]) -> Iterator[Message]:
        for topic, kind, arrival, message in whole(messages):
            yield topic, kind, arrival, message
            if topic == "/mbpl/status":
                message.deadline_misses = 3
                yield topic, kind, arrival + 10**8, message

    write_trial(tmp_path / "bag", late)
    assert failed(findings(tmp_path)["bag"])["deadlines"] == "3 missed by the manager, 130 commands"


def test_a_bag_that_was_never_closed_is_a_warning(tmp_path: Path) -> None:
    bag = write_trial(tmp_path / "bag", whole, flush_every=20)
    (bag / "metadata.yaml").unlink()
    found = findings(tmp_path)["bag"]
    assert not failed(found)
    assert [f.found for f in found if f.check == "file"] == ["its recorder never closed it; read as far as it goes"]


def test_the_first_of_several_messages_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    def spoil(count: int, data: bytes) -> bytes:
        # the later one is as long as those that can be read
        return data[:40] if count == 20 else data[:8] + b"\xff" * (len(data) - 8) if count == 30 else data

    writer, counts = EpisodeWriter(tmp_path / "bag", {}), Counter[str]()
    for topic, kind, arrival, message in trial_messages():
        counts[topic] += 1
        data = bytes(typestore().serialize_cdr(message, kind))
        writer.write(topic, kind, arrival, spoil(counts[topic], data) if topic == "/mbpl/state" else data)
    writer.close()
    found = failed(findings(tmp_path)["bag"])
    assert found["messages"].startswith("/mbpl/state: message 20 cannot be read")
    assert "a mbpl_msgs/msg/RobotState that cannot be read" in found["trials"]
