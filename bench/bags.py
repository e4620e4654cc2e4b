"""Bags: whether the recorder keeps up, how fast trials are read and aligned, and whether memory grows with a bag.

Everything goes through the classes that node and commands use. The peer is the bag library alone, reading the same
files: every message, once only handed out, once taken apart as well.
"""

from __future__ import annotations

import argparse
import itertools
import random
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from killing import kill_recorder
from known_trial import CONTROLLER, METADATA, Message, told_trial, trial_messages
from report import RESULTS, Row, report
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from mbpl_control.bags import EpisodeWriter
from mbpl_control.bags.recorded import read_all
from mbpl_control.bags.types import typestore

RATE = 1000.0
#: s from one trial of a generated bag to the next.
APART = 10
MIB = 2**20
#: Checks a bag in a process of its own, and tells the most memory it had and the seconds it took.
MEASURE = """
import resource, sys, time
from pathlib import Path
from mbpl_control.bags.checks import check_bags
from mbpl_control.bags.inspection import inspect
begin = time.monotonic()
found = check_bags([inspect(Path(sys.argv[1]))])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, time.monotonic() - begin)
print([f.found for v in found.values() for f in v][-1])
"""


def main() -> None:
    """Measure, print, write bench/results/bags.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="of recording at 1 kHz")
    parser.add_argument("--trials", type=int, default=40, help="that are read and aligned")
    parser.add_argument("--sizes", type=float, nargs=2, default=(256.0, 1024.0), help="MiB of two bags")
    parser.add_argument("--kills", type=int, default=20, help="of a recorder at random moments")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of bags.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        rows = [
            *(recording(place / "paced", options.seconds) if options.seconds else ()),
            *(reading(place / "trials", options.trials) if options.trials else ()),
            *(memory(place, options.sizes) if options.sizes[0] else ()),
            *(kills(place / "kills", options.kills) if options.kills else ()),
        ]
    settings = {k: v for k, v in vars(options).items() if k != "results"}
    report("bags", rows, settings, options.results)


def serialized(messages: Iterator[Message]) -> list[tuple[str, str, int, bytes]]:
    """The messages as they come to the recorder."""
    return [(t, k, a, bytes(typestore().serialize_cdr(m, k))) for t, k, a, m in messages]


def recording(path: Path, seconds: float) -> list[Row]:
    """All topics, every one of them once a millisecond, as they arrive; and as fast as they can be written."""
    kinds: dict[str, tuple[str, str, int, bytes]] = {}
    for message in serialized(trial_messages()):
        if message[0] != "/mbpl/trials":
            kinds[message[0]] = message
    topics, ticks = list(kinds.values()), int(seconds * RATE)
    latest = 0.0
    writer = EpisodeWriter(path, METADATA)
    begin = time.monotonic()
    for tick in range(ticks):
        due = begin + tick / RATE
        wait = due - time.monotonic()
        if wait > 0.0:
            time.sleep(wait)
        latest = max(latest, time.monotonic() - due)
        for topic, kind, _, data in topics:
            writer.write(topic, kind, time.time_ns(), data)
    writer.close()
    paced = time.monotonic() - begin
    with Reader(path) as reader:
        lost = ticks * len(topics) - sum(1 for _ in reader.messages())
    writer = EpisodeWriter(path.with_name("flat_out"), METADATA)
    begin, cpu = time.monotonic(), time.process_time()
    for _ in range(ticks):
        for topic, kind, _, data in topics:
            writer.write(topic, kind, time.time_ns(), data)
    writer.close()
    elapsed, spent = time.monotonic() - begin, time.process_time() - cpu
    size = ticks * sum(len(data) for *_, data in topics) / MIB
    return [
        Row(f"messages lost of {len(topics)} topics at 1 kHz", lost, "1", 0.0),
        Row("rate kept up", ticks / paced, "Hz", 0.99 * RATE, "higher"),
        Row("latest write", 1e3 * latest, "ms"),
        Row("written as fast as they can be", ticks * len(topics) / elapsed / 1e3, "kHz"),
        Row("the same", size / elapsed, "MiB/s"),
        Row("processor time a message", 1e6 * spent / (ticks * len(topics)), "µs"),
    ]


def reading(place: Path, count: int) -> list[Row]:
    """Trials read and aligned, against the bag library on the same files."""
    messages = serialized(trial_messages())
    paths = []
    for number in range(count):
        writer = EpisodeWriter(place / f"{number:04d}", METADATA)
        for topic, kind, arrival, data in messages:
            writer.write(topic, kind, arrival, data)
        paths.append(writer.close())
    size = count * sum(len(data) for *_, data in messages) / MIB

    def plain(parse: bool) -> float:
        begin = time.perf_counter()
        for path in paths:
            with Reader(path) as reader:
                for connection, _, data in reader.messages():
                    if parse:
                        typestore().deserialize_cdr(data, connection.msgtype)
        return time.perf_counter() - begin

    ours, handed, parsed = [], [], []
    read_all(paths[:1])  # what is made once in a process
    for _ in range(5):
        begin = time.perf_counter()
        assert all(found.law is not None for found in read_all(paths))
        ours.append(time.perf_counter() - begin)
        handed.append(plain(False))
        parsed.append(plain(True))
    best, raw, taken = (float(np.median(times)) for times in (ours, handed, parsed))
    return [
        Row.of_samples("trials read and aligned", [count / t for t in ours], "1/s", better="higher"),
        Row("the same, messages uncompressed", size / best, "MiB/s", better="higher"),
        Row("rosbags, every message handed out", size / raw, "MiB/s"),
        Row("rosbags, every message taken apart", size / taken, "MiB/s"),
        Row("time of mbpl / rosbags taking apart", best / taken, "1", 1.5),
    ]


def memory(place: Path, sizes: tuple[float, float]) -> list[Row]:
    """Most memory and time of `mbpl bags check` on two bags recorded by hand, trial after trial, one the larger."""
    found = []
    for size in sizes:
        path = generated(place / f"{size:g}", size * MIB)
        answer = subprocess.run([sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True)
        found.append([float(figure) for figure in answer.stdout.split()[:2]])
    rows = []
    for size, (peak, seconds) in zip(sizes, found, strict=True):
        rows.append(Row(f"memory at {size:g} MiB of messages", peak, "MiB"))
        rows.append(Row(f"checked, {size:g} MiB of messages", size / seconds, "MiB/s"))
    return [*rows, Row("growth of memory with the bag", found[1][0] / found[0][0], "1", 1.1)]


def generated(path: Path, size: float) -> Path:
    """A bag of so many bytes of messages, as another recorder leaves it: one trial after another, ten seconds apart."""
    written = 0
    connections: dict[str, Any] = {}
    first = serialized(trial_messages(seed=0))
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for number in itertools.count():
            # what was said twice is serialized twice only to see that it would be the same
            again = serialized(trial_messages(after_ns=number * APART * 10**9, seed=number)) if number == 1 else None
            for row, (topic, kind, arrival, message) in enumerate(first):
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=typestore())
                data = later(message, kind, number)
                arrival += number * APART * 10**9
                assert again is None or again[row] == (topic, kind, arrival, data), (topic, kind)
                writer.write(connections[topic], arrival, data)
                written += len(data)
            if written >= size:
                return path
    raise AssertionError(CONTROLLER)


def later(message: bytes, kind: str, number: int) -> bytes:
    """A message of the first trial as one of another says it: the seconds of its stamp, and the seed."""
    if kind.endswith("/StateDefinition"):
        return message
    seconds = struct.unpack_from("<i", message, 4)[0] + number * APART
    if kind.endswith("/Trial"):
        told = told_trial(seconds * 10**9 + struct.unpack_from("<I", message, 8)[0], number)
        return bytes(typestore().serialize_cdr(told, kind))
    return message[:4] + struct.pack("<i", seconds) + message[8:]


def kills(place: Path, count: int) -> list[Row]:
    """A recorder killed at random moments: what it closed, and what is missing of what it had open."""
    rng = random.Random(0)
    left = [kill_recorder(place / str(number), rng) for number in range(count)]
    closed = sum(k.closed for k in left)
    return [
        Row(f"closed bags that cannot be read, of {closed}", closed - sum(k.readable for k in left), "1", 0.0),
        Row(f"most that was lost of an open bag, {count} kills", max(k.lost for k in left), "s", 1.0),
    ]


if __name__ == "__main__":
    main()
