"""Back through a model into a policy: how soon it balances a pole, and what becomes of derivatives by horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from report import Row
from rich.progress import track
from torch import Tensor

from mbpl_control.mbrl.backprop import BackpropLearner
from mbpl_control.mbrl.closed_loop import ClosedLoop, roll_out
from mbpl_control.mbrl.evaluation import learn, solved_at
from mbpl_control.mbrl.gymnasium_tasks import gymnasium_problem
from mbpl_control.mbrl.horizon import GradientAtHorizon, gradients_by_horizon, path_sensitivities
from mbpl_control.mbrl.imagined_loop import imagined_loop

TASK = "InvertedPendulum-v5"
SEEDS = (0, 1, 2, 3)
#: Steps of the environment: what was to be reached, and where a learner is given up.
TARGET, BUDGET = 300, 600
#: Steps of a path, and of gradients.
STEPS, HORIZONS = 60, (1, 2, 5, 10, 20, 30, 40, 50, 60)
PARTICLES = 200
RADII = {"contracting": 0.9, "neutral": 1.0, "expanding": 1.1}


def balanced(seeds: Sequence[int] = SEEDS) -> list[Row]:
    """Steps of the environment until a pole is balanced three evaluations in a row; every seed."""
    rows, solved = [], 0
    for seed in track(seeds, "backprop", transient=True):
        learner = BackpropLearner(gymnasium_problem(TASK), seed)
        found = learn(learner, BUDGET, seed=seed)
        steps = solved_at(found, learner.problem.enough)
        solved += steps is not None and steps <= TARGET
        name = f"{TASK}, backprop, seed {seed}: "
        if steps is None:
            rows.append(Row(f"{name}not solved in {BUDGET} steps; last return", found[-1].mean, "1"))
        else:
            rows.append(Row(f"{name}steps until solved", steps, "steps", TARGET))
        rows.append(Row(f"{name}time spent learning", found[-1].seconds, "s"))
    return [*rows, Row(f"{TASK}, backprop: seeds solved in {TARGET} steps", solved, "1", len(seeds), "higher")]


def rotation(radius: float) -> tuple[ClosedLoop, Tensor, Tensor]:
    """x' = ρ (x turned by 0.4 rad) + θ + 0.1 ε, cost ‖x_T‖ measured along one direction; θ (2,) and start (2,)."""
    turn = torch.tensor([[np.cos(0.4), -np.sin(0.4)], [np.sin(0.4), np.cos(0.4)]])
    loop = ClosedLoop(
        lambda theta, x: (theta + 0.0 * x, 0.1 * torch.ones_like(x)),
        lambda x, u: (radius * turn @ x + u, 0.1 * torch.ones_like(x)),
        lambda x, _: 0.0 * x[0],
        lambda x: x[0],
    )
    return loop, torch.zeros(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64)


def pendulum_loops(seed: int = 0) -> tuple[ClosedLoop, Tensor, Tensor, Tensor]:
    """The pole's learned dynamics, θ before it was trained and after, and starts; no episode ends in it."""
    problem = gymnasium_problem(TASK)
    learner = BackpropLearner(problem, seed)
    untrained = torch.tensor(learner.policy.parameters)
    learn(learner, TARGET, seed=seed)
    endless = replace(problem, ended=lambda y: torch.zeros(len(y), dtype=torch.bool))
    loop = imagined_loop(endless, learner.dynamics, learner.policy)

    def final(x: Tensor) -> Tensor:
        return problem.cost(x[None], torch.zeros(1, problem.m, dtype=x.dtype), x[None])[0]

    starts = torch.tensor(learner.starts[np.arange(PARTICLES) % len(learner.starts)])
    return replace(loop, final_cost=final), untrained, torch.tensor(learner.policy.parameters), starts


def sensitivities(pendulum: tuple[ClosedLoop, Tensor, Tensor, Tensor], steps: int = STEPS) -> dict[str, np.ndarray]:
    """Root mean square over particles of ‖dc_T/dx_t‖ by T − t = 0 .. steps, in units of that at the end."""
    loop, untrained, trained, starts = pendulum
    cases = {name: (*rotation(radius)[:2], torch.ones(5, 2, dtype=torch.float64)) for name, radius in RADII.items()}
    cases |= {"pole, untrained policy": (loop, untrained, starts), "pole, trained policy": (loop, trained, starts)}
    found = {}
    for name, (each, theta, begin) in cases.items():
        rollouts = roll_out(each, theta, begin, steps, torch.Generator().manual_seed(0))
        norms = path_sensitivities(each, theta, rollouts).square().mean(dim=1).sqrt().flip(0).numpy()
        found[name] = norms / norms[0]
    return found


def variances(
    pendulum: tuple[ClosedLoop, Tensor, Tensor, Tensor], horizons: Sequence[int] = HORIZONS
) -> dict[str, list[GradientAtHorizon]]:
    """Norm and variance of the policy's gradient on the pole's learned dynamics, by policy and estimator."""
    loop, untrained, trained, starts = pendulum
    return {
        f"{name} policy, {estimator}": gradients_by_horizon(loop, theta, starts, horizons, estimator, seed=0)
        for name, theta in (("untrained", untrained), ("trained", trained))
        for estimator in ("pathwise", "likelihood_ratio")
    }


def horizons() -> list[Row]:
    """Both, as rows."""
    pendulum = pendulum_loops()
    rows = []
    for name, norms in sensitivities(pendulum).items():
        rows += [
            Row(f"derivative along a path, {name}: over {h} steps", float(norms[h]), "1") for h in (10, 20, 40, 60)
        ]
    for name, found in variances(pendulum).items():
        for each in found:
            if each.horizon in (1, 10, 20, 40, 60):
                rows.append(Row(f"gradient, {name}, T = {each.horizon}: norm", each.norm, "1"))
                rows.append(Row(f"gradient, {name}, T = {each.horizon}: variance of a particle", each.variance, "1"))
    return rows


def backprop() -> list[Row]:
    """All of them."""
    return [*balanced(), *horizons()]
