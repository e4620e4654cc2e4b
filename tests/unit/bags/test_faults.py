"""Bags that cannot be written, and what is left of those that were not finished."""

from __future__ import annotations

import os
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from mcap.exceptions import McapError
from mcap.reader import NonSeekingReader, make_reader
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader

from mbpl_control.bags import EpisodeWriter, read_episode
from mbpl_control.bags.types import typestore
from mbpl_control.core import BagError

#: Writes states until something happens; tells what is on the disk.
RECORDER = """
import resource, signal, sys
from mbpl_control.bags import EpisodeWriter
from mbpl_control.core import BagError
from mbpl_control.bags.types import typestore

store = typestore()
path, limit = sys.argv[1], int(sys.argv[2])
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
writer = EpisodeWriter(path, {"task": "arm_reach", "seed": 3})
string = store.types["std_msgs/msg/String"]
k = 0
while True:
    text = f"{k:08d}" + "x" * 2000
    try:
        writer.write_message("/text", "std_msgs/msg/String", k * 1000, string(data=text))
        k += 1
        if k % 100 == 0:
            writer.flush()
            print("flushed", k, flush=True)
    except BagError as error:
        print("error", error, flush=True)
        try:
            writer.close()
        except BagError as again:
            print("closed", again, flush=True)
        break
"""


def start(path: Path, limit: int = 0) -> subprocess.Popen[str]:
    """A recorder in a process of its own, whose files may grow to `limit` bytes."""
    return subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(path), str(limit)], stdout=subprocess.PIPE, text=True, bufsize=1
    )


def texts(path: Path) -> list[int]:
    """Numbers of the messages the reader of mcap finds, up to where the file is torn."""
    found: list[int] = []
    with open(next(path.glob("*.mcap")), "rb") as stream:
        try:
            for _, _, message in NonSeekingReader(stream).iter_messages(log_time_order=False):
                found.append(int(message.data[8:16]))
        except (McapError, struct.error):
            # the library says the one between two records, the other within one
            pass
    return found


def test_what_a_killed_recorder_flushed_is_read_with_what_it_knew(tmp_path: Path) -> None:
    path = tmp_path / "killed"
    process = start(path)
    try:
        flushed = 0
        while flushed < 500:
            flushed = int(process.stdout.readline().split()[1])
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=10)
        process.stdout.close()
    episode = read_episode(path)
    assert not episode.complete
    assert episode.metadata == {"task": "arm_reach", "seed": 3}
    assert episode.counts["/text"] >= 500
    # the reader of mcap itself finds them, too, all in their order
    numbers = texts(path)
    assert len(numbers) >= 500
    assert numbers == list(range(len(numbers)))


def test_a_recorder_killed_before_anything_was_put_on_the_disk_leaves_a_file_without_messages(tmp_path: Path) -> None:
    EpisodeWriter(tmp_path / "begun", {"seed": 3})
    with open(tmp_path / "begun" / "begun.mcap", "rb") as stream:
        assert NonSeekingReader(stream).get_header().profile == "ros2"
    with pytest.raises(BagError, match="begun: holds no messages"):
        read_episode(tmp_path / "begun")


def test_a_recorder_killed_when_it_began_its_next_file_leaves_those_before(tmp_path: Path) -> None:
    store = typestore()
    string = store.types["std_msgs/msg/String"]
    writer = EpisodeWriter(tmp_path / "split", {"seed": 3}, split_seconds=1.0)
    for second in (0, 1):
        writer.write_message("/text", "std_msgs/msg/String", second * 10**9, string(data=str(second)))
    # the second file holds its message in memory alone
    assert len(list((tmp_path / "split").glob("*.mcap"))) == 2
    assert read_episode(tmp_path / "split").counts == {"/text": 1}


def test_a_full_disk_is_an_error_and_the_episode_up_to_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "full"
    process = start(path, limit=1_000_000)
    try:
        output, _ = process.communicate(timeout=60)
    finally:
        process.kill()
    lines = output.splitlines()
    flushed = [int(line.split()[1]) for line in lines if line.startswith("flushed")]
    error = next(line for line in lines if line.startswith("error"))
    assert "File too large" in error
    assert f"bag {path}" in error
    assert "messages up to here are kept" in error
    assert next(line for line in lines if line.startswith("closed")).split("bag")[1] == error.split("bag")[1]
    episode = read_episode(path)
    assert not episode.complete
    assert episode.metadata["seed"] == 3
    assert episode.counts["/text"] >= flushed[-1] > 100
    assert texts(path)[: flushed[-1]] == list(range(flushed[-1]))


