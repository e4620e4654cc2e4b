"""A sledge on two rails, whose motion can be worked out by hand, under a manager whose clocks are turned by hand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from mbpl_control.core import FeedbackLaw, LinearGaussianController
from mbpl_control.runtime import Command, ControllerEntry, ManagerConfig, ManagerCore, RobotSample, Strictness
from mbpl_control.runtime.claims import Claims
from mbpl_control.tasks import Task

#: Two slides without gravity, 2 kg and 1 kg, far from any limit of position or speed.
SLEDGE = """
<mujoco model="sledge">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.005" gravity="0 0 0"/>
  <default><geom contype="0" conaffinity="0" size="0.1" mass="1"/></default>
  <worldbody>
    <body name="outer"><joint name="x" type="slide" axis="1 0 0"/><geom/>
      <body name="inner"><joint name="y" type="slide" axis="0 1 0"/><geom/></body>
    </body>
  </worldbody>
  <actuator><motor name="mx" joint="x" ctrlrange="-10 10"/><motor name="my" joint="y" ctrlrange="-20 20"/></actuator>
  <custom><numeric name="velocity_limits" data="50 50"/></custom>
</mujoco>
"""
MILLISECOND = 1_000_000


@pytest.fixture(scope="session")
def sledge(make_task) -> Task:
    """The task of this file: 20 steps of 50 ms."""
    return make_task(SLEDGE, [0.0, 0.0])


@pytest.fixture(scope="session")
def make_law(sledge: Task) -> Callable[..., LinearGaussianController]:
    """A law of the sledge that plays one effort for ever, with any field changed."""

    def make(effort: Sequence[float] = (0.0, 0.0), steps: int = 20, **fields: Any) -> LinearGaussianController:
        values = {
            "dt": 0.05,
            "nominal_states": np.zeros((steps + 1, 4)),
            "nominal_actions": np.tile(np.array(effort, dtype=float), (steps, 1)),
            "gains": np.zeros((steps, 2, 4)),
        }
        return LinearGaussianController(sledge.robot.state, sledge.action, **{**values, **fields})

    return make


@pytest.fixture(scope="session")
def make_knot(sledge: Task) -> Callable[..., FeedbackLaw]:
    """One knot of feedback of the sledge."""

    def make(effort: Sequence[float] = (0.0, 0.0), gain: Any = None, covariance: Any = None) -> FeedbackLaw:
        k = np.zeros((2, 4)) if gain is None else gain
        return FeedbackLaw(sledge.robot.state, sledge.action, np.zeros(4), np.array(effort, dtype=float), k, covariance)

    return make


class Bench:
    """A manager with a robot's clock and a steady one, in ms; the steady one is far ahead."""

    def __init__(self, task: Task, **config: Any) -> None:
        """Start idle at 1 s, with controllers for whole horizons and for knots."""
        self.core = ManagerCore(task, ManagerConfig(**{"rate": 200.0, **config}))
        for mode in ("mean", "open_loop", "sampled"):
            self.core.registry.add(ControllerEntry(mode, "linear_gaussian", mode, f"planner/{mode}"))
        self.core.registry.add(ControllerEntry("policy", "feedback_law", source="policy/feedback_law"))
        self.stamp = 1000.0
        self.lead = 777_000.0
        self.sequence = 0
        self.q = np.zeros(2)
        self.v = np.zeros(2)

    @property
    def stamp_ns(self) -> int:
        """The robot's clock."""
        return round(self.stamp * MILLISECOND)

    @property
    def steady_ns(self) -> int:
        """The steady clock."""
        return round((self.stamp + self.lead) * MILLISECOND)

    def sample(self) -> RobotSample:
        """The robot now."""
        return RobotSample(np.concatenate([self.q, self.v]), self.q.copy(), self.v.copy(), self.stamp_ns)

    def tick(self, after: float = 5.0) -> Command | None:
        """A state arrives `after` ms."""
        self.stamp += after
        return self.core.tick(self.sample(), self.steady_ns)

    def ticks(self, count: int) -> list[Command]:
        """So many states arrive, each answered."""
        commands = [self.tick() for _ in range(count)]
        assert all(c is not None for c in commands)
        return commands  # type: ignore[return-value]

    def silence(self, milliseconds: float, every: float = 5.0) -> list[Command]:
        """No state arrives; what the manager sends meanwhile."""
        commands = []
        for _ in range(round(milliseconds / every)):
            self.stamp += every
            command = self.core.watch(self.steady_ns)
            if command is not None:
                commands.append(command)
        return commands

    def law(self, name: str, law: Any, **stamps: int) -> None:
        """A law arrives for a controller."""
        self.sequence += 1
        self.core.on_law(name, law, self.sequence, self.steady_ns, **stamps)

    def switch(self, *activate: str, off: Sequence[str] = (), strictness: Strictness = Strictness.STRICT) -> str:
        """A request to switch."""
        return self.core.switch(list(activate), list(off), strictness, self.steady_ns)

    def run(self, name: str, law: Any = None, **stamps: int) -> Command:
        """From idle to an active controller that is past its blending."""
        self.tick()
        if law is not None:
            self.law(name, law, **stamps)
        self.switch(name)
        return self.ticks(20)[-1]


@pytest.fixture(scope="session")
def make_part(sledge: Task) -> Callable[..., LinearGaussianController]:
    """A law of one joint of the sledge, which knows the whole state and plays one effort."""
    claims = Claims(sledge.action)

    def make(joint: str, effort: float = 0.0, steps: int = 1000, **fields: Any) -> LinearGaussianController:
        values = {
            "dt": 0.05,
            "nominal_states": np.zeros((steps + 1, 4)),
            "nominal_actions": np.full((steps, 1), float(effort)),
            "gains": np.zeros((steps, 1, 4)),
        }
        return LinearGaussianController(sledge.robot.state, claims.of([joint]).action, **{**values, **fields})

    return make


@pytest.fixture
def make_bench(sledge: Task) -> Callable[..., Bench]:
    """A manager of the sledge, with any setting changed."""

    def make(**config: Any) -> Bench:
        return Bench(sledge, **config)

    return make


@pytest.fixture
def bench(make_bench) -> Bench:
    """A manager of the sledge with its usual settings: state time-out 0.1 s, law 0.5 s, zero 1 s, blending 60 ms."""
    return make_bench()
