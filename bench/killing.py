"""Killing a recorder at a random moment, and what is left of its bags."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from rosbags.rosbag2 import Reader

from mbpl_control.bags.raw import find_bags, is_complete, messages
from mbpl_control.core import BagError

#: Records bags of a second each, a message a millisecond, through the class the node uses; tells what it closed.
RECORDER = """
import sys, time
from mbpl_control.bags import EpisodeWriter
from mbpl_control.bags.types import typestore

string = typestore().types["std_msgs/msg/String"]
number = 0
while True:
    writer = EpisodeWriter(f"{sys.argv[1]}/{number:04d}", {"seed": number})
    print("begun", number, time.time_ns(), flush=True)
    end, count = time.monotonic() + 1.0, 0
    while time.monotonic() < end:
        writer.write_message("/text", "std_msgs/msg/String", time.time_ns(), string(data=f"{count:08d}" + "x" * 500))
        count += 1
        time.sleep(0.001)
    writer.close()
    print("closed", number, count, flush=True)
    number += 1
"""


@dataclass(frozen=True)
class Killed:
    """What was left.

    Attributes:
        closed: bags that were closed before.
        readable: of those, with every message in them.
        lost: s from the last message of the open bag that is read to the kill; 0 when none was open.
    """

    closed: int
    readable: int
    lost: float


def kill_recorder(directory: Path, rng: random.Random) -> Killed:
    """Start a recorder, kill it half a second to four seconds after it began its first bag, read what is left."""
    directory.mkdir(parents=True)
    command = [sys.executable, "-c", RECORDER, str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        first = process.stdout.readline()
        time.sleep(rng.uniform(0.5, 4.0))
    finally:
        process.send_signal(signal.SIGKILL)
        killed_ns = time.time_ns()
        rest, _ = process.communicate(timeout=30)
    begun, closed = 0, {}
    for line in [first, *rest.splitlines()]:
        word, number, figure = line.split()
        if word == "begun":
            begun = int(figure)
        else:
            closed[int(number)] = int(figure)
    return Killed(
        len(closed),
        sum(_whole(directory / f"{n:04d}", c) for n, c in closed.items()),
        _lost(directory, begun, killed_ns),
    )


def _whole(bag: Path, count: int) -> bool:
    with Reader(bag) as reader:
        return sum(1 for _ in reader.messages()) == count


def _lost(directory: Path, begun_ns: int, killed_ns: int) -> float:
    """Nothing of the open bag is read when it was killed before its first chunk: all since its begin is lost then."""
    newest = begun_ns
    open_bags = [bag for bag in find_bags(directory) if not is_complete(bag)]
    if not open_bags:
        return 0.0
    try:
        for _, _, arrival, _ in messages(open_bags[-1]):
            newest = max(newest, arrival)
    except BagError:
        pass
    return 1e-9 * (killed_ns - newest)
