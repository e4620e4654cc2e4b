"""What a learned policy sees and drives, by name, so that it runs on the robot."""

from __future__ import annotations

from mbpl_control.core.errors import DefinitionMismatchError
from mbpl_control.mbrl.task_view import TaskView
from mbpl_control.policies.feedback import check_policy
from mbpl_control.policies.policy import GaussianPolicy
from mbpl_control.tasks.task import Task


def named_policy(policy: GaussianPolicy, task: Task, view: TaskView) -> GaussianPolicy:
    """The same policy, with the names of a task's numbers in place of those its learner gave them.

    What the learner saw as plain numbers, φ(o) with the sine and cosine of each angle, is what a policy that sees o
    makes of it by itself.

    Args:
        policy: of the features of the view, and the task's actions.
        task: whose `neural_policy` shall run it.
        view: of the task that it was learned from.

    Raises:
        DefinitionMismatchError: it sees other numbers, or sees what a policy of the task may not see.
    """
    size, m = view.features.size, task.action.size
    if not policy.features.identity or (policy.observation.size, policy.action.size) != (size, m):
        have = f"{policy.observation.size} numbers and gives {policy.action.size}"
        raise DefinitionMismatchError(f"the policy sees {have}; task '{task.name}' shows {size} and takes {m}")
    state = policy.to_state()
    header = state["header"] | {
        "observation": view.definition.to_dict(),
        "action": task.action.to_dict(),
        "dt": task.dt,
        "task": task.name,
        "task_hash": task.hash,
    }
    named = GaussianPolicy.from_state({"header": header, "arrays": state["arrays"]})
    check_policy(named, task)
    return named
