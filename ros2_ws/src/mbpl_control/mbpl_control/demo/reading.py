"""The demo's records, from its bags alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from rosbags.rosbag2 import Reader

from mbpl_control.bags import Episode, read_episode
from mbpl_control.bags.recorded import read_recorded
from mbpl_control.bags.types import typestore
from mbpl_control.core import BagError
from mbpl_control.demo.program import SwapSpec, TrialSpec
from mbpl_control.demo.records import BagCheck, LawRecord, SwapRecord, TrialRecord
from mbpl_control.tasks import Task


def read_trial(task: Task, spec: TrialSpec, bag: Path) -> TrialRecord:
    """Put a trial together again from its bag.

    Raises:
        BagError: the bag cannot be read, or does not hold the whole trial.
    """
    found, episode = read_recorded(bag, task), read_episode(bag)
    trial, states = found.trial, found.robot_states
    if trial.controller != spec.controller or trial.steps != task.horizon or trial.stop_reason != "completed":
        raise BagError(f"{bag}: does not hold the whole trial of '{spec.controller}'")
    frame = task.success_frame
    assert frame is not None
    answered = round_ns(episode.command_times)
    end_ns = found.start_ns + round(1e9 * task.dt) * trial.steps
    mine = (answered >= found.start_ns) & (answered < end_ns)
    return TrialRecord(
        spec,
        trial.times,
        states,
        task.robot.kinematics.positions(frame, states[:, : task.robot.nq]),
        task.distances(states, spec.condition),
        1e-9 * (answered[mine] - found.start_ns),
        episode.commands[mine],
        trial.cost,
        deadline_misses(episode, 1e-9 * found.start_ns, 1e-9 * end_ns),
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


def read_law(task: Task, bag: Path) -> LawRecord:
    """The law of a trial as the manager applied it, one row a step.

    Raises:
        BagError: the bag cannot be read, or holds no applied law.
    """
    law = read_recorded(bag, task).applied
    if law is None:
        raise BagError(f"{bag}: holds no applied law")
    return LawRecord(law.nominal_states[:-1], law.planned_actions, law.gains, law.covariances)


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
