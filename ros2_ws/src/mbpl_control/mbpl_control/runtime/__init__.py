"""The controller manager without ROS: executing laws, blending, fallback, switching."""

from mbpl_control.runtime.command import Command, Counters
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.executors import HorizonExecutor, KnotExecutor, RobotSample
from mbpl_control.runtime.hold import HoldExecutor, HoldGains
from mbpl_control.runtime.manager import ManagerCore
from mbpl_control.runtime.pending_switch import PendingSwitch, SwitchRequest
from mbpl_control.runtime.registry import ControllerEntry
from mbpl_control.runtime.switching import Strictness

__all__ = [
    "Command",
    "ControllerEntry",
    "Counters",
    "HoldExecutor",
    "HoldGains",
    "HorizonExecutor",
    "KnotExecutor",
    "ManagerConfig",
    "ManagerCore",
    "PendingSwitch",
    "RobotSample",
    "Strictness",
    "SwitchRequest",
]