def test_a_directory_that_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "episode"
    path.mkdir()
    (path / "precious.txt").write_text("mine")
    with pytest.raises(BagError, match=rf"bag {path} exists already; nothing was changed"):
        EpisodeWriter(path, {})
    assert [p.name for p in path.iterdir()] == ["precious.txt"]
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BagError, match="exists already"):
        EpisodeWriter(tmp_path / "file", {})
    with pytest.raises(BagError, match="cannot be created"):
        EpisodeWriter(tmp_path / "file" / "episode", {})
    assert (tmp_path / "file").read_text() == "mine"


def test_metadata_that_are_no_json_are_refused_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="metadata must be JSON data"):
        EpisodeWriter(tmp_path / "episode", {"array": np.zeros(3)})
    assert not (tmp_path / "episode").exists()


def test_metadata_that_are_no_json_do_not_cost_the_bag_its_index(tmp_path: Path, messages) -> None:
    writer = EpisodeWriter(tmp_path / "episode", {"seed": 1})
    for topic, kind, arrival, data in messages:
        writer.write(topic, kind, arrival, data)
    with pytest.raises(BagError, match="metadata must be JSON data"):
        writer.close({"cost": {1, 2}})
    bag = writer.close({"cost": float("nan")})
    episode = read_episode(bag)
    assert episode.complete
    assert episode.metadata["seed"] == 1
    assert np.isnan(episode.metadata["cost"])


def test_a_wrong_message_is_refused_and_the_bag_goes_on(tmp_path: Path, messages) -> None:
    topic, kind, arrival, data = messages[1]
    writer = EpisodeWriter(tmp_path / "episode", {})
    writer.write(topic, kind, arrival, data)
    with pytest.raises(BagError, match="a std_msgs/msg/String on /mbpl/state, which holds mbpl_msgs/msg/RobotState"):
        writer.write(topic, "std_msgs/msg/String", arrival + 1, data)
    with pytest.raises(
        BagError, match="Type 'nobody/msg/Foo' is unknown.*Types are those of ROS 2 Jazzy and mbpl_msgs"
    ):
        writer.write("/foo", "nobody/msg/Foo", arrival + 1, data)
    writer.write(topic, kind, arrival + 2, data)
    bag = writer.close()
    assert writer.close() == bag
    with pytest.raises(BagError, match="is closed"):
        writer.write(topic, kind, arrival + 3, data)
    assert read_episode(bag).counts == {topic: 2}


