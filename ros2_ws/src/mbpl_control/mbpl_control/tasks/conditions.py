"""Start conditions of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.core.yaml_document import Keys
from mbpl_control.models.robot import RobotModel
from mbpl_control.tasks.reading import TaskDocument


@dataclass(frozen=True, eq=False)
class Condition:
    """A start condition.

    Attributes:
        index: training conditions first, then those held out.
        name: as in the file, or "train 0".
        held_out: whether learning may not use it.
        state: x (nx,) of the robot, positions then velocities.
        target: (3,) m, or None when the task has none.
        bodies: positions (3,) m of bodies of the scene by name; all others are where the robot's file has them.
    """

    index: int
    name: str
    held_out: bool
    state: Array
    target: Array | None
    bodies: Mapping[str, Array] = field(default_factory=dict)


def read_conditions(document: TaskDocument, robot: RobotModel) -> tuple[Condition, ...]:
    """The start conditions of a task file, checked against the robot.

    Raises:
        TaskError: a length does not fit, a joint starts outside its limits, a rotation is none, or a body cannot be
            placed.
    """
    file = document.file
    out: list[Condition] = []
    for group, starts in (("train", file.start.train), ("held_out", file.start.held_out)):
        for i, start in enumerate(starts):
            keys: Keys = ["start", group, i]
            q = _numbers(document, [*keys, "positions"], start.positions, robot.nq, robot)
            v = np.zeros(robot.nv)
            if start.velocities is not None:
                v = _numbers(document, [*keys, "velocities"], start.velocities, robot.nv, robot)
            _check_positions(document, [*keys, "positions"], q, robot)
            _check_range(document, [*keys, "velocities"], v, -robot.velocity_limits, robot.velocity_limits, robot)
            target = start.target or file.target
            name = start.name or f"{group} {i}"
            point = None if target is None else np.array(target)
            bodies = {}
            for body, place in (start.bodies or {}).items():
                document.checked([*keys, "bodies", body], robot.check_movable, body)
                bodies[body] = np.array(place)
            out.append(Condition(len(out), name, group == "held_out", np.concatenate([q, v]), point, bodies))
    return tuple(out)


def _numbers(document: TaskDocument, keys: Keys, given: list[float], count: int, robot: RobotModel) -> Array:
    if len(given) != count:
        joints = ", ".join(robot.joint_names)
        raise document.error(keys, f"{len(given)} numbers; must be {count} ({joints})")
    return np.array(given, dtype=np.float64)


def _check_positions(document: TaskDocument, keys: Keys, q: Array, robot: RobotModel) -> None:
    try:
        robot.position_space.check("start", "positions", q)
    except InvalidFieldError as error:
        raise document.error(keys, f"{error.found}; must be {error.allowed}") from error
    # what a limited joint is away from zero, in the tangent space: all limited joints hold one number
    away = robot.position_space.difference(q, robot.position_space.neutral())
    _check_range(document, keys, away, robot.position_lower, robot.position_upper, robot)


def _check_range(
    document: TaskDocument, keys: Keys, values: Array, lower: Array, upper: Array, robot: RobotModel
) -> None:
    outside = np.flatnonzero((values < lower) | (values > upper))
    if outside.size:
        i = int(outside[0])
        raise document.error(
            keys, f"{values[i]} for '{robot.velocity_joints[i]}'; the model allows {lower[i]:.6g} to {upper[i]:.6g}"
        )
