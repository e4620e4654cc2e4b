"""Robots whose limits can be worked out by hand."""

from __future__ import annotations

import pytest

from mbpl_control.tasks import Task

#: Two slides in a plane without gravity, one of them limited, and a hinge under gravity, unlimited.
ROBOT = """
<mujoco model="gantry">
  <compiler angle="radian" autolimits="true"/>
  <default><geom contype="0" conaffinity="0" size="0.1" mass="1"/></default>
  <worldbody>
    <body><joint name="x" type="slide" axis="1 0 0" range="-1 1"/><geom/>
      <body><joint name="y" type="slide" axis="0 1 0"/><geom/>
        <body><joint name="swing" axis="0 1 0"/><inertial pos="0.2 0 0" mass="1" diaginertia="0.01 0.01 0.01"/></body>
      </body>
    </body>
  </worldbody>
  <actuator>{actuators}</actuator>
  <custom><numeric name="velocity_limits" data="2 5 8"/></custom>
</mujoco>
"""
MOTORS = """<motor name="mx" joint="x" ctrlrange="-10 10"/><motor name="my" joint="y" ctrlrange="-20 30"/>
<motor name="ms" joint="swing" ctrlrange="-4 4"/>"""


@pytest.fixture(scope="session")
def gantry(make_task) -> Task:
    """The robot of this file, driven by efforts."""
    return make_task(ROBOT.format(actuators=MOTORS), [0.0, 0.0, 0.0], limits={"position_soft_zone": 0.1})


@pytest.fixture(scope="session")
def servo_gantry(make_task):
    """The same robot driven through another interface: "velocity" or "position"."""

    def make(interface: str) -> Task:
        gain = "kv" if interface == "velocity" else "kp"
        ranges = {"x": "-3 3", "y": "-1 4", "swing": "-9 9"}
        text = "".join(f'<{interface} name="{j}" joint="{j}" {gain}="50" ctrlrange="{r}"/>' for j, r in ranges.items())
        return make_task(ROBOT.format(actuators=text), [0.0, 0.0, 0.0], limits={"position_soft_zone": 0.1})

    return make
