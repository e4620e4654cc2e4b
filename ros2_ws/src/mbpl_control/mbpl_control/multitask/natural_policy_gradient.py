"""Natural policy gradient: a policy improved by its own trials, by no more than so many nats a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_choice, check_positive, check_whole
from mbpl_control.mbrl.baseline import BASELINES, left_out
from mbpl_control.mbrl.evaluation import StepLearner
from mbpl_control.multitask.batch_problem import Batch, BatchProblem, run_batch
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture, PolicyTargets
from mbpl_control.policies.architecture import unflatten
from mbpl_control.policies.natural_gradient import NaturalGradientOptions, NaturalStep, natural_step
from mbpl_control.policies.network import PolicyNetwork, gaussian_kl, one_thread

OWNER = "PolicyGradientOptions"
#: Of a first policy: the network gives the covariance, too, so that its noise is learned with the rest.
ARCHITECTURE = PolicyArchitecture((32, 32), activation="tanh", covariance="state_dependent")
#: The last layer's weights of a first policy are made so much smaller: it does nearly nothing, but noise.
SMALL = 0.01

#: θ (P,) → what is added to the objective, differentiable by torch.
Penalty = Callable[[PolicyNetwork, Tensor], Tensor]


@dataclass(frozen=True)
class PolicyGradientOptions:
    """How a policy is improved.

    Attributes:
        episodes: of an iteration.
        kl_step: bound on the mean KL(before ‖ after) over the visited states, nats.
        discount: γ, 0 to 1.
        trace: λ of the generalised advantages, 0 to 1.
        baseline: of the values, see `left_out`.
        std: standard deviation of a first policy, as a share of the actuators' limits.
        search: of the step.

    Raises:
        InvalidFieldError: a field has a wrong value.
    """

    episodes: int = 64
    kl_step: float = 0.03
    discount: float = 0.99
    trace: float = 0.97
    baseline: str = "quadratic"
    std: float = 0.5
    search: NaturalGradientOptions = field(
        default_factory=lambda: NaturalGradientOptions(cg_iterations=10, cg_tolerance=1e-3, damping=1e-3)
    )

    def __post_init__(self) -> None:
        """Check each field."""
        check_whole(OWNER, "episodes", self.episodes, 1, 10**6)
        check_positive(OWNER, "kl_step", self.kl_step, "nats")
        check_choice(OWNER, "baseline", self.baseline, BASELINES)
        check_positive(OWNER, "std", self.std)
        for name in ("discount", "trace"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise InvalidFieldError(OWNER, name, str(getattr(self, name)), "0 to 1")


def advantages(rewards: Array, values: Array, discount: float, trace: float) -> Array:
    r"""Generalised advantages Â_t = Σ_k (γ λ)^k δ_{t+k},  δ_t = r_t + γ V_{t+1} − V_t.  (T, N), (T+1, N) → (T, N).

    Source: Schulman, Moritz, Levine, Jordan, Abbeel 2016, "High-dimensional continuous control using generalized
    advantage estimation".
    """
    deltas = rewards + discount * values[1:] - values[:-1]
    out = np.zeros_like(deltas)
    ahead = np.zeros(deltas.shape[1])
    for t in reversed(range(len(deltas))):
        ahead = deltas[t] + discount * trace * ahead
        out[t] = ahead
    return out


def values_of(inputs: Array, rewards: Array, discount: float, baseline: str) -> Array:
    """V (T+1, N) of what a network sees (T+1, N, nf) and of the time, by least squares on all returns to go.

    Each state's own return is left out. Those of its episode are not, which biases by order 1 / N: one fit for all
    steps needs far fewer episodes than one for each. Nothing follows the last step, where V is zero.
    """
    steps, count = rewards.shape
    to_go = np.zeros((steps + 1, count))
    for t in reversed(range(steps)):
        to_go[t] = rewards[t] + discount * to_go[t + 1]
    time = np.broadcast_to(np.arange(steps)[:, None, None] / steps, (steps, count, 1))
    seen = np.concatenate([inputs[:-1], time], axis=2).reshape(steps * count, -1)
    values = np.zeros((steps + 1, count))
    fitted = left_out(torch.from_numpy(seen), torch.from_numpy(to_go[:-1].reshape(-1)), baseline)
    values[:-1] = fitted.numpy().reshape(steps, count)
    return values


def log_densities(network: PolicyNetwork, h: Tensor, actions: Tensor) -> Tensor:
    """log π(u | o) but for a constant, of what the network gives. (B, k), (B, m) → (B,)."""
    factors = network.factors(h)
    rest = (actions - h[:, : network.m])[:, :, None]
    whitened = torch.linalg.solve_triangular(factors, rest, upper=False)
    return -0.5 * whitened.square().sum(dim=(1, 2)) - torch.log(torch.diagonal(factors, dim1=1, dim2=2)).sum(dim=1)


def improve(
    policy: GaussianPolicy, batch: Batch, options: PolicyGradientOptions, penalty: Penalty | None = None
) -> NaturalStep:
    r"""One step of a policy, in place, on episodes that it made itself.

        min_θ −E[ π_θ(u|x) / π_old(u|x) Â ] + penalty(θ)   subject to   E[ KL(π_old ‖ π_θ) ] ≤ ε

    by a natural step; its gradient at π_old is that of the return. Advantages are shifted and scaled to mean 0 and
    standard deviation 1, so that a penalty counts in those.

    Args:
        policy: what made the episodes.
        batch: the episodes.
        options: how.
        penalty: what else is to be small.

    Raises:
        SolverError: the gradient is not finite.

    Source: Kakade 2002, "A natural policy gradient"; Schulman et al. 2015, "Trust region policy optimization".
    """
    inputs = policy.standardise(batch.states)
    values = values_of(inputs, batch.rewards, options.discount, options.baseline)
    gains = advantages(batch.rewards, values, options.discount, options.trace)
    spread = gains.std()
    gains = (gains - gains.mean()) / (spread if spread > 0.0 else 1.0)
    with one_thread():
        network = PolicyNetwork(policy)
        z = torch.from_numpy(np.ascontiguousarray(inputs[:-1].reshape(batch.count, -1)))
        u, weights = torch.from_numpy(batch.actions.reshape(batch.count, -1)), torch.from_numpy(gains.ravel())
        old = torch.tensor(policy.parameters)

        def heads(parameters: Tensor) -> Tensor:
            return network.heads(network.layers(parameters), z)

        before = heads(old)
        factors = network.factors(before)
        reference = log_densities(network, before, u)

        def objective(parameters: Tensor) -> Tensor:
            ratios = torch.exp(log_densities(network, heads(parameters), u) - reference)
            loss = -(ratios * weights).mean()
            return loss if penalty is None else loss + penalty(network, parameters)

        def moved(parameters: Tensor) -> float:
            after = heads(parameters)
            m = network.m
            return float(gaussian_kl(before[:, :m], factors, after[:, :m], network.factors(after)).mean())

        fisher = network.fisher(before)
        step = natural_step(
            old,
            heads,
            torch.func.grad(objective)(old),
            moved,
            lambda p: float(objective(p)),
            options.kl_step,
            metric=lambda v: fisher(v) / batch.count,
            options=options.search,
        )
        policy.assign(step.parameters.numpy(), policy.covariance)
    return step


def first_policy(
    problem: BatchProblem, architecture: PolicyArchitecture, std: float, seed: int, episodes: int = 64
) -> GaussianPolicy:
    """A policy that does nearly nothing but noise; its scales are those of what noise alone reaches.

    Args:
        problem: it is for.
        architecture: of its network.
        std: of the noise, as a share of the actuators' limits.
        seed: of weights and noise.
        episodes: of noise.
    """
    policy = problem.new_policy(architecture, seed)
    rng = np.random.default_rng(seed)
    m, limit = problem.action.size, np.minimum(problem.action.upper, -problem.action.lower)
    noise = np.diag((std * limit) ** 2)
    batch = run_batch(
        problem,
        lambda x: (np.zeros((len(x), m)), np.tile(noise, (len(x), 1, 1))),
        problem.starts(episodes, rng),
        rng,
    )
    policy.fit_scales(
        PolicyTargets(batch.visited, np.tile(limit, (batch.count, 1)), np.tile(np.eye(m), (batch.count, 1, 1)))
    )
    explore(policy, std)
    parameters = policy.parameters.copy()
    layers = unflatten(parameters, policy.shapes)
    layers[-2][:m] *= SMALL
    policy.assign(parameters, policy.covariance)
    policy.trainings = 1
    return policy


def explore(policy: GaussianPolicy, std: float) -> None:
    """Give a policy noise of the same size everywhere, in place: a share of the actuators' limits."""
    limit = np.minimum(policy.action.upper, -policy.action.lower)
    parameters = policy.parameters.copy()
    layers = unflatten(parameters, policy.shapes)
    m = policy.action.size
    layers[-2][m:], layers[-1][m:] = 0.0, 0.0
    policy.assign(parameters, np.diag((std * limit) ** 2))


