"""Node `bag_recorder`: one rosbag2 MCAP directory per trial."""

from __future__ import annotations

import json
import shutil
import struct
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from mbpl_msgs import msg, srv
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import JointState
from std_msgs.msg import String
from std_srvs.srv import Trigger

from mbpl_control.bags import EpisodeWriter
from mbpl_control.bags.naming import bag_path
from mbpl_control.core import BagError, MbplError
from mbpl_control.core.hashing import content_hash
from mbpl_control.core.versions import commit, versions
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.diagnostics import ERROR, Diagnostics
from mbpl_control.nodes.node_tools import declare
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.nodes.priority_executor import node_priority
from mbpl_control.nodes.qos import EVENTS, LATCHED, RECORDER
from mbpl_control.tasks import load_task

MIB = 2**20
#: /tf at most so often, and written so many at a time: the poses take time that recording does not have at every tick.
FRAME_PERIOD_NS, FRAMES_AT_ONCE = 20_000_000, 1000
TOPICS = (
    ("joint_states", JointState, "sensor_msgs/msg/JointState", RECORDER),
    ("state", msg.RobotState, "mbpl_msgs/msg/RobotState", RECORDER),
    ("joint_commands", msg.JointCommand, "mbpl_msgs/msg/JointCommand", RECORDER),
    ("applied_law", msg.FeedbackLaw, "mbpl_msgs/msg/FeedbackLaw", EVENTS),
    ("status", msg.ManagerStatus, "mbpl_msgs/msg/ManagerStatus", LATCHED),
    ("state_definition", msg.StateDefinition, "mbpl_msgs/msg/StateDefinition", LATCHED),
    ("trials", msg.Trial, "mbpl_msgs/msg/Trial", EVENTS),
)


