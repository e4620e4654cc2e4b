"""Learning as `mbpl train` does it: a run with a directory, trials over processes, the task's own options."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pytest

from mbpl_control.agents.pool import TrialPool
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.learning.learner import IterationReport
from mbpl_control.learning.registry import build_learner
from mbpl_control.runs.beginning import new_run
from mbpl_control.runs.training import TrainingRun
from mbpl_control.tasks import load_task

#: Seeds on which no option of a task was chosen.
SEEDS = (5, 6, 7)


@dataclass(frozen=True)
class Learned:
    """What became of some seeds.

    Attributes:
        reports: of the iterations, by seed.
    """

    reports: dict[int, list[IterationReport]] = field(repr=False)

    def mean(self, key: str, iteration: int) -> float:
        """Mean of a number over start conditions and seeds, at an iteration from 1."""
        return float(np.mean([reports[iteration - 1].mean(key) for reports in self.reports.values()]))

    def median(self, key: str, iteration: int) -> float:
        """Median of a number over start conditions and seeds, at an iteration from 1."""
        values = [float(row[key]) for reports in self.reports.values() for row in reports[iteration - 1].rows]
        return float(np.median(values))

    def told(self, key: str) -> str:
        """Means of every iteration and seed, for the message of a test that fails."""
        return "\n".join(
            f"seed {seed}, {key}: " + " ".join(f"{report.mean(key):.3g}" for report in reports)
            for seed, reports in self.reports.items()
        )


@pytest.fixture
def learn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Learned]]:
    """Learns a task: method, name, iterations; over `seeds`, by a `variant`."""
    pools: dict[str, TrialPool] = {}

    def run(
        method: str, name: str, iterations: int, seeds: tuple[int, ...] = SEEDS, variant: str | None = None
    ) -> Learned:
        task = load_task(name)
        pool = pools.setdefault(name, TrialPool(AgentRecipe.in_lockstep(task)))
        reports: dict[int, list[IterationReport]] = {}
        for seed in seeds:
            directory = new_run(
                method,
                name,
                agent="mujoco",
                seed=seed,
                iterations=iterations,
                samples=None,
                variant=variant,
                output=tmp_path_factory.mktemp(method) / "run",
            )
            learner = build_learner(method, task, seed, iterations, variant=variant)
            directory.begin()
            assert TrainingRun(directory, learner, pool).run()
            reports[seed] = [kept.report for kept in directory.iterations()]
        return Learned(reports)

    yield run
    for pool in pools.values():
        pool.close()
