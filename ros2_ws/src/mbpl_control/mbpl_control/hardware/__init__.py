"""Robots that are not simulated, without ROS: their YAML, the check of their joints, and what they are told."""

from mbpl_control.hardware.bridge import BridgeCore, Drive
from mbpl_control.hardware.confirmation import Confirmation
from mbpl_control.hardware.joint_check import JointCheck, Movement
from mbpl_control.hardware.robot_file import HardwareRobot, load_robot_file

__all__ = ["BridgeCore", "Confirmation", "Drive", "HardwareRobot", "JointCheck", "Movement", "load_robot_file"]
