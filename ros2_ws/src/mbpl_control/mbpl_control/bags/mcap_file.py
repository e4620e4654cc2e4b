"""Messages of an MCAP file, a chunk at a time, in memory that does not grow with the file."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterator
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import numpy as np
from mcap.exceptions import EndOfFile
from mcap.records import Channel, Chunk, McapRecord, Message, Schema, Statistics
from mcap.stream_reader import MAGIC_SIZE, StreamReader, breakup_chunk
from numpy.typing import NDArray

from mbpl_control.core.errors import BagError

#: A message as it was recorded: topic, type, arrival in ns, data.
Recorded = tuple[str, str, int, bytes]

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
            BagError: a chunk is damaged, or not all messages are there. A torn file is read as far as it goes.
        """
        held: list[Recorded] = []
        count = size = 0
        with open(self._path, "rb") as stream:
            for number, (_, at, length) in enumerate(self._pieces):
                try:
                    found = list(self._messages(stream, int(at), int(length)))
                except BagError:
                    raise
                except Exception as error:  # whatever damage makes the library raise, or what unpacks below it
                    if self._torn:
                        break
                    raise BagError(f"{self._path}: its chunk at byte {at} is damaged: {error!r}") from error
                count, size = count + len(found), size + sum(len(data) for *_, data in found)
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
        if not self._torn and self._told not in (None, count):
            raise BagError(f"{self._path}: holds {count} messages; {self._told} were written")

    def _walk(self, stream: BinaryIO) -> NDArray[np.uint64]:
        """First arrival, place and length (N, 3) of every chunk, and of messages in a row outside of any."""
        # the library's own index holds objects for every chunk, some MiB for each GiB of file
        found, at, in_a_row = array("Q"), 0, False
        try:
            for record in StreamReader(stream, emit_chunks=True).records:
                at, after = at or MAGIC_SIZE, stream.tell()
                self._note(record, at, after, found, in_a_row)
                in_a_row, at = isinstance(record, Message), after
        except (BagError, OSError):
            raise
        except Exception as error:  # whatever the library raises at something that is none
            if not at:
                raise BagError(f"{self._path}: not an MCAP file: {error or repr(error)}") from error
            if not self._torn:
                cut = isinstance(error, EndOfFile)
                what = "ends too early" if cut else f"is damaged: {error!r}"
                raise BagError(f"{self._path}: its record at byte {at} {what}") from error
        pieces = np.frombuffer(found, np.uint64).reshape(-1, 3) if found else np.zeros((0, 3), np.uint64)
        return pieces if self._torn else pieces[np.argsort(pieces[:, 0], kind="stable")]

    def _note(self, record: McapRecord, at: int, after: int, found: array[int], in_a_row: bool) -> None:
        """Take what the walk needs of a record between two bytes of the file."""
        if isinstance(record, Chunk):
            found.extend((record.message_start_time, at, after - at))
        elif isinstance(record, Message):
            if in_a_row and found[-1] < TOGETHER_BYTES:
                found[-3], found[-1] = min(found[-3], record.log_time), after - found[-2]
            else:
                found.extend((record.log_time, at, after - at))
        elif isinstance(record, Statistics):
            self._told = record.message_count
        else:
            self._define(record)

    def _messages(self, stream: BinaryIO, at: int, length: int) -> Iterator[Recorded]:
        """Those of one piece."""
        stream.seek(at)
        for record in StreamReader(stream, skip_magic=True, emit_chunks=True).records:
            for each in breakup_chunk(record, validate_crc=True) if isinstance(record, Chunk) else (record,):
                if isinstance(each, Message):
                    yield *self._channels[each.channel_id], each.log_time, each.data
                else:
                    self._define(each)
            if stream.tell() >= at + length:
                return

    def _define(self, record: McapRecord) -> None:
        """Take a schema, or a channel of one; nothing else."""
        if isinstance(record, Schema):
            self._schemas[record.id] = record.name
        elif isinstance(record, Channel):
            if record.message_encoding != "cdr" and not self._torn:
                raise BagError(f"{self._path}: {record.topic} is encoded as '{record.message_encoding}'; must be cdr")
            self._channels[record.id] = record.topic, self._schemas[record.schema_id]
