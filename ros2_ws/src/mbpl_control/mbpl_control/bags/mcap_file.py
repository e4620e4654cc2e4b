"""Messages of an MCAP file, a chunk at a time, in memory that does not grow with the file."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterator
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from rosbags.rosbag2.storage_mcap import decompress

from mbpl_control.core.errors import BagError

#: A message as it was recorded: topic, type, arrival in ns, data.
Recorded = tuple[str, str, int, bytes]

MAGIC = b"\x89MCAP0\r\n"
FOOTER, SCHEMA, CHANNEL, MESSAGE, CHUNK, STATISTICS = 0x02, 0x03, 0x04, 0x05, 0x06, 0x0B
#: Opcode of a record, and bytes of what follows.
_HEAD = struct.Struct("<BQ")
#: Channel, number, arrival and publication in front of a message.
_MESSAGE = struct.Struct("<HIQQ")
#: First and last arrival, size and checksum in front of the records of a chunk.
_CHUNK = struct.Struct("<QQQI")
#: So many messages, or bytes, are handed out at once where there are as many.
TOGETHER, TOGETHER_BYTES = 1000, 2**20


class McapFile:
    """One file.

    Args:
        path: of the file.
        torn: whether it may end anywhere, as that of a recorder which was killed.

    Raises:
        BagError: it is no MCAP file, or it ends before its end.
    """

    def __init__(self, path: Path, torn: bool = False) -> None:
        """Look where its chunks are."""
        self._path, self._torn = path, torn
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, tuple[str, str]] = {}
        self._told: int | None = None
        try:
            with open(path, "rb") as stream:
                self._pieces = self._walk(stream)
        except OSError as error:
            raise BagError(f"{path}: {error.strerror}") from error

    def blocks(self, kinds: Collection[str] | None) -> Iterator[list[Recorded]]:
        """The messages, some at a time, in the order of their arrival; of a torn file in that of the file.

        Args:
            kinds: only messages of these types; of all when None.

        Raises:
            BagError: a chunk is damaged, or not all messages are there; of a torn file when nothing can be read of it.
        """
        held: list[Recorded] = []
        count = size = 0
        with open(self._path, "rb") as stream:
            for number, (_, at, length) in enumerate(self._pieces):
                try:
                    content = _content(stream, int(at), int(length))
                    found = list(self._messages(content))
                except BagError:
                    raise
                except Exception as error:  # whatever damage makes the decompression raise
                    if self._torn:
                        break
                    raise BagError(f"{self._path}: its chunk at byte {at} is damaged: {error!r}") from error
                count, size = count + len(found), size + len(content)
                held += found if kinds is None else [m for m in found if m[1] in kinds]
                last = number + 1 == len(self._pieces)
                if len(held) < TOGETHER and size < TOGETHER_BYTES and not last:
                    continue
                ready = len(held)
                if not self._torn:
                    held.sort(key=itemgetter(2))
                    # where a clock was set, or messages were written out of turn, chunks overlap
                    ready = ready if last else bisect_right(held, int(self._pieces[number + 1, 0]), key=itemgetter(2))
                if ready:
                    yield held[:ready]
                held, size = held[ready:], 0
        if held:
            yield held
        if self._torn and not self._channels:
            raise self._no_mcap("it ends too early")
        if not self._torn and self._told not in (None, count):
            raise BagError(f"{self._path}: holds {count} messages; {self._told} were written")

    def _walk(self, stream: BinaryIO) -> NDArray[np.uint64]:
        """First arrival, place and length (N, 3) of every chunk, and of messages in a row outside of any."""
        end = stream.seek(0, 2)
        stream.seek(0)
        if stream.read(len(MAGIC)) != MAGIC:
            raise self._no_mcap("it does not begin as one")
        found = array("Q")
        at, in_a_row, closed = len(MAGIC), False, False
        while not closed and at + _HEAD.size <= end:
            stream.seek(at)
            code, length = _HEAD.unpack(stream.read(_HEAD.size))
            after = at + _HEAD.size + length
            if after > end:
                break
            try:
                closed = self._note(stream, code, at, after, found, in_a_row)
            except (struct.error, ValueError, KeyError) as error:
                if self._torn:
                    break
                raise BagError(f"{self._path}: its record at byte {at} is damaged: {error!r}") from error
            in_a_row, at = code == MESSAGE, after
        if not closed and not self._torn:
            raise BagError(f"{self._path}: ends at byte {end}, in the middle of something")
        pieces = np.frombuffer(found, np.uint64).reshape(-1, 3) if found else np.zeros((0, 3), np.uint64)
        return pieces if self._torn else pieces[np.argsort(pieces[:, 0], kind="stable")]

    def _note(self, stream: BinaryIO, code: int, at: int, after: int, found: array[int], in_a_row: bool) -> bool:
        """Take what the walk needs of a record whose content comes next; whether it is the last one."""
        if code == CHUNK:
            found.extend((_CHUNK.unpack(stream.read(_CHUNK.size))[0], at, after - at))
        elif code == MESSAGE:
            arrival = _MESSAGE.unpack(stream.read(_MESSAGE.size))[2]
            if in_a_row and found[-1] < TOGETHER_BYTES:
                found[-3], found[-1] = min(found[-3], arrival), after - found[-2]
            else:
                found.extend((arrival, at, after - at))
        elif code in (SCHEMA, CHANNEL):
            self._define(code, stream.read(after - at - _HEAD.size))
        elif code == STATISTICS:
            self._told = struct.unpack("<Q", stream.read(8))[0]
        elif code == FOOTER:
            stream.seek(after)
            return stream.read(len(MAGIC)) == MAGIC
        return False

    def _messages(self, content: bytes) -> Iterator[Recorded]:
        at, end = 0, len(content)
        while at < end:
            code, length = _HEAD.unpack_from(content, at)
            begin = at + _HEAD.size
            at = begin + length
            if at > end:
                raise ValueError(f"a record of {length} bytes where {end - begin} are left")
            if code == MESSAGE:
                channel, _, arrival, _ = _MESSAGE.unpack_from(content, begin)
                yield *self._channels[channel], arrival, content[begin + _MESSAGE.size : at]
            elif code in (SCHEMA, CHANNEL):
                self._define(code, content[begin:at])

    def _define(self, code: int, record: bytes) -> None:
        """Take a schema, or a channel of one."""
        (number,) = struct.unpack_from("<H", record)
        if code == SCHEMA:
            self._schemas[number] = _texts(record, 2, 1)[0]
            return
        topic, encoding = _texts(record, 4, 2)
        if encoding != "cdr" and not self._torn:
            raise BagError(f"{self._path}: {topic} is encoded as '{encoding}'; must be cdr")
        self._channels[number] = topic, self._schemas[struct.unpack_from("<H", record, 2)[0]]

    def _no_mcap(self, why: str) -> BagError:
        return BagError(f"{self._path}: not an MCAP file: {why}")


def _content(stream: BinaryIO, at: int, length: int) -> bytes:
    """Records of a chunk, or as they are outside of any."""
    stream.seek(at)
    record = stream.read(length)
    if record[0] != CHUNK:
        return record
    _, _, size, checksum = _CHUNK.unpack_from(record, _HEAD.size)
    begin = _HEAD.size + _CHUNK.size
    (compression,) = _texts(record, begin, 1)
    begin += 4 + len(compression) + 8
    (packed,) = struct.unpack_from("<Q", record, begin - 8)
    return decompress(record[begin : begin + packed], compression, size, checksum)


def _texts(record: bytes, at: int, count: int) -> list[str]:
    """Texts that stand one after the other, each behind its length."""
    found = []
    for _ in range(count):
        (length,) = struct.unpack_from("<I", record, at)
        found.append(record[at + 4 : at + 4 + length].decode())
        at += 4 + length
    return found
