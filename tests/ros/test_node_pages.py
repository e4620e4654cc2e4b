"""The pages of the nodes, held against the running nodes."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import launch_pytest
import pytest
from launch import LaunchDescription
from launch_pytest.actions import ReadyToTest
from launch_ros.actions import Node as NodeAction
from machines import EXAMPLES
from pages import code, codes, tables
from rcl_interfaces.msg import ParameterDescriptor, ParameterType
from rclpy.action import get_action_server_names_and_types_by_node
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.parameter_client import AsyncParameterClient
from rclpy.qos import DurabilityPolicy, ReliabilityPolicy
from rclpy.topic_endpoint_info import TopicEndpointInfo

from mbpl_control.nodes.client import GraphClient

NAMESPACE = "/mbpl"


class Started(NamedTuple):
    """A node the tests start: under a name of its own, so that one kind can run with several settings."""

    kind: str
    name: str
    package: str = "mbpl_control"
    parameters: tuple[tuple[str, Any], ...] = ()


NODES = (
    Started("mujoco_sim", "mujoco_sim", "mbpl_sim"),
    Started("hardware_bridge", "hardware_bridge", parameters=(("robot_file", str(EXAMPLES / "arm7.yaml")),)),
    Started("state_estimator", "state_estimator"),
    Started("state_estimator", "state_estimator_ekf", parameters=(("filter", "ekf"),)),
    Started("controller_manager", "controller_manager"),
    Started("controller_manager", "controller_manager_direct", parameters=(("state_source", "joint_states"),)),
    Started("ilqr_controller", "ilqr_controller", parameters=(("autostart", True),)),
    Started("neural_policy", "neural_policy", parameters=(("autostart", True),)),
    Started("planner_controller", "planner_controller", parameters=(("autostart", True),)),
    Started("lqr_flm_controller", "lqr_flm_controller", parameters=(("autostart", True),)),
    Started("dynamics_fitter", "dynamics_fitter"),
    Started("gps_trainer", "gps_trainer"),
    Started("trial_runner", "trial_runner"),
    Started("bag_recorder", "bag_recorder"),
)

#: What every node has, of rclpy, and every lifecycle node.
STANDARD_PARAMETERS = {"use_sim_time", "start_type_description_service"}
STANDARD_TOPICS = {"/parameter_events", "/rosout"}
LIFECYCLE_NODES = {"ilqr_controller", "neural_policy", "planner_controller", "lqr_flm_controller"}
LIFECYCLE_TOPICS = {"~/transition_event"}
STANDARD_SERVICES = {
    "describe_parameters",
    "get_parameter_types",
    "get_parameters",
    "get_type_description",
    "list_parameters",
    "set_parameters",
    "set_parameters_atomically",
}
LIFECYCLE_SERVICES = {
    "change_state",
    "get_state",
    "get_available_states",
    "get_available_transitions",
    "get_transition_graph",
}
TYPES = {
    ParameterType.PARAMETER_BOOL: "bool",
    ParameterType.PARAMETER_INTEGER: "int",
    ParameterType.PARAMETER_DOUBLE: "double",
    ParameterType.PARAMETER_STRING: "string",
    ParameterType.PARAMETER_STRING_ARRAY: "string[]",
}


@launch_pytest.fixture(scope="module")
def graph(domain: int) -> LaunchDescription:
    """All nodes, with default parameters but for those that change what a node offers."""
    return LaunchDescription(
        [
            *(
                NodeAction(
                    package=node.package,
                    executable=node.kind,
                    name=node.name,
                    namespace=NAMESPACE,
                    parameters=[dict(node.parameters)] if node.parameters else [],
                    ros_arguments=["--log-level", "warn"],
                )
                for node in NODES
            ),
            ReadyToTest(),
        ]
    )


class Parameters:
    """Parameters of one running node."""

    def __init__(self, graph: Node, started: Started) -> None:
        """Ask for all of them."""
        client = AsyncParameterClient(graph, f"{NAMESPACE}/{started.name}")
        wait(client.services_are_ready, f"the parameter services of {started.name}")
        listed = answer(client.list_parameters([], 0)).result.names
        names = [name for name in listed if name not in STANDARD_PARAMETERS]
        self.descriptors: dict[str, ParameterDescriptor] = {
            d.name: d for d in answer(client.describe_parameters(names)).descriptors
        }
        values = answer(client.get_parameters(names)).values
        self.values = {n: parameter_value_to_python(v) for n, v in zip(names, values, strict=True)}


def wait(condition: Callable[[], Any], what: str, deadline: float = 90.0) -> Any:
    """The first true value of a condition of the graph, which has no event to wait for from another thread."""
    end = time.monotonic() + deadline
    pause = threading.Event()
    while not (found := condition()):
        assert time.monotonic() < end, f"waited {deadline:g} s in vain for {what}"
        pause.wait(0.05)
    return found


def answer(future: Any, deadline: float = 30.0) -> Any:
    """The result of a request that another thread's executor sees to."""
    done = threading.Event()
    future.add_done_callback(lambda _: done.set())
    assert done.wait(deadline), f"no answer within {deadline:g} s"
    return future.result()


