"""Trials in process: the simulated robot and the controller manager, without a graph between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from mbpl_control.agents.agent import Agent, Law, law_name
from mbpl_control.agents.collector import TrialCollector
from mbpl_control.agents.law_source import UNDER_TRIAL, LawSource, PolicySource, WholeHorizon
from mbpl_control.agents.simulation import Measurement, Simulation, SimulationOptions
from mbpl_control.core import ExecutionMode, LinearGaussianController, Trial
from mbpl_control.core.errors import InvalidFieldError, ModelError, RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.policies.feedback import PolicyFeedback
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.executors import RobotSample
from mbpl_control.runtime.manager import ManagerCore
from mbpl_control.runtime.registry import ControllerEntry
from mbpl_control.runtime.switching import Strictness
from mbpl_control.tasks.task import Task


@dataclass(frozen=True)
class Disturbance:
    """A push during a trial.

    Attributes:
        body: name of the body, pushed at its centre of mass.
        wrench: (6,) force N and torque N·m, world axes.
        delay: s after the law's first command.
        duration: s.
    """

    body: str
    wrench: Array
    delay: float
    duration: float


class MujocoAgent(Agent):
    """The manager's own code answers every state of the simulation at once: what the graph does in lockstep.

    Args:
        task: what is tried.
        options: what is wrong with the simulated world; only the task's own sensor noise when None.
        config: of the manager; its rate becomes that of the simulation.
        disturbances: pushes in every trial.
        settle_time: s with locked joints before the law takes over, as the trial runner's parameter of that name.

    Raises:
        InvalidFieldError: a step of the task is not a whole number of control periods.
        ModelError: the robot has a ball or free joint.
    """

    def __init__(
        self,
        task: Task,
        options: SimulationOptions | None = None,
        config: ManagerConfig | None = None,
        disturbances: Sequence[Disturbance] = (),
        settle_time: float = 0.1,
    ) -> None:
        """Compile the simulation."""
        self.settle_time = settle_time
        self.task = task
        if options is None:
            options = SimulationOptions(position_noise=task.noise.position, velocity_noise=task.noise.velocity)
        self.config = replace(ManagerConfig() if config is None else config, rate=options.rate)
        self.disturbances = tuple(disturbances)
        self.simulation = Simulation(task, options)
        self._costs: dict[int, SumCost] = {}
        periods = task.dt * options.rate
        if abs(periods - round(periods)) > 1e-6 or round(periods) < 1:
            raise InvalidFieldError(
                "SimulationOptions",
                "rate",
                f"{options.rate:g} Hz",
                f"a whole multiple of 1 / dt = {1.0 / task.dt:g} Hz of task '{task.name}'",
            )

    def run(self, law: Law, mode: ExecutionMode, condition: int, seed: int, iteration: int = 0) -> Trial:
        """See `Agent.run`; nothing is recorded here."""
        start = self.task.condition(condition)
        source = self._source(law, condition)
        steps = law.steps if isinstance(law, LinearGaussianController) else self.task.horizon
        simulation = self.simulation
        simulation.reset(start.state, seed, self.settle_time, start.bodies)
        manager = ManagerCore(self.task, source.config(self.config, seed))
        manager.registry.add(ControllerEntry(UNDER_TRIAL, source.type, mode.value))
        if condition not in self._costs:
            self._costs[condition] = self.task.cost(condition)
        cost = self._costs[condition]
        collector = TrialCollector(self.task, UNDER_TRIAL, condition, seed, steps, cost)
        self._take_over(manager, collector, source)
        for push in self.disturbances:
            simulation.disturb(push.body, push.wrench, push.delay, push.duration)
        reason = "completed"
        try:
            while manager.mode == "active" and not collector.complete:
                self._period(manager, collector, source)
        except (ModelError, RefusedError) as error:
            reason = f"aborted: {error}"
        if not collector.complete and reason == "completed":
            reason = f"aborted: {manager.reason}"
        trial, _ = collector.trial(reason)
        return replace(trial, controller=law_name(law))

    def _source(self, law: Law, condition: int) -> LawSource:
        """What gives the manager its laws."""
        if not isinstance(law, LinearGaussianController):
            return PolicySource(PolicyFeedback(law, self.task, condition))
        if abs(law.dt - self.task.dt) > 1e-9 * self.task.dt:
            raise InvalidFieldError(
                "LinearGaussianController", "dt", f"{law.dt} s", f"{self.task.dt} s, the step of the task"
            )
        return WholeHorizon(law)

    def _take_over(self, manager: ManagerCore, collector: TrialCollector, source: LawSource) -> None:
        """The hold answers while the joints are locked and at their release; the law answers that last state anew."""
        simulation = self.simulation
        now = simulation.now_ns
        sample = self._sample(self._measurement(), now)
        manager.tick(sample, now)
        manager.switch(["hold"], [], Strictness.STRICT, now)
        while True:
            command = manager.tick(sample, now)
            if now >= simulation.released_ns:
                break
            if command is not None:
                simulation.command(command.values)
            simulation.step()
            now = simulation.now_ns
            sample = self._sample(self._measurement(), now)
        # held anew from exactly here: what the law takes over then depends on this state and no other
        manager.switch(["hold"], ["hold"], Strictness.STRICT, now)
        manager.tick(sample, now)
        source.tell(manager, sample, now)
        manager.switch([UNDER_TRIAL], ["hold"], Strictness.STRICT, now)
        self._answer(manager, sample, now, collector, source)
        simulation.step()

    def _measurement(self) -> Measurement:
        """A measurement that is not lost: nothing begins without one."""
        measurement = self.simulation.measure()
        while measurement is None:
            measurement = self.simulation.measure()
        return measurement

    def _period(self, manager: ManagerCore, collector: TrialCollector, source: LawSource) -> None:
        """One state, its answer, and the physics until the next state."""
        simulation = self.simulation
        now = simulation.now_ns
        measurement = simulation.measure()
        sample = None if measurement is None else self._sample(measurement, now)
        self._answer(manager, sample, now, collector, source)
        simulation.step()

    def _answer(
        self, manager: ManagerCore, sample: RobotSample | None, now: int, collector: TrialCollector, source: LawSource
    ) -> None:
        """The manager's command, by a state or by the lack of one, to simulation and collector."""
        if sample is None:
            command = manager.watch(now)
        else:
            command = manager.tick(sample, now)
            if manager.waits:
                source.tell(manager, sample, now)
                command = manager.tick(sample, now)
            collector.on_state(now, sample.x, np.concatenate([sample.q, sample.v]))
        if command is not None:
            collector.on_command(now, command.controller, command.values)
            self.simulation.command(command.values)

    def _sample(self, measurement: Measurement, stamp_ns: int) -> RobotSample:
        q, v = measurement.q, measurement.v
        robot = np.concatenate([q, v])
        return RobotSample(self.task.task_state(robot[None])[0], q, v, stamp_ns)
