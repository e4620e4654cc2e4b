"""MCAP files of any writer are read as their own library reads them, and what is missing of one is found."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mcap.opcode import Opcode
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer

from mbpl_control.bags.mcap_file import McapFile
from mbpl_control.core import BagError

COUNT = 400


def write(path: Path, arrivals: list[int], encoding: str = "cdr", **options: object) -> Path:
    """A file with one message an arrival, on two topics in turn."""
    with open(path, "wb") as stream:
        writer = Writer(stream, chunk_size=2000, **options)
        writer.start("ros2")
        schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
        topics = [writer.register_channel(t, encoding, schema) for t in ("/one", "/other")]
        for number, arrival in enumerate(arrivals):
            data = b"\x00\x01\x00\x00" + number.to_bytes(4, "little") * (number % 30 + 1)
            writer.add_message(topics[number % 2], arrival, data, arrival)
        writer.finish()
    return path


def read(path: Path, torn: bool = False) -> list[tuple[str, str, int, bytes]]:
    """All messages of a file."""
    return [message for block in McapFile(path, torn).blocks(None) for message in block]


@pytest.mark.parametrize("compression", list(CompressionType), ids=lambda c: c.name.lower())
@pytest.mark.parametrize("chunked", [True, False], ids=["chunks", "no_chunks"])
@pytest.mark.parametrize("order", ["in_turn", "shuffled", "set_back"])
def test_messages_come_as_the_library_of_the_format_reads_them(
    tmp_path: Path, compression: CompressionType, chunked: bool, order: str
) -> None:
    arrivals = np.arange(COUNT) * 1000
    if order == "shuffled":
        arrivals = np.random.default_rng(0).permutation(arrivals)
    elif order == "set_back":
        arrivals = np.concatenate([arrivals[200:], arrivals[:200]])
    path = write(tmp_path / "a.mcap", arrivals.tolist(), compression=compression, use_chunking=chunked)
    with open(path, "rb") as stream:
        expected = [(c.topic, s.name, m.log_time, m.data) for s, c, m in make_reader(stream).iter_messages()]
    assert len(expected) == COUNT
    assert read(path) == expected


def test_only_the_types_that_are_asked_for_are_handed_out(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mcap", list(range(COUNT)))
    assert not list(McapFile(path).blocks({"std_msgs/msg/Header"}))


@pytest.mark.parametrize("opcode", [Opcode.CHUNK, Opcode.MESSAGE])
def test_a_record_that_got_lost_is_found(tmp_path: Path, opcode: Opcode) -> None:
    path = write(tmp_path / "a.mcap", list(range(COUNT)), use_chunking=opcode == Opcode.CHUNK)
    content = bytearray(path.read_bytes())
    with open(path, "rb") as stream:
        indexes = make_reader(stream).get_summary().chunk_indexes
    begin_of_message = bytes([Opcode.MESSAGE]) + (22 + 8).to_bytes(8, "little")
    place = indexes[3].chunk_start_offset if opcode == Opcode.CHUNK else content.index(begin_of_message)
    content[place] = 0x80  # a record of a kind that is left to others
    path.write_bytes(content)
    with pytest.raises(BagError, match=rf"a\.mcap: holds \d+ messages; {COUNT} were written"):
        read(path)


def test_a_damaged_chunk_is_found_by_its_checksum(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mcap", list(range(COUNT)), compression=CompressionType.NONE)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(BagError, match="its chunk at byte .* is damaged"):
        read(path)


def test_messages_that_are_no_cdr_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BagError, match="/one is encoded as 'json'; must be cdr"):
        read(write(tmp_path / "a.mcap", [1, 2], encoding="json"))


@pytest.mark.parametrize("chunked", [True, False], ids=["chunks", "no_chunks"])
def test_of_a_torn_file_the_beginning_is_read_wherever_it_ends(tmp_path: Path, chunked: bool) -> None:
    whole = write(tmp_path / "a.mcap", list(range(COUNT)), use_chunking=chunked)
    expected, content, counts = read(whole), whole.read_bytes(), []
    for length in np.linspace(0, len(content), 50).astype(int):
        (tmp_path / "b.mcap").write_bytes(content[:length])
        try:
            found = read(tmp_path / "b.mcap", torn=True)
        except BagError as error:
            assert "not an MCAP file" in str(error)
            found = []
        assert found == expected[: len(found)]
        counts.append(len(found))
        if length < len(content):
            with pytest.raises(BagError):
                read(tmp_path / "b.mcap")
    assert counts == sorted(counts) and counts[-1] == COUNT


@pytest.mark.parametrize("torn", [False, True], ids=["closed", "torn"])
@pytest.mark.parametrize("chunked", [True, False], ids=["chunks", "no_chunks"])
def test_a_file_with_bytes_changed_anywhere_is_read_or_refused(tmp_path: Path, chunked: bool, torn: bool) -> None:
    content = write(tmp_path / "a.mcap", list(range(COUNT)), use_chunking=chunked).read_bytes()
    rng, refused = np.random.default_rng(0), 0
    for _ in range(300):
        changed = bytearray(content)
        for place in rng.integers(8, len(content), 4):
            changed[place] = rng.integers(256)
        (tmp_path / "b.mcap").write_bytes(changed)
        try:
            read(tmp_path / "b.mcap", torn)
        except BagError as error:
            assert str(tmp_path / "b.mcap") in str(error)
            refused += 1
    assert torn or refused > 100