@pytest.fixture(scope="module")
def joined(domain: int) -> Iterator[GraphClient]:
    """One client for all tests, since each one that joins must discover the whole graph anew."""
    with GraphClient(timeout=20.0) as client:
        yield client


@pytest.fixture
def node(joined: GraphClient) -> Node:
    """A node of the graph, once every node is up and the planner configured."""
    names = {started.name for started in NODES}
    wait(lambda: names <= set(joined.node.get_node_names()), "all nodes")
    joined.wait_for_services([f"{name}/plan" for name in LIFECYCLE_NODES], 90.0)
    return joined.node


def holds_here(row: dict[str, str], values: dict[str, Any]) -> bool:
    """Whether a row counts for a node with these parameters: its column `when` is empty, or names their values."""
    for condition in codes(row["when"]):
        name, _, value = condition.partition(": ")
        if str(values[name]) != value:
            return False
    return True


def relative(name: str, node_name: str) -> str:
    """A full name as the pages write it: from the node, from the namespace, or as it is."""
    private = f"{NAMESPACE}/{node_name}/"
    if name.startswith(private):
        return "~/" + name.removeprefix(private)
    return name.removeprefix(f"{NAMESPACE}/")


@pytest.mark.launch(fixture=graph)
@pytest.mark.parametrize("started", NODES, ids=lambda started: started.name)
def test_a_page_lists_every_topic_of_its_node_with_type_and_quality_of_service_and_no_other(
    node: Node, started: Started
) -> None:
    values = Parameters(node, started).values
    rows = [row for row in tables(f"nodes/{started.kind}.md", "Topics") if holds_here(row, values)]
    documented = {(row["direction"], code(row["topic"])): code(row["type"]) for row in rows}
    standard = STANDARD_TOPICS | (LIFECYCLE_TOPICS if started.kind in LIFECYCLE_NODES else set())
    # an action's topics belong to its own table
    found = {
        (direction, relative(topic, started.name)): types[0]
        for direction, ask in (
            ("out", node.get_publisher_names_and_types_by_node),
            ("in", node.get_subscriber_names_and_types_by_node),
        )
        for topic, types in ask(started.name, NAMESPACE)
        if relative(topic, started.name) not in standard and "/_action/" not in topic
    }
    assert found == documented
    for row in rows:
        assert quality_of_service(node, started, row) == row["QoS"].rpartition(",")[0]


def quality_of_service(node: Node, started: Started, row: dict[str, str]) -> str:
    """Reliability and durability of the node's end of a topic, in the words of the pages."""
    topic = code(row["topic"]).replace("~", started.name)
    full = topic if topic.startswith("/") else f"{NAMESPACE}/{topic}"
    ask = node.get_publishers_info_by_topic if row["direction"] == "out" else node.get_subscriptions_info_by_topic

    def mine() -> list[TopicEndpointInfo]:
        return [end for end in ask(full) if (end.node_name, end.node_namespace) == (started.name, NAMESPACE)]

    profile = wait(mine, f"{started.name} on {full}")[0].qos_profile
    words = {ReliabilityPolicy.RELIABLE: "reliable", ReliabilityPolicy.BEST_EFFORT: "best effort"}
    latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
    return words[profile.reliability] + (", latched" if latched else "")