def numbered(writer: EpisodeWriter, first: int, last: int, size: int = 2000) -> None:
    """Messages of incompressible text, one a millisecond."""
    rng = np.random.default_rng(first)
    string = typestore().types["std_msgs/msg/String"]
    for k in range(first, last):
        text = f"{k:08d}" + rng.bytes(size // 2).hex()
        writer.write_message("/text", "std_msgs/msg/String", k * 10**6, string(data=text))


@pytest.mark.parametrize(("limits", "files"), [({"split_bytes": 2**20}, 4), ({"split_seconds": 0.5}, 6)], ids=str)
def test_a_bag_is_split_by_size_or_duration_and_read_as_one(tmp_path: Path, limits, files: int) -> None:
    writer = EpisodeWriter(tmp_path / "bag", {"seed": 1}, **limits)
    for first in range(0, 3000, 100):
        numbered(writer, first, first + 100)
        writer.flush()
    bag = writer.close()
    found = sorted(bag.glob("*.mcap"))
    assert len(found) == files and found[1].name == "bag_0001.mcap"
    with Reader(bag) as reader:
        assert [int(data[8:16]) for _, _, data in reader.messages()] == list(range(3000))
        assert reader.message_count == 3000
    with AnyReader(found[1:2]) as reader:
        assert len(list(reader.messages())) > 100
    # killed in its last file: the same messages, without metadata.yaml
    (bag / "metadata.yaml").unlink()
    found[-1].write_bytes(found[-1].read_bytes()[:-2000])
    assert read_episode(bag).counts["/text"] > 2500


def test_a_bag_is_not_begun_without_the_space_that_must_be_left(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r"is not begun: \d+ MiB are free at .*; at least \d+ MiB must be left"):
        EpisodeWriter(tmp_path / "bag", {}, min_free_bytes=2**60)
    assert not (tmp_path / "bag").exists()


def test_a_bag_is_closed_in_good_time_before_the_disk_is_full(tmp_path: Path) -> None:
    free = shutil.disk_usage(tmp_path).free
    writer = EpisodeWriter(tmp_path / "bag", {"seed": 1}, min_free_bytes=free - 40 * 2**20)
    first = 0
    with pytest.raises(BagError, match=r"was closed: \d+ MiB are free .*; messages up to here are kept"):
        for first in range(0, 10_000, 10):
            numbered(writer, first, first + 10, size=200_000)
    with pytest.raises(BagError, match="was closed"):
        writer.close()
    episode = read_episode(tmp_path / "bag")
    assert episode.complete and "must be left" in episode.metadata["recording_ended"]
    assert first <= episode.counts["/text"] <= first + 10


def test_chunks_are_compressed_and_a_damaged_one_is_not_read_as_something_else(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path / "bag", {})
    string = typestore().types["std_msgs/msg/String"]
    for k in range(1000):
        writer.write_message("/text", "std_msgs/msg/String", k, string(data=f"{k:08d}" + "x" * 1000))
    bag = writer.close()
    (file,) = bag.glob("*.mcap")
    content = bytearray(file.read_bytes())
    assert len(content) < 100_000
    with open(file, "rb") as stream:
        summary = make_reader(stream).get_summary()
    assert {chunk.compression for chunk in summary.chunk_indexes} == {"zstd"}
    content[len(content) // 10] ^= 1
    file.write_bytes(content)
    with pytest.raises(BagError):
        read_episode(bag)


@pytest.fixture
def bag(tmp_path: Path, messages) -> Path:
    writer = EpisodeWriter(tmp_path / "episode", {"seed": 1})
    for i, (topic, kind, arrival, data) in enumerate(messages):
        writer.write(topic, kind, arrival, data)
        if i % 80 == 79:
            writer.flush()
    return writer.close()


def test_wherever_a_file_without_index_is_torn_its_beginning_is_read(bag: Path) -> None:
    (bag / "metadata.yaml").unlink()
    file = bag / "episode.mcap"
    content = file.read_bytes()
    counts = []
    for length in np.linspace(0, len(content), 60).astype(int):
        file.write_bytes(content[:length])
        try:
            counts.append(sum(read_episode(bag).counts.values()))
        except BagError:
            counts.append(0)
    assert counts == sorted(counts)
    assert set(counts) == {0, 80, 160, 240, 320, 400}


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_closed_bag_whose_file_is_torn_is_an_error_that_names_it(bag: Path, kept: float) -> None:
    file = bag / "episode.mcap"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(BagError, match=str(bag)):
        read_episode(bag)


@pytest.mark.parametrize("text", ["", "}{", "a: 1", "rosbag2_bagfile_information: 3"])
def test_metadata_that_rosbag2_does_not_write_are_an_error_that_names_the_file(bag: Path, text: str) -> None:
    (bag / "metadata.yaml").write_text(text)
    with pytest.raises(BagError, match=r"metadata\.yaml"):
        read_episode(bag)


def test_what_is_no_bag_is_told_apart(tmp_path: Path, bag: Path) -> None:
    with pytest.raises(BagError, match="no such bag; a bag is a directory"):
        read_episode(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(BagError, match=r"neither metadata\.yaml nor an \.mcap or \.db3 file; not a bag"):
        read_episode(tmp_path / "empty")
    (tmp_path / "empty" / "x.mcap").write_text("hello")
    with pytest.raises(BagError, match="not an MCAP file"):
        read_episode(tmp_path / "empty")
    quiet = EpisodeWriter(tmp_path / "quiet", {}).close()
    with pytest.raises(BagError, match="holds no messages"):
        read_episode(quiet)
    (bag / "episode.mcap").unlink()
    with pytest.raises(BagError, match=str(bag)):
        read_episode(bag)


def test_a_bag_may_be_moved_and_renamed(bag: Path, tmp_path: Path) -> None:
    shutil.move(bag, tmp_path / "elsewhere")
    assert read_episode(tmp_path / "elsewhere").metadata == {"seed": 1}


def test_without_the_message_package_the_error_says_what_to_source(tmp_path: Path) -> None:
    script = "from mbpl_control.bags.types import typestore\ntypestore()"
    result = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "AMENT_PREFIX_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1
    assert "no share/mbpl_msgs/msg below AMENT_PREFIX_PATH; source the workspace" in result.stderr
