"""Every task that is found, as an environment of Gymnasium: `mbpl/TASK-v0`, registered when this is imported.

    gymnasium.make("mbpl_control.environments:mbpl/cartpole_swingup-v0")

A task in a file of its own is `TaskEnvironment("my_task.yaml")`.
"""

from __future__ import annotations

import gymnasium

from mbpl_control.tasks.catalog import list_tasks

#: Of the environments: raised where the same actions would no longer give the same returns.
VERSION = 0


def register_tasks() -> list[str]:
    """Register the tasks that are found; names of all environments, those registered before among them."""
    names = []
    for name, path in list_tasks().items():
        names.append(f"mbpl/{name}-v{VERSION}")
        if names[-1] not in gymnasium.registry:
            entry = "mbpl_control.mbrl.task_environment:TaskEnvironment"
            gymnasium.register(names[-1], entry, kwargs={"task": str(path)})
    return names


register_tasks()
