"""A policy as feedback by the state of a task, one knot after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mbpl_control.core.errors import DefinitionMismatchError
from mbpl_control.core.feedback_law import FeedbackLaw
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import Array
from mbpl_control.policies.policy import GaussianPolicy

if TYPE_CHECKING:
    from mbpl_control.tasks.task import Task


def check_policy(policy: GaussianPolicy, task: Task) -> None:
    """Refuse a policy that is not for a task.

    Raises:
        DefinitionMismatchError: it sees something else, drives other actuators, is asked at another step, or was
            trained for another task; or the task's state has numbers whose differences are not plain ones.
    """
    if policy.task and policy.task != task.name:
        raise DefinitionMismatchError(f"the policy is for task '{policy.task}'; this is '{task.name}'")
    for what in ("actuator_names", "joint_names", "interface", "units"):
        have, want = getattr(policy.action, what), getattr(task.action, what)
        if have != want:
            raise DefinitionMismatchError(f"the policy's {what} are {have}; those of task '{task.name}' are {want}")
    if policy.observation != task.observation:
        raise DefinitionMismatchError(
            f"the policy sees {_blocks(policy.observation)}; task '{task.name}' shows {_blocks(task.observation)}"
        )
    if abs(policy.dt - task.dt) > 1e-9 * task.dt:
        raise DefinitionMismatchError(
            f"the policy is asked every {policy.dt:g} s; a step of task '{task.name}' lasts {task.dt:g} s"
        )
    if task.state.size != task.state.tangent_size:
        raise DefinitionMismatchError(
            f"the state of task '{task.name}' has {task.state.size} numbers and {task.state.tangent_size} directions; "
            "feedback of a policy needs a state of plain numbers (no ball or free joint)"
        )


def _blocks(definition: StateDefinition) -> str:
    return ", ".join(f"{b.kind}({', '.join(b.names)})" for b in definition.blocks)


class PolicyFeedback:
    r"""π_θ(u | M x + b) around a state x̂:  u ~ N( μ + J M (x − x̂), Σ ),  with μ, J, Σ those at o = M x̂ + b.

    μ is kept within the limits of the actuators; what feedback and noise add is limited where the action is applied.

    Args:
        policy: π_θ.
        task: says what a policy sees of x.
        condition: start condition whose target is meant.

    Raises:
        DefinitionMismatchError: see `check_policy`.
        TaskError: no such condition.
    """

    def __init__(self, policy: GaussianPolicy, task: Task, condition: int) -> None:
        """Check that they fit."""
        check_policy(policy, task)
        self._policy, self._task, self._condition = policy, task, condition
        self._map, _ = task.observation_map(condition)

    def begin(self) -> None:
        """An episode begins, which changes nothing here."""

    def at(self, x: Array, step: int = 0) -> FeedbackLaw:
        """The knot around a state (nx,); at each step the same."""
        mean, jacobian, covariance = self._policy.linearize(self._task.observe(x, self._condition))
        action = self._task.action
        planned = np.clip(mean, action.lower, action.upper)
        return FeedbackLaw(self._task.state, action, x, planned, jacobian @ self._map, covariance)
