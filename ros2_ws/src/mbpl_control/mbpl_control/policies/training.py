"""Training a policy to agree with targets: by Adam, or by natural gradient."""

from __future__ import annotations

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import check_choice, check_positive, check_whole
from mbpl_control.policies.natural_gradient import NaturalGradientOptions, natural_step
from mbpl_control.policies.network import gaussian_kl, one_thread
from mbpl_control.policies.policy import AdamMoments, GaussianPolicy
from mbpl_control.policies.problem import PolicyProblem
from mbpl_control.policies.report import TrainingReport
from mbpl_control.policies.targets import PolicyTargets

__all__ = ["AdamTrainer", "EarlyStopping", "NaturalGradientTrainer", "PolicyTargets", "PolicyTrainer", "TrainingReport"]

METRICS = ("targets", "policy")


#: Asked after each step with θ and the number of steps so far: whether to end there.
Stop = Callable[[Tensor, int], bool]


@dataclass(frozen=True)
class EarlyStopping:
    """Ends a training once targets that are kept out are met no better, and goes back to where they were met best.

    Attributes:
        targets: that nothing is learned from.
        patience: so many looks at them without a new best end the training; a trainer looks every `look_every` steps.

    Raises:
        InvalidFieldError: the patience is not above 0.
    """

    targets: PolicyTargets
    patience: int = 20

    def __post_init__(self) -> None:
        """Check the patience."""
        check_whole("EarlyStopping", "patience", self.patience, 1, 10**9)


class Watch:
    """Keeps the parameters at which the loss on targets kept out was lowest.

    Args:
        judge: the loss.
        every: steps from one look to the next.
        patience: see `EarlyStopping`.

    Attributes:
        best: θ (P,).
    """

    best: Tensor

    def __init__(self, judge: PolicyProblem, every: int, patience: int) -> None:
        """Nothing is seen yet."""
        self._judge, self._every, self._patience = judge, every, patience
        self._lowest, self._waited = float("inf"), 0

    def __call__(self, parameters: Tensor, step: int) -> bool:
        """See `Stop`."""
        if step % self._every:
            return False
        self._waited = 0 if self.look(parameters) else self._waited + 1
        return self._waited >= self._patience

    def look(self, parameters: Tensor) -> bool:
        """Whether these are the best so far."""
        loss = value_of(self._judge, parameters)
        if not loss < self._lowest:
            if self._lowest == float("inf"):
                self.best = parameters.clone()
            return False
        self._lowest, self.best = loss, parameters.clone()
        return True


class PolicyTrainer(ABC):
    """Trains policies. What it needs to remember from one training to the next is kept in the policy.

    Args:
        solve_last_layer: whether the weights of the means in the last layer are solved for before and after the steps;
            see `PolicyProblem.solve_last_layer`.
        ridge: of that, above 0.
        held_out: fraction of the targets that is kept out and only judged by, at least 0 and below 1; the report tells.

    Attributes:
        name: of the kind of trainer.
        look_every: steps of the optimiser between two looks at targets that stop it early.
    """

    name: str
    look_every = 1

    def __init__(self, *, solve_last_layer: bool = True, ridge: float = 1e-6, held_out: float = 0.1) -> None:
        """Check the options."""
        owner = type(self).__name__
        self.solve_last_layer = solve_last_layer
        self.ridge = check_positive(owner, "ridge", ridge)
        if not 0.0 <= held_out < 1.0:
            raise InvalidFieldError(owner, "held_out", str(held_out), "at least 0 and below 1")
        self.held_out = held_out

    def train(
        self, policy: GaussianPolicy, targets: PolicyTargets, seed: int, stopping: EarlyStopping | None = None
    ) -> TrainingReport:
        """Train `policy`, in place; when that fails it is as it was.

        The first training fixes the policy's scales. A constant covariance becomes Σ = (Σ_i w_i Λ_i / Σ_i w_i)⁻¹, and a
        state-dependent one starts from it at the first training.

        Args:
            policy: what is trained.
            targets: what it should agree with; those of weight zero are left out.
            seed: of the choice of what is kept out, and of batches.
            stopping: targets that are kept out in place of a choice, and end the training early.

        Raises:
            InvalidFieldError: targets of other sizes than the policy's, or whose mean precision is singular.
            SolverError: the loss left the finite numbers.
        """
        begin = time.perf_counter()
        check_sizes(policy, targets)
        targets = targets.take(np.flatnonzero(targets.weights))
        rng = np.random.default_rng(seed)
        if stopping is None:
            order = rng.permutation(targets.count)
            out = int(self.held_out * targets.count)
            kept = targets.take(np.sort(order[out:]))
            judged = targets.take(np.sort(order[:out])) if out else None
        else:
            kept, judged = targets, stopping.targets
            check_sizes(policy, judged)
        work = copy.copy(policy)
        first = work.trainings == 0
        if first:
            work.fit_scales(kept)
        if first or not work.architecture.state_dependent:
            work.assign(work.parameters, inverse(kept.mean_precision()))
        with one_thread():
            problem = PolicyProblem(work, kept)
            judge = None if judged is None else PolicyProblem(work, judged, problem.normalisation)
            watch = None if stopping is None or judge is None else Watch(judge, self.look_every, stopping.patience)
            old = torch.tensor(work.parameters)
            new, steps = self._run(problem, old, work, rng, watch)
            before, after = value_of(problem, old), value_of(problem, new)
            held_before = held_after = float("nan")
            if judge is not None:
                held_before, held_after = value_of(judge, old), value_of(judge, new)
            if not np.isfinite([before, after]).all():
                raise SolverError(
                    f"{self.name}: the loss went from {before:.3g} to {after:.3g}; a lower learning rate, or "
                    "targets without outliers, may help (docs/policies.md)"
                )
            work.assign(new.numpy(), work.covariance)
            moved = float("nan") if first else moved_kl(policy, work, targets)
        work.trainings += 1
        seconds = time.perf_counter() - begin
        report = TrainingReport(self.name, kept.count, before, after, held_before, held_after, moved, steps, seconds)
        work.report = report
        policy.__dict__.update(work.__dict__)
        return report

    def _run(
        self,
        problem: PolicyProblem,
        parameters: Tensor,
        policy: GaussianPolicy,
        rng: np.random.Generator,
        watch: Watch | None,
    ) -> tuple[Tensor, int]:
        """Last layer, steps, last layer; or, with a watch, the best of all that it saw."""
        if self.solve_last_layer:
            parameters = problem.solve_last_layer(parameters, self.ridge)
        stop: Stop = watch or (lambda _, __: False)
        stop(parameters, 0)
        parameters, steps = self._descend(problem, parameters, policy, rng, stop)
        if watch is not None:
            watch.look(parameters)
            parameters = watch.best
        if self.solve_last_layer:
            parameters = problem.solve_last_layer(parameters, self.ridge)
        if watch is not None:
            watch.look(parameters)
            parameters = watch.best
        return parameters, steps

    @abstractmethod
    def _descend(
        self, problem: PolicyProblem, parameters: Tensor, policy: GaussianPolicy, rng: np.random.Generator, stop: Stop
    ) -> tuple[Tensor, int]:
        """Lower `problem.loss` from `parameters` (P,); the new ones, and the number of steps.

        What is to be remembered is written to the policy, which is a copy until all went well. After each step `stop`
        is asked whether to end there.
        """


