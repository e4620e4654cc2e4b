"""The controller manager without ROS: executing laws, blending, fallback, switching."""

from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.executors import HorizonExecutor, KnotExecutor, RobotSample
from mbpl_control.runtime.hold import HoldExecutor, HoldGains
from mbpl_control.runtime.manager import Command, ManagerCore
from mbpl_control.runtime.registry import ControllerEntry

__all__ = [
    "Command",
    "ControllerEntry",
    "HoldExecutor",
    "HoldGains",
    "HorizonExecutor",
    "KnotExecutor",
    "ManagerConfig",
    "ManagerCore",
    "RobotSample",
]
