"""Cost terms with exact first and second derivatives, and their sum."""

from mbpl_control.costs.cost import Cost, Quadratization
from mbpl_control.costs.frames import FrameDistanceCost, FrameOrientationCost, FramePositionCost
from mbpl_control.costs.joint_limits import JointLimitCost
from mbpl_control.costs.points import JointColumns, KinematicPoints, PointMap, StatePoints
from mbpl_control.costs.quadratic import ActionCost, CosineCost, StateCost
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.costs.term import Term, ramp_weights

__all__ = [
    "ActionCost",
    "CosineCost",
    "Cost",
    "FrameDistanceCost",
    "FrameOrientationCost",
    "FramePositionCost",
    "JointColumns",
    "JointLimitCost",
    "KinematicPoints",
    "PointMap",
    "Quadratization",
    "StateCost",
    "StatePoints",
    "SumCost",
    "Term",
    "ramp_weights",
]