class BagRecorder(Node):
    """Writes messages as they come, unparsed, between `~/start` and `~/stop`."""

    def __init__(self) -> None:
        """Declare parameters, subscribe."""
        super().__init__("bag_recorder")
        self._task = load_task(declare(self, "task", "arm_reach", "Name of the task, or path of its YAML."))
        self._directory = declare(self, "directory", "bags", "Where bags without a path of their own go.")
        self._root = declare(self, "root", "", "Directory that no bag may leave; empty: bags may go anywhere.")
        self._split_size = declare(self, "split_size", 0, "Begin a new file beyond it, MiB; 0: one file.", 0, 2**20)
        self._split_duration = declare(self, "split_duration", 0.0, "Likewise, s; 0: one file.", 0.0, 1e7)
        self._min_free = declare(self, "min_free", 256, "Space to leave on the disk, MiB; 0: none.", 0, 2**30)
        self._writer: EpisodeWriter | None = None
        self._failure = ""
        self._paused_since = 0
        self._pauses: list[list[float]] = []
        self._policy = ""
        self._joint_states: list[tuple[int, bytes]] = []
        self._last_frame_ns = 0
        self._latched: dict[str, tuple[str, bytes]] = {}
        self._recorded = [
            self.create_subscription(kind, topic, partial(self._on_message, topic, name, qos is LATCHED), qos, raw=True)
            for topic, kind, name, qos in TOPICS
        ]
        node_priority(self, *self._recorded)
        self.create_service(srv.StartRecording, "~/start", self._on_start)
        self.create_service(srv.StopRecording, "~/stop", self._on_stop)
        self.create_service(Trigger, "~/pause", self._on_pause)
        self.create_service(Trigger, "~/resume", self._on_resume)
        self.create_subscription(String, "neural_policy/checkpoint", self._on_policy, LATCHED)
        self._versions = {"mbpl": versions(())["mbpl"], "commit": commit()}
        self._closed = 0
        self._diagnostics = Diagnostics(self, "bags", "no bag yet", self._figures)
        self._diagnostics.open()

    def _on_message(self, topic: str, kind: str, latched: bool, data: bytes, info: dict[str, Any]) -> None:
        if latched:
            self._latched[topic] = (kind, data)
        if self._writer is None or self._paused_since:
            return
        # when it arrived here, however late a busy machine lets us look at it
        arrival = int(info["received_timestamp"]) or time.time_ns()
        self._write(topic, kind, arrival, data, latched)
        if topic == "joint_states":
            self._keep_for_transforms(arrival, data)

    def _write(self, topic: str, kind: str, now: int, data: bytes, latched: bool) -> None:
        assert self._writer is not None  # noqa: S101 - the callers see to it
        try:
            self._writer.write(f"{self.get_namespace().rstrip('/')}/{topic}", kind, now, data, latched)
        except BagError as error:
            self._fail(error)

    def _fail(self, error: BagError) -> None:
        """The bag is over; the trial goes on."""
        self._failure = str(error)
        self._writer = None
        self._diagnostics.say(str(error), ERROR)
        self.get_logger().error(str(error))

    def _on_start(self, request: srv.StartRecording.Request, response: Any) -> Any:
        try:
            if self._writer is not None:
                raise BagError(f"bag {self._writer.path} is being recorded; stop it first")
            metadata = _json_object(request.metadata)
            path = bag_path(request.path, self._directory, self._root, metadata)
            self._writer = EpisodeWriter(
                path, self._known() | metadata, self._split_size * MIB, self._split_duration, self._min_free * MIB
            )
            self._failure = ""
            self._paused_since, self._pauses = 0, []
            self._joint_states.clear()
            self._last_frame_ns = 0
            now = time.time_ns()
            self._writer.write_description(self._task.robot, now, self.get_namespace())
            self._write_latched(now)
            response.path = str(self._writer.path) if self._writer is not None else ""
            response.ok = self._writer is not None
            response.message = f"recording {response.path}" if response.ok else self._failure
        except MbplError as error:
            response.message = str(error)
        return response

    def _on_stop(self, request: srv.StopRecording.Request, response: Any) -> Any:
        self._drain()
        writer, self._writer = self._writer, None
        try:
            if writer is None:
                raise BagError(self._failure or "no bag is being recorded")
            ending = _json_object(request.metadata)
            self._write_transforms(writer)
            self._end_pause()
            response.path = str(writer.close(self._gone_on() | ending))
            response.messages = writer.messages
            response.ok, response.message = True, f"{writer.messages} messages in {response.path}"
            self._closed += 1
            self._diagnostics.say(response.message)
        except MbplError as error:
            if writer is not None:
                response.path = str(writer.path)
            response.message = str(error)
        return response

    def _on_pause(self, _: Trigger.Request, response: Any) -> Any:
        if self._writer is None or self._paused_since:
            response.message = "no bag is being recorded" if self._writer is None else "it is paused already"
            return response
        self._drain()
        self._paused_since = time.time_ns()
        response.success, response.message = (
            True,
            f"{self._writer.path} is paused after {self._writer.messages} messages",
        )
        return response

    def _on_resume(self, _: Trigger.Request, response: Any) -> Any:
        if self._writer is None or not self._paused_since:
            response.message = "no bag is being recorded" if self._writer is None else "it is not paused"
            return response
        self._drain()
        self._end_pause()
        # what changed meanwhile
        self._write_latched(time.time_ns())
        response.success, response.message = True, f"{self._writer.path} goes on" if self._writer else self._failure
        response.success = self._writer is not None
        return response

    def _end_pause(self) -> None:
        if self._paused_since:
            self._pauses.append([1e-9 * self._paused_since, time.time()])
            self._paused_since = 0

    def _on_policy(self, message: String) -> None:
        self._policy = message.data

    def _known(self) -> dict[str, Any]:
        """What the recorder itself knows of every bag: what runs, on which robot, in which steps."""
        robot = self._task.robot
        return {
            "task": self._task.name,
            "task_hash": self._task.hash,
            "dt": self._task.dt,
            "horizon": self._task.horizon,
            "robot": robot.name,
            "robot_hash": content_hash(robot.description),
            "laws": f"{self.get_namespace().rstrip('/')}/applied_law",
            "policy": self._policy,
            **self._versions,
        }

    def _gone_on(self) -> dict[str, Any]:
        """What came about while it was recorded."""
        return {"policy": self._policy} | ({"pauses": self._pauses} if self._pauses else {})

    def _write_latched(self, now: int) -> None:
        for topic, (kind, data) in self._latched.items():
            if self._writer is not None:
                self._write(topic, kind, now, data, True)

    def _keep_for_transforms(self, arrival: int, data: bytes) -> None:
        """Keep what /tf is computed from, no more often than it is written; the stamp is the first of a message."""
        seconds, nanoseconds = struct.unpack_from("<iI", data, 4)
        stamp = seconds * 1_000_000_000 + nanoseconds
        if 0 <= stamp - self._last_frame_ns < FRAME_PERIOD_NS:
            return
        self._last_frame_ns = stamp
        self._joint_states.append((arrival, data))
        if len(self._joint_states) >= FRAMES_AT_ONCE and self._writer is not None:
            try:
                self._write_transforms(self._writer)
            except BagError as error:
                self._fail(error)

    def _drain(self) -> None:
        """Write what arrived before the end and is still waiting to be looked at."""
        for subscription in self._recorded:
            while True:
                with subscription.handle:
                    taken = subscription.handle.take_message(subscription.msg_type, subscription.raw)
                if taken is None:
                    break
                subscription.callback(*taken)

    def _write_transforms(self, writer: EpisodeWriter) -> None:
        """/tf from the model: its message type is not part of every installation, the bag library has its own."""
        names = self._task.robot.joint_names
        stamps, arrivals, positions = [], [], []
        for arrival, data in self._joint_states:
            message = deserialize_message(data, JointState)
            order = [message.name.index(n) for n in names if n in message.name]
            if len(order) != len(names) or len(message.position) != len(message.name):
                continue  # recorded as it came; there are no frames to compute from it
            stamps.append(convert.time_to_ns(message.header.stamp))
            arrivals.append(arrival)
            positions.append(np.array(message.position)[order])
        self._joint_states.clear()
        if stamps:
            writer.write_transforms(self._task.robot, stamps, arrivals, np.array(positions))

    def _figures(self) -> dict[str, object]:
        place = Path(self._directory).absolute()
        while not place.exists():
            place = place.parent
        return {
            "recording": "" if self._writer is None else self._writer.path,
            "paused": bool(self._paused_since),
            "messages": 0 if self._writer is None else self._writer.messages,
            "bags closed": self._closed,
            "directory": Path(self._directory).absolute(),
            "disk free [MiB]": shutil.disk_usage(place).free / 2**20,
        }

    def destroy_node(self) -> None:
        """Close an open bag: what was recorded is kept."""
        if self._writer is not None:
            with suppress(BagError):
                self._writer.close(self._gone_on() | {"stop_reason": "aborted: the recorder ended"})
            self._writer = None
        super().destroy_node()


def _json_object(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text or "{}")
    except ValueError as error:
        raise BagError(f"metadata {text[:40]!r} is not JSON: {error}") from error
    if not isinstance(data, dict):
        raise BagError(f"metadata {text[:40]!r} must be a JSON object")
    return data


def main() -> None:
    """Run the node."""
    run_node(BagRecorder)


if __name__ == "__main__":
    main()
