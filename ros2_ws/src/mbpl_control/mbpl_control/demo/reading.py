"""The demo's records, from its bags alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.rosbag2 import Reader

from mbpl_control.agents.collector import TrialCollector
from mbpl_control.bags import Episode, read_episode
from mbpl_control.bags.raw import messages
from mbpl_control.bags.types import typestore
from mbpl_control.core import BagError
from mbpl_control.demo.program import SwapSpec, TrialSpec
from mbpl_control.demo.records import BagCheck, LawRecord, SwapRecord, TrialRecord
from mbpl_control.tasks import Task

#: Steps in a row of which the applied law may be missing: states that a busy machine kept from the manager.
LONGEST_HOLE = 5


def read_trial(task: Task, spec: TrialSpec, bag: Path) -> TrialRecord:
    """Put a trial together again from its bag.

    Raises:
        BagError: the bag cannot be read, or does not hold the whole trial.
    """
    episode = read_episode(bag)
    collector = TrialCollector(task, spec.controller, spec.condition, spec.seed)
    answered = round_ns(episode.command_times)
    for stamp, name, command in zip(answered, episode.controllers, episode.commands, strict=True):
        collector.on_command(int(stamp), name, command)
    robot = np.concatenate([episode.positions, episode.velocities], axis=1)
    for stamp, x, own in zip(round_ns(episode.state_times), episode.states, robot, strict=True):
        collector.on_state(int(stamp), x, own)
    if not collector.complete or collector.interrupted_by:
        raise BagError(f"{bag}: does not hold the whole trial of '{spec.controller}'")
    trial, states = collector.trial()
    frame = task.success_frame
    assert frame is not None and collector.start_ns is not None and collector.end_ns is not None
    mine = (answered >= collector.start_ns) & (answered < collector.end_ns)
    return TrialRecord(
        spec,
        trial.times,
        states,
        task.robot.kinematics.positions(frame, states[:, : task.robot.nq]),
        task.distances(states, spec.condition),
        1e-9 * (answered[mine] - collector.start_ns),
        episode.commands[mine],
        trial.cost,
        deadline_misses(episode, 1e-9 * collector.start_ns, 1e-9 * collector.end_ns),
        episode.latencies,
        bag,
    )


def read_swaps(task: Task, spec: SwapSpec, bag: Path) -> SwapRecord:
    """The commands of a run with swaps.

    Raises:
        BagError: the bag cannot be read, or holds no commands.
    """
    episode = read_episode(bag)
    if not len(episode.command_times):
        raise BagError(f"{bag}: holds no commands")
    fastest = np.abs(episode.velocities).max(axis=1)
    start = episode.command_times[0]
    return SwapRecord(
        spec.name,
        episode.command_times - start,
        episode.commands,
        episode.controllers,
        np.interp(episode.command_times, episode.state_times, fastest),
        task.action.upper,
        deadline_misses(episode, float(start), float(episode.command_times[-1])),
        episode.latencies,
        bag,
    )


def read_law(bag: Path) -> LawRecord:
    """The law of a trial as the manager applied it, one row a step.

    A step in which no state reached the manager has none; it is joined from its neighbours.

    Raises:
        BagError: the bag cannot be read, holds no applied law, or more than `LONGEST_HOLE` steps in a row have none.
    """
    store = typestore()
    rows: dict[int, Any] = {}
    for topic, kind, _, data in messages(bag):
        if topic.endswith("/applied_law"):
            message: Any = store.deserialize_cdr(data, kind)
            rows[message.step] = message
    known = np.array([t for t in sorted(rows) if t >= 0])
    hole = int(np.diff(known, prepend=-1).max()) - 1 if known.size else 0
    if not known.size or hole > LONGEST_HOLE:
        raise BagError(f"{bag}: {known.size} steps of the applied law, {hole} in a row are missing")
    steps = [rows[t] for t in known]
    m, count = len(steps[0].action), int(known[-1]) + 1

    def joined(values: list[Any], *shape: int) -> np.ndarray:
        columns = np.array(values).reshape(len(steps), -1).T
        return np.stack([np.interp(np.arange(count), known, c) for c in columns], axis=1).reshape(count, *shape)

    return LawRecord(
        joined([s.reference_state for s in steps], -1),
        joined([s.action for s in steps], m),
        joined([s.gain for s in steps], m, -1),
        joined([s.covariance for s in steps], m, m),
    )


def check_bag(bag: Path) -> BagCheck:
    """Read every message of a bag with two independent readers: `rosbags` and `mcap` with its ROS 2 decoder."""
    try:
        store = typestore()
        count = 0
        with Reader(bag) as reader:
            for connection, _, data in reader.messages():
                store.deserialize_cdr(data, connection.msgtype)
                count += 1
    except Exception as error:  # whatever a reader raises on a broken file is the finding
        return BagCheck(bag, 0, f"rosbags: {error!r}")
    other = 0
    try:
        for file in sorted(bag.glob("*.mcap")):
            with open(file, "rb") as stream:
                for _ in make_reader(stream, decoder_factories=[DecoderFactory()]).iter_decoded_messages():
                    other += 1
    except Exception as error:  # as above
        return BagCheck(bag, count, f"mcap: {error!r}")
    if other != count:
        return BagCheck(bag, count, f"rosbags reads {count} messages, mcap {other}")
    return BagCheck(bag, count)


def deadline_misses(episode: Episode, begin: float, end: float) -> int:
    """Deadline misses the manager counted between two stamps, s, as far as its statuses tell."""
    counts = []
    for status in episode.statuses:
        stamp = status.header.stamp
        if begin <= stamp.sec + 1e-9 * stamp.nanosec <= end:
            counts.append(int(status.deadline_misses))
    return max(counts) - min(counts) if counts else 0


def round_ns(seconds: np.ndarray) -> np.ndarray:
    """Stamps in whole nanoseconds. (N,) s → (N,)."""
    return np.round(1e9 * np.asarray(seconds)).astype(np.int64)