class NaturalPolicyGradient(StepLearner):
    """A policy improved by natural steps, each on episodes of its own.

    Args:
        problem: to be learned.
        seed: of weights, starts and noise.
        options: how.
        policy: to begin with, is changed; a `first_policy` when None.
        architecture: of a first policy.

    Attributes:
        policy: what is learned; it loads wherever a policy does.
        trained_returns: mean return of each iteration's episodes, with noise.
    """

    def __init__(
        self,
        problem: BatchProblem,
        seed: int,
        options: PolicyGradientOptions | None = None,
        policy: GaussianPolicy | None = None,
        architecture: PolicyArchitecture = ARCHITECTURE,
    ) -> None:
        """Nothing is learned yet."""
        self.batch_problem, self.problem = problem, problem.learning_problem
        self.options = PolicyGradientOptions() if options is None else options
        self.policy = first_policy(problem, architecture, self.options.std, seed) if policy is None else policy
        self.trained_returns: list[float] = []
        self._rng = np.random.default_rng([seed, 1])

    def advance(self) -> None:
        """One iteration."""
        batch = self.explored()
        improve(self.policy, batch, self.options)

    def explored(self, starts: Array | None = None) -> Batch:
        """Episodes of the policy with its noise, from new starts unless they are given."""
        if starts is None:
            starts = self.batch_problem.starts(self.options.episodes, self._rng)
        batch = run_batch(self.batch_problem, self.policy.distribution, starts, self._rng)
        self.steps += batch.count
        self.trained_returns.append(float(batch.returns.mean()))
        return batch

    def act(self, state: Array, step: int) -> Array:
        """The policy's mean, within the limits."""
        return np.clip(self.policy.means(state[None])[0], self.problem.lower, self.problem.upper)
