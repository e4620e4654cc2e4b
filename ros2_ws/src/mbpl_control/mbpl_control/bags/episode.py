"""Reading one episode, also when its recorder was killed."""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from mcap.exceptions import McapError
from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from rosbags.rosbag2 import Reader
from rosbags.rosbag2.errors import ReaderError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mbpl_control.bags.types import typestore
from mbpl_control.bags.writer import METADATA_KEY, UNFINISHED
from mbpl_control.core.errors import BagError, FileFormatError
from mbpl_control.core.user_files import read_text
from mbpl_control.core.validation import Array


@dataclass(frozen=True, eq=False)
class Episode:
    """What a bag holds.

    Attributes:
        path: its directory.
        metadata: task, condition, controller, seed, cost, ...
        complete: whether the recorder closed it; an episode that is not may lack its last half second.
        counts: messages by topic.
        types: type of the messages by topic, e.g. "sensor_msgs/msg/JointState".
        state_times: (N,) s, stamps of the states.
        states: (N, nx).
        positions: (N, n) of the joints, rad or m.
        velocities: (N, n).
        command_times: (M,) s, stamps of the states that were answered.
        commands: (M, m) after all limits.
        controllers: (M,) name of the controller behind each command.
        latencies: s from the arrival of a state at the recorder to that of its command.
        statuses: manager's status messages, as the bag library reads them.
        status_times: s, arrival of each.
    """

    path: Path
    metadata: dict[str, Any]
    complete: bool
    counts: dict[str, int]
    types: dict[str, str]
    state_times: Array
    states: Array
    positions: Array
    velocities: Array
    command_times: Array
    commands: Array
    controllers: tuple[str, ...]
    latencies: Array
    statuses: list[Any] = field(default_factory=list)
    status_times: list[float] = field(default_factory=list)

    @property
    def duration(self) -> float:
        """From the first to the last state, s."""
        return float(self.state_times[-1] - self.state_times[0]) if len(self.state_times) else 0.0


def read_episode(path: str | Path) -> Episode:
    """Read a bag that `EpisodeWriter` wrote.

    Raises:
        BagError: there is no bag, or nothing in it can be read.
    """
    directory = Path(path)
    if not directory.is_dir():
        raise BagError(f"{directory}: no such bag; a bag is a directory with an .mcap file")
    complete = (directory / "metadata.yaml").is_file()
    rows: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    types: dict[str, str] = {}
    metadata = _custom_data(directory) if complete else _unfinished_metadata(directory)
    store = typestore()
    wanted = ("state", "joint_commands", "status")
    for topic, kind, arrival, data in messages(directory):
        counts[topic] += 1
        types[topic] = kind
        name = topic.rsplit("/", 1)[-1]
        if name in wanted:
            rows[name].append((arrival, store.deserialize_cdr(data, kind)))
    if not counts:
        raise BagError(f"{directory}: holds no messages")
    states, commands = rows["state"], rows["joint_commands"]
    arrivals = {m.sequence: arrival for arrival, m in states}
    latencies = [
        1e-9 * (arrival - arrivals[m.state_sequence]) for arrival, m in commands if m.state_sequence in arrivals
    ]
    return Episode(
        directory,
        metadata,
        complete,
        dict(counts),
        types,
        np.array([_seconds(m) for _, m in states]),
        _matrix([m.state for _, m in states]),
        _matrix([m.position for _, m in states]),
        _matrix([m.velocity for _, m in states]),
        np.array([_seconds(m) for _, m in commands]),
        _matrix([m.values for _, m in commands]),
        tuple(m.controller for _, m in commands),
        np.array(latencies),
        [m for _, m in rows["status"]],
        [1e-9 * arrival for arrival, _ in rows["status"]],
    )


def messages(directory: Path) -> Iterator[tuple[str, str, int, bytes]]:
    """Topic, type, arrival (ns) and data of each message, in the order of the file.

    A bag with metadata.yaml is read by the bag library; one without, whose recorder was killed, as far as it goes.

    Raises:
        BagError: there is no MCAP file, or it is none.
    """
    if (directory / "metadata.yaml").is_file():
        try:
            with Reader(directory) as reader:
                for connection, arrival, data in reader.messages():
                    yield connection.topic, connection.msgtype, arrival, bytes(data)
        except ReaderError as error:
            raise BagError(f"{directory}: {error}") from error
        return
    files = sorted(directory.glob("*.mcap"))
    if not files:
        raise BagError(f"{directory}: neither metadata.yaml nor an .mcap file; not a bag")
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    with open(files[0], "rb") as stream:
        try:
            for record in StreamReader(stream, skip_magic=False).records:
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    channels[record.id] = record
                elif isinstance(record, Message):
                    channel = channels[record.channel_id]
                    kind = schemas[channel.schema_id].name
                    yield channel.topic, kind, record.log_time, record.data
        except (McapError, EOFError, ValueError, KeyError, struct.error) as error:
            if not channels:
                reason = str(error) or "it ends too early"
                raise BagError(f"{files[0]}: not an MCAP file: {reason}") from error
            # the end is torn off where the recorder died; everything before it has been handed out


def _custom_data(directory: Path) -> dict[str, Any]:
    """Metadata of this project in metadata.yaml; empty when another recorder wrote it.

    Raises:
        BagError: the file is not what rosbag2 writes.
    """
    file = directory / "metadata.yaml"
    try:
        content = YAML(typ="safe").load(read_text(file))
        custom = content["rosbag2_bagfile_information"].get("custom_data") or {}
        data = json.loads(custom.get(METADATA_KEY, "{}"))
    except (FileFormatError, YAMLError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BagError(f"{file}: not the metadata of a rosbag2 bag: {error}") from error
    if not isinstance(data, dict):
        raise BagError(f"{file}: custom_data.{METADATA_KEY} must be a JSON object")
    return data


def _unfinished_metadata(directory: Path) -> dict[str, Any]:
    """What a recorder knew that was killed; empty when another recorder wrote the bag, or the disk was full."""
    try:
        data = json.loads(read_text(directory / UNFINISHED))
    except (FileFormatError, ValueError):
        return {}
    return data if isinstance(data, dict) else {}


def _seconds(message: Any) -> float:
    return message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec


def _matrix(rows: list[Any]) -> Array:
    return np.array(rows, dtype=np.float64) if rows else np.zeros((0, 0))
