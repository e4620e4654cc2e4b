"""The running graph under messages, requests and goals of any kind, on everything its nodes take."""

from __future__ import annotations

import importlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pytest
from action_msgs.msg import GoalStatus
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from listening import Listener
from mbpl_msgs import msg
from mbpl_msgs.srv import LoadController
from odd import messages, spoiled
from rcl_interfaces.srv import GetParameters
from rclpy.action import ActionClient, get_action_server_names_and_types_by_node
from rclpy.qos import QoSProfile
from sensor_msgs.msg import JointState
from test_messages import CONTROLLER, DYNAMICS, LAW, TASK, TRIAL

from mbpl_control.core import MbplError
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import RECORDER

NAMESPACE = "/mbpl"
#: The manager's controllers, two of them fed by nobody but this test.
FED = {"fuzz_plan": ("linear_gaussian", "fuzz/controller"), "fuzz_policy": ("feedback_law", "fuzz/feedback_law")}
NODES: dict[str, dict[str, Any]] = {
    "mujoco_sim": {},
    "state_estimator": {"filter": "ekf"},
    "controller_manager": {
        "controllers": f"[{', '.join(FED)}, ilqr_feedback]",
        **{f"{name}.type": kind for name, (kind, _) in FED.items()},
        **{f"{name}.source": topic for name, (_, topic) in FED.items()},
    },
    "ilqr_controller": {"autostart": True},
    "neural_policy": {"autostart": True},
    "planner_controller": {"autostart": True},
    "lqr_flm_controller": {"autostart": True, "controllers": "[fuzz_plan]"},
    "dynamics_fitter": {"controllers": "[fuzz_plan]", "samples": 2},
    "gps_trainer": {"graph_timeout": 1.0},
    "trial_runner": {},
    "bag_recorder": {},
}
WORDS = (*FED, "ilqr_feedback", "hold", *TASK.robot.joint_names, "effort", "lqr_flm", "gps", "mean", "task", "seed")
#: Messages of a topic, requests of a service (of ours, and of those every node has) and goals of an action for each
#: example of the profile.
SHARES = {"topic": 1.0, "service": 0.25, "standard": 0.05, "action": 0.1}
#: What a request may have changed of the simulation, as it was.
CALM = {"position_noise": 0.0, "velocity_noise": 0.0, "drop_states": 0.0, "drop_commands": 0.0, "command_delay": 0.0}
#: s for an answer on a machine that is busy with other things.
PATIENCE = 30.0


class Place(NamedTuple):
    """Where a node takes something."""

    way: str
    name: str
    type: str

    @property
    def standard(self) -> bool:
        """Whether it is a service that rclpy gives every node."""
        return self.way == "service" and not self.type.startswith(("mbpl_msgs/", "std_srvs/"))


