"""The messages of a bag as they were recorded, one after the other; also of one whose recorder was killed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from mcap.records import Channel, Message, Schema
from mcap.stream_reader import StreamReader
from rosbags.rosbag2 import Reader
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mbpl_control.bags.writer import METADATA_KEY, UNFINISHED
from mbpl_control.core.errors import BagError, FileFormatError
from mbpl_control.core.user_files import read_text

#: What rosbag2 writes when it closes a bag.
CLOSING = "metadata.yaml"
SUFFIXES = (".mcap", ".db3")


def find_bags(directory: Path) -> list[Path]:
    """Every bag below a directory, or it itself, sorted by path; also such as were never closed.

    Raises:
        BagError: there is none.
    """
    if not directory.is_dir():
        raise BagError(f"{directory}: no such directory of bags")
    found = {file.parent for name in (CLOSING, UNFINISHED, "*.mcap", "*.db3") for file in directory.rglob(name)}
    if not found:
        raise BagError(f"{directory}: no bags; a bag is a directory with {CLOSING} or an .mcap or .db3 file")
    return sorted(found)


def is_complete(directory: Path) -> bool:
    """Whether its recorder closed the bag."""
    return (directory / CLOSING).is_file()


def metadata_of_bag(directory: Path) -> dict[str, Any]:
    """The JSON object under custom_data.mbpl, or what a killed recorder knew; empty for a bag by another recorder.

    Raises:
        BagError: metadata.yaml is not what rosbag2 writes.
    """
    return _custom_data(directory) if is_complete(directory) else _unfinished_metadata(directory)


def messages(directory: Path, kinds: Collection[str] | None = None) -> Iterator[tuple[str, str, int, bytes]]:
    """Topic, type, arrival (ns) and data of each message, in the order of their arrival.

    A bag with metadata.yaml is read by the bag library; one without, whose recorder was killed, in the order of its
    files, as far as it goes. One message is held in memory at a time, and one chunk of a file.

    Args:
        directory: of the bag.
        kinds: only messages of these types; of all when None.

    Raises:
        BagError: there is no file of messages, or it is none.
    """
    if not directory.is_dir():
        raise BagError(f"{directory}: no such bag; a bag is a directory with an .mcap or .db3 file")
    if is_complete(directory):
        yield from _closed(directory, kinds)
        return
    files = sorted(f for f in directory.iterdir() if f.suffix in SUFFIXES)
    if not files:
        raise BagError(f"{directory}: neither {CLOSING} nor an .mcap or .db3 file; not a bag")
    for file in files:
        yield from _torn(file, kinds) if file.suffix == ".mcap" else _closed(file, kinds)


def _closed(path: Path, kinds: Collection[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
    """Messages of a bag, or of one file of it, that holds together."""
    try:
        with Reader(path) as reader:
            wanted = [c for c in reader.connections if kinds is None or c.msgtype in kinds]
            # to the library no connections at all are all of them
            for connection, arrival, data in reader.messages(wanted) if wanted else ():
                yield connection.topic, connection.msgtype, arrival, bytes(data)
    except Exception as error:  # whatever the library raises, or SQLite below it, is what is wrong
        raise BagError(f"{path}: {error or repr(error)}") from error


def _torn(file: Path, kinds: Collection[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
    """Messages of an MCAP file as far as it goes."""
    schemas: dict[int, Schema] = {}
    channels: dict[int, Channel] = {}
    with open(file, "rb") as stream:
        try:
            for record in StreamReader(stream, skip_magic=False).records:
                if isinstance(record, Schema):
                    schemas[record.id] = record
                elif isinstance(record, Channel):
                    channels[record.id] = record
                elif isinstance(record, Message):
                    channel = channels[record.channel_id]
                    kind = schemas[channel.schema_id].name
                    if kinds is None or kind in kinds:
                        yield channel.topic, kind, record.log_time, record.data
        except Exception as error:  # whatever half a record makes the library raise
            if not channels:
                reason = str(error) or "it ends too early"
                raise BagError(f"{file}: not an MCAP file: {reason}") from error
            # the end is torn off where the recorder died; everything before it has been handed out


def _custom_data(directory: Path) -> dict[str, Any]:
    file = directory / CLOSING
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
