"""Saved laws, tried again: in process, or loaded into the running graph by `cli/trial.py`."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mbpl_control.agents.mujoco import Disturbance, MujocoAgent
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.agents.simulation import SimulationOptions
from mbpl_control.cli.outcome import show_outcome
from mbpl_control.core import ExecutionMode, LinearGaussianController, archive
from mbpl_control.core.controller import MODES
from mbpl_control.core.errors import FileFormatError, InvalidFieldError
from mbpl_control.core.validation import check_choice
from mbpl_control.runs.description import RunDescription
from mbpl_control.tasks.task import Task, load_task

if TYPE_CHECKING:
    from mbpl_control.agents.agent import Law


def load_law(path: Path) -> Law:
    """A controller or a policy from its file.

    Raises:
        FileFormatError: it holds neither.
    """
    kind = archive.kind_of(path)
    if kind == "linear_gaussian_controller":
        return LinearGaussianController.load(path)
    if kind == "gaussian_policy":
        from mbpl_control.policies.policy import GaussianPolicy

        return GaussianPolicy.load(path)
    raise FileFormatError(
        f"{path}: holds a {kind!r}; a trial needs a 'linear_gaussian_controller' or 'gaussian_policy'"
    )


def task_of(path: Path, name: str | None) -> Task:
    """The task a law is tried on: the one named, or that of the run whose directory the file lies in.

    Raises:
        InvalidFieldError: none is named, and the file lies in no run.
        DefinitionMismatchError: the run's task was changed since.
    """
    if name is not None:
        return load_task(name)
    for directory in path.resolve().parents:
        if (directory / "run.yaml").is_file():
            description = RunDescription.load(directory / "run.yaml")
            task = load_task(description.task_file)
            description.check_task(task)
            return task
    raise InvalidFieldError("mbpl trial", "--task", "none", f"given: {path} does not lie in the directory of a run")


def condition_of(law: Law, given: int | None) -> int:
    """The start condition asked for, else the one the law says it was made for, else 0."""
    if given is not None:
        return given
    made_for = law.metadata.get("condition", 0) if isinstance(law, LinearGaussianController) else 0
    return made_for if isinstance(made_for, int) else 0


def parse_push(force: str, body: str, at: float, duration: float) -> Disturbance:
    """A push as it is written on the command line.

    Raises:
        InvalidFieldError: the force is not three numbers, no body is named, or the duration is zero.
    """
    try:
        values = [float(word) for word in force.replace(",", " ").split()]
    except ValueError:
        values = []
    if len(values) != 3 or not np.isfinite(values).all():
        raise InvalidFieldError("mbpl trial", "--push", repr(force), "three finite numbers, N, such as '0 40 0'")
    if not body:
        raise InvalidFieldError("mbpl trial", "--push-body", "nothing", "the name of a body of the robot")
    if duration <= 0.0:
        raise InvalidFieldError("mbpl trial", "--push-for", f"{duration} s", "above 0 s")
    return Disturbance(body, np.array([*values, 0.0, 0.0, 0.0]), at, duration)


def check_trial(
    name: str | None, file: Path | None, task: str | None, agent: str, mode: str, bag: Path | None, label: str
) -> None:
    """Refuse arguments of `mbpl trial` that do not go together.

    Raises:
        InvalidFieldError: naming one, and what is allowed beside the others.
    """
    owner = "mbpl trial"
    check_choice(owner, "--mode", mode, MODES)
    check_choice(owner, "--agent", agent, ("mujoco", "ros"))
    if (name is None) == (file is None):
        found = "neither" if name is None else "both"
        raise InvalidFieldError(owner, "CONTROLLER and --controller", found, "one of them")
    if file is None and (task, mode, agent) != (None, "mean", "mujoco"):
        allowed = "left out with the name of a controller: the manager and the graph decide"
        raise InvalidFieldError(owner, "--task, --mode or --agent", "given", allowed)
    if file is not None and agent == "ros" and task is not None:
        raise InvalidFieldError(owner, "--task", repr(task), "left out with --agent ros: the graph has its task")
    if file is not None and agent == "mujoco" and (bag is not None or label):
        raise InvalidFieldError(owner, "--bag or --label", "given", "left out in process: nothing is recorded there")


def graph_law(path: Path, mode: str, condition: int | None) -> tuple[tuple[Law, ExecutionMode], int]:
    """What the graph is given to try a law from a file: law and mode, and the start condition.

    Raises:
        FileFormatError: the file holds no law.
    """
    law = load_law(path)
    return (law, ExecutionMode(mode)), condition_of(law, condition)


def replay_agent(task: Task, law: Any, push: Disturbance | None, mass_scale: float) -> MujocoAgent:
    """The agent that tries a law as training did; a law that is joined between its steps at about 200 Hz."""
    rate = None
    if isinstance(law, LinearGaussianController) and law.execution == "continuous":
        rate = max(1, round(SimulationOptions.rate * task.dt)) / task.dt
    recipe = AgentRecipe.in_lockstep(task, rate)
    options = SimulationOptions(
        rate=recipe.options.rate,
        position_noise=recipe.options.position_noise,
        velocity_noise=recipe.options.velocity_noise,
        mass_scale=mass_scale,
    )
    return MujocoAgent(task, options, recipe.config, [] if push is None else [push])


def replay(
    path: Path,
    task_name: str | None,
    mode: str,
    condition: int | None,
    seed: int,
    *,
    save: Path | None,
    push: Disturbance | None,
    mass_scale: float,
    as_json: bool,
) -> None:
    """Run one trial of a saved law in process, print its outcome."""
    wanted = ExecutionMode(mode)
    law, task = load_law(path), task_of(path, task_name)
    start, begin = condition_of(law, condition), time.monotonic()
    trial = replay_agent(task, law, push, mass_scale).run(law, wanted, start, seed)
    if save is not None:
        trial.save(save)
    states = trial.states[:, task.robot.state.selection_from(trial.state)]
    final = float(task.distances(states, start)[-1])
    show_outcome(
        {
            "task": trial.task,
            "controller": trial.controller,
            "file": str(path),
            "mode": wanted.value,
            "condition": trial.condition,
            "seed": trial.seed,
            "steps": trial.steps,
            "cost": None if math.isnan(trial.cost) else trial.cost,
            "success": trial.success,
            "final_distance": None if math.isnan(final) else final,
            "stop_reason": trial.stop_reason,
            "seconds": time.monotonic() - begin,
        },
        as_json,
    )
