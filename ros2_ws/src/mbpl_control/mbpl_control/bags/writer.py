"""Writing one episode."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.rosbag2.errors import WriterError
from rosbags.typesys.base import TypesysError

from mbpl_control.bags.split_file import SplitFile
from mbpl_control.bags.types import typestore
from mbpl_control.core.errors import BagError
from mbpl_control.core.validation import Array
from mbpl_control.models.robot import RobotModel

#: Key of this project's metadata in a bag's custom data.
METADATA_KEY = "mbpl"
#: Where the metadata are kept until metadata.yaml takes them over.
UNFINISHED = "unfinished.json"
#: Where metadata.yaml is while it knows of the last file only.
PARTIAL = "metadata.partial.yaml"
#: Messages are on the disk after this long, s: what a killed recorder can lose.
FLUSH_PERIOD = 0.5
_FOREVER = QosTime(2147483647, 4294967295)


class EpisodeWriter:
    """A rosbag2 directory of one episode: MCAP files with definitions inside, chunks under Zstd, and metadata.yaml.

    Until it is closed a file `unfinished.json` holds the metadata, so that the bag of a killed recorder has them, too.

    Args:
        path: directory of the bag; must not exist.
        metadata: task, condition, controller, seed and what else is known before it runs; JSON data.
        split_bytes: begin a new file when one is larger; 0 does not split.
        split_seconds: begin a new file when the messages of one came over a longer time, s; 0 does not split.
        min_free_bytes: space to leave on the disk; the bag is not begun, or closed in good time, when there is less.

    Raises:
        BagError: the directory exists or cannot be made, the metadata are no JSON data, or the disk is almost full.
    """

    def __init__(
        self,
        path: str | Path,
        metadata: Mapping[str, Any],
        split_bytes: int = 0,
        split_seconds: float = 0.0,
        min_free_bytes: int = 0,
    ) -> None:
        """Create the directory and the file."""
        self.path = Path(path).absolute()
        self._split_bytes, self._split_ns = split_bytes, round(1e9 * split_seconds)
        self._min_free = min_free_bytes
        self._file_begin: int | None = None
        self.metadata = dict(metadata)
        self.messages = 0
        text = self._json(self.metadata)
        if self.path.exists():
            raise BagError(f"bag {self.path} exists already; nothing was changed. Choose another name")
        short = self._short_of_space()
        if short:
            raise BagError(f"bag {self.path} is not begun: {short}")
        try:
            self._writer = Writer(self.path, version=9, storage_plugin=StoragePlugin.MCAP)
            self._writer.metapath = self.path / PARTIAL
            self.path.mkdir(mode=0o755, parents=True)
            self._file = SplitFile(self.path)
            storage: Any = self._file  # one file to the library
            self._writer.storage = storage
            (self.path / UNFINISHED).write_text(text, encoding="utf-8")
        except (OSError, WriterError) as error:
            raise BagError(f"bag {self.path} cannot be created: {error}") from error
        self._connections: dict[str, Connection] = {}
        self._flushed = time.monotonic()
        self._open = True
        self._failure = ""

    def write(self, topic: str, kind: str, stamp_ns: int, data: bytes, latched: bool = False) -> None:
        """Append a serialised message.

        Args:
            topic: its topic.
            kind: its type, e.g. "sensor_msgs/msg/JointState".
            stamp_ns: when it arrived.
            data: CDR with its header.
            latched: whether the topic is transient local.

        Raises:
            BagError: the disk is almost full, and the episode up to here is closed; it is full, or the file cannot be
                written, and the episode up to here is kept; or the type is unknown, or not that of the topic, and the
                bag goes on without the message.
        """
        if not self._open:
            raise BagError(self._failure or f"bag {self.path} is closed")
        try:
            connection = self._connections.get(topic)
            if connection is None:
                connection = self._connections[topic] = self._writer.add_connection(
                    topic, kind, typestore=typestore(), offered_qos_profiles=[_qos(latched)]
                )
            if connection.msgtype != kind:
                raise BagError(f"bag {self.path}: a {kind} on {topic}, which holds {connection.msgtype}")
            self._split_if_due(stamp_ns)
            self._writer.write(connection, stamp_ns, data)
            self.messages += 1
            if time.monotonic() - self._flushed > FLUSH_PERIOD:
                self._end_chunk()
                self._end_if_short()
        except TypesysError as error:
            raise BagError(f"bag {self.path}: {topic}: {error} Types are those of ROS 2 Jazzy and mbpl_msgs") from error
        except OSError as error:
            raise self._give_up(f"{error}; messages up to here are kept") from error

    def write_message(self, topic: str, kind: str, stamp_ns: int, message: Any, latched: bool = False) -> None:
        """Append a message of the bag library's own type."""
        data = bytes(typestore().serialize_cdr(message, kind))
        self.write(topic, kind, stamp_ns, data, latched)

    def write_description(self, robot: RobotModel, stamp_ns: int, namespace: str = "/mbpl") -> None:
        """The robot's file, as on the latched topic `robot_description` of a namespace."""
        string = typestore().types["std_msgs/msg/String"]
        self.write_message(
            f"{namespace.rstrip('/')}/robot_description",
            "std_msgs/msg/String",
            stamp_ns,
            string(data=robot.description),
            latched=True,
        )

    def write_transforms(
        self,
        robot: RobotModel,
        stamps_ns: Sequence[int],
        arrivals_ns: Sequence[int],
        positions: Array,
        rate: float = 50.0,
    ) -> None:
        """Poses of all bodies and frames in the world as `/tf`, at most `rate` Hz.

        Args:
            robot: whose kinematics place the frames.
            stamps_ns: of the measurements, (N,).
            arrivals_ns: when they arrived, (N,).
            positions: (N, nq).
            rate: Hz.
        """
        if len(stamps_ns) == 0:
            return
        types = typestore().types
        keep, last = [], -(10**18)
        for i, stamp in enumerate(stamps_ns):
            if stamp - last >= 1e9 / rate:
                keep.append(i)
                last = stamp
        poses = {f: robot.kinematics.motion(f, positions[keep]) for f in robot.frame_names}
        time_type, header = types["builtin_interfaces/msg/Time"], types["std_msgs/msg/Header"]
        transform, stamped = types["geometry_msgs/msg/Transform"], types["geometry_msgs/msg/TransformStamped"]
        vector, quaternion = types["geometry_msgs/msg/Vector3"], types["geometry_msgs/msg/Quaternion"]
        for row, i in enumerate(keep):
            when = time_type(sec=stamps_ns[i] // 10**9, nanosec=stamps_ns[i] % 10**9)
            entries = []
            for frame, motion in poses.items():
                x, y, z = (float(c) for c in motion.positions[row])
                w, qx, qy, qz = _quaternion(motion.rotations[row])
                entries.append(
                    stamped(
                        header=header(stamp=when, frame_id="world"),
                        child_frame_id=frame,
                        transform=transform(
                            translation=vector(x=x, y=y, z=z),
                            rotation=quaternion(x=qx, y=qy, z=qz, w=w),
                        ),
                    )
                )
            message = types["tf2_msgs/msg/TFMessage"](transforms=entries)
            self.write_message("/tf", "tf2_msgs/msg/TFMessage", arrivals_ns[i], message)

    def flush(self) -> None:
        """Put everything so far on the disk: end the chunk, so that a reader of the torn file finds it.

        Raises:
            BagError: the disk is full; the episode up to the flush before is kept.
        """
        try:
            self._end_chunk()
        except OSError as error:
            raise self._give_up(f"{error}; messages up to here are kept") from error

    def _end_chunk(self) -> None:
        if self._open:
            self._file.end_chunk()
        self._flushed = time.monotonic()

    def _split_if_due(self, stamp_ns: int) -> None:
        begin = self._file_begin = stamp_ns if self._file_begin is None else self._file_begin
        large = 0 < self._split_bytes < self._file.size
        long = 0 < self._split_ns <= stamp_ns - begin
        if large or long:
            self._end_chunk()
            self._file.split()
            self._file_begin = stamp_ns

    def _short_of_space(self) -> str:
        """That there is too little space left, in words; empty when there is enough."""
        place = self.path
        while not place.exists():
            place = place.parent
        free = shutil.disk_usage(place).free
        if self._min_free == 0 or free >= self._min_free:
            return ""
        return f"{free / 2**20:.0f} MiB are free at {place}; at least {self._min_free / 2**20:.0f} MiB must be left"

    def _end_if_short(self) -> None:
        short = self._short_of_space()
        if short:
            self.close({"recording_ended": short})
            self._failure = f"bag {self.path} was closed: {short}; messages up to here are kept"
            raise BagError(self._failure)

    def close(self, metadata: Mapping[str, Any] | None = None) -> Path:
        """Finish the bag: index, metadata.yaml; the directory.

        Args:
            metadata: what is known now: cost, success, ...

        Raises:
            BagError: the disk is or was full, and the episode up to there is kept; or the metadata are no JSON data,
                and the bag is still open.
        """
        if self._failure:
            raise BagError(self._failure)
        if not self._open:
            return self.path
        known = {**self.metadata, **(metadata or {})}
        self._writer.set_custom_data(METADATA_KEY, self._json(known))
        self.metadata = known
        try:
            self._writer.close()
            self._file.complete(self.path / PARTIAL, self.path / "metadata.yaml")
            (self.path / UNFINISHED).unlink()
        except OSError as error:
            raise self._give_up(f"{error}; messages up to here are kept, without an index") from error
        self._open = False
        return self.path

    def _give_up(self, reason: str) -> BagError:
        """Let go of the file, which is as complete as the disk allows; the error to raise, now and ever after."""
        self._open = False
        self._failure = f"bag {self.path}: {reason}"
        with suppress(OSError):
            self._writer.abort()
        return BagError(self._failure)

    def _json(self, metadata: Mapping[str, Any]) -> str:
        try:
            return json.dumps(metadata)
        except (TypeError, ValueError) as error:
            raise BagError(f"bag {self.path}: metadata must be JSON data: {error}") from error


def _qos(latched: bool) -> Qos:
    return Qos(
        QosHistory.KEEP_LAST,
        1 if latched else 10,
        QosReliability.RELIABLE if latched else QosReliability.BEST_EFFORT,
        QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        _FOREVER,
        _FOREVER,
        QosLiveliness.AUTOMATIC,
        _FOREVER,
        False,
    )


def _quaternion(rotation: Array) -> tuple[float, float, float, float]:
    import mujoco

    out = np.empty(4)
    mujoco.mju_mat2Quat(out, np.ascontiguousarray(rotation).ravel())
    w, x, y, z = (float(v) for v in out)
    return w, x, y, z
