"""One trial on the running graph, from the shell."""

from __future__ import annotations

import math
import time
from pathlib import Path

from mbpl_msgs.action import RunTrial
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mbpl_control.agents.agent import Law, law_name
from mbpl_control.agents.mujoco import Disturbance
from mbpl_control.agents.ros import UNDER_TRIAL, give_policy, load_law
from mbpl_control.cli.graph import joined
from mbpl_control.cli.outcome import show_outcome
from mbpl_control.core import ExecutionMode
from mbpl_control.nodes.conversions import trial_from_msg
from mbpl_control.nodes.disturbed_trial import run_disturbed_trial
from mbpl_control.policies.policy import GaussianPolicy


def run_trial(
    controller: str,
    condition: int,
    seed: int,
    *,
    law: tuple[Law, ExecutionMode] | None = None,
    record: bool,
    bag: Path | None,
    label: str,
    save: Path | None,
    push: Disturbance | None,
    mass_scale: float,
    as_json: bool,
    namespace: str,
) -> None:
    """Run one trial on the graph with a progress bar, print its outcome.

    Args:
        controller: name of a controller of the manager; of the law's file when there is one.
        condition: start condition.
        seed: of all noise.
        law: a law of one's own, which the graph is given for the trial, and its mode.
        record: whether a bag is recorded.
        bag: its directory.
        label: free text.
        save: where the trial is written.
        push: during the trial.
        mass_scale: of the simulated robot.
        as_json: print one JSON object and nothing else on standard output.
        namespace: of the nodes.
    """
    console = Console(stderr=as_json)
    goal = RunTrial.Goal(
        condition=condition,
        controller=controller if law is None else UNDER_TRIAL,
        seed=seed,
        record=record,
        bag="" if bag is None else str(bag.resolve()),
        label=label,
    )
    start = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with joined(namespace) as graph, Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("reset", total=None)

        def show(feedback: RunTrial.Feedback) -> None:
            steps = feedback.steps or None
            progress.update(bar, description=feedback.phase, total=steps, completed=feedback.step)

        if law is not None:
            if isinstance(law[0], GaussianPolicy):
                give_policy(graph, law[0])
            load_law(graph, *law)
        result = run_disturbed_trial(graph, goal, push, mass_scale, on_feedback=show)
    trial = trial_from_msg(result.trial)
    if save is not None:
        trial.save(save)
    outcome = {
        "task": trial.task,
        "controller": controller if law is None else law_name(law[0]),
        "condition": trial.condition,
        "seed": trial.seed,
        "steps": trial.steps,
        "cost": result.cost,
        "success": trial.success,
        "final_distance": None if math.isnan(result.final_distance) else result.final_distance,
        "stop_reason": trial.stop_reason,
        # what else the trial runner had to say, such as that the bag could not be closed
        "note": result.message.removeprefix(trial.stop_reason).removeprefix("; "),
        "bag": result.bag,
        "seconds": time.monotonic() - start,
    }
    show_outcome(outcome, as_json)
