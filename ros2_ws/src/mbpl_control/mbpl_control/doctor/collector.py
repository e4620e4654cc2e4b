"""Looks at a running graph and writes down what is there."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from typing import Any

import psutil
from lifecycle_msgs.srv import GetState
from mbpl_msgs import msg
from rcl_interfaces.srv import GetParameters
from rclpy.parameter import parameter_value_to_python
from rclpy.qos import QoSCompatibility, qos_check_compatible
from rclpy.serialization import deserialize_message
from rclpy.topic_endpoint_info import TopicEndpointInfo
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import JointState
from std_msgs.msg import String

from mbpl_control.core import MbplError
from mbpl_control.doctor.graph import GraphFacts, ManagerFacts, Mismatch, NodeFacts, Stream
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.graph_calls import MANAGER
from mbpl_control.nodes.qos import LATCHED, RECORDER
from mbpl_control.tasks import load_task

#: Topics that are listened to, and what comes on them.
LISTENED: dict[str, Any] = {
    "joint_states": JointState,
    "state": msg.RobotState,
    "joint_commands": msg.JointCommand,
    "/clock": Clock,
}
#: s without a new node or topic after which the graph counts as discovered.
SETTLED = 0.7
#: What a graph cannot work without is there when these have publishers. A manager that estimates by itself needs no
#: `state`, and is waited for in vain: that costs the patience, and nothing else.
NEEDED = ("status", "joint_states", "state")
#: s a node has to answer.
PATIENCE = 2.0
#: Parameters that are asked for, of every node, one by one: a node answers nothing at all when it lacks one.
PARAMETERS = ("use_sim_time", "task", "mode", "state_source", "state_timeout")


class Collector:
    """Takes a snapshot of the graph through a client.

    Args:
        client: that joined it.
        seconds: to listen to topics.
        patience: s to wait for what no graph works without, before it counts as missing.
    """

    def __init__(self, client: GraphClient, seconds: float = 2.0, patience: float = 4.0) -> None:
        """Nothing happens yet."""
        self._client, self._node, self._namespace = client, client.node, client.namespace
        self._seconds, self._patience = seconds, patience
        self._pause = threading.Event()

    def look(self) -> GraphFacts:
        """What is there now; takes some seconds."""
        domain = self._node.context.get_domain_id()
        names = self._discover()
        if not names:
            return GraphFacts(self._namespace, domain, elsewhere=tuple(managers_elsewhere(domain)))
        listening = Listening(self)
        values = self._parameters(set(names))
        lifecycle = self._lifecycle()
        streams, statuses, refused, description = listening.end()
        nodes = tuple(
            NodeFacts(
                name,
                copies,
                answers=values[name]["use_sim_time"] is not None,
                use_sim_time=values[name]["use_sim_time"],
                task=values[name]["task"],
                lifecycle=lifecycle.get(name),
            )
            for name, copies in sorted(names.items())
        )
        manager = self._manager(statuses, refused, values.get(f"{self._namespace}/{MANAGER}", {}))
        sources = manager.sources if manager is not None else ()
        for topic in ("status", *sources):
            streams.setdefault(topic, Stream(self._publishers(topic)))
        joints, trouble, fits = self._model(values, description)
        return GraphFacts(
            self._namespace,
            domain,
            nodes,
            streams,
            tuple(self._mismatches()),
            manager,
            lockstep=values.get(f"{self._namespace}/mujoco_sim", {}).get("mode") == "lockstep",
            model_joints=joints,
            model_trouble=trouble,
            description_fits=fits,
            complaints=tuple(self._complaints()),
            bags=self._bags(),
        )

    # --- what the middleware knows ---

    def _below(self, namespace: str) -> bool:
        return namespace == self._namespace or namespace.startswith(f"{self._namespace}/")

    def _discover(self) -> Counter[str]:
        """Nodes below the namespace with their number, once nothing new comes.

        On a busy machine nodes that are long there are heard of seconds apart: while something is missing that no graph
        works without, silence ends the wait only when the patience is over.
        """
        begin = changed = time.monotonic()
        seen: Any = None
        while True:
            now = time.monotonic()
            found = self._node.get_node_names_and_namespaces()
            names = Counter(
                f"{space.rstrip('/')}/{name}"
                for name, space in found
                if self._below(space.rstrip("/")) and name != self._node.get_name()
            )
            view = (names, len(self._node.get_topic_names_and_types()))
            if view != seen:
                seen, changed = view, now
            if now - changed > SETTLED:
                if now - begin > self._patience or all(self.ends(topic, True) for topic in NEEDED):
                    return names
            self._pause.wait(0.05)

    def ends(self, topic: str, publishing: bool) -> list[TopicEndpointInfo]:
        """Publishers or subscribers of a topic that are not this process's own."""
        name = self._node.resolve_topic_name(topic)
        ask = self._node.get_publishers_info_by_topic if publishing else self._node.get_subscriptions_info_by_topic
        return [end for end in ask(name) if end.node_name != self._node.get_name()]

    def _publishers(self, topic: str) -> tuple[str, ...]:
        return tuple(sorted(full_name(end) for end in self.ends(topic, True)))

    def _mismatches(self) -> list[Mismatch]:
        found = []
        for topic, _ in self._node.get_topic_names_and_types():
            if topic != "/clock" and not self._below(topic.rpartition("/")[0]):
                continue
            for publisher in self.ends(topic, True):
                for subscriber in self.ends(topic, False):
                    fits, why = qos_check_compatible(publisher.qos_profile, subscriber.qos_profile)
                    if fits == QoSCompatibility.ERROR:
                        why = why.removeprefix("ERROR: ").replace(";ERROR: ", "; ").strip("; ")
                        found.append(Mismatch(topic, full_name(publisher), full_name(subscriber), why))
        return found

    # --- what the nodes answer ---

    def _ask(self, kind: Any, requests: dict[Any, tuple[str, Any]]) -> dict[Any, Any]:
        """Ask several services at once; None for those that do not answer in time."""
        clients = {service: self._node.create_client(kind, service) for service, _ in requests.values()}
        end = time.monotonic() + PATIENCE
        waiting, answers = dict(requests), dict.fromkeys(requests)
        futures: dict[Any, Any] = {}
        try:
            while time.monotonic() < end and len(futures) + len(waiting) > sum(a is not None for a in answers.values()):
                for key, (service, request) in list(waiting.items()):
                    if clients[service].service_is_ready():
                        futures[key] = clients[service].call_async(request)
                        del waiting[key]
                for key, future in futures.items():
                    if future.done():
                        answers[key] = future.result()
                self._pause.wait(0.02)
        finally:
            for client in clients.values():
                self._node.destroy_client(client)
        return answers

    def _parameters(self, names: set[str]) -> dict[str, dict[str, Any]]:
        """Values of `PARAMETERS` by node; None for what it has not, or did not answer."""
        requests = {
            (name, parameter): (f"{name}/get_parameters", GetParameters.Request(names=[parameter]))
            for name in names
            for parameter in PARAMETERS
        }
        values: dict[str, dict[str, Any]] = {name: dict.fromkeys(PARAMETERS) for name in names}
        for (name, parameter), answer in self._ask(GetParameters, requests).items():
            if answer is not None and answer.values:
                values[name][parameter] = parameter_value_to_python(answer.values[0])
        return values

    def _lifecycle(self) -> dict[str, str]:
        services = [
            name
            for name, kinds in self._node.get_service_names_and_types()
            if name.endswith("/get_state")
            and "lifecycle_msgs/srv/GetState" in kinds
            and self._below(name.rpartition("/")[0])
        ]
        answers = self._ask(GetState, {s.rpartition("/")[0]: (s, GetState.Request()) for s in services})
        return {name: answer.current_state.label for name, answer in answers.items() if answer is not None}

    # --- what the messages tell ---

    def _manager(
        self, statuses: list[msg.ManagerStatus], refused: list[dict[str, int]], values: dict[str, Any]
    ) -> ManagerFacts | None:
        if not statuses:
            return None
        first, last = statuses[0], statuses[-1]
        before, after = (refused[0], refused[-1]) if refused else ({}, {})
        return ManagerFacts(
            last.mode,
            last.reason,
            last.rate,
            last.state_age,
            last.ticks,
            last.deadline_misses,
            last.last_refusal,
            new_ticks=last.ticks - first.ticks,
            new_misses=last.deadline_misses - first.deadline_misses,
            state_timeout=values.get("state_timeout") or ManagerFacts.state_timeout,
            direct=values.get("state_source") == "joint_states",
            sources=tuple(dict.fromkeys(c.source for c in last.controllers if c.source)),
            refused=after,
            newly_refused={kind: count - before.get(kind, 0) for kind, count in after.items()},
        )

    def _model(
        self, values: dict[str, dict[str, Any]], description: str | None
    ) -> tuple[tuple[str, ...] | None, str, bool | None]:
        """Joints of the manager's task, why they are not known, and whether the robot says it is that robot."""
        name = values.get(f"{self._namespace}/{MANAGER}", {}).get("task")
        if name is None:
            return None, "", None
        try:
            robot = load_task(name).robot
        except MbplError as error:
            return None, f"the manager's task '{name}' cannot be read here: {error}", None
        return tuple(robot.joint_names), "", None if description is None else description == robot.description

    def _complaints(self) -> list[tuple[str, str, str]]:
        levels = {b"\x01": "warn", b"\x02": "error"}
        return [
            (s.name, levels[s.level], s.message)
            for s in self._client.diagnostics()
            # the manager's is told by its status
            if s.level in levels and not s.name.endswith(": control")
        ]

    def _bags(self) -> tuple[str, float] | None:
        for said in self._client.diagnostics():
            figures = {v.key: v.value for v in said.values}
            if said.name.endswith(": bags"):
                return figures["directory"], float(figures["disk free [MiB]"])
        return None


