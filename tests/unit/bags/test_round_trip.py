"""An episode that is written is read again to the last bit, by this library and by others."""

from __future__ import annotations

import json
from pathlib import Path

import mujoco
import numpy as np
import pytest
from mbpl_msgs import msg
from mcap.reader import make_reader
from rclpy.serialization import deserialize_message
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader
from ruamel.yaml import YAML
from scipy.spatial.transform import Rotation
from std_msgs.msg import String

from mbpl_control.bags import EpisodeWriter, read_episode
from mbpl_control.models import RobotModel

BEFORE = {"task": "arm_reach", "controller": "ilqr", "seed": 7, "condition": 2}
AFTER = {"cost": 1.25, "success": True, "note": "größer", "nested": [{"a": None}]}


@pytest.fixture
def bag(tmp_path: Path, messages) -> Path:
    writer = EpisodeWriter(tmp_path / "runs" / "today" / "episode", BEFORE)
    for topic, kind, arrival, data in messages:
        writer.write(topic, kind, arrival, data, latched=topic.endswith("status"))
    assert writer.messages == 400
    return writer.close(AFTER)


def test_states_commands_and_metadata_come_back_bit_for_bit(bag: Path) -> None:
    episode = read_episode(bag)
    assert episode.complete
    assert episode.metadata == {**BEFORE, **AFTER}
    k = np.arange(100)
    np.testing.assert_array_equal(episode.positions, np.stack([0.1 * k, -k], axis=1))
    np.testing.assert_array_equal(episode.velocities, np.stack([np.ones(100), 1e-300 * k], axis=1))
    np.testing.assert_array_equal(episode.states, np.concatenate([episode.positions, episode.velocities], axis=1))
    np.testing.assert_array_equal(episode.commands, np.stack([np.pi * k, np.full(100, 1 / 3)], axis=1))
    np.testing.assert_allclose(episode.state_times, 0.005 * k, atol=1e-12)
    np.testing.assert_allclose(episode.command_times, 0.005 * k, atol=1e-12)
    assert episode.controllers[:3] == ("hold", "ilqr", "hold")
    np.testing.assert_allclose(episode.latencies, 0.002, atol=1e-9)
    assert [s.ticks for s in episode.statuses] == list(range(100))
    np.testing.assert_allclose(np.diff(episode.status_times), 0.005, atol=1e-6)
    assert episode.duration == pytest.approx(0.495)
    assert set(episode.counts.values()) == {100}


def test_the_directory_is_one_that_rosbag2_writes(bag: Path) -> None:
    assert sorted(p.name for p in bag.iterdir()) == ["episode.mcap", "metadata.yaml"]
    content = YAML(typ="safe").load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert content["version"] == 9
    assert content["storage_identifier"] == "mcap"
    assert content["relative_file_paths"] == ["episode.mcap"]
    assert content["message_count"] == 400
    assert content["starting_time"]["nanoseconds_since_epoch"] == 1_700_000_000 * 10**9
    assert content["duration"]["nanoseconds"] == 99 * 5_000_000 + 3_000_000
    topics = {t["topic_metadata"]["name"]: t for t in content["topics_with_message_count"]}
    assert topics["/mbpl/state"]["topic_metadata"]["type"] == "mbpl_msgs/msg/RobotState"
    assert topics["/mbpl/state"]["topic_metadata"]["serialization_format"] == "cdr"
    qos = {name: t["topic_metadata"]["offered_qos_profiles"][0] for name, t in topics.items()}
    assert qos["/mbpl/status"]["durability"] == "transient_local"
    assert qos["/mbpl/state"]["durability"] == "volatile"
    assert json.loads(content["custom_data"]["mbpl"])["cost"] == 1.25


def test_the_bag_library_reads_it_with_the_definitions_inside_alone(bag: Path) -> None:
    with AnyReader([bag]) as reader:
        assert reader.message_count == 400
        commands = [c for c in reader.connections if c.topic == "/mbpl/joint_commands"]
        values = [reader.deserialize(raw, c.msgtype).values for c, _, raw in reader.messages(commands)]
    np.testing.assert_array_equal(np.array(values)[:, 0], np.pi * np.arange(100))


def test_the_reader_of_mcap_finds_channels_schemas_and_the_same_bytes(bag: Path, messages) -> None:
    with open(bag / "episode.mcap", "rb") as stream:
        reader = make_reader(stream)
        summary = reader.get_summary()
        assert summary.statistics.message_count == 400
        assert {s.name for s in summary.schemas.values()} == {kind for _, kind, _, _ in messages}
        assert "float64[] values" in next(
            s.data.decode() for s in summary.schemas.values() if s.name.endswith("JointCommand")
        )
        found = [(c.topic, s.name, m.log_time, m.data) for s, c, m in reader.iter_messages()]
    assert found == sorted(messages, key=lambda m: m[2])


def test_what_a_node_recorded_a_node_can_read(bag: Path) -> None:
    with Reader(bag) as reader:
        connection = next(c for c in reader.connections if c.topic == "/mbpl/joint_commands")
        raw = [data for _, _, data in reader.messages([connection])]
    message = deserialize_message(bytes(raw[7]), msg.JointCommand)
    assert (message.state_sequence, message.controller, message.step) == (8, "ilqr", 7)


def test_the_description_and_the_transforms_are_those_of_the_robot(tmp_path: Path, robot_files: Path) -> None:
    robot = RobotModel.from_file(robot_files / "arm7.xml")
    rng = np.random.default_rng(0)
    positions = rng.uniform(-0.2, 0.2, (60, 7))
    stamps = [k * 5_000_000 for k in range(60)]
    writer = EpisodeWriter(tmp_path / "episode", {})
    writer.write_description(robot, 10)
    writer.write_transforms(robot, stamps, [s + 123 for s in stamps], positions, rate=50.0)
    writer.write_transforms(robot, [], [], np.zeros((0, 7)))
    bag = writer.close()
    with AnyReader([bag]) as reader:
        by_topic = {c.topic: c for c in reader.connections}
        raw = next(data for _, _, data in reader.messages([by_topic["/mbpl/robot_description"]]))
        assert deserialize_message(bytes(raw), String).data == robot.description
        transforms = [
            (arrival, reader.deserialize(data, "tf2_msgs/msg/TFMessage"))
            for _, arrival, data in reader.messages([by_topic["/tf"]])
        ]
    # 200 Hz for 0.3 s, at most 50 of them a second
    assert [arrival for arrival, _ in transforms] == [k * 20_000_000 + 123 for k in range(15)]
    model = robot.mujoco_model()
    data = mujoco.MjData(model)
    for k, (_, message) in enumerate(transforms):
        data.qpos[:] = positions[4 * k]
        mujoco.mj_forward(model, data)
        poses = {t.child_frame_id: t for t in message.transforms}
        assert set(poses) == set(robot.frame_names)
        tip = poses["tip"]
        assert tip.header.frame_id == "world"
        assert tip.header.stamp.sec * 10**9 + tip.header.stamp.nanosec == k * 20_000_000
        p, q = tip.transform.translation, tip.transform.rotation
        np.testing.assert_allclose([p.x, p.y, p.z], data.site("tip").xpos, atol=1e-12)
        turned = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
        np.testing.assert_allclose(turned, data.site("tip").xmat.reshape(3, 3), atol=1e-9)
