"""Divide and conquer: local policies for parts of the starts, held together, and one policy distilled of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from scipy.cluster.vq import kmeans2, vq
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, Indices, check_choice, check_whole
from mbpl_control.distill.on_policy import soft
from mbpl_control.mbrl.evaluation import StepLearner
from mbpl_control.multitask.batch_problem import Batch, BatchProblem
from mbpl_control.multitask.natural_policy_gradient import (
    ARCHITECTURE,
    NaturalPolicyGradient,
    Penalty,
    PolicyGradientOptions,
    first_policy,
    improve,
)
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture, PolicyTargets
from mbpl_control.policies.network import PolicyNetwork, gaussian_kl
from mbpl_control.policies.training import AdamTrainer

OWNER = "DivideOptions"
#: What the local policies are drawn to: the global policy as it was distilled last, or each other.
PULLS = ("global", "others")


@dataclass(frozen=True, eq=False)
class Partition:
    """Parts of the starts.

    Attributes:
        count: K of them.
        part_of: x_0 (N, n) → 0 to K − 1 (N,).
    """

    count: int
    part_of: Callable[[Array], Indices]

    @classmethod
    def by_k_means(cls, starts: Array, count: int, seed: int) -> Partition:
        """Parts by the nearest of K centres, each number of the starts (N, n) in units of its standard deviation.

        Numbers that are the same in all starts do not count.
        """
        check_whole("Partition", "count", count, 1, len(starts))
        mean, spread = starts.mean(axis=0), starts.std(axis=0)
        scale = np.where(spread > 0.0, spread, np.inf)
        centres, _ = kmeans2((starts - mean) / scale, count, minit="++", seed=np.random.default_rng(seed))
        return cls(count, lambda states: np.asarray(vq((states - mean) / scale, centres)[0], dtype=np.intp))

    def draw(self, problem: BatchProblem, part: int, count: int, rng: np.random.Generator, most: int = 1000) -> Array:
        """Starts of one part (count, n): of those that the problem draws.

        Raises:
            InvalidFieldError: a part that hardly any start belongs to.
        """
        found: list[Array] = []
        for _ in range(most):
            starts = problem.starts(count * self.count, rng)
            found.append(starts[self.part_of(starts) == part])
            if sum(map(len, found)) >= count:
                return np.concatenate(found)[:count]
        have = f"{sum(map(len, found))} starts of part {part} among {most * count * self.count}"
        raise InvalidFieldError("Partition", "part_of", have, f"at least {count}")


@dataclass(frozen=True)
class DivideOptions:
    """How the parts are learned and put together.

    Attributes:
        local: of each local policy; `episodes` are those of all parts together.
        pull: weight α of the KL that draws the local policies together, in standard deviations of the advantage for
            each nat; 0 for none.
        pulled_to: "global" or "others".
        period: iterations from one distillation to the next.
        reset: whether the local policies begin anew from the global one after each distillation.
        trainer: of the distillation.

    Raises:
        InvalidFieldError: a field has a wrong value.
    """

    local: PolicyGradientOptions = field(default_factory=PolicyGradientOptions)
    pull: float = 0.1
    pulled_to: str = "others"
    period: int = 10
    reset: bool = True
    trainer: AdamTrainer = field(default_factory=lambda: AdamTrainer(1000, 256, held_out=0.0))

    def __post_init__(self) -> None:
        """Check each field."""
        if not 0.0 <= self.pull < float("inf"):
            raise InvalidFieldError(OWNER, "pull", str(self.pull), "at least 0 and finite")
        check_choice(OWNER, "pulled_to", self.pulled_to, PULLS)
        check_whole(OWNER, "period", self.period, 1, 10**9)


def pull_to(other: GaussianPolicy, policy: GaussianPolicy, states: Array, weight: float) -> Penalty:
    """weight · E[ KL(π_θ ‖ other) ] over states (B, n)."""
    inputs, means, factors = _asked(other, policy, states)

    def penalty(network: PolicyNetwork, parameters: Tensor) -> Tensor:
        h = network.heads(network.layers(parameters), inputs)
        return weight * gaussian_kl(h[:, : network.m], network.factors(h), means, factors).mean()

    return penalty


def pull_of(other: GaussianPolicy, policy: GaussianPolicy, states: Array, weight: float) -> Penalty:
    """weight · E[ KL(other ‖ π_θ) ] over states (B, n)."""
    inputs, means, factors = _asked(other, policy, states)

    def penalty(network: PolicyNetwork, parameters: Tensor) -> Tensor:
        h = network.heads(network.layers(parameters), inputs)
        return weight * gaussian_kl(means, factors, h[:, : network.m], network.factors(h)).mean()

    return penalty


def _asked(other: GaussianPolicy, policy: GaussianPolicy, states: Array) -> tuple[Tensor, Tensor, Tensor]:
    """What `policy`'s network is given at states, and means and factors of another policy there."""
    means, covariances = other.distribution(states)
    factors = torch.linalg.cholesky(torch.from_numpy(covariances))
    return torch.from_numpy(policy.standardise(states)), torch.from_numpy(means), factors


