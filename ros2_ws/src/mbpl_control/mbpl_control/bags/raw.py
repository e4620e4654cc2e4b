"""The messages of a bag as they were recorded, one after the other; also of one whose recorder was killed."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path, PurePath
from typing import Any

from rosbags.rosbag2 import Reader
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mbpl_control.bags.mcap_file import TOGETHER, TOGETHER_BYTES, McapFile, Recorded
from mbpl_control.bags.writer import METADATA_KEY, UNFINISHED
from mbpl_control.core.errors import BagError, FileFormatError
from mbpl_control.core.user_files import read_text

#: What rosbag2 writes when it closes a bag.
CLOSING = "metadata.yaml"
SUFFIXES = (".mcap", ".db3")
#: Version of metadata.yaml that is known.
NEWEST = 9


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


def messages(directory: Path, kinds: Collection[str] | None = None) -> Iterator[Recorded]:
    """Topic, type, arrival (ns) and data of each message, one after the other, as `blocks` hands them out."""
    for block in blocks(directory, kinds):
        yield from block


def blocks(directory: Path, kinds: Collection[str] | None = None) -> Iterator[list[Recorded]]:
    """Topic, type, arrival (ns) and data of the messages, some at a time, in the order of their arrival.

    A bag with metadata.yaml is read file by file as it says; one without, whose recorder was killed, in the order of
    its files, as far as it goes. About one chunk of a file is held in memory at a time.

    Args:
        directory: of the bag.
        kinds: only messages of these types; of all when None.

    Raises:
        BagError: there is no file of messages, or it is none, or it is damaged.
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
        yield from McapFile(file, torn=True).blocks(kinds) if file.suffix == ".mcap" else _by_library(file, kinds)


def _closed(directory: Path, kinds: Collection[str] | None) -> Iterator[list[Recorded]]:
    told = _closing(directory)
    plain = str(told.get("compression_mode") or "none").lower() == "none"
    if told.get("storage_identifier") != "mcap" or not plain:
        yield from _by_library(directory, kinds)
        return
    try:
        files = [directory / PurePath(name).name for name in told["relative_file_paths"]]
        version = int(told["version"])
    except (KeyError, TypeError, ValueError) as error:
        raise BagError(f"{directory / CLOSING}: not the metadata of a rosbag2 bag: {error!r}") from error
    if version > NEWEST:
        raise BagError(f"{directory / CLOSING}: of version {version}; must be at most {NEWEST}")
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise BagError(f"{directory}: files of it are missing: {', '.join(missing)}")
    for file in files:
        yield from McapFile(file).blocks(kinds)


def _by_library(path: Path, kinds: Collection[str] | None) -> Iterator[list[Recorded]]:
    """Messages of a bag, or of one file of it, that holds together."""
    block: list[Recorded] = []
    size = 0
    try:
        with Reader(path) as reader:
            wanted = [c for c in reader.connections if kinds is None or c.msgtype in kinds]
            # to the library no connections at all are all of them
            for connection, arrival, data in reader.messages(wanted) if wanted else ():
                block.append((connection.topic, connection.msgtype, arrival, bytes(data)))
                size += len(data)
                if len(block) >= TOGETHER or size >= TOGETHER_BYTES:
                    yield block
                    block, size = [], 0
    except Exception as error:  # whatever the library raises, or SQLite below it, is what is wrong
        raise BagError(f"{path}: {error or repr(error)}") from error
    if block:
        yield block


def _closing(directory: Path) -> dict[str, Any]:
    """What metadata.yaml says of the bag."""
    file = directory / CLOSING
    try:
        state = file.stat()
        return _parsed(file, state.st_mtime_ns, state.st_size)
    except OSError as error:
        raise BagError(f"{file}: {error.strerror}") from error


@lru_cache(maxsize=4)
def _parsed(file: Path, _changed_ns: int, _size: int) -> dict[str, Any]:
    # parsing takes longer than reading a short bag, and is needed for its metadata and for its messages
    try:
        told = YAML(typ="safe").load(read_text(file))["rosbag2_bagfile_information"]
    except (FileFormatError, YAMLError, ValueError, KeyError, TypeError) as error:
        raise BagError(f"{file}: not the metadata of a rosbag2 bag: {error}") from error
    if not isinstance(told, dict):
        raise BagError(f"{file}: not the metadata of a rosbag2 bag: rosbag2_bagfile_information must be a mapping")
    return told


def _custom_data(directory: Path) -> dict[str, Any]:
    file = directory / CLOSING
    try:
        data = json.loads((_closing(directory).get("custom_data") or {}).get(METADATA_KEY, "{}"))
    except (ValueError, TypeError, AttributeError) as error:
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
