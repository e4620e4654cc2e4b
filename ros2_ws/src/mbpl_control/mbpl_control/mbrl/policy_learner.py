"""Learners that run a policy, learn the dynamics from it, improve the policy in them, and run it again."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.validation import Array, check_whole
from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.evaluation import StepLearner
from mbpl_control.mbrl.learned_dynamics import Transitions
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.walk import Walk, joined
from mbpl_control.policies.architecture import PolicyArchitecture
from mbpl_control.policies.policy import GaussianPolicy

OWNER = "TrialOptions"
#: From a hundred transitions on, and learned until little noise is left over: a policy trusts what the model says.
DYNAMICS = EnsembleOptions(hidden=(32, 32), steps=1500, learning_rate=3e-3)
#: The lecture's own advice for a policy that is trained in a model: simpler than a network. Linear, then squashed.
ARCHITECTURE = PolicyArchitecture(hidden=(), squash="tanh")


@dataclass(frozen=True)
class TrialOptions:
    """How a learner tries its policy.

    Attributes:
        first: steps of the environment under random actions, before anything is learned.
        steps: of each turn after that, under the policy.
        exploration: standard deviation of the policy in a trial, in units of half the range of each action.

    Raises:
        InvalidFieldError: an option out of its range.
    """

    first: int = 100
    steps: int = 50
    exploration: float = 0.1

    def __post_init__(self) -> None:
        """Check each."""
        check_whole(OWNER, "first", self.first, 1, 10**9)
        check_whole(OWNER, "steps", self.steps, 1, 10**9)
        if not 0.0 < self.exploration < math.inf:
            raise InvalidFieldError(OWNER, "exploration", str(self.exploration), "above 0 and finite")


def problem_policy(
    problem: LearningProblem, seed: int, architecture: PolicyArchitecture | None = None
) -> GaussianPolicy:
    """An untrained policy for a problem that no task file describes: it sees x0, x1, .., and gives u0, u1, ..

    Args:
        problem: whose sizes and limits.
        seed: of its weights.
        architecture: of its network; `ARCHITECTURE` when None.
    """
    architecture = ARCHITECTURE if architecture is None else architecture
    names = tuple(f"x{i}" for i in range(problem.n))
    block = StateBlock("joint_positions", names, ("euclidean",) * problem.n, ("1",) * problem.n)
    actions = tuple(f"u{i}" for i in range(problem.m))
    action = ActionDefinition(actions, actions, "effort", ("1",) * problem.m, problem.lower, problem.upper)
    return GaussianPolicy(
        StateDefinition((block,)), action, problem.dt, seed=seed, architecture=architecture, task=problem.name
    )


class PolicyLearner(StepLearner):
    r"""The lecture's version 2.0, but for how a policy is improved in a model.

        1. run a base policy: actions by lot within their limits       first turn
        2. learn f(x, u) from all transitions                          `EnsembleDynamics`
        3. improve π_θ in f                                            `improve`
        4. run u ~ π_θ(u | x), append what was visited                 each later turn

    A turn is one `advance`. Episodes go on from turn to turn (`Walk`).

    The policy is squashed: μ_θ(x) is within the limits of the actions, by a map that the model sees and the environment
    alike. What noise adds in a trial is cut off at them.

    Args:
        problem: what is learned.
        seed: of everything.
        trials: how it tries.
        dynamics: options of the ensemble; `DYNAMICS` when None.
        policy: π_θ with its own names of states and actions, for a robot, squashed; `problem_policy` when None.

    Attributes:
        policy: π_θ as it is by now.
        dynamics: f.
        starts: x_0 of the episodes so far.
        visited: states of turns in which they did not end for good.

    Raises:
        InvalidFieldError: a policy of other sizes or limits, or one that is not squashed.
    """

    policy: GaussianPolicy

    def __init__(
        self,
        problem: LearningProblem,
        seed: int,
        trials: TrialOptions | None = None,
        dynamics: EnsembleOptions | None = None,
        policy: GaussianPolicy | None = None,
    ) -> None:
        """Nothing is tried yet."""
        self.problem = problem
        self.trials = TrialOptions() if trials is None else trials
        self.dynamics = EnsembleDynamics(problem.n, problem.m, seed, DYNAMICS if dynamics is None else dynamics)
        self.policy = problem_policy(problem, seed) if policy is None else policy
        sizes = self.policy.observation.size, self.policy.action.size
        if sizes != (problem.n, problem.m):
            raise InvalidFieldError("PolicyLearner", "policy", f"sizes {sizes}", f"{(problem.n, problem.m)}")
        if self.policy.architecture.squash == "none":
            raise InvalidFieldError("PolicyLearner", "squash", "none", "one, which keeps actions within their limits")
        limits = self.policy.action.lower, self.policy.action.upper
        if not np.array_equal(limits, (problem.lower, problem.upper)):
            found, allowed = (f"{lower} to {upper}" for lower, upper in (limits, (problem.lower, problem.upper)))
            raise InvalidFieldError("PolicyLearner", "limits", found, f"{allowed}, as the problem's")
        self._rng = np.random.default_rng(seed)
        self._walk = Walk(problem, self._rng)
        self.starts: Array = np.zeros((0, problem.n))
        self.visited: Array = np.zeros((0, problem.n))

    @abstractmethod
    def improve(self) -> None:
        """Replace the policy's parameters by better ones in the dynamics."""

    def advance(self) -> None:
        """See `StepLearner.advance`: one turn."""
        first = self.steps == 0
        found = self._try(self.trials.first if first else self.trials.steps, first)
        self.dynamics.learn(found)
        if first:
            self._begin(found.states)
        self.improve()

    def act(self, state: Array, step: int) -> Array:
        """See `StepLearner.act`: μ_θ(x)."""
        return self.policy.means(np.asarray(state, dtype=np.float64)[None])[0]

    def imagined_starts(self, count: int) -> Array:
        """Where imagined particles begin, by lot: half where episodes did, half at states visited. (count, n).

        Where an episode ended for good, the steps before it give no more than their start: much of what came after is
        lost whatever the policy does, and its costs would be all that a derivative sees.
        """
        visited = count // 2 if len(self.visited) else 0
        parts = [self.starts[self._rng.integers(len(self.starts), size=count - visited)]]
        if visited:
            parts.append(self.visited[self._rng.integers(len(self.visited), size=visited)])
        return self._rng.permutation(np.concatenate(parts))

    def _try(self, budget: int, by_lot: bool) -> Transitions:
        deviations = np.sqrt(np.diag(self.policy.covariance))

        def act(state: Array, step: int) -> Array:
            if by_lot:
                return self._rng.uniform(self.problem.lower, self.problem.upper)
            mean = self.policy.means(state[None])[0]
            noisy = mean + deviations * self._rng.standard_normal(mean.shape)
            return np.clip(noisy, self.problem.lower, self.problem.upper)

        stretches = self._walk.go(budget, act)
        self.steps += budget
        begun = [each.transitions.states[:1] for each in stretches if each.first]
        kept = [each.transitions.successors for each in stretches if not each.ended]
        self.starts = np.concatenate([self.starts, *begun])
        self.visited = np.concatenate([self.visited, *kept])
        return joined(stretches)

    def _begin(self, states: Array) -> None:
        """Scales of the policy, once: features by the first states, actions by their limits."""
        policy, half = self.policy, 0.5 * (self.problem.upper - self.problem.lower)
        features = policy.features(states)
        deviation = features.std(axis=0)
        policy.feature_mean = features.mean(axis=0)
        policy.feature_scale = np.where(deviation < policy.architecture.constant_below, 1.0, deviation)
        policy.action_scale = half
        policy.assign(policy.parameters, np.diag(np.square(self.trials.exploration * half)))
