"""Soft actor-critic: a policy that earns much, and stays as random as that allows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from mbpl_control.core.action_definition import ActionDefinition
from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.state_definition import StateDefinition
from mbpl_control.core.validation import Array, check_positive, check_whole
from mbpl_control.mbrl.replay import Batch
from mbpl_control.mbrl.stacked import Adam, ReluStack
from mbpl_control.policies.architecture import PolicyArchitecture
from mbpl_control.policies.network import one_thread
from mbpl_control.policies.policy import GaussianPolicy

OWNER = "SoftActorCritic"
#: ln σ stays between these; σ is in units of the tanh's argument.
LOG_STD = (-5.0, 2.0)
#: No number of a state is divided by less.
LEAST_SCALE = 1e-3


@dataclass(frozen=True)
class SacOptions:
    """How soft actor-critic learns.

    Attributes:
        hidden: units of each hidden layer, of actor and critics.
        discount: γ of a step.
        learning_rate: of Adam, for actor, critics and ln α.
        follow: τ, by which part a target critic follows its critic each update.
        average: by which part the actor that is judged and executed follows the one that learns; 1 for the same.
        target_entropy: H̄, nats of a in (−1, 1)^m; even draws have m ln 2.
        temperature: α to begin with.
        tuned: whether α is tuned until the entropy is H̄.

    Raises:
        InvalidFieldError: an option out of its range.
    """

    hidden: tuple[int, ...] = (64, 64)
    discount: float = 0.99
    learning_rate: float = 1e-3
    follow: float = 0.02
    average: float = 0.002
    target_entropy: float = 0.0
    temperature: float = 0.1
    tuned: bool = True

    def __post_init__(self) -> None:
        """Check each."""
        for units in self.hidden:
            check_whole(OWNER, "hidden", units, 1, 10**6)
        check_positive(OWNER, "learning_rate", self.learning_rate)
        check_positive(OWNER, "temperature", self.temperature)
        if not 0.0 <= self.discount < 1.0:
            raise InvalidFieldError(OWNER, "discount", str(self.discount), "at least 0 and below 1")
        for name, share in (("follow", self.follow), ("average", self.average)):
            if not 0.0 < share <= 1.0:
                raise InvalidFieldError(OWNER, name, str(share), "above 0 and at most 1")
        if not math.isfinite(self.target_entropy):
            raise InvalidFieldError(OWNER, "target_entropy", str(self.target_entropy), "finite")


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Actions by lot, and what their derivatives need: σ as its logarithm and σ ε as `spread`."""

    seen: list[Tensor]
    mean: Tensor
    bend: Tensor
    log_std: Tensor
    spread: Tensor
    actions: Tensor
    log_density: Tensor


