"""Policy gradient in a model, down a KL bound: plain or natural."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.func import vmap

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import check_choice, check_positive, check_whole
from mbpl_control.mbrl.baseline import BASELINES
from mbpl_control.mbrl.closed_loop import ClosedLoop, Gaussian, roll_out
from mbpl_control.mbrl.ensemble import EnsembleOptions
from mbpl_control.mbrl.gradient import ESTIMATORS, GradientEstimate, estimate
from mbpl_control.mbrl.imagined_loop import imagined_loop
from mbpl_control.mbrl.policy_learner import PolicyLearner, TrialOptions
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.policies.natural_gradient import NaturalGradientOptions, NaturalStep, natural_step
from mbpl_control.policies.network import gaussian_kl, one_thread
from mbpl_control.policies.policy import GaussianPolicy

OWNER = "PolicyGradientOptions"
DIRECTIONS = ("natural", "plain")
#: Of the search by default: F is exact on few parameters, and a sample of it has to be solved for as it is.
SEARCH = NaturalGradientOptions(cg_iterations=100, cg_tolerance=1e-10)


@dataclass(frozen=True)
class PolicyGradientOptions:
    """How a policy goes down its gradient.

    Attributes:
        horizon: T, steps of a rollout.
        bound: on the mean KL(before ‖ after) of a step over the states visited, nats.
        direction: "natural", F⁻¹ g, or "plain", g.
        estimator: of the gradient; see `estimate`.
        baseline: what a likelihood ratio's returns are compared with; see `left_out`.
        search: of a natural step.

    Raises:
        InvalidFieldError: an option out of its range.
    """

    horizon: int = 40
    bound: float = 0.01
    direction: str = "natural"
    estimator: str = "total_propagation"
    baseline: str = "quadratic"
    search: NaturalGradientOptions = field(default=SEARCH)

    def __post_init__(self) -> None:
        """Check each."""
        check_whole(OWNER, "horizon", self.horizon, 1, 10**6)
        check_positive(OWNER, "bound", self.bound, "nats")
        check_choice(OWNER, "direction", self.direction, DIRECTIONS)
        check_choice(OWNER, "estimator", self.estimator, ESTIMATORS)
        check_choice(OWNER, "baseline", self.baseline, BASELINES)


class VisitedPolicy:
    r"""A policy with independent noise at states that were visited: its KL, and its Fisher information.

    h = (μ, σ) at each of B states; M = diag(1/σ², 2/σ²), and F = 1/B Σ_b J_bᵀ M_b J_b is the second derivative of

        1/B Σ_b KL( N(μ_b, σ_b²) ‖ N(μ'_b, σ'_b²) )

    Args:
        policy: of a `ClosedLoop`.
        parameters: θ (P,), where M is taken.
        states: (B, n).

    Raises:
        InvalidFieldError: an action without noise, of which there is no KL.

    Source: Kay 1993, "Fundamentals of statistical signal processing", section 3.9; Kakade 2001.
    """

    def __init__(self, policy: Callable[[Tensor, Tensor], Gaussian], parameters: Tensor, states: Tensor) -> None:
        """Ask it once."""
        self._policy = vmap(policy, in_dims=(None, 0))
        self._states = states
        self._mean, self._deviation = self._policy(parameters, states)
        if not bool((self._deviation > 0.0).all()):
            raise InvalidFieldError("ModelPolicyGradient", "policy", "an action without noise", "noise on each action")

    def heads(self, parameters: Tensor) -> Tensor:
        """h (B, 2 m) of θ (P,)."""
        return torch.cat(self._policy(parameters, self._states), dim=1)

    def metric(self, v: Tensor) -> Tensor:
        """M v, with the weights of a mean over states in it. (B, 2 m) → (B, 2 m)."""
        precision = self._deviation.square().reciprocal() / len(self._states)
        return v * torch.cat([precision, 2.0 * precision], dim=1)

    def kl(self, parameters: Tensor) -> float:
        """Mean of KL(θ ‖ θ'), nats, of θ' (P,)."""
        mean, deviation = self._policy(parameters, self._states)
        pair = (self._mean, torch.diag_embed(self._deviation)), (mean, torch.diag_embed(deviation))
        return float(gaussian_kl(*pair[0], *pair[1]).mean())


@dataclass(frozen=True, eq=False)
class GradientStep:
    """A step, and what it came from.

    Attributes:
        gradient: dE[cost]/dθ, as estimated.
        step: what became of it; `NaturalStep.objective` is the mean cost on the noise of this step.
    """

    gradient: GradientEstimate
    step: NaturalStep


class ModelPolicyGradient:
    r"""θ ← θ − α d down the expected cost of a `ClosedLoop`, each step of at most `bound` nats.

        natural: F d = g     plain: d = g     α: KL(π_θ ‖ π_θ') ≤ bound, exactly, on the states visited

    g is estimated from rollouts, by one of the three estimators. F is the mean Fisher information of the policy over
    the very same states: for one policy over a whole trajectory it is that of the trajectory's distribution, divided
    by T, as dynamics do not depend on θ. The plain direction is one iteration of conjugate gradient, which is g; its
    length is by F as well, so that both keep the same bound. A step is taken if it lowers the cost of the same
    particles with the same noise.

    Args:
        loop: policy with noise, model and cost.
        parameters: θ (P,) to begin with.
        seed: of the rollouts.
        options: of the steps.

    Attributes:
        parameters: θ by now.

    Source: Williams 1992; Kakade 2001, "A natural policy gradient"; Schulman et al. 2015, "Trust region policy
    optimization".
    """

    def __init__(
        self, loop: ClosedLoop, parameters: Tensor, seed: int, options: PolicyGradientOptions | None = None
    ) -> None:
        """Keep them."""
        self._loop, self.parameters = loop, parameters
        self._options = PolicyGradientOptions() if options is None else options
        self._generator = torch.Generator().manual_seed(seed)

    def step(self, starts: Tensor) -> GradientStep:
        """One step from rollouts that begin at x_0 (N, n).

        Raises:
            InvalidFieldError: a policy without noise, or too few particles.
            SolverError: a gradient that is not finite.
        """
        options, loop, theta = self._options, self._loop, self.parameters
        noise = self._generator.get_state()
        search = options.search
        if options.direction == "plain":
            search = NaturalGradientOptions(1, search.cg_tolerance, 0.0, search.acceptance, search.max_reductions)

        def cost(parameters: Tensor) -> float:
            same = torch.Generator()
            same.set_state(noise)
            rollouts = roll_out(loop, parameters, starts, options.horizon, same)
            return float(rollouts.totals.mean())

        with one_thread():
            rollouts = roll_out(loop, theta, starts, options.horizon, self._generator)
            visited = VisitedPolicy(loop.policy, theta, rollouts.states[:-1].flatten(0, 1))
            gradient = estimate(loop, theta, rollouts, options.estimator, options.baseline)
            step = natural_step(
                theta,
                visited.heads,
                gradient.mean,
                visited.kl,
                cost,
                options.bound,
                metric=visited.metric,
                options=search,
            )
        self.parameters = step.parameters
        return GradientStep(gradient, step)


class PolicyGradientLearner(PolicyLearner):
    """Version 2.0 with the gradient estimated rather than propagated: `ModelPolicyGradient` in learned dynamics.

    Args:
        problem: what is learned; its cost is what falls.
        seed: of everything.
        options: of the steps.
        steps: most of them a turn; fewer where one lowers nothing.
        particles: of a step.
        trials: how it tries.
        dynamics: options of the ensemble.
        policy: see `PolicyLearner`.
    """

    def __init__(
        self,
        problem: LearningProblem,
        seed: int,
        options: PolicyGradientOptions | None = None,
        steps: int = 40,
        particles: int = 100,
        trials: TrialOptions | None = None,
        dynamics: EnsembleOptions | None = None,
        policy: GaussianPolicy | None = None,
    ) -> None:
        """Nothing is tried yet."""
        super().__init__(problem, seed, trials, dynamics, policy)
        self._options = options
        self._count = check_whole("PolicyGradientLearner", "steps", steps, 1, 10**6)
        self._particles = check_whole("PolicyGradientLearner", "particles", particles, 2, 10**6)

    def improve(self) -> None:
        """See `PolicyLearner.improve`."""
        loop = imagined_loop(self.problem, self.dynamics, self.policy)
        seed = int(self._rng.integers(2**63))
        gradient = ModelPolicyGradient(loop, torch.tensor(self.policy.parameters), seed, self._options)
        for _ in range(self._count):
            if not gradient.step(torch.tensor(self.imagined_starts(self._particles))).step.accepted:
                break
        self.policy.assign(gradient.parameters.numpy(), self.policy.covariance)
