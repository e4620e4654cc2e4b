"""The services of the controller manager with ros2_control's types, where they are installed.

`ros2 control` and `spawner` then work, given `-c /mbpl/controller_manager/ros2_control`. They have a name of their own
because a name can be offered with one type only.
"""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import Any

from mbpl_msgs import srv
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from mbpl_control.core import RefusedError
from mbpl_control.nodes.manager_reports import claimed_interfaces
from mbpl_control.runtime import ControllerEntry, ManagerCore
from mbpl_control.runtime.registry import TYPES

PACKAGE = "controller_manager_msgs"
#: Below the node's own name.
PREFIX = "~/ros2_control"
BASE_CLASS = "mbpl::Controller"


def controller_fields(core: ManagerCore, entry: ControllerEntry) -> dict[str, Any]:
    """A controller in the words of `controller_manager_msgs/msg/ControllerState`, by field."""
    interfaces = claimed_interfaces(core, entry)
    return {
        "name": entry.name,
        "state": entry.state,
        "type": f"mbpl/{entry.type}",
        "update_rate": min(round(core.config.rate), 2**16 - 1),
        "claimed_interfaces": interfaces if entry.state == "active" else [],
        "required_command_interfaces": interfaces,
    }


def type_fields() -> dict[str, Any]:
    """The types of controllers in the words of `controller_manager_msgs/srv/ListControllerTypes`, by field."""
    return {"types": [f"mbpl/{kind}" for kind in TYPES], "base_classes": [BASE_CLASS for _ in TYPES]}


def fill(message: Any, fields: dict[str, Any]) -> Any:
    """Set the fields a message has; releases of ros2_control differ in some."""
    known = message.get_fields_and_field_types()
    for name, value in fields.items():
        if name in known:
            setattr(message, name, value)
    return message


class ControlServices:
    """Answers ros2_control's clients with the manager's own handlers.

    Args:
        node: that offers the services.
        core: what they are about.
        load: the node's own handler.
        unload: the node's own handler.
        switch: the node's own handler.
        beside: callback group of a switch that may wait.
    """

    def __init__(
        self,
        node: Node,
        core: ManagerCore,
        load: Callable[[Any, Any], Any],
        unload: Callable[[Any, Any], Any],
        switch: Callable[[Any, Any], Awaitable[Any]],
        beside: CallbackGroup,
    ) -> None:
        """Offer them, if their types are there."""
        self._core, self._load, self._unload, self._switch = core, load, unload, switch
        #: whether the services are offered
        self.offered = find_spec(PACKAGE) is not None
        if not self.offered:
            return
        kinds = importlib.import_module(f"{PACKAGE}.srv")
        self._state_type = importlib.import_module(f"{PACKAGE}.msg").ControllerState
        for kind, name, handler in (
            (kinds.ListControllers, "list_controllers", self._on_list),
            (kinds.ListControllerTypes, "list_controller_types", self._on_types),
            (kinds.LoadController, "load_controller", self._on_load),
            (kinds.ConfigureController, "configure_controller", self._on_configure),
            (kinds.UnloadController, "unload_controller", self._on_unload),
        ):
            node.create_service(kind, f"{PREFIX}/{name}", handler)
        node.create_service(
            kinds.SwitchController, f"{PREFIX}/switch_controller", self._on_switch, callback_group=beside
        )

    def _on_list(self, _: Any, response: Any) -> Any:
        response.controller = [fill(self._state_type(), controller_fields(self._core, e)) for e in self._core.registry]
        return response

    def _on_types(self, _: Any, response: Any) -> Any:
        return fill(response, type_fields())

    def _on_load(self, request: Any, response: Any) -> Any:
        mine = self._load(srv.LoadController.Request(name=request.name), srv.LoadController.Response())
        return _answer(response, mine)

    def _on_configure(self, request: Any, response: Any) -> Any:
        """A law is all the configuration a controller needs; one that is known may be activated, and waits for it."""
        try:
            self._core.registry.get(request.name)
        except RefusedError as error:
            return fill(response, {"ok": False, "message": str(error)})
        return fill(response, {"ok": True, "message": f"'{request.name}' is configured by its first law"})

    def _on_unload(self, request: Any, response: Any) -> Any:
        mine = self._unload(srv.UnloadController.Request(name=request.name), srv.UnloadController.Response())
        return _answer(response, mine)

    async def _on_switch(self, request: Any, response: Any) -> Any:
        return _answer(response, await self._switch(request, srv.SwitchController.Response()))


def _answer(theirs: Any, mine: Any) -> Any:
    return fill(theirs, {"ok": mine.ok, "message": mine.message})
