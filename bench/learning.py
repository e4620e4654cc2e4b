"""How fast tasks are learned, over several seeds: what README and docs/lqr_flm.md say is measured here.

Every seed is reported. `lqr_flm`: success of the noisy trials of an iteration, and of the one without noise beside
them. `gps`: success of the policy without noise after so many iterations, on the start conditions it is trained on and
on those held out. `arm_peg_blind` sees no target.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence

import numpy as np
from report import Row, report

from mbpl_control.agents.pool import TrialPool
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.learning.learner import IterationReport
from mbpl_control.learning.registry import METHODS, VARIANTS, build_learner
from mbpl_control.tasks.task import Task, load_task

Reports = list[IterationReport]

UNITS = {key: "1" for key in ("success", "mean_success", "cost", "policy_success", "held_out_success")}
UNITS |= dict.fromkeys(("distance", "mean_distance", "policy_distance"), "m or rad")
SHOWN = {
    "lqr_flm": ("success", "mean_success", "cost", "distance", "mean_distance"),
    "gps": ("success", "policy_success", "held_out_success", "policy_distance"),
}


def learn(pool: TrialPool, task: Task, method: str, seed: int, iterations: int, variant: str | None) -> Reports:
    """One run, kept nowhere. A policy is judged in the iteration after, so gps runs one more."""
    learner = build_learner(method, task, seed, iterations, None, variant)
    reports = []
    for _ in range(iterations + (method == "gps")):
        wanted, shown = learner.requests(), learner.evaluation_requests()
        begin = time.perf_counter()
        trials = pool.run([*wanted, *shown])
        spent = time.perf_counter() - begin
        what = learner.learn(trials[: len(wanted)], trials[len(wanted) :])
        reports.append(what)
        parts = "  ".join(f"{key} {what.mean(key):9.4g}" for key in SHOWN[method])
        rest = "  ".join(f"{name} {value:.2f}" for name, value in what.seconds.items())
        print(f"seed {seed}  iteration {what.iteration:3d}  {parts}  s: trials {spent:.2f}  {rest}", flush=True)
        for event in what.events:
            print(f"    {event}")
    return reports


def rows(method: str, task: str, variant: str | None, runs: dict[int, Reports]) -> list[Row]:
    """Median of costs and distances, mean of the rest, by iteration over all seeds; and each seed's success."""
    out = []
    name = f"{method} {task}" + ("" if variant is None else f" {variant}")
    shift = method == "gps"
    success = "policy_success" if method == "gps" else "success"
    count = len(next(iter(runs.values()))) - shift
    for i in range(count):
        for key in SHOWN[method]:
            at = i + (shift and key != "success")
            values = np.array([reports[at].mean(key) for reports in runs.values()])
            middle = np.median if key in ("cost", "distance", "mean_distance", "policy_distance") else np.mean
            out.append(Row(f"{name} iteration {i + 1} {key}", float(middle(values)), UNITS[key]))
        each = " ".join(f"{seed}:{100 * reports[i + shift].mean(success):.0f}" for seed, reports in runs.items())
        print(f"iteration {i + 1}: {success} % by seed  {each}")
    return out


def main(arguments: Sequence[str] | None = None) -> None:
    """Learn with each seed, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--method", choices=METHODS, default="lqr_flm")
    parser.add_argument("--task", default="arm_peg")
    parser.add_argument("--variant", choices=VARIANTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7, 8, 9])
    parser.add_argument("--iterations", type=int, default=10)
    given = parser.parse_args(arguments)
    task = load_task(given.task)
    runs: dict[int, Reports] = {}
    with TrialPool(AgentRecipe.in_lockstep(task), "process") as pool:
        pool.start()
        for seed in given.seeds:
            begin = time.perf_counter()
            runs[seed] = learn(pool, task, given.method, seed, given.iterations, given.variant)
            print(f"seed {seed}: {time.perf_counter() - begin:.1f} s")
    variant = "" if given.variant is None else f"_{given.variant}"
    report(f"learning_{given.method}_{given.task}{variant}", rows(given.method, given.task, given.variant, runs))


if __name__ == "__main__":
    main()
