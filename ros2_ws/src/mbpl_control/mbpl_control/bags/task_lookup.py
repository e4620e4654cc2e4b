"""The task of a recorded trial: as given, or by the name and hash that stand in its bag."""

from __future__ import annotations

from mbpl_control.core import Trial
from mbpl_control.core.errors import MbplError
from mbpl_control.tasks.task import Task, load_task


class TaskLookup:
    """Finds tasks, each once.

    Args:
        given: the task of all trials; by name and hash of each when None.

    Attributes:
        given: the same.
        missing: why there is none, by name and hash of a task that was not found.
    """

    def __init__(self, given: Task | None = None) -> None:
        """Begin without a search."""
        self.given = given
        self.missing: dict[tuple[str, str], str] = {}
        self._found: dict[tuple[str, str], Task | None] = {}

    def of(self, trial: Trial) -> Task | None:
        """The task of a trial; None where there is none, and `missing` says why."""
        if self.given is not None:
            return self.given
        key = (trial.task, trial.task_hash)
        if key not in self._found:
            self._found[key] = self._look_up(*key)
        return self._found[key]

    def why(self, trial: Trial) -> str:
        """Why there is no task of a trial."""
        return self.missing[trial.task, trial.task_hash]

    def _look_up(self, name: str, task_hash: str) -> Task | None:
        hint = "give the file of its task with --task"
        if not name:
            self.missing[name, task_hash] = f"the bag names no task; {hint}"
            return None
        try:
            task = load_task(name)
        except MbplError as error:
            self.missing[name, task_hash] = f"{error}; {hint}"
            return None
        if task.hash != task_hash:
            self.missing[name, task_hash] = (
                f"task '{name}' was recorded as {task_hash}, and is another by now ({task.hash}); give the file of "
                "then with --task"
            )
            return None
        return task
