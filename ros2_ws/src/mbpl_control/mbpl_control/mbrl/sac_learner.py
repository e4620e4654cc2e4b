"""Soft actor-critic from one replay buffer, as it is or with a model: SAC, MBA, MVE and MBPO are its settings."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.special import ndtr

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_whole
from mbpl_control.mbrl.ensemble import EnsembleDynamics, EnsembleOptions
from mbpl_control.mbrl.evaluation import StepLearner
from mbpl_control.mbrl.expansion import ValueExpansion
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics, Transitions
from mbpl_control.mbrl.mbpo import BranchedRollouts, BranchOptions, RolloutLength
from mbpl_control.mbrl.planning.coloured_noise import coloured_noise
from mbpl_control.mbrl.policy_learner import problem_policy
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.replay import ReplayBuffer, draw_mixed
from mbpl_control.mbrl.sac import SacOptions, SoftActorCritic
from mbpl_control.policies.network import one_thread
from mbpl_control.policies.policy import GaussianPolicy

OWNER = "SacLearner"


@dataclass(frozen=True)
class LearnerOptions:
    """How a learner goes on.

    Attributes:
        explore: steps with actions drawn evenly within their limits, before anything is learned.
        colour: β of the noise that explores, whose power goes with frequency^−β over an episode: 0 white, 1 pink. What
            its actuators hardly move needs noise that lasts; what they fling about does not bear it.
        updates: of actor and critics each step from then on.
        batch_size: transitions of an update.
        turn: steps of an `advance`.
        capacity: real transitions that are kept.
        sac: of actor and critics.
        branches: imagined transitions that batches are mixed with; none when None.
        guess: whether critics begin with the value of what exploring was paid, for ever: mean reward / (1 − γ).
        unit: whether rewards are counted in the root mean square of what exploring was paid: temperature and learning
            rates then mean the same whatever a task's costs are in.
        bounded: whether no state is taken to be worth more than the best real reward so far at every step for ever; see
            `SoftActorCritic`.
        horizon: H imagined steps that targets look ahead; see `ValueExpansion`.
        model_every: steps between two times that the model learns.
        ensemble: of the model.

    Raises:
        InvalidFieldError: an option out of its range.
    """

    explore: int = 100
    colour: float = 0.0
    updates: int = 10
    batch_size: int = 128
    turn: int = 250
    capacity: int = 10**6
    sac: SacOptions = field(default_factory=SacOptions)
    branches: BranchOptions | None = None
    guess: bool = True
    unit: bool = True
    bounded: bool = True
    horizon: int = 0
    model_every: int = 100
    ensemble: EnsembleOptions = field(default_factory=EnsembleOptions)

    def __post_init__(self) -> None:
        """Check each."""
        for name in ("explore", "updates", "batch_size", "turn", "capacity", "model_every"):
            check_whole(OWNER, name, getattr(self, name), 1, 10**12)
        check_whole(OWNER, "horizon", self.horizon, 0, 10**4)
        if not 0.0 <= self.colour < np.inf:
            raise InvalidFieldError(OWNER, "colour", str(self.colour), "at least 0 and finite")


#: Each method is the same learner; what sets it apart is how it uses a model.
METHODS = {
    "SAC": LearnerOptions(),
    "SAC, pink": LearnerOptions(colour=1.0),
    "MBA": LearnerOptions(branches=BranchOptions(RolloutLength(5, 5), newest=500, real_share=1.0 / 6.0)),
    "MVE": LearnerOptions(horizon=3),
    "MBPO": LearnerOptions(branches=BranchOptions(RolloutLength(10, 10))),
    "MBPO, pink": LearnerOptions(branches=BranchOptions(RolloutLength(10, 10)), colour=1.0),
}


class SacLearner(StepLearner):
    """Takes a step, learns its model every so often, imagines, and improves actor and critics some times.

    Args:
        problem: what is learned.
        seed: of everything: environment, weights, noise, batches and model.
        options: which method it is; see `METHODS`.
        dynamics: the model, where one is used; an `EnsembleDynamics` when None.

    Attributes:
        agent: actor and critics.
        real: what was tried.
        dynamics: the model; None where none is used.
        branches: what is imagined; None where nothing is.

    Source: lecture notes on model-free optimisation with a model: the general Dyna-style recipe.
    """

    def __init__(
        self,
        problem: LearningProblem,
        seed: int,
        options: LearnerOptions | None = None,
        dynamics: LearnedDynamics | None = None,
    ) -> None:
        """Nothing is known."""
        self.problem = problem
        self.options = options = LearnerOptions() if options is None else options
        seeds = [int(part) for part in np.random.SeedSequence(seed).generate_state(6)]
        self._rng = np.random.default_rng(seeds[0])
        self.agent = SoftActorCritic(problem.n, problem.lower, problem.upper, seeds[1], options.sac)
        self.real = ReplayBuffer(problem.n, problem.m, options.capacity)
        self.branches = None if options.branches is None else BranchedRollouts(problem, options.branches, seeds[2])
        self._expansion = ValueExpansion(problem, self.agent, options.horizon, seeds[3])
        self.dynamics: LearnedDynamics | None = None
        if options.horizon or self.branches is not None:
            ensemble = EnsembleDynamics(problem.n, problem.m, seeds[4], options.ensemble)
            self.dynamics = ensemble if dynamics is None else dynamics
        self._environment = problem.make()
        self._state, _ = self._environment.reset(seed=seeds[5])
        self._of_episode = self._modelled = 0
        self._noise = self._episode_noise()
        self._next_standard = options.explore

    def advance(self) -> None:
        """See `StepLearner.advance`; `LearnerOptions.turn` steps.

        Raises:
            SolverError: a network left the finite numbers.
        """
        with one_thread():
            for _ in range(self.options.turn):
                self._step()
                if self.steps >= self.options.explore:
                    self._learn()
        self.agent.check()

    def act(self, state: Array, step: int) -> Array:
        """See `StepLearner.act`; the mean of the actor."""
        return np.asarray(self.agent.mean_action(np.asarray(state, dtype=np.float64)[None])[0])

    @property
    def policy(self) -> GaussianPolicy:
        """The mean actor as a policy of x0, x1, .. that gives u0, u1, ..

        Where it is drawn from, its deviation is the actor's over the states that were tried.
        """
        names = problem_policy(self.problem, seed=0)
        tried = self.real.newest(len(self.real))[:, : self.problem.n]
        deviation = self.agent.deviation(tried)
        return self.agent.policy(names.observation, names.action, self.problem.dt, deviation, self.problem.name)

    def _step(self) -> None:
        state = np.array(self._state, dtype=np.float64)
        noise = self._noise[self._of_episode]
        if self.steps < self.options.explore:
            action = self.problem.lower + ndtr(noise) * (self.problem.upper - self.problem.lower)
        else:
            action = self.agent.random_action(state[None], noise[None])[0][0]
        self._state, reward, ended, cut, _ = self._environment.step(action)
        moved = Transitions(state[None], action[None], np.array(self._state, dtype=np.float64)[None])
        self.real.add(moved, np.array([float(reward)]), np.array([bool(ended)]))
        if self.options.bounded:
            self.agent.paid(float(reward), ended=bool(ended))
        self.steps += 1
        self._of_episode += 1
        if ended or cut or self._of_episode >= self.problem.steps:
            # seeded once: the environment's own generator goes on
            self._state, _ = self._environment.reset()
            self._of_episode = 0
            self._noise = self._episode_noise()

    def _episode_noise(self) -> Array:
        """ε (T, m), each standard normal."""
        return coloured_noise(self.options.colour, (self.problem.m, self.problem.steps), self._rng).T

    def _learn(self) -> None:
        since = self.steps - self.options.explore
        if self.steps >= self._next_standard:
            # each time there is twice as much: what networks see keeps its size
            states = self.real.newest(len(self.real))[:, : self.problem.n]
            self.agent.standardise(states.mean(axis=0), states.std(axis=0))
            self._next_standard = 2 * self.steps
            if not self.agent.updates:
                self._begin(self.real.batch(self.real.newest(len(self.real))).rewards.numpy())
        if self.dynamics is not None and since % self.options.model_every == 0:
            fresh = self.real.batch(self.real.newest(self.steps - self._modelled))
            parts = (part.numpy() for part in (fresh.states, fresh.actions, fresh.successors))
            self.dynamics.learn(Transitions(*parts))
            self._modelled = self.steps
        if self.branches is not None and self.dynamics is not None and since % self.branches.options.every == 0:
            self.branches.branch(self.real, self.dynamics, self.agent.random_action, self.steps)
        for _ in range(self.options.updates):
            size = self.options.batch_size
            if self.branches is None:
                rows = self.real.draw(size, self._rng)
            else:
                share = self.branches.options.real_share
                rows = draw_mixed(self.real, self.branches.buffer, size, share, self._rng)
            self._expansion.update(self.real.batch(rows, self.agent.dtype), self.dynamics)

    def _begin(self, rewards: Array) -> None:
        """Unit and first values, of what exploring was paid."""
        size = float(np.sqrt(np.mean(np.square(rewards))))
        if self.options.unit and size > 0.0:
            self.agent.reward_unit = size
        if self.options.guess:
            self.agent.begin_at(float(rewards.mean()) / self.agent.reward_unit / (1.0 - self.options.sac.discount))
