"""Back through learned dynamics into a policy: the lecture's version 2.0."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from mbpl_control.core.errors import SolverError
from mbpl_control.core.validation import check_positive, check_whole
from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.policy_learner import PolicyLearner, TrialOptions
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.policies.network import PolicyNetwork, one_thread
from mbpl_control.policies.policy import GaussianPolicy

OWNER = "BackpropOptions"


@dataclass(frozen=True)
class BackpropOptions:
    """How a policy is improved by its derivative.

    Attributes:
        horizon: T, imagined steps that are differentiated through.
        particles: B, of each member of the ensemble.
        iterations: steps of Adam from each first guess.
        learning_rate: of the first step; it falls to zero linearly. A network wants a fifth of what a line does.
        clip: the gradient's norm is cut off at this.
        restarts: new first guesses each time, beside the policy that is there.
        judged: particles of each member that candidates are compared by.
        judged_horizon: imagined steps of that.
        look_every: iterations from one comparison to the next.

    Raises:
        InvalidFieldError: an option out of its range.
    """

    horizon: int = 40
    particles: int = 10
    iterations: int = 100
    learning_rate: float = 5e-2
    clip: float = 1.0
    restarts: int = 1
    judged: int = 20
    judged_horizon: int = 120
    look_every: int = 20

    def __post_init__(self) -> None:
        """Check each."""
        for name in ("horizon", "particles", "iterations", "judged", "judged_horizon", "look_every"):
            check_whole(OWNER, name, getattr(self, name), 1, 10**6)
        check_whole(OWNER, "restarts", self.restarts, 0, 1000)
        check_positive(OWNER, "learning_rate", self.learning_rate)
        check_positive(OWNER, "clip", self.clip)


def imagined_costs(
    problem: LearningProblem,
    dynamics: EnsembleDynamics,
    policy: Callable[[Tensor], Tensor],
    starts: Tensor,
    noise: Tensor,
) -> Tensor:
    r"""Mean cost a step of particles that each keep one member of the ensemble.

        1/T Σ_{t<T} c(x_t, u_t, x_{t+1}),   u_t = μ_θ(x_t),   x_{t+1} = x_t + μ_j(x_t, u_t) + σ_j(x_t, u_t) ε_t

    A member is wrong in the same way all along, as a model of the robot is; one drawn anew at each step would average
    that away. Where an episode ends a particle stays, and each step costs what the last one did: an end is neither an
    escape from costs, nor does a particle go on into what nobody has seen.

    Args:
        problem: its cost and ends.
        dynamics: M members.
        policy: x (.., n) → μ_θ (.., m), within the limits of the actions.
        starts: x_0 (M, B, n).
        noise: ε (T, M, B, n).

    Returns:
        (M, B), differentiable by torch in whatever the policy is.

    Source: Chua, Calandra, McAllister, Levine 2018, on particles that keep their member (TS∞).
    """
    x = starts
    gone = torch.zeros(x.shape[:2], dtype=torch.bool)
    points: list[tuple[Tensor, Tensor, Tensor]] = []
    counts = []
    for t, epsilon in enumerate(noise):
        u = policy(x)
        means, deviations = dynamics.differentiable(x, u)
        successor = means + deviations * epsilon
        points.append((x, u, successor))
        ends = problem.ended(successor.detach().flatten(0, 1)).reshape(gone.shape) & ~gone
        # what the last step costs counts once more for each that is left
        counts.append(torch.where(ends, len(noise) - t, (~gone).long()))
        x = torch.where(gone[..., None], x, successor)
        gone = gone | ends
    # costs of all steps at once: one call of many rows, in place of many of few
    rows = (torch.cat(part).flatten(0, 1) for part in zip(*points, strict=True))
    costs = problem.cost(*rows).reshape(noise.shape[:3])
    count = torch.stack(counts)
    return torch.where(count > 0, costs * count, torch.zeros_like(costs)).sum(dim=0) / len(noise)


class BackpropLearner(PolicyLearner):
    r"""Version 2.0: Adam on the derivative of an imagined cost, back through the dynamics and the policy itself.

    Each turn the policy that is there and `restarts` new ones go down the cost of `horizon` steps from starts and
    visited states, with new noise and starts each iteration. From time to time each is judged by a longer horizon,
    with noise and starts that are the same for all: the best that was ever seen is the policy of the next turn.
    Gradients are cut off at a norm; one that is not finite counts as zero.

    Args:
        problem: what is learned; its cost is what falls.
        seed: of everything.
        options: of the descent.
        trials: how it tries.
        dynamics: options of the ensemble.
        policy: see `PolicyLearner`.

    Attributes:
        options: of the descent.
        imagined: mean cost a step of the present policy, as it was judged; NaN before the first turn.

    Raises:
        SolverError: no candidate had a finite cost.

    Source: Deisenroth and Rasmussen 2011, "PILCO: a model-based and data-efficient approach to policy search"; Heess et
    al. 2015, "Learning continuous control policies by stochastic value gradients"; Pascanu, Mikolov, Bengio 2013, "On
    the difficulty of training recurrent neural networks" (cut-off of gradients).
    """

    def __init__(
        self,
        problem: LearningProblem,
        seed: int,
        options: BackpropOptions | None = None,
        trials: TrialOptions | None = None,
        dynamics: EnsembleOptions | None = None,
        policy: GaussianPolicy | None = None,
    ) -> None:
        """Nothing is tried yet."""
        super().__init__(problem, seed, trials, dynamics, policy)
        self.options = BackpropOptions() if options is None else options
        self.imagined = math.nan
        self._generator = torch.Generator().manual_seed(seed)

    def improve(self) -> None:
        """See `PolicyLearner.improve`."""
        policy, options = self.policy, self.options
        with one_thread():
            network = PolicyNetwork(policy)
            judged = self._drawn(options.judged, options.judged_horizon)
            guesses = [torch.tensor(policy.parameters)]
            for _ in range(options.restarts):
                seed = int(self._rng.integers(2**63))
                made = policy.architecture.initial_parameters(policy.features.size, self.problem.m, seed)
                guesses.append(torch.tensor(made))
            found, costs = self._descend(network, torch.stack(guesses), judged)
        lowest = int(costs.argmin())
        if not math.isfinite(costs[lowest]):
            raise SolverError("backprop: no policy has a finite imagined cost; a shorter horizon may help")
        self.imagined = float(costs[lowest])
        policy.assign(found[lowest].numpy(), policy.covariance)

    def cost(self, network: PolicyNetwork, parameters: Tensor, drawn: tuple[Tensor, Tensor]) -> Tensor:
        """Mean imagined cost a step (G,) of each of θ (G, P), from the same starts and noise, which were drawn."""
        count, (starts, noise) = len(parameters), drawn
        layers = [network.layers(each) for each in parameters]

        def means(x: Tensor) -> Tensor:
            z = network.standardise(x.unflatten(1, (count, -1)))
            each = [
                network.heads(own, z[:, g].flatten(0, 1))[:, : network.m].unflatten(0, (len(x), -1))
                for g, own in enumerate(layers)
            ]
            return torch.cat(each, dim=1)

        costs = imagined_costs(
            self.problem, self.dynamics, means, starts.repeat(1, count, 1), noise.repeat(1, 1, count, 1)
        )
        return costs.unflatten(1, (count, -1)).mean(dim=(0, 2))

    def _descend(self, network: PolicyNetwork, guesses: Tensor, judged: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """The best (G, P) of the descents from guesses (G, P), side by side, and what each costs (G,)."""
        options = self.options
        theta = guesses.clone().requires_grad_()
        optimiser = torch.optim.Adam([theta], lr=options.learning_rate)
        best, lowest = guesses.clone(), torch.full((len(guesses),), math.inf, dtype=guesses.dtype)
        for iteration in range(options.iterations + 1):
            if iteration % options.look_every == 0 or iteration == options.iterations:
                with torch.no_grad():
                    cost = self.cost(network, theta, judged)
                    better = cost < lowest
                    best[better], lowest[better] = theta[better], cost[better]
            if iteration == options.iterations:
                break
            drawn = self._drawn(options.particles, options.horizon)
            (gradient,) = torch.autograd.grad(self.cost(network, theta, drawn).sum(), theta)
            norm = gradient.norm(dim=1, keepdim=True)
            finite, shrunk = torch.isfinite(norm), torch.clamp(options.clip / norm, max=1.0)
            theta.grad = torch.where(finite & (norm > 0.0), gradient * shrunk, torch.zeros_like(gradient))
            optimiser.param_groups[0]["lr"] = options.learning_rate * (1.0 - iteration / options.iterations)
            optimiser.step()
        return best, lowest

    def _drawn(self, particles: int, horizon: int) -> tuple[Tensor, Tensor]:
        """Starts (M, B, n) and noise (T, M, B, n)."""
        members = self.dynamics.options.members
        starts = torch.tensor(self.imagined_starts(members * particles)).reshape(members, particles, self.problem.n)
        shape = (horizon, members, particles, self.problem.n)
        return starts, torch.randn(shape, generator=self._generator, dtype=torch.float64)
