"""Reading one episode, also when its recorder was killed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.bags.raw import is_complete, messages, metadata_of_bag
from mbpl_control.bags.types import typestore
from mbpl_control.core.errors import BagError
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
    complete = is_complete(directory)
    rows: dict[str, list[tuple[int, Any]]] = defaultdict(list)
    counts: dict[str, int] = defaultdict(int)
    types: dict[str, str] = {}
    metadata = metadata_of_bag(directory)
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


def _seconds(message: Any) -> float:
    return message.header.stamp.sec + 1e-9 * message.header.stamp.nanosec


def _matrix(rows: list[Any]) -> Array:
    return np.array(rows, dtype=np.float64) if rows else np.zeros((0, 0))