@pytest.mark.launch(fixture=graph)
@pytest.mark.parametrize("started", NODES, ids=lambda started: started.name)
def test_a_page_lists_every_service_and_action_of_its_node_with_its_type_and_no_other(
    node: Node, started: Started
) -> None:
    page = f"nodes/{started.kind}.md"
    offered = {
        relative(name, started.name): types[0]
        for name, types in node.get_service_names_and_types_by_node(started.name, NAMESPACE)
        if "/_action/" not in name
    }
    standard = {f"~/{name}" for name in STANDARD_SERVICES}
    if started.kind in LIFECYCLE_NODES:
        standard |= {f"~/{name}" for name in LIFECYCLE_SERVICES}
    assert standard <= set(offered)
    services = {name: kind for name, kind in offered.items() if name not in standard}
    assert services == listed(page, "Services", "service")
    actions = {
        relative(name, started.name): types[0]
        for name, types in get_action_server_names_and_types_by_node(node, started.name, NAMESPACE)
    }
    assert actions == listed(page, "Actions", "action")


def listed(page: str, heading: str, column: str) -> dict[str, str]:
    """Types by name of a page's table; empty when it has none."""
    try:
        return {code(row[column]): code(row["type"]) for row in tables(page, heading)}
    except AssertionError:
        return {}


@pytest.mark.launch(fixture=graph)
@pytest.mark.parametrize("started", NODES, ids=lambda started: started.name)
def test_a_page_lists_every_parameter_of_its_node_with_type_range_and_default_and_no_other(
    node: Node, started: Started
) -> None:
    parameters = Parameters(node, started)
    rows = documented_parameters(started, parameters.values)
    assert set(rows) == set(parameters.descriptors)
    given = dict(started.parameters)
    for name, row in rows.items():
        descriptor = parameters.descriptors[name]
        assert TYPES[descriptor.type] == row["type"], name
        assert descriptor.description, name
        assert row["changes"] == ("at start" if descriptor.read_only else "at run time"), name
        if name not in given:
            assert default_of(name, row) == written(parameters.values[name]), name
        choices = descriptor.additional_constraints.removeprefix("one of: ")
        if choices:
            assert codes(row["range"]) == choices.split(", "), name
        for limits in (*descriptor.floating_point_range, *descriptor.integer_range):
            assert range_of(row) == (limits.from_value, limits.to_value), name


def documented_parameters(started: Started, values: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Rows by parameter; one of `NAME.…` stands for each controller of the manager."""
    rows: dict[str, dict[str, str]] = {}
    for row in tables(f"nodes/{started.kind}.md", "Parameters"):
        name = code(row["parameter"])
        if name.startswith("NAME."):
            rows.update({name.replace("NAME", controller): row for controller in values["controllers"]})
        else:
            rows[name] = row
    return rows


def default_of(name: str, row: dict[str, str]) -> str:
    """The default as the page writes it; a controller may have one of its own, as (`controller`: value)."""
    own = re.search(rf"`{re.escape(name.partition('.')[0])}`: ([^,)]+)", row["default"])
    return own[1] if own else code(row["default"])


def written(value: Any) -> str:
    """A value as the pages write it."""
    return f"[{', '.join(value)}]" if isinstance(value, list) else str(value)


def range_of(row: dict[str, str]) -> tuple[float, float]:
    """Two numbers, "a to b"; each may be a power, as 2^62."""
    numbers = [text.partition("^") for text in row["range"].split(" to ")]
    low, high = (float(base) ** float(power or 1) for base, _, power in numbers)
    return low, high
