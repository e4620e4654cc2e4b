"""MCAP files of one bag: compressed in chunks, one after the other where a bag is split."""

from __future__ import annotations

import sys
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any

from rosbags.interfaces import Connection
from rosbags.rosbag2.enums import CompressionMode
from rosbags.rosbag2.metadata import dump_qos_v9
from rosbags.rosbag2.storage_mcap import McapWriter
from ruamel.yaml import YAML

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

#: A chunk that was damaged on the disk fails its checksum instead of being read as something else.
compress = partial(zstd.compress, options={zstd.CompressionParameter.checksum_flag: 1})


class _Named:
    """A directory under another name: the bag library names a file after its directory."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory, self.name = directory, name

    def __truediv__(self, file: str) -> Path:
        return self._directory / file


class SplitFile:
    """What the bag library's writer takes for one file, and is several: `split` ends one and begins the next.

    Args:
        directory: of the bag.

    Attributes:
        path: of the present file.
        files: account of each file for metadata.yaml.
    """

    def __init__(self, directory: Path) -> None:
        """Begin the first file."""
        self._directory = directory
        self._types: list[Connection] = []
        self._channels: list[tuple[Connection, str]] = []
        self.files: list[dict[str, Any]] = []
        self._file = self._begin(directory.name)

    @property
    def path(self) -> Path:
        """The present file."""
        return Path(self._file.path)

    @property
    def size(self) -> int:
        """Bytes of the present file, the pending chunk left out."""
        return int(self._file.bio.tell())

    def _begin(self, name: str) -> McapWriter:
        place: Any = _Named(self._directory, name)
        file = McapWriter(place, CompressionMode.STORAGE)
        file.compressor = compress
        # whose recorder is killed before the first chunk is an MCAP file, too
        file.bio.flush()
        return file

    def add_msgtype(self, connection: Connection) -> None:
        """See the library."""
        self._types.append(connection)
        self._file.add_msgtype(connection)

    def add_connection(self, connection: Connection, offered_qos_profiles: str) -> None:
        """See the library."""
        self._channels.append((connection, offered_qos_profiles))
        self._file.add_connection(connection, offered_qos_profiles)

    def write(self, connection: Connection, timestamp: int, data: bytes | memoryview) -> None:
        """See the library."""
        self._file.write(connection, timestamp, data)

    def end_chunk(self) -> None:
        """Put what is pending on the disk, so that a reader of the torn file finds it."""
        if self._file.chunk.bio.tell():
            self._file.close_chunk()
            self._file.bio.flush()

    def split(self) -> None:
        """End the present file, which can be read by itself from now on, and begin the next."""
        self._end(self._own_metadata())
        self._file = self._begin(f"{self._directory.name}_{len(self.files):04d}")
        for connection in self._types:
            self._file.add_msgtype(connection)
        for connection, qos in self._channels:
            self._file.add_connection(connection, qos)

    def _end(self, metadata: str) -> None:
        file, count = self._file, sum(self._file.channel_stats.values())
        start = file.message_start_time
        self.files.append(
            {
                "path": Path(file.path).name,
                "starting_time": {"nanoseconds_since_epoch": start},
                "duration": {"nanoseconds": max(0, file.message_end_time - start)},
                "message_count": count,
            }
        )
        file.close(9, metadata)

    def _own_metadata(self) -> str:
        """What rosbag2 keeps inside an MCAP file, of this file alone."""
        topics = [
            {
                "topic_metadata": {
                    "name": c.topic,
                    "type": c.msgtype,
                    "serialization_format": "cdr",
                    "offered_qos_profiles": dump_qos_v9(c.ext.offered_qos_profiles),  # type: ignore[union-attr]
                    "type_description_hash": c.digest,
                },
                "message_count": self._file.channel_stats[c.id],
            }
            for c, _ in self._channels
        ]
        text = StringIO()
        YAML(typ="safe").dump({"version": 9, "storage_identifier": "mcap", "topics_with_message_count": topics}, text)
        return text.getvalue().strip()

    def close(self, version: int, metadata: str) -> None:
        """See the library."""
        self._end(metadata)

    def abort(self) -> None:
        """See the library."""
        self._file.abort()

    def complete(self, partial_yaml: Path, closing: Path) -> None:
        """metadata.yaml of the whole bag, from the library's, which knows the last file only."""
        yaml = YAML(typ="safe")
        yaml.default_flow_style = False
        content = yaml.load(partial_yaml.read_text(encoding="utf-8"))
        told = content["rosbag2_bagfile_information"]
        told["files"] = self.files
        told["relative_file_paths"] = [file["path"] for file in self.files]
        with open(partial_yaml, "w", encoding="utf-8") as stream:
            yaml.dump(content, stream)
        partial_yaml.replace(closing)