class Listening:
    """Counts the messages of the topics in `LISTENED` from its beginning to its `end`.

    Args:
        collector: whose client listens.
    """

    def __init__(self, collector: Collector) -> None:
        """Begin."""
        self._collector, self._client, self._node = collector, collector._client, collector._node
        self._counts = dict.fromkeys(LISTENED, 0)
        self._first: dict[str, bytes] = {}
        self._last: dict[str, bytes] = {}
        self._times: dict[str, tuple[float, float]] = {}
        self._statuses: list[msg.ManagerStatus] = []
        self._refused: list[dict[str, int]] = []
        self._description: str | None = None
        self._began = time.monotonic()
        self._subscriptions = [
            self._node.create_subscription(kind, topic, self._heard(topic), RECORDER, raw=True)
            for topic, kind in LISTENED.items()
        ]
        self._subscriptions.append(
            self._node.create_subscription(String, "robot_description", self._described, LATCHED)
        )

    def _heard(self, topic: str) -> Any:
        def hear(data: bytes) -> None:
            now = time.monotonic()
            self._counts[topic] += 1
            self._first.setdefault(topic, data)
            self._last[topic] = data
            self._times[topic] = self._times.get(topic, (now, now))[0], now

        return hear

    def _described(self, message: String) -> None:
        self._description = message.data

    def end(self) -> tuple[dict[str, Stream], list[msg.ManagerStatus], list[dict[str, int]], str | None]:
        """Listen for the rest of the time; streams, statuses, refusals as they were counted, robot_description."""
        client, pause = self._client, threading.Event()
        end = max(self._began + self._collector._seconds, time.monotonic() + 0.5)
        while time.monotonic() < end:
            with_status = client.newest_status
            if with_status is not None and (not self._statuses or self._statuses[-1] is not with_status):
                self._statuses.append(with_status)
            for said in client.diagnostics():
                if said.name.endswith(": control"):
                    counts = {
                        v.key.replace("refused: ", "refused for their "): int(v.value)
                        for v in said.values
                        if " refused: " in v.key
                    }
                    if not self._refused or self._refused[-1] != counts:
                        self._refused.append(counts)
            pause.wait(0.05)
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        return {topic: self._stream(topic) for topic in LISTENED}, self._statuses, self._refused, self._description

    def _stream(self, topic: str) -> Stream:
        publishers = self._collector._publishers(topic)
        count = self._counts[topic]
        if not count:
            return Stream(publishers)
        begin, last = self._times[topic]
        # the time before the first message and after the last one counts, too, when it is long
        heard = last - begin
        rate = (count - 1) / heard if count > 1 and heard > 0.0 else 0.0
        silent = time.monotonic() - last
        if silent > 0.5:
            rate = count / (heard + silent)
        newest = deserialize_message(self._last[topic], LISTENED[topic])
        progress = None
        if topic != "/clock" and heard > 0.0:
            oldest = deserialize_message(self._first[topic], LISTENED[topic])
            stamps = [convert.time_to_ns(m.header.stamp) for m in (oldest, newest)]
            progress = 1e-9 * (stamps[1] - stamps[0]) / heard
        joints = tuple(newest.name) if topic == "joint_states" else ()
        return Stream(publishers, count, rate, progress, joints)


def full_name(end: TopicEndpointInfo) -> str:
    """Name of the node an end of a topic belongs to."""
    return f"{end.node_namespace.rstrip('/')}/{end.node_name}"


def managers_elsewhere(domain: int) -> list[tuple[str, str]]:
    """Domain and namespace of the controller managers of this user on this machine that are in another domain."""
    found = []
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
            if not any("controller_manager" in word for word in words[:3]):
                continue
            theirs = process.environ().get("ROS_DOMAIN_ID") or "0"
        except psutil.Error:
            continue
        if process.pid != os.getpid() and theirs != str(domain):
            spaces = [word.partition(":=")[2] for word in words if word.startswith("__ns:=")]
            found.append((theirs, spaces[-1] if spaces else "/"))
    return sorted(set(found))
