"""The part of the demo that learns: controllers and a policy from trials on a graph of its own, without a model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mbpl_msgs.action import TrainPolicy
from mbpl_msgs.srv import LoadController

from mbpl_control.core import LinearGaussianController, MbplError
from mbpl_control.demo.program import LEARNED, LEARNING_SAMPLES
from mbpl_control.learning.learner import IterationReport
from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.runs import RunDirectory

METHOD = "gps"
#: Services that are there once the graph is ready to learn.
SERVICES = ("mujoco_sim/reset", "controller_manager/switch_controller", "neural_policy/plan", "gps_trainer/pause")
#: s of wall time: an iteration takes some 20 s, and several times that on a machine with other work.
ITERATION_DEADLINE = 150.0


@dataclass(frozen=True)
class LearningRecord:
    """What was learned, and how.

    Attributes:
        directory: of the run; its own report is in it.
        reports: of the iterations.
        controller: file of the controller of the first start condition.
        policy: file of the policy.
        trials: how many were run.
        seconds: of wall time, from the first trial to the last training.
    """

    directory: Path
    reports: tuple[IterationReport, ...]
    controller: Path
    policy: Path
    trials: int
    seconds: float


def learn(
    graph: GraphClient, directory: Path, iterations: int, seed: int, on_feedback: Callable[[TrainPolicy.Feedback], None]
) -> LearningRecord:
    """Have the trainer of the graph learn.

    Args:
        graph: joined to a graph of train.launch.py.
        directory: new one of the run.
        iterations: how many.
        seed: of all that is drawn.
        on_feedback: told how it goes on.

    Raises:
        MbplError: the training failed, or took too long.
    """
    begin = time.monotonic()
    goal = TrainPolicy.Goal(
        method=METHOD,
        iterations=iterations,
        samples=LEARNING_SAMPLES,
        seed=seed,
        run_directory=str(directory.resolve()),
    )
    graph.train(goal, ITERATION_DEADLINE * (iterations + 1), on_feedback)
    return read_run(directory, time.monotonic() - begin)


def read_run(directory: Path, seconds: float) -> LearningRecord:
    """What a run of guided policy search left.

    Raises:
        MbplError: it left no controller of the first start condition, or no policy.
    """
    saved = RunDirectory.open(directory).iterations()
    if not saved:
        raise MbplError(f"{directory}: no iteration was completed; see its log")
    newest = saved[-1].learner
    controllers, policy = sorted((newest / "controllers").glob("*.npz")), newest / "policy.npz"
    if not controllers or not policy.is_file():
        raise MbplError(f"{newest}: holds no controller or no policy")
    trials = sum(len(it.trials()) + len(it.evaluation()) for it in saved)
    return LearningRecord(directory, tuple(it.report for it in saved), controllers[0], policy, trials, seconds)


def give(graph: GraphClient, learned: LearningRecord) -> None:
    """Load what was learned into a running graph: the controller into the manager, the policy into its node."""
    law = convert.controller_to_msg(LinearGaussianController.load(learned.controller))
    graph.load(LoadController.Request(name=LEARNED, type="linear_gaussian", mode="mean", law=[law], replace=True))
    graph.set_checkpoint(learned.policy.resolve())
