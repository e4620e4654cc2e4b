"""Cost terms from their description in a task file."""

from __future__ import annotations

import mujoco
import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.state_space import SPACE_SIZES
from mbpl_control.core.validation import Array, Indices
from mbpl_control.costs import (
    ActionCost,
    CosineCost,
    FrameDistanceCost,
    FrameOrientationCost,
    FramePositionCost,
    JointColumns,
    JointLimitCost,
    KinematicPoints,
    PointMap,
    StateCost,
    StatePoints,
    Term,
)
from mbpl_control.models.robot import RobotModel
from mbpl_control.tasks import schema
from mbpl_control.tasks.conditions import Condition


def build_term(
    spec: schema.Term,
    robot: RobotModel,
    state: StateDefinition,
    action: ActionDefinition,
    condition: Condition,
) -> Term:
    """The term of a description, as a function of a state.

    Args:
        spec: what the file says.
        robot: whose joints and frames are meant.
        state: what x is: the robot's own state, or one that holds more or less. A frame whose position it holds is
            read off it; any other follows from the joints by kinematics.
        action: what u is.
        condition: whose target terms mean by `condition`, and at whose start `gravity` is taken.

    Raises:
        InvalidFieldError: a length or a target does not fit.
        DefinitionMismatchError: the state does not hold a joint that the term needs.
        ModelError: no such frame.
    """
    if isinstance(spec, schema.StateTerm):
        return _state_term(spec, robot, state)
    ndx, tangent = state.tangent_size, _tangent_indices(state)
    if isinstance(spec, schema.CosineTerm):
        columns = state.indices("joint_positions", spec.joints)
        positions = robot.state.blocks[0]
        hinges = {n for n, unit in zip(positions.names, positions.units, strict=True) if unit == "rad"}
        for joint in spec.joints:
            if joint not in hinges:
                raise InvalidFieldError("CosineCost", "joints", f"'{joint}', no hinge", "hinges")
        weights = _spread("CosineCost", "weight", spec.weight, len(columns))
        angles = _spread("CosineCost", "target", spec.target, len(columns))
        return CosineCost((columns, tangent[columns]), ndx, weights, angles, spec.ramp)
    if isinstance(spec, schema.ActionTerm):
        if spec.target == "gravity":
            wanted = robot.holding_action(condition.state[: robot.nq])
        else:
            wanted = _spread("ActionCost", "target", spec.target, action.size)
        weights = _spread("ActionCost", "weight", spec.weight, action.size)
        return ActionCost(weights, wanted, spec.ramp)
    if isinstance(spec, schema.JointLimitsTerm):
        if not robot.is_one_number_per_joint:
            raise InvalidFieldError(
                "JointLimitCost", "term", "a robot with ball or free joints", "one of hinges and slides"
            )
        columns = state.indices("joint_positions", robot.joint_names)
        limits = robot.position_lower, robot.position_upper
        return JointLimitCost(*limits, (columns, tangent[columns]), ndx, spec.weight, spec.delta, spec.ramp)
    if isinstance(spec, schema.FrameOrientationTerm):
        quaternion = np.array(spec.target)
        if abs(np.linalg.norm(quaternion) - 1.0) > 1e-3:
            found = f"a quaternion of length {np.linalg.norm(quaternion):.4g}"
            raise InvalidFieldError("FrameOrientationCost", "target", found, "of unit length")
        flat = np.empty(9)
        mujoco.mju_quat2Mat(flat, quaternion / np.linalg.norm(quaternion))
        rotation = flat.reshape(3, 3)
        return FrameOrientationCost(
            robot.kinematics, spec.frame, _joint_columns(robot, state), spec.weight, rotation, spec.ramp
        )
    if isinstance(spec, schema.FramePositionTerm):
        weights = _spread("FramePositionCost", "weight", spec.weight, 3)
        point = _point(spec.target, condition)
        return FramePositionCost(_points([spec.frame], robot, state), weights, point, spec.ramp)
    if isinstance(spec, schema.FrameDistanceTerm):
        frames = spec.frames or [str(spec.frame)]
        offsets = np.array(spec.offsets or np.zeros((len(frames), 3)))
        target = (_point(spec.target, condition) + offsets).ravel()
        return FrameDistanceCost(
            _points(frames, robot, state), target, spec.l1, spec.l2, spec.log, spec.alpha, spec.ramp
        )
    raise TypeError(f"no builder for {type(spec).__name__}")


