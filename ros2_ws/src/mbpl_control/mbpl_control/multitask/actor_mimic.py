"""Actor-Mimic: one network that does what a teacher of each task does, and sees what they see."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array, check_positive, check_whole
from mbpl_control.distill.on_policy import soft
from mbpl_control.multitask.batch_problem import BatchProblem, run_batch
from mbpl_control.multitask.natural_policy_gradient import SMALL, explore
from mbpl_control.policies import GaussianPolicy, PolicyTargets
from mbpl_control.policies.architecture import unflatten
from mbpl_control.policies.network import PolicyNetwork, gaussian_kl, one_thread
from mbpl_control.policies.training import flat, inverse

OWNER = "ActorMimicOptions"


@dataclass(frozen=True)
class ActorMimicOptions:
    """How a student mimics.

    Attributes:
        features: β, weight of the feature regression; 0 for none.
        rounds: of visiting states and training on all of them.
        episodes: of each task in a round.
        iterations: steps of Adam in a round.
        batch: states of each task in a step.
        learning_rate: of Adam at the beginning of a round; it falls to zero over the round.

    Raises:
        InvalidFieldError: a field has a wrong value.
    """

    features: float = 0.1
    rounds: int = 4
    episodes: int = 16
    iterations: int = 600
    batch: int = 64
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        """Check each field."""
        if not 0.0 <= self.features < float("inf"):
            raise InvalidFieldError(OWNER, "features", str(self.features), "at least 0 and finite")
        for name in ("rounds", "episodes", "iterations", "batch"):
            check_whole(OWNER, name, getattr(self, name), 1, 10**9)
        check_positive(OWNER, "learning_rate", self.learning_rate)


@dataclass(frozen=True, eq=False)
class Guidance:
    """What one teacher does and sees at B states, as torch reads it.

    Attributes:
        means: μ_i (B, m).
        factors: L of its covariances (B, m, m).
        hidden: h_i, what its last layer is given (B, units).
    """

    means: Tensor
    factors: Tensor
    hidden: Tensor

    @classmethod
    def of(cls, teacher: GaussianPolicy, states: Array) -> Guidance:
        """Ask a teacher at states (B, n)."""
        means, covariances = teacher.distribution(states)
        network = PolicyNetwork(teacher)
        layers = network.layers(torch.tensor(teacher.parameters))
        return cls(
            torch.from_numpy(means),
            torch.linalg.cholesky(torch.from_numpy(covariances)),
            network.hidden(layers, torch.from_numpy(teacher.standardise(states))),
        )

    def take(self, rows: Tensor | slice) -> Guidance:
        """At some of the states."""
        return Guidance(self.means[rows], self.factors[rows], self.hidden[rows])


def mimic_loss(
    network: PolicyNetwork, layers: Sequence[Tensor], inputs: Tensor, guidance: Guidance, readout: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    r"""What a student is short of a teacher in policy and in features, each a mean over states.

        E[ KL( π_i(·|x) ‖ π_θ(·|x) ) ],   E[ ‖W_i h_θ(x) + b_i − h_i(x)‖² ] / units of h_i

    Args:
        network: the student's.
        layers: its parameters.
        inputs: what it is given (B, nf).
        guidance: of the teacher at the same states.
        readout: W_i (units of h_i, units of h_θ) and b_i.
    """
    hidden = network.hidden(layers, inputs)
    h = network.heads(layers, inputs)
    kl = gaussian_kl(guidance.means, guidance.factors, h[:, : network.m], network.factors(h)).mean()
    weights, bias = readout
    return kl, (torch.addmm(bias, hidden, weights.T) - guidance.hidden).square().mean()


def actor_mimic(
    problems: Sequence[BatchProblem],
    teachers: Sequence[GaussianPolicy],
    student: GaussianPolicy,
    options: ActorMimicOptions,
    seed: int,
) -> list[tuple[float, float]]:
    r"""Train a student, in place, to do in each task what that task's teacher does, and to see what it sees.

        min_{θ, W_i, b_i} 1/K Σ_i { E_x[ KL(π_i ‖ π_θ) ] + β E_x[ ‖W_i h_θ(x) + b_i − h_i(x)‖² ] / units }

    h is what a network's last layer is given. The states of the first round are those of the teachers; from then on
    the student visits them itself. The linear maps (W_i, b_i) are thrown away: they make h_θ hold what the teachers
    found worth knowing.

    Args:
        problems: K tasks with the same states and actions.
        teachers: π_i of each.
        student: is trained; new, or trained before.
        options: how.
        seed: of starts, noise and batches.

    Returns:
        KL and feature error of each round after it, means over the tasks and all states so far.

    Raises:
        InvalidFieldError: there is no task, not a teacher for each, or one that sees or drives something else.
        SolverError: the loss left the finite numbers.

    Source: Parisotto, Ba, Salakhutdinov 2016, "Actor-mimic: deep multitask and transfer reinforcement learning",
    equations 4 to 6; Rusu et al. 2016, "Policy distillation". For Gaussians in place of softmax policies; KL and cross
    entropy differ by a constant.
    """
    if not problems or len(problems) != len(teachers):
        raise InvalidFieldError("actor_mimic", "teachers", f"{len(teachers)} of {len(problems)} tasks", "one of each")
    for problem, teacher in zip(problems, teachers, strict=True):
        for one in (teacher, student):
            if one.observation != problem.state or one.action != problem.action:
                found = f"'{one.task}' that sees or drives something else than '{problem.name}'"
                raise InvalidFieldError("actor_mimic", "policies", found, "for the states and actions of all tasks")
    rng = np.random.default_rng(seed)
    states: list[list[Array]] = [[] for _ in problems]
    told = []
    maps: list[Tensor] = []
    for k in range(options.rounds):
        for i, (problem, teacher) in enumerate(zip(problems, teachers, strict=True)):
            visitor = student if k else teacher
            starts = problem.starts(options.episodes, rng)
            states[i].append(run_batch(problem, visitor.distribution, starts, rng).visited)
        seen = [np.concatenate(mine) for mine in states]
        if student.trainings == 0:
            both = zip(teachers, seen, strict=True)
            first = PolicyTargets.joined([soft(teacher.distribution)(mine) for teacher, mine in both])
            student.fit_scales(first)
            student.assign(student.parameters, inverse(first.mean_precision()))
        with one_thread():
            guidances = [Guidance.of(teacher, mine) for teacher, mine in zip(teachers, seen, strict=True)]
            maps = maps or _readouts(student, guidances)
            told.append(_train(student, guidances, seen, maps, options, rng))
        student.trainings += 1
    return told


def _readouts(student: GaussianPolicy, guidances: Sequence[Guidance]) -> list[Tensor]:
    """W_i and b_i of each task in turn, zero."""
    units = student.shapes[-1][1]
    sizes = [each.hidden.shape[1] for each in guidances]
    return [part for size in sizes for part in (torch.zeros(size, units).double(), torch.zeros(size).double())]


def _train(
    student: GaussianPolicy,
    guidances: Sequence[Guidance],
    states: Sequence[Array],
    maps: list[Tensor],
    options: ActorMimicOptions,
    rng: np.random.Generator,
) -> tuple[float, float]:
    """A round of Adam on student and maps, both in place; KL and feature error after it."""
    network = PolicyNetwork(student)
    inputs = [torch.from_numpy(student.standardise(mine)) for mine in states]
    layers = [part.clone().requires_grad_() for part in network.layers(torch.tensor(student.parameters))]
    for part in maps:
        part.requires_grad_()
    optimiser = torch.optim.Adam([*layers, *maps], lr=options.learning_rate, fused=True)

    def losses(rows: Sequence[Tensor | slice]) -> tuple[Tensor, Tensor]:
        found = []
        for i, (guidance, picked) in enumerate(zip(guidances, rows, strict=True)):
            readout = maps[2 * i : 2 * i + 2]
            found.append(mimic_loss(network, layers, inputs[i][picked], guidance.take(picked), readout))
        kl, features = zip(*found, strict=True)
        return torch.stack(kl).mean(), torch.stack(features).mean()

    for iteration in range(options.iterations):
        for group in optimiser.param_groups:
            group["lr"] = options.learning_rate * (1.0 - iteration / options.iterations)
        rows = [torch.from_numpy(rng.integers(len(mine), size=options.batch)) for mine in states]
        kl, features = losses(rows)
        optimiser.zero_grad()
        (kl + options.features * features).backward()
        optimiser.step()
    with torch.no_grad():
        kl, features = losses([slice(None)] * len(guidances))
    if not torch.isfinite(kl + features):
        raise SolverError("actor_mimic: the loss left the finite numbers; a lower learning rate may help")
    student.assign(flat(layers).numpy(), student.covariance)
    return float(kl), float(features)


def transferred(
    student: GaussianPolicy, problem: BatchProblem, std: float, new_last_layer_seed: int | None = None
) -> GaussianPolicy:
    """A policy for a new task that begins with a student's network, and with noise to learn by.

    Args:
        student: of other tasks; stays as it is.
        problem: the new task.
        std: of the noise, as a share of the actuators' limits.
        new_last_layer_seed: of a new, small last layer above the student's features; None keeps the student's.
    """
    policy = copy.deepcopy(student)
    policy.task, policy.moments, policy.report = problem.name, None, None
    if new_last_layer_seed is not None:
        parameters = policy.parameters.copy()
        layers = unflatten(parameters, policy.shapes)
        drawn = policy.architecture.initial_parameters(policy.features.size, policy.action.size, new_last_layer_seed)
        fresh = unflatten(drawn, policy.shapes)
        layers[-2][:], layers[-1][:] = SMALL * fresh[-2], fresh[-1]
        policy.assign(parameters, policy.covariance)
    explore(policy, std)
    return policy