class AdamTrainer(PolicyTrainer):
    """Adam on batches, with decoupled weight decay.

    Its moments are kept in the policy, so training goes on where it was. The learning rate falls linearly to zero over
    the steps of a training, which leaves no noise of the batches in the result.

    Args:
        iterations: steps of a training.
        batch_size: targets a step; batches go through all of them before any comes again.
        learning_rate: of the first step.
        weight_decay: a step shrinks weights (not biases) by this times the learning rate.
        options: of `PolicyTrainer`.

    Source: Kingma and Ba 2015; Loshchilov and Hutter 2019, "Decoupled weight decay regularization".
    """

    name = "adam"
    look_every = 50

    def __init__(
        self,
        iterations: int = 2000,
        batch_size: int = 64,
        learning_rate: float = 3e-3,
        weight_decay: float = 1e-4,
        *,
        solve_last_layer: bool = True,
        ridge: float = 1e-6,
        held_out: float = 0.1,
    ) -> None:
        """Check the options."""
        super().__init__(solve_last_layer=solve_last_layer, ridge=ridge, held_out=held_out)
        self.iterations = check_whole("AdamTrainer", "iterations", iterations, 1, 10**9)
        self.batch_size = check_whole("AdamTrainer", "batch_size", batch_size, 1, 10**9)
        self.learning_rate = check_positive("AdamTrainer", "learning_rate", learning_rate)
        if not 0.0 <= weight_decay < float("inf"):
            raise InvalidFieldError("AdamTrainer", "weight_decay", str(weight_decay), "at least 0 and finite")
        self.weight_decay = weight_decay

    def _descend(
        self, problem: PolicyProblem, parameters: Tensor, policy: GaussianPolicy, rng: np.random.Generator, stop: Stop
    ) -> tuple[Tensor, int]:
        layers = [part.clone().requires_grad_() for part in problem.network.layers(parameters)]
        groups = [
            {"params": layers[0::2], "weight_decay": self.weight_decay},
            {"params": layers[1::2], "weight_decay": 0.0},
        ]
        optimiser = torch.optim.AdamW(groups, lr=self.learning_rate, fused=True)
        taken = 0
        if policy.moments is not None:
            taken = policy.moments.steps
            first, second = torch.tensor(policy.moments.first), torch.tensor(policy.moments.second)
            for layer, m1, m2 in zip(
                layers, problem.network.layers(first), problem.network.layers(second), strict=True
            ):
                optimiser.state[layer] = {
                    "step": torch.tensor(float(taken)),
                    "exp_avg": m1.clone(),
                    "exp_avg_sq": m2.clone(),
                }
        order = torch.empty(0, dtype=torch.long)
        for iteration in range(self.iterations):
            if order.numel() == 0:
                order = torch.tensor(rng.permutation(problem.count))
            rows, order = order[: self.batch_size], order[self.batch_size :]
            for group in optimiser.param_groups:
                group["lr"] = self.learning_rate * (1.0 - iteration / self.iterations)
            for layer, gradient in zip(layers, torch.autograd.grad(problem.loss(layers, rows), layers), strict=True):
                layer.grad = gradient
            optimiser.step()
            taken += 1
            if stop(flat(layers), iteration + 1):
                break
        first, second = (
            torch.cat([optimiser.state[layer][key].flatten() for layer in layers]) for key in ("exp_avg", "exp_avg_sq")
        )
        policy.moments = AdamMoments(first.numpy(), second.numpy(), taken)
        return flat(layers), iteration + 1


