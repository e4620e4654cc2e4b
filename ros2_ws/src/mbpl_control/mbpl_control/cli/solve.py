"""`mbpl tasks` and `mbpl solve`: what there is to do, and a plan for it, in process."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mbpl_control.core import ExecutionMode, LinearGaussianController, Trial
from mbpl_control.core.errors import FileFormatError, InvalidFieldError, TaskError
from mbpl_control.tasks import Task, load_task
from mbpl_control.tasks.catalog import list_tasks
from mbpl_control.tasks.reading import TaskDocument
from mbpl_control.trajopt import ILQRResult
from mbpl_control.trajopt.planning import plan_task, task_controller, task_options, warm_up

#: The end of a trial that is judged beside the task's own rule, s.
LAST_SECONDS = 0.5


def print_tasks(as_json: bool) -> None:
    """Print every task that is found, with its file; a broken one with what is wrong with it."""
    rows = []
    for name, path in list_tasks().items():
        try:
            description, problem = TaskDocument(path).file.description, None
        except TaskError as error:
            description, problem = "", str(error).splitlines()[0]
        rows.append({"name": name, "file": str(path), "description": description, "error": problem})
    if as_json:
        print(json.dumps({"tasks": rows}))
        return
    console = Console()
    if not rows:
        console.print("no tasks found; source the workspace, or set MBPL_TASK_PATH to a directory of task files")
        return
    table = Table("task", "description")
    table.add_column("file", overflow="fold")
    for row in rows:
        text = escape(str(row["description"])) if row["error"] is None else f"[red]{escape(str(row['error']))}[/]"
        table.add_row(escape(str(row["name"])), text, escape(str(row["file"])))
    console.print(table)


@dataclass(frozen=True)
class Execution:
    """How the law did on the simulated robot.

    Attributes:
        trial: what happened; None when it could not be run.
        reason: why it could not be run; empty when it could.
        success: whether the task's rule held.
        final: distance at the last state, m or rad; NaN when the task has no rule.
        worst: largest distance over the last half second.
        unit: "m" or "rad".
        seconds: of wall time.
    """

    trial: Trial | None
    reason: str
    success: bool
    final: float
    worst: float
    unit: str
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        return {
            "executed": self.trial is not None,
            "reason": self.reason or None,
            "mode": ExecutionMode.MEAN.value,
            "success": self.success,
            "final_distance": _number(self.final),
            "worst_last_half_second": _number(self.worst),
            "unit": self.unit or None,
            "cost": None if self.trial is None else _number(self.trial.cost),
            "steps": 0 if self.trial is None else self.trial.steps,
            "stop_reason": None if self.trial is None else self.trial.stop_reason,
            "seconds": self.seconds,
        }


def solve_task(
    name: str,
    condition: int,
    as_json: bool = False,
    save: Path | None = None,
    iterations: int | None = None,
    execute: bool = True,
    seed: int = 0,
) -> bool:
    """Plan a task, print how it went, run the law once under MuJoCo with feedback.

    Args:
        name: of the task, or the path of its file.
        condition: start condition.
        as_json: print one JSON object and nothing else on standard output.
        save: where the controller is written.
        iterations: at most so many; as the task says when None.
        execute: whether the law is run.
        seed: of the first actions and of the trial.

    Returns:
        Whether the plan converged.

    Raises:
        MbplError: an argument is wrong, before anything was written; or there is no plan.
    """
    console = Console(stderr=as_json, soft_wrap=True, highlight=False)
    task = load_task(name)
    start = task.condition(condition)
    changes: dict[str, Any] = {} if iterations is None else {"max_iterations": iterations}
    options = task_options(task, **changes)
    if not 0 <= seed < 2**62:
        raise InvalidFieldError("mbpl solve", "seed", str(seed), "0 to 2^62 − 1")
    if save is not None:
        _check_writable(save)
    console.print(f"{escape(task.name)}, start condition {condition} ({escape(start.name)}), backend {task.backend()}")
    with console.status("loading compiled kernels; the first time on a machine they are compiled"):
        begin = time.perf_counter()
        warm_up(task)
        loading = time.perf_counter() - begin
    with console.status("planning") as status:
        done = 0

        def tell(iteration: Any) -> None:
            nonlocal done
            done += 1
            status.update(f"iteration {done} of at most {options.max_iterations}: cost {iteration.cost:.6g}")

        result = plan_task(task, condition, seed=seed, callback=tell, **changes)
    console.print(escape(result.summary()))
    law = task_controller(task, result)
    execution = _execute(task, law, condition, seed, console) if execute else None
    written = None if save is None else law.save(save)
    if as_json:
        outcome = _outcome(task, condition, start.name, result, execution, loading, written)
        print(json.dumps(outcome, allow_nan=False))
        return result.converged
    if written is not None:
        console.print(f"controller written to {escape(str(written))}")
    return result.converged


def _execute(task: Task, law: LinearGaussianController, condition: int, seed: int, console: Console) -> Execution:
    """One trial with mean feedback on the simulated robot."""
    if not task.robot.is_one_number_per_joint:
        reason = "the manager and the simulation hold one number a joint, and this robot has a ball or free joint"
        console.print(f"not run: {reason}")
        return Execution(None, reason, False, math.nan, math.nan, "", 0.0)
    from mbpl_control.agents.mujoco import MujocoAgent

    with console.status("running the law under MuJoCo"):
        begin = time.perf_counter()
        trial = MujocoAgent(task).run(law, ExecutionMode.MEAN, condition, seed)
        seconds = time.perf_counter() - begin
    states = trial.states[:, task.robot.state.selection_from(trial.state)]
    distances = task.distances(states, condition)
    last = distances[-1 - min(round(LAST_SECONDS / task.dt), trial.steps) :]
    unit = task.success(states, condition).unit
    execution = Execution(trial, "", trial.success, float(distances[-1]), float(last.max()), unit, seconds)
    verdict = "[green]success[/]" if trial.success else "[bold red]no success[/]"
    measured = (
        f": {execution.final:.4g} {unit} at the end, at most {execution.worst:.4g} {unit} over the last "
        f"{LAST_SECONDS} s"
        if unit
        else " to judge: the task has no rule"
    )
    aborted = "" if trial.stop_reason == "completed" else f" ({escape(trial.stop_reason)})"
    console.print(f"run with feedback: {verdict}{measured}; cost {trial.cost:.6g}{aborted}")
    return execution


def _outcome(
    task: Task,
    condition: int,
    condition_name: str,
    result: ILQRResult,
    execution: Execution | None,
    loading: float,
    written: Path | None,
) -> dict[str, Any]:
    planned = task.success(result.states, condition)
    return {
        "task": task.name,
        "condition": condition,
        "condition_name": condition_name,
        "backend": task.backend(),
        "converged": result.converged,
        "cost": result.cost,
        "iterations": len(result.iterations),
        "stop_reason": result.stop_reason,
        "seconds": result.timing["total"],
        "seconds_loading_kernels": loading,
        "timing": dict(result.timing),
        "gradient_norm": result.gradient_norm,
        "costs": [i.cost for i in result.iterations],
        "step_sizes": [i.step_size for i in result.iterations],
        "planned": {
            "success": planned.ok,
            "distance": _number(planned.distance),
            "limit": _number(planned.limit),
            "unit": planned.unit or None,
        },
        "trial": None if execution is None else execution.to_dict(),
        "saved": None if written is None else str(written),
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if math.isfinite(value) else None


def _check_writable(path: Path) -> None:
    """Refuse a place nothing can be written to, before the time for a plan is spent.

    Raises:
        FileFormatError: the directory is missing or closed, or the path is a directory.
    """
    directory = path.parent
    if path.is_dir():
        raise FileFormatError(f"--save {path}: is a directory; give the name of a file")
    if not directory.is_dir():
        raise FileFormatError(f"--save {path}: directory '{directory}' does not exist")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise FileFormatError(f"--save {path}: directory '{directory}' is not writable")
