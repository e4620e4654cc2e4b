"""Robots of all kinds of joints, and finite differences to hold their derivatives against."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.core import StateSpace
from mbpl_control.models import Dynamics, RobotModel, resolve

PANDA = "package://example-robot-data/robots/panda_description/urdf/panda.urdf"

#: A slide and hinges about skew axes, off their anchors, at rest away from zero; a branch; sites that are turned.
TREE = """
<mujoco model="tree">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.002" integrator="Euler"/>
  <default><geom contype="0" conaffinity="0" density="800"/></default>
  <worldbody>
    <body name="base" pos="0.1 -0.2 0.3" quat="0.8 0.2 -0.4 0.4">
      <joint name="rail" type="slide" axis="1 2 -1" damping="3" armature="0.2" ref="0.3"/>
      <geom type="box" size="0.1 0.08 0.05" pos="0.02 0.01 0"/>
      <body name="upper" pos="0.1 0 0.2" euler="0.3 -0.5 0.2">
        <joint name="swing" axis="0.2 1 0.3" pos="0.05 0 -0.1" damping="0.4" ref="0.7"/>
        <joint name="twist" axis="0 0 1" damping="0.2" armature="0.01"/>
        <geom type="capsule" fromto="0 0 0 0.3 0.1 0" size="0.03"/>
        <site name="elbow" pos="0.3 0.1 0" euler="0.2 0.1 -0.6"/>
        <body name="hand" pos="0.3 0.1 0">
          <joint name="wrist" axis="1 0 0" pos="0 0.02 0"/>
          <geom type="box" size="0.05 0.02 0.01" pos="0.06 0 0.01" euler="0.1 0.2 0.3"/>
          <site name="tip" pos="0.1 0.02 0.03" quat="0.5 0.5 -0.5 0.5"/>
        </body>
      </body>
      <body name="branch" pos="-0.1 0 0">
        <joint name="nod" axis="0 1 0" range="-1 1"/>
        <geom type="sphere" size="0.06" pos="0 0 0.1"/>
      </body>
    </body>
  </worldbody>
  <actuator>
    <motor name="m_rail" joint="rail" gear="10" ctrlrange="-4 6"/>
    <motor name="m_swing" joint="swing" gear="-2" ctrlrange="-5 3"/>
    <motor name="m_wrist" joint="wrist" ctrlrange="-2 2"/>
  </actuator>
</mujoco>
"""

#: A body that floats, with an arm on a ball joint and a driven hinge.
FLOATER = """
<mujoco model="floater">
  <compiler angle="radian"/>
  <option timestep="0.005" integrator="Euler" gravity="0 0 -2"/>
  <default><geom contype="0" conaffinity="0" density="500"/></default>
  <worldbody>
    <body name="hull" pos="0 0 1">
      <freejoint name="float"/>
      <geom type="box" size="0.2 0.1 0.05"/>
      <body name="arm" pos="0.2 0 0">
        <joint name="shoulder" type="ball" pos="0.01 0 0.02" damping="0.1"/>
        <geom type="capsule" fromto="0 0 0 0.2 0 0.1" size="0.03"/>
        <body name="forearm" pos="0.2 0 0.1">
          <joint name="elbow" axis="0 1 0.5" damping="0.05"/>
          <geom type="capsule" fromto="0 0 0 0.1 0.1 0" size="0.02"/>
          <site name="tip" pos="0.1 0.1 0"/>
        </body>
      </body>
    </body>
  </worldbody>
  <actuator><motor name="elbow" joint="elbow" ctrlrange="-1 1" ctrllimited="true"/></actuator>
</mujoco>
"""


@pytest.fixture(scope="session")
def make_robot(tmp_path_factory) -> Callable[..., RobotModel]:
    """A robot from the text of its file."""
    directory = tmp_path_factory.mktemp("robots")

    def make(text: str, name: str = "robot.xml", **options: object) -> RobotModel:
        path = directory / f"{abs(hash(text))}_{name}"
        path.write_text(text, encoding="utf-8")
        return RobotModel.from_file(path, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def robots(make_robot, robot_files: Path) -> dict[str, RobotModel]:
    """Robots that ship, the Panda of example-robot-data, and two of this file."""
    shipped = {path.stem: RobotModel.from_file(path) for path in sorted(robot_files.glob("*.xml"))}
    return {
        **shipped,
        "panda": RobotModel.from_file(resolve(PANDA)),
        "tree": make_robot(TREE),
        "floater": make_robot(FLOATER),
    }


@pytest.fixture(scope="session")
def random_states() -> Callable[..., np.ndarray]:
    """States within the position limits, at moderate speed. (count, nx)."""

    def draw(robot: RobotModel, count: int, seed: int = 0) -> np.ndarray:
        rng = np.random.default_rng(seed)
        space = robot.state.space
        limited = np.isfinite(robot.position_upper)
        lower = np.where(limited, robot.position_lower, -1.9)
        upper = np.where(limited, robot.position_upper, 1.9)
        offset = 0.5 * (lower + upper) + 0.4 * (upper - lower) * rng.uniform(-1, 1, (count, robot.nv))
        moves = np.concatenate([offset, 0.5 * rng.normal(size=(count, robot.nv))], axis=1)
        return space.integrate(np.broadcast_to(space.neutral(), (count, space.size)), moves)

    return draw


def tangent_differences(
    function: Callable[[np.ndarray], np.ndarray], inside: StateSpace, outside: StateSpace, x: np.ndarray, h: float
) -> np.ndarray:
    """Central differences of a map between spaces, (..., nx) → (..., ny), in their tangent spaces. (ndy, ndx)."""
    columns = []
    for i in range(inside.tangent_size):
        dx = np.zeros(inside.tangent_size)
        dx[i] = h
        plus, minus = function(inside.integrate(x, dx)), function(inside.integrate(x, -dx))
        columns.append(outside.difference(plus, minus) / (2 * h))
    return np.stack(columns, axis=-1)


@pytest.fixture(scope="session")
def numeric_linearization() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """A and B of a model at one state and action, by central differences of its step."""

    def numeric(dynamics: Dynamics, x: np.ndarray, u: np.ndarray, h: float = 1e-6) -> tuple[np.ndarray, np.ndarray]:
        space = dynamics.state.space
        flat = StateSpace(["euclidean"] * len(u))
        a = tangent_differences(lambda s: dynamics.step(s[None], u[None])[0], space, space, x, h)
        b = tangent_differences(lambda c: dynamics.step(x[None], c[None])[0], flat, space, u, h)
        return a, b

    return numeric
