"""The manager in the words of ros2_control."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import rclpy
from lifecycle_msgs.msg import State
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.context import Context
from rclpy.node import Node

from mbpl_control.nodes.control_services import PACKAGE, ControlServices, controller_fields, fill, type_fields
from mbpl_control.nodes.manager_switches import switch_request
from mbpl_control.runtime import ControllerEntry, ManagerCore, Strictness
from mbpl_control.tasks import load_task

#: Of controller_manager_msgs/msg/ControllerState, in Jazzy and since.
FIELDS = {
    "name",
    "state",
    "type",
    "is_async",
    "update_rate",
    "claimed_interfaces",
    "required_command_interfaces",
    "required_state_interfaces",
    "is_chainable",
    "is_chained",
    "exported_state_interfaces",
    "reference_interfaces",
    "chain_connections",
}


@pytest.fixture
def core() -> ManagerCore:
    return ManagerCore(load_task("reacher_2link"))


@pytest.fixture
def node() -> Iterator[Node]:
    context = Context()
    rclpy.init(context=context)
    node = rclpy.create_node("manager", context=context, enable_rosout=False, start_parameter_services=False)
    yield node
    node.destroy_node()
    rclpy.shutdown(context=context)


def test_a_controller_owns_interfaces_while_it_is_active_and_requires_them_always(core) -> None:
    joints = core.action.joint_names
    entry = ControllerEntry("arm", "linear_gaussian", joints=joints[1:])
    fields = controller_fields(core, entry)
    assert set(fields) <= FIELDS
    assert (fields["name"], fields["type"], fields["state"]) == ("arm", "mbpl/linear_gaussian", "unconfigured")
    assert fields["update_rate"] == 200
    assert fields["required_command_interfaces"] == [f"{j}/effort" for j in joints[1:]]
    assert fields["claimed_interfaces"] == []
    entry.state = "active"
    assert controller_fields(core, entry)["claimed_interfaces"] == [f"{j}/effort" for j in joints[1:]]
    assert controller_fields(core, ControllerEntry("new", "feedback_law"))["required_command_interfaces"] == []


def test_every_type_has_its_base_class() -> None:
    fields = type_fields()
    assert fields["types"] == ["mbpl/hold", "mbpl/linear_gaussian", "mbpl/feedback_law"]
    assert len(fields["base_classes"]) == len(fields["types"])


def test_fields_that_a_release_lacks_are_left_out() -> None:
    assert fill(State(), {"id": 3, "label": "active", "since": 7}) == State(id=3, label="active")


def test_strictness_has_ros2_controls_numbers() -> None:
    from mbpl_msgs.srv import SwitchController

    kinds = SwitchController.Request
    assert (kinds.BEST_EFFORT, kinds.STRICT, kinds.AUTO, kinds.FORCE_AUTO) == (1, 2, 3, 4)
    assert [switch_request(kinds(strictness=n)).strictness for n in (0, 1, 2, 3, 4)] == [
        Strictness.STRICT,
        *Strictness,
    ]
    assert switch_request(kinds()).timeout == float("inf")


def test_the_services_are_there_if_and_only_if_their_types_are(core, node) -> None:
    def unused(*_: object) -> None:
        raise AssertionError

    services = ControlServices(node, core, unused, unused, unused, ReentrantCallbackGroup())  # type: ignore[arg-type]
    assert services.offered == (find_spec(PACKAGE) is not None)
    names = {service.service_name for service in node.services}
    assert ("/manager/ros2_control/list_controllers" in names) == services.offered
    assert any("ros2_control" in name for name in names) == services.offered
