"""The lecture's other learners, each on the problem that shows what it is for: the figures of their pages in docs/."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import numpy as np
import torch
from method_parts import mbpo
from method_parts.backprop import backprop
from method_parts.distillation import distillation
from method_parts.planning import planning_rows
from report import Row, report
from rich.progress import track
from torch import Tensor

from mbpl_control.mbrl.closed_loop import ClosedLoop, roll_out
from mbpl_control.mbrl.dyna import TabularDyna, run_episodes
from mbpl_control.mbrl.gradient import ESTIMATORS, estimate
from mbpl_control.mbrl.maze import Maze
from mbpl_control.policies.network import one_thread

#: Sensitivities g of the map, and how it is run.
SENSITIVITIES = (0.5, 1.0, 1.5, 2.0, 2.2, 2.21, 2.22, 2.23, 2.24, 2.25, 2.5, 3.0)
STEPS, PARTICLES, NOISE = 40, 500, 0.1
PLANNING, EPISODES = (0, 5, 50), 30


def sine_map(sensitivity: float, noise: float) -> tuple[ClosedLoop, Tensor, Tensor]:
    r"""x_{t+1} = sin(g x_t) + u_t + s ε, u_t = θ_0 + θ_1 x_t, cost x_T².

    Each step stretches small differences by |g cos(g x) + θ_1|: below 1 they die out, above it they grow to the size of
    the map itself, and a derivative along the path with them.

    Args:
        sensitivity: g.
        noise: s.

    Returns:
        The loop, θ (2,) and the start (1,).
    """

    def policy(theta: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return theta[:1] + theta[1] * x, torch.zeros_like(x)

    def model(x: Tensor, u: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sin(sensitivity * x) + u, noise * torch.ones_like(x)

    loop = ClosedLoop(policy, model, lambda x, _: 0.0 * x[0], lambda x: x[0] ** 2)
    return loop, torch.tensor([0.1, 0.0], dtype=torch.float64), torch.tensor([0.3], dtype=torch.float64)


def gradient_variances(
    sensitivity: float, repetitions: int, steps: int = STEPS, particles: int = PARTICLES
) -> dict[str, float]:
    """Variance of each estimator over repetitions, summed over the parameters, on the same particles."""
    loop, theta, start = sine_map(sensitivity, NOISE)
    found: dict[str, list[Tensor]] = {name: [] for name in ESTIMATORS}
    # matrices are small: threads would wait for each other, on a busy machine for minutes
    with one_thread():
        for seed in range(repetitions):
            generator = torch.Generator().manual_seed(seed)
            rollouts = roll_out(loop, theta, start.expand(particles, -1), steps, generator)
            for name in ESTIMATORS:
                found[name].append(estimate(loop, theta, rollouts, name, "quadratic").mean)
    return {name: float(torch.stack(each).var(dim=0).sum()) for name, each in found.items()}


def total_propagation(repetitions: int) -> list[Row]:
    """Its variance beside those of the other two, by how sensitive the map is."""
    rows, closest, gain = [], np.inf, 0.0
    for g in track(SENSITIVITIES, "total propagation", transient=True):
        found = gradient_variances(g, repetitions)
        ratio, path, total = (found[name] for name in ESTIMATORS)
        rows += [
            Row(f"sine map, g = {g:g}: variance by likelihood ratio", ratio, "1"),
            Row(f"sine map, g = {g:g}: variance pathwise", path, "1"),
            Row(f"sine map, g = {g:g}: total propagation over the smaller", total / min(ratio, path), "1", 1.1),
        ]
        if abs(np.log(ratio / path)) < closest:
            closest, gain = abs(np.log(ratio / path)), min(ratio, path) / total
    rows.append(
        Row("sine map, where the two are nearest: the smaller over total propagation", gain, "1", 10.0, "higher")
    )
    return rows


def dyna(runs: int) -> list[Row]:
    """Steps of each episode in Sutton's maze, mean over runs."""
    rows = []
    for planning in track(PLANNING, "Dyna", transient=True):
        taken = []
        for seed in range(runs):
            maze = Maze()
            learner = TabularDyna(maze.rows * maze.columns, 4, seed, planning)
            taken.append(run_episodes(maze, learner, EPISODES, seed))
        mean = np.mean(taken, axis=0)
        for episode in (1, 2, 3, 4, 5, 10, 20, 30):
            rows.append(
                Row(f"Dyna maze, {planning} planning steps: episode {episode}", float(mean[episode - 1]), "steps")
            )
    return rows


PARTS: dict[str, Callable[[argparse.Namespace], Sequence[Row]]] = {
    "total_propagation": lambda given: total_propagation(given.repetitions),
    "dyna": lambda given: dyna(given.runs),
    "planning": lambda _: planning_rows(),
    "distillation": lambda given: distillation(range(given.seeds)),
    "backprop": lambda given: backprop(),
    "mbpo": lambda _: mbpo.rows(),
}


def main() -> None:
    """All of them, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--repetitions", type=int, default=50, help="gradients that a variance is taken over")
    parser.add_argument("--runs", type=int, default=30, help="runs of the maze")
    parser.add_argument("--seeds", type=int, default=3, help="of each policy that is distilled, from 0")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[Row] = []
    for part in given.parts:
        rows += PARTS[part](given)
    report("methods", rows)


if __name__ == "__main__":
    main()
