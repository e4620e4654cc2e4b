"""What a robot or a model does: kinematics, limits, dynamics with derivatives."""

from mbpl_control.models.dynamics import Dynamics
from mbpl_control.models.generated_dynamics import GeneratedDynamics
from mbpl_control.models.kinematics import FrameMotion, Kinematics
from mbpl_control.models.mujoco_dynamics import MujocoDynamics
from mbpl_control.models.pinocchio_dynamics import PinocchioDynamics
from mbpl_control.models.resources import resolve
from mbpl_control.models.robot import RobotModel

__all__ = [
    "Dynamics",
    "FrameMotion",
    "GeneratedDynamics",
    "Kinematics",
    "MujocoDynamics",
    "PinocchioDynamics",
    "RobotModel",
    "resolve",
]
