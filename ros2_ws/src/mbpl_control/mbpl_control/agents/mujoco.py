"""Trials in process: the simulated robot and the controller manager, without a graph between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mbpl_control.agents.agent import Agent, Law, law_name
from mbpl_control.agents.collector import TrialCollector
from mbpl_control.agents.law_source import UNDER_TRIAL, LawSource, PolicySource, WholeHorizon
from mbpl_control.agents.managed import ManagedRobot, robot_state
from mbpl_control.agents.simulation import Simulation, SimulationOptions
from mbpl_control.core import ExecutionMode, LinearGaussianController, Trial
from mbpl_control.core.errors import InvalidFieldError, ModelError, RefusedError
from mbpl_control.core.validation import Array
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.policies.feedback import PolicyFeedback
from mbpl_control.runtime.command import Command
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.executors import RobotSample
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
        robot = ManagedRobot(self.task, simulation, source, self.config, mode.value, seed)
        if condition not in self._costs:
            self._costs[condition] = self.task.cost(condition)
        cost = self._costs[condition]
        collector = TrialCollector(self.task, UNDER_TRIAL, condition, seed, steps, cost)
        sample = robot.hold()
        self._collect(collector, sample, robot.begin(sample))
        simulation.step()
        for push in self.disturbances:
            simulation.disturb(push.body, push.wrench, push.delay, push.duration)
        reason = "completed"
        try:
            while robot.manager.mode == "active" and not collector.complete:
                measured = robot.measure()
                self._collect(collector, measured, robot.answer(measured))
                simulation.step()
        except (ModelError, RefusedError) as error:
            reason = f"aborted: {error}"
        if not collector.complete and reason == "completed":
            reason = f"aborted: {robot.manager.reason}"
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

    def _collect(self, collector: TrialCollector, sample: RobotSample | None, command: Command | None) -> None:
        """A state and what answered it, to the collector."""
        now = self.simulation.now_ns
        if sample is not None:
            collector.on_state(now, sample.x, robot_state(sample.q, sample.v))
        if command is not None:
            collector.on_command(now, command.controller, command.values)
