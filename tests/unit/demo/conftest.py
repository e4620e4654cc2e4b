"""A demo's outcome made of plain curves, for the tests of what is drawn and told of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.demo.learning import LearningRecord
from mbpl_control.demo.program import (
    FEEDBACK,
    HOLD,
    LEARNED,
    MPC,
    OPEN_LOOP,
    POLICY,
    TrialSpec,
    learned_trial_specs,
    trial_specs,
)
from mbpl_control.demo.records import BagCheck, DemoResult, SwapRecord, TrialRecord
from mbpl_control.demo.summary import judge
from mbpl_control.learning.learner import IterationReport
from mbpl_control.tasks import Task, load_task

JOINTS, STEPS, WITHIN = 7, 125, 0.01
TRAINING = (0, 1, 2, 3)


@pytest.fixture(scope="session")
def arm_reach(task_files: Path) -> Task:
    """The task of the demo."""
    return load_task(task_files / "arm_reach_few.yaml")


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the bags would be, and the page is."""
    return tmp_path_factory.mktemp("demo")


@pytest.fixture(scope="session")
def make_trial(directory: Path) -> Callable[[TrialSpec, float], TrialRecord]:
    """Makes a trial that approaches its target on a straight line and ends at a given distance, m."""

    def make(spec: TrialSpec, final: float) -> TrialRecord:
        times = 0.02 * np.arange(STEPS + 1)
        distances = final + 0.4 * np.exp(-3.0 * times) - 0.4 * np.exp(-3.0 * times[-1])
        points = np.stack([0.4 + distances, np.full_like(times, 0.3), np.full_like(times, -0.5)], axis=1)
        command_times = 0.005 * np.arange(4 * STEPS)
        commands = np.sin(command_times)[:, None] * np.ones(JOINTS)
        latencies = np.full(len(command_times), 1.5e-3)
        states = np.zeros((STEPS + 1, 2 * JOINTS))
        bag = directory / "bags" / spec.name
        return TrialRecord(spec, times, states, points, distances, command_times, commands, 91.5, 0, latencies, bag)

    return make


@pytest.fixture(scope="session")
def swap_run(directory: Path) -> SwapRecord:
    """Hold, open loop, feedback, MPC, hold, half a second each, with the same smooth command throughout."""
    return swaps(directory, "swaps-chain", (HOLD, OPEN_LOOP, FEEDBACK, MPC, HOLD))


def swaps(directory: Path, name: str, controllers: tuple[str, ...]) -> SwapRecord:
    """Controllers in their order, half a second each."""
    names = [n for n in controllers for _ in range(100)]
    times = 0.005 * np.arange(len(names))
    commands = 10.0 * np.sin(2.0 * times)[:, None] * np.ones(JOINTS)
    speeds = np.abs(np.cos(times))
    latencies = np.full(len(times), 1.5e-3)
    bag = directory / "bags" / name
    return SwapRecord(name, times, commands, tuple(names), speeds, np.full(JOINTS, 90.0), 0, latencies, bag)


@pytest.fixture(scope="session")
def learned(directory: Path) -> LearningRecord:
    """Two iterations: the cost falls, the policy comes nearer; the last two starts are held out."""

    def report(number: int, cost: float, distance: float) -> IterationReport:
        rows = [
            {
                "condition": c,
                "cost": cost if c in TRAINING else np.nan,
                "distance": distance,
                "policy_distance": distance,
            }
            for c in range(6)
        ]
        return IterationReport(number, tuple(rows), (), {"trials": 20.0, "policy": 2.0})

    run = directory / "learning"
    reports = (report(1, 9000.0, 0.4), report(2, 120.0, 0.01))
    return LearningRecord(run, reports, run / "condition_0.npz", run / "policy.npz", 52, 44.0)


@pytest.fixture(scope="session")
def result(
    arm_reach: Task,
    make_trial: Callable[[TrialSpec, float], TrialRecord],
    swap_run: SwapRecord,
    learned: LearningRecord,
    directory: Path,
) -> DemoResult:
    """Everything went well."""
    specs = (*trial_specs(arm_reach, 0), *learned_trial_specs(arm_reach, 0, learned.controller, learned.policy))
    trials = tuple(make_trial(spec, 0.3 if spec.controller == OPEN_LOOP else 0.002) for spec in specs)
    runs = (swap_run, swaps(directory, "swaps-learned", (HOLD, LEARNED, POLICY, HOLD)))
    bags = tuple(BagCheck(r.bag, 1200) for r in (*trials, *runs))
    points = trials[0].points
    return DemoResult(
        task="arm_reach",
        target=np.array([0.4, 0.3, -0.5]),
        frame="tip",
        joint_names=arm_reach.robot.joint_names,
        limits=np.full(JOINTS, 90.0),
        units=("N*m",) * JOINTS,
        rate=200.0,
        seed=0,
        trials=trials,
        swaps=runs,
        tube=np.full((STEPS + 1, 3), 0.003),
        planned=points,
        skeletons={t.spec.name: np.repeat(points[:, None], 3, axis=1) for t in trials},
        bags=bags,
        repeated=(),
        learned=learned,
        promises=judge(trials, runs, bags, WITHIN, TRAINING),
        versions={"mbpl": "0.1.0"},
        started="2026-01-01 10:00:00",
        seconds=70.0,
    )


@pytest.fixture(scope="session")
def worse(result: DemoResult) -> Callable[[str, str, float], tuple[TrialRecord, ...]]:
    """The trials, with those of one controller in one world ending at another distance, m."""

    def change(controller: str, world: str, final: float) -> tuple[TrialRecord, ...]:
        return tuple(
            replace(t, distances=np.append(t.distances[:-1], final))
            if (t.spec.controller, t.spec.world.name) == (controller, world)
            else t
            for t in result.trials
        )

    return change
