"""Cost terms from their description in a task file."""

from __future__ import annotations

import mujoco
import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.state_space import SPACE_SIZES
from mbpl_control.core.validation import Array
from mbpl_control.costs import (
    ActionCost,
    CosineCost,
    FrameDistanceCost,
    FrameOrientationCost,
    FramePositionCost,
    JointLimitCost,
    StateCost,
    Term,
)
from mbpl_control.models.robot import RobotModel
from mbpl_control.tasks import schema


def build_term(
    spec: schema.Term,
    robot: RobotModel,
    action: ActionDefinition,
    start: Array,
    target: Array | None,
) -> Term:
    """The term of a description, in the robot's own state.

    Args:
        spec: what the file says.
        robot: whose state and frames are meant.
        action: what u is.
        start: x of the start condition.
        target: (3,) of the start condition, for terms whose target is `condition`.

    Raises:
        InvalidFieldError: a length or a target does not fit.
        ModelError: no such frame.
    """
    ndx = robot.state.tangent_size
    if isinstance(spec, schema.StateTerm):
        return _state_term(spec, robot)
    if isinstance(spec, schema.CosineTerm):
        columns = robot.state.indices("joint_positions", spec.joints)
        weights = _spread("CosineCost", "weight", spec.weight, len(columns))
        angles = _spread("CosineCost", "target", spec.target, len(columns))
        indices = (columns, _tangent_indices(robot.state)[columns])
        return CosineCost(indices, ndx, weights, angles, spec.ramp)
    if isinstance(spec, schema.ActionTerm):
        if spec.target == "gravity":
            wanted = robot.gravity(start[: robot.nq])
        else:
            wanted = _spread("ActionCost", "target", spec.target, action.size)  # type: ignore[arg-type]
        weights = _spread("ActionCost", "weight", spec.weight, action.size)
        return ActionCost(weights, wanted, spec.ramp)
    if isinstance(spec, schema.JointLimitsTerm):
        columns = np.arange(robot.nv)
        if not robot.is_one_number_per_joint:
            raise InvalidFieldError(
                "JointLimitCost", "term", "a robot with ball or free joints", "one of hinges and slides"
            )
        return JointLimitCost(
            robot.position_lower,
            robot.position_upper,
            (columns, columns),
            ndx,
            spec.weight,
            spec.delta,
            spec.ramp,
        )
    kinematics, nq = robot.kinematics, robot.nq
    if isinstance(spec, schema.FrameOrientationTerm):
        quaternion = np.array(spec.target)
        if abs(np.linalg.norm(quaternion) - 1.0) > 1e-3:
            found = f"a quaternion of length {np.linalg.norm(quaternion):.4g}"
            raise InvalidFieldError("FrameOrientationCost", "target", found, "of unit length")
        flat = np.empty(9)
        mujoco.mju_quat2Mat(flat, quaternion / np.linalg.norm(quaternion))
        rotation = flat.reshape(3, 3)
        return FrameOrientationCost(kinematics, spec.frame, nq, ndx, spec.weight, rotation, spec.ramp)
    if isinstance(spec, schema.FramePositionTerm):
        point = _point(spec.target, target)
        weights = _spread("FramePositionCost", "weight", spec.weight, 3)
        return FramePositionCost(kinematics, spec.frame, nq, ndx, weights, point, spec.ramp)
    if isinstance(spec, schema.FrameDistanceTerm):
        point = _point(spec.target, target)
        return FrameDistanceCost(
            kinematics, spec.frame, nq, ndx, point, spec.l1, spec.l2, spec.log, spec.alpha, spec.ramp
        )
    raise TypeError(f"no builder for {type(spec).__name__}")


def _state_term(spec: schema.StateTerm, robot: RobotModel) -> StateCost:
    """Weights and target spread over the block; everything else has weight zero."""
    definition = robot.state
    tangent = _tangent_indices(definition)
    kinds = {
        "positions": ["joint_positions"],
        "velocities": ["joint_velocities"],
        "all": ["joint_positions", "joint_velocities"],
    }[spec.block]
    rows = np.concatenate([definition.indices(kind, spec.joints) for kind in kinds])
    columns = np.unique(np.concatenate([_span(definition, tangent, row) for row in rows]))
    weights = np.zeros(definition.tangent_size)
    weights[columns] = _spread("StateCost", "weight", spec.weight, len(columns))
    target = definition.space.neutral()
    if not (np.isscalar(spec.target) and spec.target == 0.0):
        target[rows] = _spread("StateCost", "target", spec.target, len(rows))
    return StateCost(definition.space, weights, target, spec.ramp)


def _tangent_indices(definition: StateDefinition) -> Array:
    """Where each number of x begins in the tangent space (nx,)."""
    out: list[int] = []
    column = 0
    for space in definition.space.spaces:
        size, tangent = SPACE_SIZES[space]
        out += [column] * size
        column += tangent
    return np.array(out, dtype=np.intp)


def _span(definition: StateDefinition, tangent: Array, row: int) -> Array:
    first = int(tangent[row])
    width = int(np.count_nonzero(tangent == first))
    return np.arange(first, first + (3 if width == 4 else 1))


def _spread(owner: str, field: str, value: float | list[float], count: int) -> Array:
    if not isinstance(value, list):
        return np.full(count, float(value))
    if len(value) != count:
        raise InvalidFieldError(owner, field, f"{len(value)} numbers", f"1 number, or {count}")
    return np.array(value, dtype=np.float64)


def _point(given: list[float] | str, target: Array | None) -> Array:
    if given != "condition":
        return np.array(given, dtype=np.float64)
    if target is None:
        raise InvalidFieldError(
            "cost", "target", "'condition', but no target there", "three numbers here or at the start"
        )
    return target