class NaturalGradientTrainer(PolicyTrainer):
    """Natural gradient steps on all targets at once.

    The bound on the KL of a step is four times the KL of the one before, so that it may be twice as long: a trust
    region that follows what the objective bears.

    Args:
        iterations: most steps of a training.
        kl_step: bound on the mean KL of the first step, nats.
        tolerance: training ends when a step lowers the loss by less than this fraction.
        metric: how sure the means are in F: as sure as each target, "targets", or as the policy itself, "policy".
        step_options: of each step.
        options: of `PolicyTrainer`.
    """

    name = "natural_gradient"

    def __init__(
        self,
        iterations: int = 30,
        kl_step: float = 1.0,
        tolerance: float = 1e-4,
        metric: str = "targets",
        step_options: NaturalGradientOptions | None = None,
        *,
        solve_last_layer: bool = True,
        ridge: float = 1e-6,
        held_out: float = 0.1,
    ) -> None:
        """Check the options."""
        super().__init__(solve_last_layer=solve_last_layer, ridge=ridge, held_out=held_out)
        self.iterations = check_whole("NaturalGradientTrainer", "iterations", iterations, 1, 10**9)
        self.kl_step = check_positive("NaturalGradientTrainer", "kl_step", kl_step, "nats")
        self.tolerance = check_positive("NaturalGradientTrainer", "tolerance", tolerance)
        self.metric = check_choice("NaturalGradientTrainer", "metric", metric, METRICS)
        self.step_options = NaturalGradientOptions() if step_options is None else step_options

    def _descend(
        self, problem: PolicyProblem, parameters: Tensor, policy: GaussianPolicy, rng: np.random.Generator, stop: Stop
    ) -> tuple[Tensor, int]:
        bound = self.kl_step
        for taken in range(self.iterations):
            (gradient,) = torch.func.grad(lambda p: problem.loss(problem.network.layers(p)), argnums=(0,))(parameters)
            before = problem.heads(parameters)
            step = natural_step(
                parameters,
                problem.heads,
                gradient,
                lambda p, before=before: problem.mean_kl(before, p),  # type: ignore[misc]
                lambda p: value_of(problem, p),
                bound,
                metric=problem.metric(before, self.metric == "targets"),
                options=self.step_options,
            )
            if not step.accepted:
                return parameters, taken
            parameters = step.parameters
            if stop(parameters, taken + 1):
                return parameters, taken + 1
            if step.objective_before - step.objective < self.tolerance * abs(step.objective_before):
                return parameters, taken + 1
            bound = 4.0 * step.kl
        return parameters, self.iterations


def check_sizes(policy: GaussianPolicy, targets: PolicyTargets) -> None:
    """Raise `InvalidFieldError` unless the targets have the policy's sizes."""
    for name, wanted in (("observations", policy.observation.size), ("means", policy.action.size)):
        have = getattr(targets, name).shape[1]
        if have != wanted:
            raise InvalidFieldError("PolicyTargets", name, f"{have} numbers each", f"{wanted}, as the policy's")


def inverse(precision: np.ndarray) -> np.ndarray:
    """Σ of a mean precision. (m, m) → (m, m)."""
    try:
        factor = np.linalg.inv(np.linalg.cholesky(precision))
    except np.linalg.LinAlgError as error:
        allowed = "positive definite on the average: an action no target is sure about has no covariance"
        raise InvalidFieldError("PolicyTargets", "precisions", "a singular mean", allowed) from error
    return factor.T @ factor


def flat(layers: Sequence[Tensor]) -> Tensor:
    """θ (P,) of layers that are trained."""
    return torch.cat([layer.detach().flatten() for layer in layers])


def value_of(problem: PolicyProblem, parameters: Tensor) -> float:
    """The loss at θ (P,)."""
    return float(problem.loss(problem.network.layers(parameters)))


def moved_kl(before: GaussianPolicy, after: GaussianPolicy, targets: PolicyTargets) -> float:
    """Mean of KL(before ‖ after) over the observations, nats."""
    gaussians: list[Tensor] = []
    for policy in (before, after):
        means, covariances = policy.distribution(targets.observations)
        gaussians += [torch.tensor(means), torch.linalg.cholesky(torch.tensor(covariances))]
    return float(gaussian_kl(*gaussians).mean())