def sum_of(penalties: Sequence[Penalty]) -> Penalty | None:
    """All of them, or None where there is none."""
    if not penalties:
        return None
    return lambda network, parameters: torch.stack([each(network, parameters) for each in penalties]).sum()


class DivideAndConquer(StepLearner):
    r"""Local policies for parts of the starts, by natural policy gradient, and a global one distilled of them.

        min_θi −E_{π_i}[ π_θi / π_i Â ] + α D_i   subject to   E[ KL(π_i ‖ π_θi) ] ≤ ε

    in each iteration, with D_i = E_{x ~ π_i}[ KL(π_θi ‖ π_g) ] towards the global policy, or, towards each other,

        D_i = 1/K Σ_{j≠i} { E_{x ~ π_i}[ KL(π_θi ‖ π_j) ] + E_{x ~ π_j}[ KL(π_j ‖ π_θi) ] }.

    Every `period` iterations the global policy learns to agree with each local one at the states that one visited in
    its last iteration; local policies then begin from it again.

    Args:
        problem: to be learned.
        partition: of its starts.
        seed: of weights, starts and noise.
        options: how.
        architecture: of all policies.

    Attributes:
        policy: the global one, as it was distilled last.
        locals: the learners of the parts.

    Raises:
        InvalidFieldError: fewer episodes than parts.

    Source: Ghosh, Singh, Rajeswaran, Kumar, Levine 2018, "Divide-and-conquer reinforcement learning", equation 5 and
    algorithm 1 (towards each other; parts of equal weight).
    """

    def __init__(
        self,
        problem: BatchProblem,
        partition: Partition,
        seed: int,
        options: DivideOptions | None = None,
        architecture: PolicyArchitecture = ARCHITECTURE,
    ) -> None:
        """Every part begins with the same policy."""
        self.batch_problem, self.problem, self.partition = problem, problem.learning_problem, partition
        self.options = DivideOptions() if options is None else options
        local = self.options.local
        if local.episodes < partition.count:
            found = f"{local.episodes} for {partition.count} parts"
            raise InvalidFieldError(OWNER, "episodes", found, "at least one a part")
        self.policy = first_policy(problem, architecture, local.std, seed)
        self._rng = np.random.default_rng([seed, 2])
        self.locals = [
            NaturalPolicyGradient(problem, int(self._rng.integers(2**32)), local, copy.deepcopy(self.policy))
            for _ in range(partition.count)
        ]
        self.iteration = 0

    def advance(self) -> None:
        """Iterations until the next distillation, and that."""
        for _ in range(self.options.period):
            batches = self.improve()
        self.distil(batches)

    def improve(self) -> list[Batch]:
        """One iteration of every local policy; the episodes of each, made before its step."""
        count = self.partition.count
        shares = np.diff(np.linspace(0, self.options.local.episodes, count + 1).round().astype(int))
        batches = []
        for part, (learner, share) in enumerate(zip(self.locals, shares, strict=True)):
            starts = self.partition.draw(self.batch_problem, part, int(share), self._rng)
            batches.append(learner.explored(starts))
        before = [copy.deepcopy(learner.policy) for learner in self.locals]
        for part, learner in enumerate(self.locals):
            improve(learner.policy, batches[part], self.options.local, self._penalty(part, before, batches))
        self.iteration += 1
        self.steps = sum(learner.steps for learner in self.locals)
        return batches

    def distil(self, batches: Sequence[Batch]) -> None:
        """Train the global policy on what the local ones say at states of their own episodes."""
        targets = PolicyTargets.joined(
            [soft(one.policy.distribution)(batch.visited) for one, batch in zip(self.locals, batches, strict=True)]
        )
        self.policy.moments = None
        self.options.trainer.train(self.policy, targets, int(self._rng.integers(2**32)))
        if self.options.reset:
            for learner in self.locals:
                learner.policy = copy.deepcopy(self.policy)

    def _penalty(self, part: int, policies: Sequence[GaussianPolicy], batches: Sequence[Batch]) -> Penalty | None:
        """α D_i."""
        weight, mine = self.options.pull, policies[part]
        if weight == 0.0:
            return None
        states = batches[part].visited
        if self.options.pulled_to == "global":
            return pull_to(self.policy, mine, states, weight)
        penalties = []
        for other in range(len(policies)):
            if other != part:
                penalties.append(pull_to(policies[other], mine, states, weight / len(policies)))
                penalties.append(pull_of(policies[other], mine, batches[other].visited, weight / len(policies)))
        return sum_of(penalties)

    def act(self, state: Array, step: int) -> Array:
        """The global policy's mean, within the limits."""
        return np.clip(self.policy.means(state[None])[0], self.problem.lower, self.problem.upper)