class SoftActorCritic:
    r"""max_π E Σ_t γ^t ( r_t + α H[π(·|x_t)] ), from transitions of any policy.

        actor     u = c + w ⊙ a,   a = tanh(y),   y ~ N( μ_φ(x), diag σ_φ²(x) )
                  ln π(a|x) = ln N(y; μ, σ²) − Σ_i ln(1 − a_i²)
        value     V(x) = min( E_u[ min_j Q̄_j(x, u) − α ln π(a|x) ], V_max )
        critics   min_ψ E[ Σ_j ½ (Q_j(x, u) − y)² ],   y = r / r_unit + γ (1 − ended) V(x')
        actor     min_φ E[ α ln π(a|x) − min_j Q_j(x, u) ]
        α         min_α E[ −α ( ln π(a|x) + H̄ ) ]

    c and w are the middle and half the width of the actions' limits, Q̄ slowly follows Q. Entropy is that of a, so that
    it has no unit. V_max is what the best real reward so far and the most entropy there can be, m ln 2, come to for
    ever, (r_best / r_unit + α m ln 2) / (1 − γ): where no data hold it a critic can promise more at each update, and an
    actor goes where it does. Networks are float32, the two critics one stack. The actor that explores is the newest;
    one that is judged or executed has the running mean of its weights, which a few updates do not upset.

    Args:
        lower: limits of u (m,).
        upper: limits of u (m,).
        n: numbers of x.
        seed: of weights and noise.
        options: how it learns.

    Attributes:
        updates: taken so far.
        reward_unit: r_unit; Q, V and α are in it.

    Source: Haarnoja, Zhou, Hartikainen et al. 2018, "Soft actor-critic algorithms and applications".
    """

    dtype = torch.float32

    def __init__(self, n: int, lower: Array, upper: Array, seed: int, options: SacOptions | None = None) -> None:
        """Random weights."""
        self.n, self.m = check_whole(OWNER, "n", n, 1, 10**6), len(lower)
        self.options = SacOptions() if options is None else options
        if not (np.isfinite([lower, upper]).all() and (np.asarray(lower) < upper).all()):
            raise InvalidFieldError(OWNER, "limits", f"{lower} to {upper}", "finite, the lower below the upper")
        self._limits = np.array(lower), np.array(upper)
        self._middle, self._half = 0.5 * (np.asarray(lower) + upper), 0.5 * (np.asarray(upper) - lower)
        self._action_offset = torch.tensor(-self._middle / self._half, dtype=self.dtype)
        self._action_factor = torch.tensor(1.0 / self._half, dtype=self.dtype)
        rng = np.random.default_rng(seed)
        self._generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        hidden = self.options.hidden
        self._actor = ReluStack(1, (n, *hidden, 2 * self.m), rng, self.dtype)
        self._critics = ReluStack(2, (n + self.m, *hidden, 1), rng, self.dtype)
        self._targets, self._mean_actor = self._critics.copy(), self._actor.copy()
        self._log_temperature = torch.tensor([math.log(self.options.temperature)], dtype=torch.float64)
        vectors = self._actor.vector, self._critics.vector, self._log_temperature
        self._of_actor, self._of_critics, self._of_temperature = (
            Adam(vector, self.options.learning_rate) for vector in vectors
        )
        self.updates = 0
        self.reward_unit = 1.0
        # none so far: V is not bounded
        self._best_reward, self._ends = -math.inf, False
        self._state_mean: Array = np.zeros(n)
        self._state_scale: Array = np.ones(n)
        self.standardise(self._state_mean, self._state_scale)

    def standardise(self, mean: Array, scale: Array) -> None:
        """From now on networks see (x − mean) / scale, each (n,); no scale below `LEAST_SCALE`.

        What they learned, they go on to say: their first layer takes the change up.
        """
        scale = np.maximum(scale, LEAST_SCALE)
        if self.updates:
            shift = torch.tensor((mean - self._state_mean) / self._state_scale, dtype=self.dtype)
            factor = torch.tensor(scale / self._state_scale, dtype=self.dtype)
            for stack in (self._actor, self._mean_actor, self._critics, self._targets):
                stack.rebase(shift, factor)
        self._state_mean, self._state_scale = np.array(mean), np.asarray(scale)
        self._offset = torch.tensor(-self._state_mean / self._state_scale, dtype=self.dtype)
        self._factor = torch.tensor(1.0 / self._state_scale, dtype=self.dtype)

    def begin_at(self, value: float) -> None:
        """Add a number to what critics and target critics say, wherever they are asked."""
        for stack in (self._critics, self._targets):
            stack.layers[-1] += value

    @property
    def temperature(self) -> float:
        """α."""
        return math.exp(float(self._log_temperature))

    def distribution(self, states: Tensor) -> tuple[Tensor, Tensor]:
        """μ and ln σ of y at states (B, n), (B, m) each."""
        drawn = self._draw(states)
        return drawn.mean, drawn.log_std

    def _draw(self, states: Tensor, noise: Tensor | None = None) -> _Drawn:
        seen = self._actor.seen(self._standardised(states)[None])
        mean, bend, log_std = self._said(seen[-1][0])
        if noise is None:
            noise = torch.randn(mean.shape, generator=self._generator, dtype=self.dtype)
        spread = torch.exp(log_std).mul_(noise)
        y = mean + spread
        return _Drawn(seen, mean, bend, log_std, spread, torch.tanh(y), log_density(noise, log_std, y))

    def _said(self, output: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """μ, what bends ln σ between its bounds, and ln σ, (B, m) each, of what the actor's last layer gives."""
        low, high = LOG_STD
        bend = torch.tanh(output[:, self.m :])
        return output[:, : self.m], bend, low + 0.5 * (high - low) * (1.0 + bend)

    def _standardised(self, states: Tensor) -> Tensor:
        return torch.addcmul(self._offset, states, self._factor)

    def _seen_by(self, critics: ReluStack, states: Tensor, actions: Tensor) -> list[Tensor]:
        inputs = torch.cat([self._standardised(states), actions], dim=1)
        return critics.seen(inputs.expand(2, -1, -1))

    def soft_values(self, states: Tensor) -> Tensor:
        """V of states (B, n), from one action each; (B,)."""
        drawn = self._draw(states)
        q = self._seen_by(self._targets, states, drawn.actions)[-1]
        values = torch.minimum(q[0, :, 0], q[1, :, 0]) - self.temperature * drawn.log_density
        return values if math.isinf(self._best_reward) else values.clamp_(max=self.most())

    def paid(self, reward: float, *, ended: bool) -> None:
        """Take a real reward into V_max, and whether an episode ended for good with it."""
        self._best_reward = max(self._best_reward, reward)
        self._ends |= ended

    def most(self) -> float:
        """V_max; of the next step alone where each step costs something and episodes may end for good."""
        best = self._best_reward / self.reward_unit + self.temperature * self.m * math.log(2.0)
        return best if best < 0.0 and self._ends else best / (1.0 - self.options.discount)

    def random_action(self, states: Array, noise: Array | None = None) -> tuple[Array, Array]:
        """u (B, m) by lot and ln π(a|x) (B,) at states (B, n); ε (B, m) is drawn where it is not given."""
        with one_thread():
            given = None if noise is None else torch.as_tensor(noise, dtype=self.dtype)
            drawn = self._draw(torch.as_tensor(states, dtype=self.dtype), given)
        return self._scaled(drawn.actions), drawn.log_density.numpy().astype(np.float64)

    def mean_action(self, states: Array) -> Array:
        """c + w tanh μ(x) of the mean actor at states (B, n); (B, m)."""
        with one_thread():
            inputs = self._standardised(torch.as_tensor(states, dtype=self.dtype))
            return self._scaled(torch.tanh(self._mean_actor.seen(inputs[None])[-1][0, :, : self.m]))

    def deviation(self, states: Array) -> Array:
        """Standard deviation of u (m,) of the mean actor, root mean square over x (B, n), to first order in its noise.

        Raises:
            InvalidFieldError: no state.
        """
        if not len(states):
            raise InvalidFieldError(OWNER, "states", "none", "at least 1")
        with one_thread():
            inputs = self._standardised(torch.as_tensor(states, dtype=self.dtype))
            mean, _, log_std = self._said(self._mean_actor.seen(inputs[None])[-1][0])
            share = (1.0 - torch.tanh(mean).square()) * torch.exp(log_std)
        return np.asarray(self._half * np.sqrt(np.square(share.numpy().astype(np.float64)).mean(axis=0)))

    def _scaled(self, actions: Tensor) -> Array:
        # beyond a limit by rounding only
        return np.clip(self._middle + self._half * actions.numpy().astype(np.float64), *self._limits)

    def unscaled(self, actions: Tensor) -> Tensor:
        """a of u (B, m)."""
        return torch.addcmul(self._action_offset, actions, self._action_factor)

    def update(self, batch: Batch) -> None:
        """One step of critics, actor, α and target critics on transitions."""
        after = self.soft_values(batch.successors)
        wanted = batch.rewards / self.reward_unit + self.options.discount * (1.0 - batch.ended) * after
        self.improve(batch.states, batch.actions, wanted)

    def improve(
        self,
        states: Tensor,
        actions: Tensor,
        wanted: Tensor,
        weights: Tensor | None = None,
        actor_states: Tensor | None = None,
    ) -> None:
        """One step towards given targets of Q.

        Args:
            states: x (B, n).
            actions: u (B, m).
            wanted: what Q should be there (B,), in `reward_unit`.
            weights: of each (B,); ones when None.
            actor_states: where the policy is improved; at `states` when None.
        """
        self._of_critics.step(self._critic_gradient(states, self.unscaled(actions), wanted, weights))
        gradient, density = self._actor_gradient(states if actor_states is None else actor_states)
        self._of_actor.step(gradient)
        if self.options.tuned:
            excess = density.mean(dtype=torch.float64).add_(self.options.target_entropy)
            self._of_temperature.step(-excess[None])
        self._targets.vector.lerp_(self._critics.vector, self.options.follow)
        # a mean over fewer updates than there were
        self._mean_actor.vector.lerp_(self._actor.vector, max(self.options.average, 1.0 / (1.0 + self.updates)))
        self.updates += 1

    def _critic_gradient(self, states: Tensor, actions: Tensor, wanted: Tensor, weights: Tensor | None) -> Tensor:
        r"""Of 1/B Σ_i w_i Σ_j ½ (Q_j − y_i)²."""
        seen = self._seen_by(self._critics, states, actions)
        by_value = (seen[-1] - wanted[:, None]).div_(len(wanted))
        if weights is not None:
            by_value *= weights[:, None]
        return self._critics.gradient(seen, by_value)

    def _actor_gradient(self, states: Tensor) -> tuple[Tensor, Tensor]:
        r"""Of 1/B Σ_i [ α ln π(a_i|x_i) − min_j Q_j(x_i, a_i) ] along the noise, and ln π(a_i|x_i) (B,).

        ∂ ln π/∂y = 2 a,   ∂ ln π/∂ ln σ = −1 + ∂ ln π/∂y σ ε
        """
        drawn, count = self._draw(states), len(states)
        seen = self._seen_by(self._critics, states, drawn.actions)
        first = seen[-1][0] <= seen[-1][1]
        by_value = torch.stack([first, ~first]).to(self.dtype).div_(-count)
        by_action = self._critics.by_input(seen, by_value)[:, :, self.n :].sum(dim=0)
        price = self.temperature / count
        a = drawn.actions
        by_y = by_action * (1.0 - a * a) + (2.0 * price) * a
        low, high = LOG_STD
        by_bend = (by_y * drawn.spread - price) * (0.5 * (high - low) * (1.0 - drawn.bend * drawn.bend))
        return self._actor.gradient(drawn.seen, torch.cat([by_y, by_bend], dim=1)[None]), drawn.log_density

    def check(self) -> None:
        """Whether all went well.

        Raises:
            SolverError: a weight is not finite.
        """
        if not all(bool(torch.isfinite(part).all()) for part in (self._actor.vector, self._critics.vector)):
            raise SolverError(
                f"soft actor-critic: a weight is not finite after {self.updates} updates; a lower learning rate, or "
                "rewards of a smaller size, may help"
            )

    def policy(
        self, observation: StateDefinition, action: ActionDefinition, dt: float, deviation: Array, task: str = ""
    ) -> GaussianPolicy:
        """The mean actor as a policy that `neural_policy` executes, of mean c + w tanh μ(x).

        Args:
            observation: what x is; plain numbers.
            action: what u is; of the limits this was made with.
            dt: s of a step.
            deviation: standard deviation of the actions (m,) where the policy is drawn from, in their unit.
            task: name of it.

        Raises:
            InvalidFieldError: definitions that x and u do not fit.
        """
        architecture = PolicyArchitecture(self.options.hidden, "relu", squash="tanh")
        policy = GaussianPolicy(observation, action, dt, seed=0, architecture=architecture, task=task)
        if not policy.features.identity or observation.size != self.n:
            found = f"{observation.size} numbers" + ("" if policy.features.identity else ", some of them angles")
            raise InvalidFieldError(OWNER, "observation", found, f"{self.n} plain numbers")
        lower, upper = self._limits
        if action.size != self.m or not np.allclose([action.lower, action.upper], [lower, upper]):
            found = f"limits {action.lower} to {action.upper}"
            raise InvalidFieldError(OWNER, "action", found, f"of limits {lower} to {upper}")
        policy.feature_mean, policy.feature_scale = self._state_mean.copy(), self._state_scale.copy()
        policy.action_scale = self._half.copy()
        layers = [part[0].numpy().astype(np.float64) for part in self._mean_actor.layers]
        layers[-2], layers[-1] = layers[-2][:, : self.m], layers[-1][:, : self.m]
        policy.assign(np.concatenate([part.T.ravel() for part in layers]), np.diag(np.square(deviation)))
        return policy


def log_density(noise: Tensor, log_std: Tensor, y: Tensor) -> Tensor:
    r"""ln π(a) of a = tanh(y), y = μ + σ ε; (B, m) each → (B,).

    Σ_i [ −½ ε² − ln σ − ½ ln 2π − 2 (ln 2 − y − ln(1 + e^{−2y})) ]; the last is ln(1 − tanh² y) where that is rounded
    to ln 0, too.
    """
    gaussian = -0.5 * noise.square() - log_std - 0.5 * math.log(2.0 * math.pi)
    return (gaussian - 2.0 * (math.log(2.0) - y - softplus(-2.0 * y))).sum(dim=1)
