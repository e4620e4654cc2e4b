"""How good a distilled policy is, beside its teachers: the figures of docs/distillation.md.

The same as `make demo-offline`, without a graph and without bags: trials run in process, which in lockstep are the
same to the last bit, and each law comes with its trial as its bag would tell it. Every seed is reported.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from report import Row, report
from rich.console import Console

from mbpl_control.agents.pool import TrialPool
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.bags.recorded import RecordedTrial
from mbpl_control.core import ExecutionMode, LinearGaussianController, Trial
from mbpl_control.demo.comparison import (
    CONTROLLERS,
    ENSEMBLE,
    OWN_STARTS,
    POLICY,
    STUDENT,
    Law,
    Tried,
    attempt,
    nearest,
    promises,
    table,
)
from mbpl_control.demo.offline import ITERATIONS, MEMBER_HIDDEN, MEMBERS, METHOD, SHARE, TASK
from mbpl_control.distill.distillation import DistillationOptions, distil
from mbpl_control.distill.ensemble import parameters_of, side_by_side
from mbpl_control.distill.lessons import gather
from mbpl_control.learning.learner import TrialRequest
from mbpl_control.learning.registry import METHODS, build_learner
from mbpl_control.tasks.task import Task, load_task


def recorded(requests: Sequence[TrialRequest], trials: Sequence[Trial]) -> Iterator[RecordedTrial]:
    """Trials with their laws, as bags tell them: without the noise of a law that ran without it."""
    for number, (request, trial) in enumerate(zip(requests, trials, strict=True)):
        law = request.law if isinstance(request.law, LinearGaussianController) else None
        if law is not None and request.mode is not ExecutionMode.SAMPLED:
            law = replace(law, covariances=np.zeros_like(law.covariances))
        robot = np.zeros((trial.steps + 1, 0))
        yield RecordedTrial(Path(f"in process, {number:04d}"), trial, law, {}, True, robot, 0)


def one_seed(
    task: Task, method: str, iterations: int, seed: int, console: Console
) -> tuple[dict[str, Tried], dict[str, int]]:
    """Learn, distil, compare; what was tried, and how many parameters ensemble and student have."""
    learner = build_learner(method, task, seed, iterations)
    with TrialPool(AgentRecipe.in_lockstep(task)) as pool:
        for _ in range(iterations):
            # the policy of guided policy search is no teacher here: its trials are not asked for
            wanted = learner.requests()
            trials = pool.run(wanted)
            result = learner.learn(trials)
            cost, success = result.mean("cost"), result.mean("success")
            console.print(f"seed {seed}  iteration {result.iteration}: cost {cost:.4g}, success {success:.2f}")
        lessons = gather(recorded(wanted, trials), task)
        controllers = {lesson.condition: lesson.laws[0] for lesson in lessons.lessons}
        begin = time.process_time()
        policy = distil(task, lessons, DistillationOptions(seed=seed, optimizer="both"))
        for row in policy.report["trainings"]:
            console.print({k: row[k] for k in ("trainer", "taken", "steps", "loss_after", "held_out_after", "seconds")})
        whole_options = DistillationOptions(seed=seed, hidden=MEMBER_HIDDEN, members=MEMBERS, share=SHARE)
        ensemble = distil(task, lessons, whole_options)
        console.print(f"distilled in {time.process_time() - begin:.0f} s of processor time")
        held_out = [c.index for c in task.conditions if c.held_out]
        whole = side_by_side(ensemble.members)
        laws: dict[str, dict[int, Law]] = {
            OWN_STARTS: dict(controllers),
            CONTROLLERS: dict(nearest(task, controllers)),
            POLICY: dict.fromkeys(held_out, policy.policy),
            ENSEMBLE: dict.fromkeys(held_out, whole),
            STUDENT: dict.fromkeys(held_out, ensemble.policy),
        }
        tried = {name: attempt(task, mine, pool, seed, lambda: None) for name, mine in laws.items()}
    sizes = {ENSEMBLE: sum(map(parameters_of, ensemble.members)), STUDENT: parameters_of(ensemble.policy)}
    return tried, sizes


def main() -> None:
    """Every seed, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", default=TASK)
    parser.add_argument("--method", choices=METHODS, default=METHOD)
    parser.add_argument("--iterations", type=int, default=ITERATIONS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    given = parser.parse_args()
    task, console, rows = load_task(given.task), Console(soft_wrap=True, highlight=False), []
    for seed in given.seeds:
        tried, sizes = one_seed(task, given.method, given.iterations, seed, console)
        console.print(table(tried))
        for promise in promises(tried, sizes):
            console.print(f"{'kept' if promise.kept else 'missed'}: {promise.text}: {promise.found}")
        for name, one in tried.items():
            rows.append(Row(f"seed {seed}: {name}, final distance, median", 1e3 * one.distance, "mm"))
            rows.append(Row(f"seed {seed}: {name}, success", float(one.successes.mean()), "1"))
            rows.append(Row(f"seed {seed}: {name}, mean cost", one.cost, "1"))
    report("distillation", rows)


if __name__ == "__main__":
    main()
