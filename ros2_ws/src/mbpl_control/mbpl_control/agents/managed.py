"""The manager's own code on a simulated robot: what the graph does in lockstep, without a graph."""

from __future__ import annotations

import numpy as np

from mbpl_control.agents.law_source import UNDER_TRIAL, LawSource
from mbpl_control.agents.simulation import Measurement, Simulation
from mbpl_control.core.validation import Array
from mbpl_control.runtime.command import Command
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.executors import RobotSample
from mbpl_control.runtime.manager import ManagerCore
from mbpl_control.runtime.registry import ControllerEntry
from mbpl_control.runtime.switching import Strictness
from mbpl_control.tasks.task import Task


class ManagedRobot:
    """A trial under way, one period after the other: `hold`, `begin`, then `measure` and `answer` in turns.

    Args:
        task: what is tried.
        simulation: of its robot, put at a start condition.
        source: of the laws that are tried.
        config: of the manager, but for what the source knows.
        mode: of execution, as of `ControllerEntry`.
        seed: of the laws' noise.

    Attributes:
        manager: that answers.
    """

    def __init__(
        self, task: Task, simulation: Simulation, source: LawSource, config: ManagerConfig, mode: str, seed: int
    ) -> None:
        """Give the manager a controller for the laws of the source."""
        self._task, self._simulation, self._source = task, simulation, source
        self.manager = ManagerCore(task, source.config(config, seed))
        self.manager.registry.add(ControllerEntry(UNDER_TRIAL, source.type, mode))

    def hold(self) -> RobotSample:
        """Have the hold answer while the joints are locked and at their release; the state they are released at."""
        simulation, manager = self._simulation, self.manager
        now = simulation.now_ns
        sample = self._sample(self._measurement(), now)
        manager.tick(sample, now)
        manager.switch(["hold"], [], Strictness.STRICT, now)
        while True:
            command = manager.tick(sample, now)
            if now >= simulation.released_ns:
                return sample
            if command is not None:
                simulation.command(command.values)
            simulation.step()
            now = simulation.now_ns
            sample = self._sample(self._measurement(), now)

    def begin(self, sample: RobotSample) -> Command | None:
        """Have the law take over, and answer the state of the release anew."""
        manager, now = self.manager, self._simulation.now_ns
        # held anew from exactly here: what the law takes over then depends on this state and no other
        manager.switch(["hold"], ["hold"], Strictness.STRICT, now)
        manager.tick(sample, now)
        self._source.tell(manager, sample, now)
        manager.switch([UNDER_TRIAL], ["hold"], Strictness.STRICT, now)
        return self.answer(sample)

    def measure(self) -> RobotSample | None:
        """The state now; None when the measurement is lost."""
        measurement = self._simulation.measure()
        return None if measurement is None else self._sample(measurement, self._simulation.now_ns)

    def answer(self, sample: RobotSample | None) -> Command | None:
        """Send the manager's command, by a state or by the lack of one, to the robot."""
        manager, now = self.manager, self._simulation.now_ns
        if sample is None:
            command = manager.watch(now)
        else:
            command = manager.tick(sample, now)
            if manager.waits:
                self._source.tell(manager, sample, now)
                command = manager.tick(sample, now)
        if command is not None:
            self._simulation.command(command.values)
        return command

    def _measurement(self) -> Measurement:
        """A measurement that is not lost: nothing begins without one."""
        measurement = self._simulation.measure()
        while measurement is None:
            measurement = self._simulation.measure()
        return measurement

    def _sample(self, measurement: Measurement, stamp_ns: int) -> RobotSample:
        robot = robot_state(measurement.q, measurement.v)
        return RobotSample(self._task.task_state(robot[None])[0], measurement.q, measurement.v, stamp_ns)


def robot_state(q: Array, v: Array) -> Array:
    """The robot's own state (nq + nv,)."""
    return np.concatenate([q, v])
