"""What learning, evaluation and the command line may ask of whoever runs a trial."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TypeAlias

from mbpl_control.core import ExecutionMode, LinearGaussianController, Trial
from mbpl_control.policies.policy import GaussianPolicy
from mbpl_control.tasks.task import Task

#: What may be tried: a controller over its horizon, or a policy that is asked at each step of the task.
Law: TypeAlias = LinearGaussianController | GaussianPolicy


def law_name(law: Law) -> str:
    """The name of a law, as its trials carry it."""
    return law.name if isinstance(law, LinearGaussianController) else "policy"


class Agent(ABC):
    """Runs one law from one start condition: a controller over its whole horizon, or a policy over the task's.

    A policy is asked at the state at which a step of the task begins, and its answer is in force over the step: mean
    and Jacobian, and in the sampled mode a draw with them, held like the noise of a controller.

    The same law, mode, condition and seed give the same trial to the last bit, whoever runs it in lockstep: the robot
    is put at the start condition with its joints locked, the seed counts from there, the manager's hold answers each
    state for the settling time, and the law takes over at the state at which the joints are released.

    Attributes:
        task: what is tried.
    """

    task: Task

    @abstractmethod
    def run(self, law: Law, mode: ExecutionMode, condition: int, seed: int, iteration: int = 0) -> Trial:
        """Run `law` once.

        Args:
            law: a controller whose step is that of the task, or a policy for the task.
            mode: open loop, mean feedback, or sampled.
            condition: start condition of the task.
            seed: of all noise, the law's and the world's.
            iteration: of learning that the trial is for, from 1, as its bag tells it where there is one; 0 for none.

        Returns:
            What happened; `stop_reason` says why when it is not "completed", and the trial is then shorter.

        Raises:
            RefusedError: the law was refused, or the trial ended before its first step was over.
            DefinitionMismatchError: a policy is not for this task.
            TaskError: there is no such condition.
        """
