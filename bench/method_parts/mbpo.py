"""Steps that SAC, MBA, MVE and MBPO need on InvertedPendulum-v5, and the time of an update."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from report import Row
from rich.progress import track

from mbpl_control.core.validation import Array
from mbpl_control.mbrl.evaluation import StepLearner, learn, solved_at
from mbpl_control.mbrl.gymnasium_tasks import gymnasium_problem
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.replay import Batch
from mbpl_control.mbrl.sac import SoftActorCritic
from mbpl_control.mbrl.sac_learner import METHODS, LearnerOptions, SacLearner

TASK, BUDGET, TARGET, SEEDS = "InvertedPendulum-v5", 5000, 2500, 3
#: The peer's with one update a step, the most usual setting, needs more.
LONG_BUDGET = 30_000


class StableBaselines(StepLearner):
    """Stable-Baselines3's SAC with our sizes, judged as ours is."""

    def __init__(self, problem: LearningProblem, seed: int, options: LearnerOptions) -> None:
        """Make it."""
        from stable_baselines3 import SAC

        self.problem = problem
        self._turn = options.turn
        self._agent = SAC(
            "MlpPolicy",
            problem.make(),
            learning_rate=options.sac.learning_rate,
            learning_starts=options.explore,
            batch_size=options.batch_size,
            tau=options.sac.follow,
            gamma=options.sac.discount,
            gradient_steps=options.updates,
            target_entropy=options.sac.target_entropy,
            policy_kwargs={"net_arch": list(options.sac.hidden)},
            seed=seed,
            device="cpu",
        )

    def advance(self) -> None:
        """See `StepLearner.advance`."""
        self._agent.learn(self._turn, reset_num_timesteps=not self.steps)
        self.steps += self._turn

    def act(self, state: Array, step: int) -> Array:
        """See `StepLearner.act`."""
        return np.asarray(self._agent.predict(state, deterministic=True)[0], dtype=np.float64)


def steps_needed(name: str, learners: Sequence[StepLearner], budget: int, target: float | None = None) -> list[Row]:
    """One row a learner: steps at the third evaluation in a row that reaches 1000."""
    rows = []
    for seed, learner in enumerate(track(learners, name, transient=True)):
        found = learn(learner, budget, seed=seed)
        solved = solved_at(found, learner.problem.enough)
        title = f"{TASK}, {name}, seed {seed}: "
        row = (f"{title}steps to 1000", float(solved)) if solved else (f"{title}not solved within", float(budget))
        returns = " ".join(f"{each.mean:.0f}" for each in found)
        rows += [Row(*row, "steps", target), Row(f"  returns {returns}; learning", found[-1].seconds, "s")]
    return rows


def update_time(options: LearnerOptions, repetitions: int = 300) -> Row:
    """Of one update of SAC."""
    agent = SoftActorCritic(4, np.array([-3.0]), np.array([3.0]), 0, options.sac)
    generator = torch.Generator().manual_seed(0)
    size = options.batch_size
    x = torch.randn(size, 4, generator=generator)
    batch = Batch(x, torch.rand(size, 1, generator=generator), x, torch.ones(size), torch.zeros(size))
    times = []
    for _ in range(repetitions):
        begin = time.perf_counter()
        agent.update(batch)
        times.append(1e3 * (time.perf_counter() - begin))
    return Row.of_samples(f"SAC, an update of {size} transitions", times, "ms", 2.0)


def rows() -> list[Row]:
    """All of it."""
    problem = gymnasium_problem(TASK)
    found = [update_time(METHODS["SAC"])]
    for name in ("MBPO", "SAC", "MBA", "MVE"):
        options = METHODS[name]
        learners = [SacLearner(problem, seed, options) for seed in range(SEEDS)]
        found += steps_needed(name, learners, BUDGET, TARGET if name == "MBPO" else None)
    if importlib.util.find_spec("stable_baselines3") is None:
        print("left out: Stable-Baselines3 is not installed here (pip install -r requirements/sb3.txt)")
        return found
    import stable_baselines3

    for updates, budget in ((METHODS["SAC"].updates, BUDGET), (1, LONG_BUDGET)):
        options = replace(METHODS["SAC"], updates=updates)
        peers = [StableBaselines(problem, seed, options) for seed in range(SEEDS)]
        name = f"SAC of Stable-Baselines3 {stable_baselines3.__version__}, updates a step: {updates}"
        found += steps_needed(name, peers, budget)
    return found
