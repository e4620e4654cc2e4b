"""The YAML of a robot: how its driver is reached, and what the bridge does when something is missing."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from mbpl_control.core.errors import MbplError
from mbpl_control.core.validation import Array, Indices
from mbpl_control.core.yaml_document import YamlDocument
from mbpl_control.tasks.section import Count, Positive, Section
from mbpl_control.tasks.task import Task

#: Full name of a controller or a topic, whose parts are words of ROS.
Name = Annotated[str, Field(pattern=r"^/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*$")]


class RobotFileError(MbplError):
    """The YAML of a robot is missing or wrong; the message begins with file and line."""


class Ros2Control(Section):
    """A robot under ros2_control: `forward_command_controller` on efforts, and `joint_state_broadcaster`.

    Attributes:
        controller: the forward command controller.
        joint_states: topic of the broadcaster.
        adds_gravity: whether the robot adds its own gravity compensation to the efforts it is sent.
    """

    type: Literal["ros2_control"]
    controller: Name
    joint_states: Name = "/joint_states"
    adds_gravity: bool = False


class LinearFeedback(Section):
    """A robot under linear-feedback-controller, which evaluates our feedback at its own rate.

    Attributes:
        controller: the linear feedback controller.
        decimation: `Sensor` messages to one joint state that is passed on.
    """

    type: Literal["linear_feedback_controller"]
    controller: Name = "/linear_feedback_controller"
    decimation: Count = 1


class CheckSection(Section):
    """How far and how hard the check moves a joint.

    Attributes:
        motion: rad or m that a joint moves.
        largest_motion: rad or m from where it stood at which any joint ends the check, without effort from then on.
        largest_speed: rad/s or m/s at which any joint, in two states in a row, ends it likewise.
        effort: largest effort beyond that of the hold, part of the joint's limit.
        duration: s over which it may grow to that.
    """

    motion: Positive = 0.03
    largest_motion: Positive = 0.12
    largest_speed: Positive = 0.5
    effort: Annotated[float, Field(strict=True, gt=0.0, le=1.0)] = 0.2
    duration: Annotated[float, Field(strict=True, ge=0.5, le=60.0)] = 3.0

    @model_validator(mode="after")
    def _room(self) -> CheckSection:
        if self.largest_motion < 2.0 * self.motion:
            raise ValueError(f"largest_motion {self.largest_motion:g} must be at least twice motion, {self.motion:g}")
        return self


class RobotFile(Section):
    """What a robot's YAML may say.

    Attributes:
        connection: how the driver is reached.
        joints: names in the order of the controller's own parameter.
        rate: Hz of joint states.
        command_timeout: s without a command until the bridge acts by itself.
        without_commands: what it does then.
        hold_frequency: rad/s, stiffness of its hold, see `runtime.hold.HoldGains`.
        check: of joints, at start-up.
    """

    connection: Annotated[Ros2Control | LinearFeedback, Field(discriminator="type")]
    joints: Annotated[list[str], Field(min_length=1)]
    rate: Annotated[float, Field(strict=True, ge=1.0, le=10000.0)]
    command_timeout: Annotated[float, Field(strict=True, gt=0.0, le=10.0)] = 0.1
    without_commands: Literal["hold", "zero"] = "hold"
    hold_frequency: Annotated[float, Field(strict=True, ge=0.1, le=1000.0)] = 12.0
    check: CheckSection = CheckSection()

    @field_validator("joints")
    @classmethod
    def _distinct(cls, joints: list[str]) -> list[str]:
        twice = [name for name in joints if joints.count(name) > 1]
        if twice:
            raise ValueError(f"'{twice[0]}' is there twice; each joint has one place")
        return joints


class RobotDocument(YamlDocument):
    """A robot's YAML as data, validated, with the lines its keys stand on."""

    noun = "robot"
    failure = RobotFileError
    tags = frozenset({"ros2_control", "linear_feedback_controller"})

    def __init__(self, path: Path) -> None:
        """Read and validate."""
        super().__init__(path)
        self.file = self.validated(RobotFile)


class HardwareRobot:
    """A robot's YAML together with the task whose robot it is.

    Attributes:
        path: of the YAML.
        file: its content.
        task: whose robot model it is.
        hash: of the YAML and of the robot's own file; another one is another robot, to be checked anew.

    Args:
        document: the YAML.
        task: the task.

    Raises:
        RobotFileError: the joints are not those the task drives, or the robot takes no efforts.
    """

    def __init__(self, document: RobotDocument, task: Task) -> None:
        """Check one against the other."""
        self.path, self.file, self.task = document.path, document.file, task
        action, robot = task.action, task.robot
        if action.interface != "effort" or not robot.is_one_number_per_joint:
            raise document.error(
                ["connection"],
                f"{robot.path.name} takes {action.interface}, one number a joint: {robot.is_one_number_per_joint}; "
                "the bridge sends efforts to hinges and slides",
            )
        unlimited = np.flatnonzero(~np.isfinite(action.upper - action.lower))
        if unlimited.size:
            raise document.error(
                ["joints"],
                f"no limit of actuator '{action.actuator_names[unlimited[0]]}'; give its range in {robot.path.name}, "
                f"or limits.effort in {task.path.name}",
            )
        for i, name in enumerate(self.file.joints):
            if name not in action.joint_names:
                raise document.error(
                    ["joints", i],
                    f"'{name}' is no joint that {robot.path.name} drives; those are {', '.join(action.joint_names)}",
                )
        missing = [name for name in action.joint_names if name not in self.file.joints]
        if missing:
            raise document.error(["joints"], f"'{missing[0]}' is missing; {robot.path.name} drives it, too")
        idle = [name for name in robot.joint_names if name not in action.joint_names]
        if idle and isinstance(self.file.connection, LinearFeedback):
            raise document.error(
                ["connection"],
                f"joint '{idle[0]}' of {robot.path.name} is not driven; linear_feedback_controller drives every joint "
                "of its state",
            )
        # what is asked of the robot, seen from the order of its controller
        self._order = np.array([action.joint_names.index(name) for name in self.file.joints], dtype=np.intp)
        digest = hashlib.sha256(self.path.read_bytes() + b"\0" + robot.description.encode())
        self.hash = digest.hexdigest()[:16]

    @property
    def order(self) -> Indices:
        """Indices that bring numbers of the task's action (m,) into the order of the robot's controller."""
        return self._order

    def to_controller(self, values: Array) -> Array:
        """Numbers of the task's action in the order of the robot's controller (m,)."""
        return values[self._order]


def read_robot_file(path: str | Path) -> RobotDocument:
    """A robot's YAML by itself.

    Raises:
        RobotFileError: it is missing or wrong.
    """
    if not str(path):
        raise RobotFileError("no robot file is given; name the robot's YAML, such as robot:=$PWD/arm.yaml")
    return RobotDocument(Path(path).expanduser().absolute())


def load_robot_file(path: str | Path, task: Task) -> HardwareRobot:
    """A robot's YAML, checked against a task.

    Raises:
        RobotFileError: it is missing, wrong, or that of another robot.
    """
    return HardwareRobot(read_robot_file(path), task)