def _points(frames: list[str], robot: RobotModel, state: StateDefinition) -> PointMap:
    """The frames as numbers of the state where it holds them all, and by kinematics where it does not."""
    held = {name for block in state.blocks if block.kind == "frame_position" for name in block.names}
    names = [f"{frame}.{axis}" for frame in frames for axis in "xyz"]
    if held.issuperset(names):
        columns = state.indices("frame_position", names)
        return StatePoints(columns, _tangent_indices(state)[columns], state.tangent_size)
    return KinematicPoints(robot.kinematics, frames, _joint_columns(robot, state))


def _joint_columns(robot: RobotModel, state: StateDefinition) -> JointColumns:
    """Where the state holds all joint positions; they are one block, so they stand together."""
    rows = state.indices("joint_positions", robot.state.blocks[0].names)
    row, column = int(rows[0]), int(_tangent_indices(state)[rows[0]])
    return JointColumns(slice(row, row + robot.nq), slice(column, column + robot.nv), state.tangent_size)


def _state_term(spec: schema.StateTerm, robot: RobotModel, definition: StateDefinition) -> StateCost:
    """Weights and target spread over the block; everything else has weight zero."""
    tangent = _tangent_indices(definition)
    kinds = {
        "positions": ["joint_positions"],
        "velocities": ["joint_velocities"],
        "all": ["joint_positions", "joint_velocities"],
    }[spec.block]
    every = {block.kind: block.names for block in robot.state.blocks}
    names = {kind: every[kind] if spec.joints is None else spec.joints for kind in kinds}
    rows = np.concatenate([definition.indices(kind, names[kind]) for kind in kinds])
    # in the order of the joints named, which need not be that of the robot
    columns = list(dict.fromkeys(int(c) for row in rows for c in _span(definition, tangent, row)))
    weights = np.zeros(definition.tangent_size)
    weights[columns] = _spread("StateCost", "weight", spec.weight, len(columns))
    target = definition.space.neutral()
    if not (np.isscalar(spec.target) and spec.target == 0.0):
        target[rows] = _spread("StateCost", "target", spec.target, len(rows))
    return StateCost(definition.space, weights, target, spec.ramp)


def _tangent_indices(definition: StateDefinition) -> Indices:
    """Where each number of x begins in the tangent space (nx,)."""
    out: list[int] = []
    column = 0
    for space in definition.space.spaces:
        size, tangent = SPACE_SIZES[space]
        out += [column] * size
        column += tangent
    return np.array(out, dtype=np.intp)


def _span(definition: StateDefinition, tangent: Indices, row: int) -> Indices:
    first = int(tangent[row])
    width = int(np.count_nonzero(tangent == first))
    return np.arange(first, first + (3 if width == 4 else 1))


def _spread(owner: str, field: str, value: float | list[float], count: int) -> Array:
    if not isinstance(value, list):
        return np.full(count, float(value))
    if len(value) != count:
        raise InvalidFieldError(owner, field, f"{len(value)} numbers", f"1 number, or {count}")
    return np.array(value, dtype=np.float64)


def _point(given: list[float] | str, condition: Condition) -> Array:
    if given != "condition":
        return np.array(given, dtype=np.float64)
    if condition.target is None:
        raise InvalidFieldError(
            "cost", "target", "'condition', but no target there", "three numbers here or at the start"
        )
    return condition.target
