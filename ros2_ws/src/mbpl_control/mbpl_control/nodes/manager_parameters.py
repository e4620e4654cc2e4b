"""Parameters of the controller manager."""

from __future__ import annotations

from typing import Any

from rclpy.node import Node

from mbpl_control.nodes.node_tools import declare
from mbpl_control.runtime import ControllerEntry, ManagerConfig

#: Controllers that are there when the parameter `controllers` names no others.
CONTROLLERS = ("ilqr_open_loop", "ilqr_feedback", "ilqr_sampled", "ilqr_mpc")
_MODES = {"ilqr_open_loop": "open_loop", "ilqr_sampled": "sampled"}


def manager_config(node: Node) -> ManagerConfig:
    """Times and bounds as the node's parameters give them; the defaults are those of `ManagerConfig`."""
    d = ManagerConfig()

    def number(name: str, text: str, low: float, high: float) -> Any:
        return declare(node, name, getattr(d, name), text, low, high)

    return ManagerConfig(
        rate=number("rate", "Hz, expected rate of states.", 1.0, 10000.0),
        state_timeout=number("state_timeout", "s without a state until the fallback.", 1e-3, 60.0),
        law_timeout=number("law_timeout", "s without a law of a stream until the fallback.", 1e-3, 60.0),
        law_wait=number("law_wait", "s a state may wait for the law made for it; 0: none waits.", 0.0, 60.0),
        zero_timeout=number("zero_timeout", "s of fallback without a state until zero effort.", 1e-3, 600.0),
        blend_time=number("blend_time", "s to go over at a switch.", 0.0, 10.0),
        stream_blend_time=number("stream_blend_time", "s to go over between laws of a stream.", 0.0, 10.0),
        max_gain=number("max_gain", "Largest entry of a gain, action per unit of state.", 0.0, 1e12),
        future_slack=number("future_slack", "s a law's stamp may be in the future.", 0.0, 60.0),
        hold_frequency=number("hold_frequency", "rad/s, stiffness of the hold.", 0.1, 1000.0),
        max_planned_action=number("max_planned_action", "Largest planned action, times its limit.", 1.0, 1e6),
        jump_margin=number("jump_margin", "rad or m beyond motion that count as a jump.", 1e-6, 1e3),
        jump_speed_factor=number("jump_speed_factor", "Times the speed limit that count as motion.", 1.0, 1e6),
        fallback_controllers=_names(
            node, "fallback_controllers", "Controllers tried in this order when one fails, before the fallback."
        ),
        fallback=declare(
            node,
            "fallback",
            d.fallback,
            "Fallback controller: hold (with a spring) or damp (without).",
            choices=("hold", "damp"),
        ),
        emergency_stop=declare(
            node,
            "emergency_stop",
            d.emergency_stop,
            "What an emergency stop commands: damp (gravity compensation and damping) or zero effort.",
            choices=("damp", "zero"),
        ),
        seed=declare(node, "seed", d.seed, "Seed of the next sampled activation.", 0, 2**62, read_only=False),
    )


def _names(node: Node, name: str, text: str) -> tuple[str, ...]:
    """A list of names; that of one empty name is empty, since an empty list has no type of its own."""
    return tuple(found for found in declare(node, name, [""], text) if found)


class DescribedControllers:
    """Controllers of the parameter `controllers`, each with `NAME.type`, `.mode`, `.source` and `.joints`."""

    def __init__(self, node: Node) -> None:
        """Declare and read the parameters."""
        self._fields: dict[str, tuple[str, str, str]] = {}
        self._joints: dict[str, tuple[str, ...]] = {}
        names = declare(node, "controllers", list(CONTROLLERS), "Controllers beside `hold`.")
        for name in names:
            planner = "mpc_controller" if name == "ilqr_mpc" else "ilqr_controller"
            self._fields[name] = (
                declare(node, f"{name}.type", "linear_gaussian", "linear_gaussian, feedback_law or hold."),
                declare(node, f"{name}.mode", _MODES.get(name, "mean"), "open_loop, mean or sampled."),
                declare(node, f"{name}.source", f"{planner}/controller", "Topic its laws come from."),
            )
            self._joints[name] = _names(node, f"{name}.joints", "Joints it claims; none: those of its laws.")

    def __contains__(self, name: str) -> bool:
        """Whether the parameters describe a controller of this name."""
        return name in self._fields

    def entry(self, name: str) -> ControllerEntry:
        """A new entry of a described controller, without a law."""
        return ControllerEntry(name, *self._fields[name], joints=self._joints[name])

    def entries(self) -> list[ControllerEntry]:
        """New entries of all of them."""
        return [self.entry(name) for name in self._fields]
