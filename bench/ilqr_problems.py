"""The reaches of `bench/ilqr.py`: which arm, from where to where, and the two files that both sides read of each."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.models.resources import resolve
from mbpl_control.models.robot import RobotModel

ROBOTS = "package://example-robot-data/robots"
#: What a reach takes, s.
DURATION = 1.0
#: The cost, every weight as it counts per step where there are `STEPS` of them.
COST: dict[str, float] = {
    "position": 1.0,
    "velocity": 0.01,
    "action": 1e-4,
    "final_position": 1000.0,
    "final_velocity": 1.0,
}
STEPS = 100
#: Where the Panda reaches unless a goal is drawn.
PANDA_TARGET = (0.5, 0.3, 0.4)
#: Joints of a goal are at most so far from the posture, rad or m.
NEAR = 0.6
#: What a chain's joints are bent in sum, rad; how long it is, m; what it weighs, kg; how thick it is, m.
BEND, LENGTH, MASS, RADIUS = 1.5, 1.0, 6.0, 0.03


@dataclass(frozen=True)
class Arm:
    """A robot of the bench.

    Attributes:
        name: what rows call it.
        text: gives its URDF.
        frame: what reaches.
        posture: where it begins, at rest.
    """

    name: str
    text: Callable[[], str]
    frame: str
    posture: tuple[float, ...]


@dataclass(frozen=True)
class Problem:
    """One reach.

    Attributes:
        name: what it is called where something is wrong with it, and in the file of results.
        robot: as we read it.
        content: all that makes the problem, as the peer reads it.
        file: where the peer reads it.
    """

    name: str
    robot: RobotModel
    content: dict[str, Any]
    file: Path


def bare(text: str) -> str:
    """A URDF that both sides understand alike.

    Joint damping is taken out, since Crocoddyl's free forward dynamics have none. Joints that turn without end get
    limits of ±2π: Pinocchio has two coordinates for each of these, and inverse dynamics do not take what wraps.
    """
    text = re.sub(r"<dynamics[^>]*/>", "", text)

    def limited(joint: re.Match[str]) -> str:
        limit = f'<limit effort="100" velocity="10" lower="{-2.0 * np.pi}" upper="{2.0 * np.pi}"/>'
        opening = joint[1].replace('"continuous"', '"revolute"')
        return opening + limit + re.sub(r"<limit[^>]*/>", "", joint[2])

    return re.sub(r'(<joint\b[^>]*type="continuous"[^>]*>)(.*?</joint>)', limited, text, flags=re.DOTALL)


def shipped(path: str) -> str:
    """URDF of a robot that example-robot-data ships."""
    return resolve(f"{ROBOTS}/{path}").read_text(encoding="utf-8")


def chain_urdf(axes: str) -> str:
    """URDF of a serial arm of rods that hangs straight down where no joint is bent.

    It hangs, and no joint turns a rod about itself, because another one would fall, however well gravity is balanced at
    first: what is rounded grows with time, and the faster the lighter the rods are.

    Args:
        axes: the axis of each joint from the base, "x" or "y", both across the rods.
    """
    length, mass = LENGTH / len(axes), MASS / len(axes)
    across = mass * (length**2 / 12.0 + RADIUS**2 / 4.0)
    inertia = f'ixx="{across}" iyy="{across}" izz="{mass * RADIUS**2 / 2.0}" ixy="0" ixz="0" iyz="0"'
    inertial = f'<inertial><origin xyz="0 0 {-length / 2.0}"/><mass value="{mass}"/><inertia {inertia}/></inertial>'
    parts = ['<link name="base"/>']
    for i, axis in enumerate(axes):
        turn = {"x": "1 0 0", "y": "0 1 0"}[axis]
        parts.append(
            f'<link name="link{i + 1}">{inertial}</link><joint name="joint{i + 1}" type="revolute">'
            f'<parent link="{f"link{i}" if i else "base"}"/><child link="link{i + 1}"/>'
            f'<origin xyz="0 0 {-length if i else 0.0}"/><axis xyz="{turn}"/>'
            '<limit lower="-3" upper="3" effort="100" velocity="10"/></joint>'
        )
    parts.append(
        f'<link name="tip"/><joint name="end" type="fixed"><parent link="link{len(axes)}"/><child link="tip"/>'
        f'<origin xyz="0 0 {-length}"/></joint>'
    )
    return f'<robot name="chain_{axes}">{"".join(parts)}</robot>'


def chain(axes: str, name: str = "") -> Arm:
    """A serial arm of the bench's own."""
    posture = (BEND / len(axes),) * len(axes)
    return Arm(name or f"chain of {len(axes)}", partial(chain_urdf, axes), "tip", posture)


PANDA = Arm(
    "Panda",
    partial(shipped, "panda_description/urdf/panda.urdf"),
    "panda_hand_tcp",
    (0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785, 0.02, 0.02),
)
ARMS = (
    PANDA,
    Arm("UR5", partial(shipped, "ur_description/urdf/ur5_robot.urdf"), "tool0", (0.0, -1.2, 1.6, -2.0, -1.57, 0.0)),
    Arm(
        "Kinova",
        partial(shipped, "kinova_description/robots/kinova.urdf"),
        "j2s6s200_end_effector",
        (4.8, 2.91, 0.99, 4.21, 1.45, 1.31),
    ),
    chain("yy", "two links"),
)


def goals(robot: RobotModel, arm: Arm, count: int) -> Array:
    """Places (count, 3) that the arm's frame is at when its joints are near the posture and within their limits."""
    low = np.maximum(robot.position_lower, np.array(arm.posture) - NEAR)
    high = np.minimum(robot.position_upper, np.array(arm.posture) + NEAR)
    joints = np.random.default_rng(0).uniform(low, high, (count, robot.nv))
    return robot.kinematics.positions(arm.frame, joints)


def read(arm: Arm, directory: Path) -> RobotModel:
    """The arm's robot, from a file of its own."""
    urdf = directory / f"{arm.name.replace(' ', '_')}.urdf"
    urdf.write_text(bare(arm.text()), encoding="utf-8")
    return RobotModel.from_file(urdf)


def pose(arm: Arm, robot: RobotModel, target: Array, steps: int, file: Path) -> Problem:
    """Write a problem down: the same second in so many steps, with weights that sum to the same."""
    shares = {name: COST[name] * STEPS / steps for name in ("position", "velocity", "action")}
    content = {
        **COST,
        **shares,
        "steps": steps,
        "dt": DURATION / steps,
        "frame": arm.frame,
        "target": list(target),
        "urdf": str(robot.path),
        "start": [*arm.posture, *[0.0] * robot.nv],
        "gravity": robot.gravity(np.array(arm.posture)).tolist(),
    }
    file.write_text(json.dumps(content), encoding="utf-8")
    target_text = ", ".join(f"{number:.3f}" for number in target)
    return Problem(f"{arm.name} to ({target_text}) in {steps} steps", robot, content, file)
