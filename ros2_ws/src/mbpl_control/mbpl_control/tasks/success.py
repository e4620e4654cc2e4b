"""When a trial of a task counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core.state_space import StateSpace
from mbpl_control.core.validation import Array
from mbpl_control.models.robot import RobotModel
from mbpl_control.tasks.conditions import Condition
from mbpl_control.tasks.reading import TaskDocument


@dataclass(frozen=True)
class Success:
    """How a trajectory ended.

    Attributes:
        ok: whether the task's rule held.
        distance: largest distance over the last steps that count, m or rad.
        limit: what the rule allows.
        unit: "m" or "rad".
    """

    ok: bool
    distance: float
    limit: float
    unit: str


class SuccessRule:
    """A frame within a distance of its target, or joints within one of theirs, over the last states.

    Args:
        document: the task's file, which has a rule.
        robot: whose frames and joints are meant.
        conditions: whose targets may be meant.

    Attributes:
        frame: the frame the rule is about; None when it is about joints.
        within: the distance, m or rad.
        over_last: states that count.
        unit: "m" or "rad".

    Raises:
        TaskError: no such frame or joint, no target, or the horizon has fewer states.
    """

    def __init__(self, document: TaskDocument, robot: RobotModel, conditions: tuple[Condition, ...]) -> None:
        """Check the rule against robot and horizon."""
        rule = document.file.success
        assert rule is not None  # noqa: S101 - the caller sees to it
        self.frame, self.within, self.over_last = rule.frame, rule.within, rule.over_last
        self._robot = robot
        states = document.file.horizon + 1
        if self.over_last > states:
            raise document.error(
                ["success", "over_last"],
                f"found {self.over_last}; must be at most {states}, the number of states",
            )
        self.unit = "m"
        self._targets: list[Array] = []
        if rule.frame is not None:
            document.checked(["success", "frame"], robot.kinematics.check, rule.frame)
            for condition in conditions:
                target = rule.target if isinstance(rule.target, list) else condition.target
                if target is None:
                    raise document.error(
                        ["success", "target"], f"neither here nor at the start condition '{condition.name}'"
                    )
                self._targets.append(np.array(target))
            return
        joints = rule.joints or []
        self._columns = document.checked(["success", "joints"], robot.state.indices, "joint_positions", joints)
        if len(self._columns) != len(joints):
            raise document.error(["success", "joints"], "a ball or free joint; must be hinges and slides")
        block = robot.state.blocks[0]
        at = [block.names.index(joint) for joint in joints]
        self._space = StateSpace([block.spaces[i] for i in at])
        units = {block.units[i] for i in at}
        if len(units) > 1:
            raise document.error(["success", "joints"], "hinges and slides; one distance cannot be rad and m")
        self.unit = units.pop()
        self._angles = np.array(rule.angles, dtype=np.float64)

    def distances(self, states: Array, condition: int) -> Array:
        """Distance at each of N states of the robot, the largest over the joints. (N, nx) → (N,)."""
        if self.frame is not None:
            points = self._robot.kinematics.positions(self.frame, states[:, : self._robot.nq])
            return np.linalg.norm(points - self._targets[condition], axis=1)
        return np.abs(self._space.difference(states[:, self._columns], self._angles)).max(axis=1)

    def judge(self, states: Array, condition: int) -> Success:
        """Whether a trajectory (T+1, nx) of the robot meets the rule."""
        worst = float(self.distances(states[-self.over_last :], condition).max())
        return Success(worst <= self.within, worst, self.within, self.unit)