@pytest.fixture(scope="module")
def graph(domain: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, subprocess.Popen[bytes]]]:
    """Every node there is, in processes of the test's own; what they write goes into a directory of its own."""
    place = tmp_path_factory.mktemp("graph")
    processes = {}
    with (place / "log").open("wb") as log:
        for name, parameters in NODES.items():
            module = "mbpl_sim.mujoco_sim" if name == "mujoco_sim" else f"mbpl_control.nodes.{name}"
            given = {"task": TASK.name, **parameters, **({"root": place} if name == "bag_recorder" else {})}
            settings_ = [part for key, value in given.items() for part in ("-p", f"{key}:={value}")]
            command = [sys.executable, "-m", module, "--ros-args", "-r", f"__ns:={NAMESPACE}", *settings_]
            processes[name] = subprocess.Popen(
                command, cwd=place, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            yield processes
        finally:
            for process in processes.values():
                process.terminate()
            for process in processes.values():
                try:
                    process.wait(20.0)
                except subprocess.TimeoutExpired:
                    process.kill()
            print((place / "log").read_text(errors="replace")[-20000:])


def discover(client: GraphClient) -> list[Place]:
    """Everything the nodes take, as they say themselves."""
    found: set[Place] = set()
    node = client.node
    for name in NODES:
        for topic, types in node.get_subscriber_names_and_types_by_node(name, NAMESPACE):
            if "/_action/" not in topic and topic not in ("/parameter_events", "/rosout"):
                found.add(Place("topic", topic, types[0]))
        for service, types in node.get_service_names_and_types_by_node(name, NAMESPACE):
            if "/_action/" not in service:
                found.add(Place("service", service, types[0]))
        for action, types in get_action_server_names_and_types_by_node(node, name, NAMESPACE):
            found.add(Place("action", action, types[0]))
    # topics first: a request may unload the controller whose topic it is
    ways = ("topic", "action", "service")
    return sorted(found, key=lambda place: (ways.index(place.way), place.name))


def sound(client: GraphClient) -> dict[str, Any]:
    """A sound message of each type that is worth spoiling."""
    now = time.monotonic_ns()
    n, m = TASK.robot.nv, TASK.action.size
    names = list(TASK.robot.joint_names)
    plan, knot = convert.controller_to_msg(CONTROLLER), convert.feedback_law_to_msg(LAW)
    plan.sequence = knot.sequence = now
    state = msg.RobotState(joint_names=names, position=[0.1] * n, velocity=[0.0] * n, state=[0.1] * TASK.state.size)
    state.definition_hash = TASK.state.hash
    driven = list(TASK.action.joint_names)
    command = msg.JointCommand(joint_names=driven, interface=TASK.action.interface, values=[0.0] * m)
    trial, dynamics = convert.trial_to_msg(TRIAL), convert.dynamics_to_msg(DYNAMICS)
    trial.controller, trial.task_hash = "fuzz_plan", TASK.hash
    dynamics.metadata = '{"condition": 0, "controller": "fuzz_plan", "seeds": "1", "rank_min": 1}'
    return {
        "mbpl_msgs/msg/LinearGaussianController": plan,
        "mbpl_msgs/msg/FeedbackLaw": knot,
        "mbpl_msgs/msg/RobotState": state,
        "mbpl_msgs/msg/JointCommand": command,
        "mbpl_msgs/msg/Trial": trial,
        "mbpl_msgs/msg/LinearGaussianDynamics": dynamics,
        "sensor_msgs/msg/JointState": JointState(name=names, position=[0.1] * n, velocity=[0.0] * n, effort=[0.0] * n),
    }


def outside(commands: list[Any]) -> int:
    """How many commands are outside the limits, or no numbers."""
    lower, upper = TASK.action.lower, TASK.action.upper
    return sum(not bool(((np.array(u) >= lower) & (np.array(u) <= upper)).all()) for u in commands)


class Fuzz:
    """Sends odd things, and looks that the nodes live."""

    def __init__(self, client: GraphClient, processes: dict[str, subprocess.Popen[bytes]], tally: Any) -> None:
        """Remember who takes part."""
        self.client, self.processes, self.tally = client, processes, tally
        self.words = WORDS

    def check_alive(self, what: str) -> None:
        """That no process has ended."""
        dead = [name for name, process in self.processes.items() if process.poll() is not None]
        if dead:
            self.tally.crashes[what] += len(dead)
        assert not dead, f"{', '.join(dead)} ended; {what}"

    def examples(self, place: Place, strategy: st.SearchStrategy[Any], send: Any) -> None:
        """Send as many as the profile says."""
        share = SHARES["standard" if place.standard else place.way]
        count = max(1, round(settings().max_examples * share))

        @settings(max_examples=count, phases=[Phase.generate], database=None)
        @given(strategy)
        def run(message: Any) -> None:
            self.tally(f"{place.way} {place.name}")
            send(message)

        run()
        self.check_alive(f"{place.way} {place.name}")

    def topic(self, place: Place) -> None:
        kind = _class(place.type)
        ends = [e for e in self.client.node.get_subscriptions_info_by_topic(place.name)]
        profile = ends[0].qos_profile
        qos = QoSProfile(
            depth=50,
            reliability=profile.reliability,
            durability=profile.durability,
            liveliness=profile.liveliness,
            liveliness_lease_duration=profile.liveliness_lease_duration,
        )
        good = sound(self.client).get(place.type)
        anything = messages(kind, self.words)
        strategy = anything if good is None else st.one_of(spoiled(good, self.words), anything)
        publisher = self.client.node.create_publisher(kind, place.name, qos)
        try:
            _wait(lambda: publisher.get_subscription_count() >= len(ends), f"subscribers of {place.name}")
            self.examples(place, strategy, publisher.publish)
        finally:
            self.client.node.destroy_publisher(publisher)

    def service(self, place: Place) -> None:
        kind = _class(place.type)
        service = self.client.node.create_client(kind, place.name)
        good = LOADS if place.type.endswith("LoadController") else None
        anything = messages(kind.Request, self.words)

        def ask(request: Any) -> None:
            waited = service.call_async(request)
            done = threading.Event()
            waited.add_done_callback(lambda _: done.set())
            end = time.monotonic() + PATIENCE
            # a switch may wait for ever when it is asked to, and a plan is worth a wait; rclpy's own services, whatever
            # they cannot read, do not answer
            forever = place.name.rpartition("/")[2] in UNANSWERED
            while not done.wait(0.2):
                self.check_alive(f"service {place.name}")
                if forever:
                    service.remove_pending_request(waited)
                    return
                assert time.monotonic() < end, f"{place.name} did not answer {request} within {PATIENCE:g} s"

        try:
            assert service.wait_for_service(PATIENCE), place.name
            self.examples(place, anything if good is None else st.one_of(spoiled(good, self.words), anything), ask)
        finally:
            self.client.node.destroy_client(service)

    def action(self, place: Place) -> None:
        kind = _class(place.type)
        client = ActionClient(self.client.node, kind, place.name)

        def send(goal: Any) -> None:
            handle = self.client._in_executor(place.name, lambda: client.send_goal_async(goal), PATIENCE)
            if not handle.accepted:
                return
            self.client._in_executor(place.name, handle.cancel_goal_async, PATIENCE)
            result = self.client._in_executor(place.name, handle.get_result_async, 2.0 * PATIENCE)
            assert result.status in (
                GoalStatus.STATUS_ABORTED,
                GoalStatus.STATUS_CANCELED,
                GoalStatus.STATUS_SUCCEEDED,
            )

        try:
            assert client.wait_for_server(PATIENCE), place.name
            self.examples(place, messages(kind.Goal, self.words), send)
        finally:
            client.destroy()


#: Services that may owe an answer.
UNANSWERED = {
    "switch_controller",
    "plan",
    "set_parameters",
    "set_parameters_atomically",
    "change_state",
}


def _class(name: str) -> Any:
    package, group, own = name.split("/")
    return getattr(importlib.import_module(f"{package}.{group}"), own)


LOADS = LoadController.Request(
    name="loaded", type="linear_gaussian", law=[convert.controller_to_msg(CONTROLLER)], replace=True
)


def _wait(condition: Any, what: str) -> None:
    end = time.monotonic() + 90.0
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        pause.wait(0.05)


def command(client: GraphClient) -> None:
    """Have the manager command again, whatever was done to it: a fed controller, or the hold."""
    for _ in range(20):
        try:
            if client.status().mode == "emergency_stop":
                client.reset_emergency_stop()
            client.pause_sim(False)
            client.set_parameters("mujoco_sim", CALM)
            client.reset_sim(0)
            client.activate("hold", 5.0, restart=True)
            return
        except MbplError:
            continue
    client.activate("hold", 5.0, restart=True)


@pytest.mark.timeout(7200)
def test_whatever_is_sent_to_them_all_nodes_live_and_no_command_leaves_the_limits(
    client: GraphClient, graph: dict[str, subprocess.Popen[bytes]], tally: Any
) -> None:
    wanted = [f"{name}/{service}" for name, service in ANSWERS.items()]
    client.wait_for_services(wanted, 240.0)
    _wait(lambda: set(NODES) <= set(client.node.get_node_names()), "all nodes")
    fuzz = Fuzz(client, graph, tally)
    places = discover(client)
    # nothing is forgotten: every node takes something, and every way is there
    assert {p.way for p in places} == {"topic", "service", "action"}
    recording = False
    for place in places:
        if not place.standard:
            command(client)
        if place.way == "topic" and not recording:
            # a bag takes whatever comes
            recording = bool(client.start_recording("all", "{}"))
        elif place.way != "topic" and recording:
            recording = False
            assert client.stop_recording("{}", PATIENCE)
        # what this test sends itself is no command of the manager: then what the robot applies tells
        rogue = place.name == f"{NAMESPACE}/joint_commands"
        kind, topic = (JointState, "joint_states") if rogue else (msg.JointCommand, "joint_commands")
        with Listener(client.node, kind, topic, RECORDER) as heard:
            getattr(fuzz, place.way)(place)
        tally.beyond[f"{place.way} {place.name}"] += outside([m.effort if rogue else m.values for m in heard.messages])
    assert tally.beyond.total() == 0, tally.beyond
    command(client)
    for name in NODES:
        answer = client._call(GetParameters, f"{name}/get_parameters", GetParameters.Request(names=["task"]))
        assert answer.values[0].string_value == TASK.name
    fuzz.check_alive("at the end")


#: A service of each node that is there once it is ready.
ANSWERS = {
    "mujoco_sim": "reset",
    "state_estimator": "get_parameters",
    "controller_manager": "switch_controller",
    "ilqr_controller": "plan",
    "neural_policy": "plan",
    "planner_controller": "plan",
    "lqr_flm_controller": "plan",
    "dynamics_fitter": "get_parameters",
    "gps_trainer": "pause",
    "trial_runner": "get_parameters",
    "bag_recorder": "start",
}
