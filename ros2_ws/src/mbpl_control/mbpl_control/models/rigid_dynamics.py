"""The quickest model of a rigid tree that this machine has."""

from __future__ import annotations

import functools
import logging

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import ModelError
from mbpl_control.models.codegen import library
from mbpl_control.models.generated_dynamics import GeneratedDynamics, tree_of
from mbpl_control.models.pinocchio_dynamics import PinocchioDynamics
from mbpl_control.models.robot import RobotModel

_LOG = logging.getLogger("mbpl.kernels")


def why_not_generated(robot: RobotModel) -> str:
    """Why a robot is modelled by Pinocchio's bindings rather than by kernels of its own; empty when it is not."""
    try:
        tree = tree_of(robot)
    except ModelError as error:
        return str(error)
    if library.is_compiled(tree):
        return ""
    return f"the kernels of '{robot.name}' are not compiled on this machine; `mbpl compile` does that, once"


def rigid_dynamics(
    robot: RobotModel, dt: float, substeps: int = 1, action: ActionDefinition | None = None
) -> GeneratedDynamics | PinocchioDynamics:
    """The same model twice: generated kernels where they are compiled, else Pinocchio's bindings, which is said once.

    Nothing is compiled here, so that no controller waits for it.

    Args:
        robot: a tree of hinges and slides driven by motors.
        dt: duration of a step, s.
        substeps: integration steps per step.
        action: what u is; the robot's own when None.

    Raises:
        ModelError: the robot has something these models would drop.
    """
    reason = why_not_generated(robot)
    if not reason:
        return GeneratedDynamics(robot, dt, substeps, action)
    dynamics = PinocchioDynamics(robot, dt, substeps, action)
    _say(reason)
    return dynamics


@functools.cache
def _say(reason: str) -> None:
    """Log a reason, once in a process."""
    _LOG.warning("slower by Pinocchio's bindings: %s", reason)
