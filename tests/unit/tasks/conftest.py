"""A task file to spoil in every way there is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mbpl_control.tasks import Task, load_task

ROBOT = """
<mujoco model="arm">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.005"/>
  <default><geom contype="0" conaffinity="0" size="0.05" type="capsule" density="900"/></default>
  <worldbody>
    <body name="upper"><joint name="shoulder" axis="0 1 0" range="-2 2"/><geom fromto="0 0 0 0.3 0 0"/>
      <body name="lower" pos="0.3 0 0"><joint name="elbow" axis="0 1 0"/><geom fromto="0 0 0 0.2 0 0"/>
        <body name="slider" pos="0.2 0 0"><joint name="reach" type="slide" axis="1 0 0" range="0 0.2"/>
          <geom fromto="0 0 0 0.1 0 0"/><site name="tip" pos="0.1 0 0"/></body></body></body>
  </worldbody>
  <actuator>
    <motor name="m1" joint="shoulder" ctrlrange="-40 40"/><motor name="m2" joint="elbow" ctrlrange="-20 20"/>
    <motor name="m3" joint="reach" ctrlrange="-10 10"/>
  </actuator>
  <custom><numeric name="velocity_limits" data="3 4 1"/></custom>
</mujoco>
"""

TASK = """\
description: Reach.
robot: {model: arm.xml, frames: [tip], substeps: 4}
horizon: 30            # steps
dt: 0.02               # s
target: [0.5, 0.0, 0.1]
start:
  train:
    - {positions: [0.1, -0.2, 0.05]}
    - positions: [0.3, 0.4, 0.1]
      velocities: [0.5, 0.0, 0.0]
      target: [0.4, 0.0, 0.2]
  held_out:
    - {positions: [0.0, 0.0, 0.0], name: straight}
cost:
  - {term: frame_distance, frame: tip, l2: 10.0}
  - {term: state, block: velocities, weight: 0.1}
  - {term: action, weight: 0.001, target: gravity}
  - {term: joint_limits, weight: 0.1}
limits: {effort: [30.0, 20.0, 5.0], velocity: 1.0}
success: {frame: tip, target: condition, within: 0.02, over_last: 3}
planner: {max_iterations: 50}
"""


@pytest.fixture
def task_text() -> str:
    """A correct task file; its robot is `arm.xml`."""
    return TASK


@pytest.fixture
def robot_text() -> str:
    """The robot's file."""
    return ROBOT


@pytest.fixture
def write_task(tmp_path: Path) -> Callable[..., Path]:
    """The path of a task file of this text, with its robot beside it."""

    def write(text: str, robot: str = ROBOT, name: str = "spoilt.yaml") -> Path:
        (tmp_path / "arm.xml").write_text(robot, encoding="utf-8")
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.fixture
def task(write_task) -> Task:
    """The task of that file."""
    return load_task(write_task(TASK))
