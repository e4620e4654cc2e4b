"""What it takes to build the same in-process agent again, in another process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mbpl_control.agents.mujoco import MujocoAgent
from mbpl_control.agents.simulation import SimulationOptions
from mbpl_control.core.errors import DefinitionMismatchError
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.tasks.task import Task, load_task


@dataclass(frozen=True)
class AgentRecipe:
    """A `MujocoAgent` as plain data: it travels to workers, where the agent itself, full of MuJoCo's memory, cannot.

    Attributes:
        path: of the task's file.
        hash: the task's; a file that was edited meanwhile is refused.
        options: of the simulated world.
        config: of the manager.
    """

    path: Path
    hash: str
    options: SimulationOptions
    config: ManagerConfig

    @classmethod
    def in_lockstep(cls, task: Task, rate: float | None = None) -> AgentRecipe:
        """As the graph runs a task in lockstep: the task's sensor noise, and laws executed to the letter.

        Args:
            task: what is tried.
            rate: Hz of sensors and commands; one command a step when None, which is all a `zero_order` law has to say.
        """
        rate = 1.0 / task.dt if rate is None else rate
        noise = task.noise
        options = SimulationOptions(rate=rate, position_noise=noise.position, velocity_noise=noise.velocity)
        config = ManagerConfig(
            rate=rate,
            # two periods of a slow task are longer than what a robot may be left alone for
            state_timeout=max(ManagerConfig.state_timeout, 2.5 / rate),
            blend_time=0.0,
            stream_blend_time=0.0,
        )
        return cls(task.path.resolve(), task.hash, options, config)

    def build(self) -> MujocoAgent:
        """Load the task and compile its simulation.

        Raises:
            TaskError: the file is gone or wrong.
            DefinitionMismatchError: it is another task by now.
        """
        task = load_task(self.path)
        if task.hash != self.hash:
            raise DefinitionMismatchError(f"{self.path}: its hash is {task.hash}; the trials are of {self.hash}")
        return MujocoAgent(task, self.options, self.config)
