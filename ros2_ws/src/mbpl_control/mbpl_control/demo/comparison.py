"""Teacher and student side by side, from starts that neither learned from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.table import Table

from mbpl_control.agents.pool import TrialRunner
from mbpl_control.core import ExecutionMode, LinearGaussianController
from mbpl_control.core.validation import Array
from mbpl_control.demo.records import Promise
from mbpl_control.learning.learner import TrialRequest, trial_seed
from mbpl_control.policies import GaussianPolicy
from mbpl_control.tasks.task import Task

#: The student may end so many times as far from the target as the local controllers.
FARTHER = 1.1
#: The return of an ensemble's student, at least, as a share of the ensemble's.
RETURN = 0.95
#: Iteration number of these trials in `trial_seed`, which no run has.
TRIED = 2**30

CONTROLLERS, POLICY, ENSEMBLE, STUDENT = "local controllers", "policy", "ensemble", "student of the ensemble"
#: The local controllers at the starts they were learned at.
OWN_STARTS = "local controllers, own starts"
Law = LinearGaussianController | GaussianPolicy


@dataclass(frozen=True)
class Tried:
    """What became of the trials of one of those compared.

    Attributes:
        distances: final, m (C,); infinite where a trial was cut short.
        costs: total (C,); infinite likewise.
        successes: by the task's rule (C,).
    """

    distances: Array
    costs: Array
    successes: Array

    @property
    def distance(self) -> float:
        """Median, m."""
        return float(np.median(self.distances))

    @property
    def cost(self) -> float:
        """Mean; a return is minus a cost."""
        return float(self.costs.mean())


def starts(task: Task) -> Array:
    """What a policy sees at each start, each number in deviations over the starts that are learned from. (C, no)."""
    seen = np.array([task.observe(task.task_state(c.state[None])[0], c.index) for c in task.conditions])
    spread = seen[[c.index for c in task.conditions if not c.held_out]].std(axis=0)
    scaled: Array = seen / np.where(spread > 1e-6, spread, 1.0)
    return scaled


def nearest(task: Task, controllers: Mapping[int, LinearGaussianController]) -> dict[int, LinearGaussianController]:
    """For each start held out, the controller of the start that a policy would take it for, by what it sees."""
    seen = starts(task)
    out = {}
    for c in task.conditions:
        if c.held_out:
            out[c.index] = controllers[min(controllers, key=lambda k: float(np.linalg.norm(seen[k] - seen[c.index])))]
    return out


def attempt(task: Task, laws: Mapping[int, Law], runner: TrialRunner, seed: int, on_trial: Callable[[], None]) -> Tried:
    """Trials without noise, one from each start that has a law.

    Args:
        task: what is tried.
        laws: by start condition.
        runner: of the trials.
        seed: of the world's noise; the same for all that are compared.
        on_trial: told of each trial.
    """
    wanted = [
        TrialRequest(law, ExecutionMode.MEAN, c, trial_seed(seed, TRIED, c, 0)) for c, law in sorted(laws.items())
    ]
    trials = runner.run(wanted, lambda _, __: on_trial())
    kinds = ("joint_positions", "joint_velocities")
    columns = np.concatenate([task.state.indices(kind, task.robot.joint_names) for kind in kinds])
    whole = [t.stop_reason == "completed" for t in trials]
    return Tried(
        np.array(
            [
                task.success(t.states[:, columns], t.condition).distance if done else np.inf
                for t, done in zip(trials, whole, strict=True)
            ]
        ),
        np.array([t.cost if done else np.inf for t, done in zip(trials, whole, strict=True)]),
        np.array([t.success for t in trials]),
    )


def promises(tried: Mapping[str, Tried], parameters: Mapping[str, int]) -> list[Promise]:
    """What distillation promises, and whether it was kept.

    A return is minus a cost, so that a share r of it means at most 1/r of the cost.

    Args:
        tried: of all four.
        parameters: of `ENSEMBLE`, its members' together, and of `STUDENT`.
    """
    student, teacher = tried[POLICY].distance, tried[CONTROLLERS].distance
    small, whole = tried[STUDENT].cost, tried[ENSEMBLE].cost
    size = parameters[STUDENT] / parameters[ENSEMBLE]
    return [
        Promise(
            f"the policy ends at most {FARTHER:g} times as far from the target as the local controllers, at the median",
            f"{1e3 * student:.1f} mm, {1e3 * teacher:.1f} mm: {student / teacher:.2f}",
            student <= FARTHER * teacher,
        ),
        Promise(
            f"a student with at most a tenth of an ensemble's parameters has {100 * RETURN:g} % of its return",
            f"{100 * size:.1f} % of the parameters; mean cost {small:.4g}, {whole:.4g}: {100 * whole / small:.1f} %",
            size <= 0.1 and small * RETURN <= whole,
        ),
    ]


def table(tried: Mapping[str, Tried]) -> Table:
    """For the terminal: all side by side."""
    out = Table("", "success", "final distance, median", "farthest", "mean cost")
    for name, one in tried.items():
        out.add_row(
            name,
            f"{int(one.successes.sum())} of {len(one.successes)}",
            f"{1e3 * one.distance:.1f} mm",
            f"{1e3 * one.distances.max():.1f} mm",
            f"{one.cost:.4g}",
        )
    return out


def as_json(tried: Mapping[str, Tried]) -> dict[str, Any]:
    """As JSON data; what was cut short is None."""

    def numbers(values: Array) -> list[float | None]:
        return [float(v) if np.isfinite(v) else None for v in values]

    return {
        name: {
            "successes": int(one.successes.sum()),
            "trials": len(one.successes),
            "distance_median": one.distance if np.isfinite(one.distance) else None,
            "cost_mean": one.cost if np.isfinite(one.cost) else None,
            "distances": numbers(one.distances),
            "costs": numbers(one.costs),
        }
        for name, one in tried.items()
    }
