"""Node `planner_controller`: plans on a model at each step, and streams the first action of each plan."""

from __future__ import annotations

from pathlib import Path

from mbpl_control.core import MbplError, RefusedError
from mbpl_control.mbrl.keeping import load_model, model_hash
from mbpl_control.mbrl.planning.feedback import PlannerFeedback, check_model
from mbpl_control.mbrl.planning.registry import PLANNERS
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.nodes.knot_source import Checkpoint, KnotSource
from mbpl_control.nodes.node_tools import declare
from mbpl_control.nodes.node_tools import main as run_node
from mbpl_control.tasks import Task
from mbpl_control.trajopt.planning import warm_up

#: In place of a file: the model that the task itself names.
OWN = "task"


class PlannerController(KnotSource):
    """At each step of the model one knot: the first action of a plan, and its gain where there is one."""

    def __init__(self) -> None:
        """Declare parameters; the work begins with configuration."""
        super().__init__("planner_controller", "model", f"; '{OWN}': the model that the task itself names")
        self._planner = declare(self, "planner", "icem", "What plans on the model.", choices=tuple(PLANNERS))
        self._seed = declare(self, "seed", 0, "Seed of what the planner draws.", 0, 2**62)

    def read(self, path: Path, task: Task) -> Checkpoint:
        """See `KnotSource.read`."""
        if str(path) == OWN:
            warm_up(task)
            return Checkpoint(None, task.dt, task.hash)
        model = load_model(path)
        try:
            check_model(model, task)
        except MbplError as error:
            raise RefusedError(f"{path}: {error}") from error
        return Checkpoint(model, model.dt, model_hash(model))

    def feedback(self, content: Dynamics | None, task: Task, condition: int) -> PlannerFeedback:
        """See `KnotSource.feedback`; the task's own model where there is no content."""
        model = task.dynamics(condition=condition) if content is None else content
        return PlannerFeedback(model, task, condition, self._planner, self._seed)


def main() -> None:
    """Run the node."""
    run_node(PlannerController)


if __name__ == "__main__":
    main()
