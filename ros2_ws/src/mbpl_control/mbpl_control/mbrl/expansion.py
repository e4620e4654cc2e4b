"""Value expansion: a critic's targets look some steps ahead in a model."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_whole
from mbpl_control.mbrl.imagination import Imagined, imagine
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics
from mbpl_control.mbrl.problem import LearningProblem
from mbpl_control.mbrl.replay import Batch
from mbpl_control.mbrl.sac import SoftActorCritic


def expanded_targets(
    rewards: Array, ended: NDArray[np.bool_] | Array, value: Array, discount: float, bonus: Array | None = None
) -> Array:
    r"""Targets of Q at each step of rollouts, from rewards up to the last one and a critic behind it.

        y_t = r_t + γ (1 − ended_t) ( b_{t+1} + y_{t+1} ),   y_T = V(x_T),   b_T = 0

    With b = −α ln π they are soft. Where the rewards are those of the environment, a critic that is wrong by δ makes
    y_t wrong by γ^{T−t} δ: all of them are used, so that a critic is trained on the states it is asked at (TD-k).

    Args:
        rewards: r (T, B).
        ended: whether the episode ended for good with a step (T, B).
        value: V(x_T) (B,).
        discount: γ.
        bonus: b_t (T, B), of which the first is not used; none when None.

    Returns:
        y (T, B).

    Raises:
        InvalidFieldError: shapes that do not fit each other.

    Source: Feinberg et al. 2018, "Model-based value expansion for efficient model-free reinforcement learning",
    sections 3.1 and 3.2.
    """
    if rewards.ndim != 2 or ended.shape != rewards.shape or value.shape != rewards.shape[1:]:
        found = f"{rewards.shape}, {ended.shape}, {value.shape}"
        raise InvalidFieldError("expanded_targets", "rewards, ended, value", found, "(T, B), (T, B), (B,)")
    targets = np.empty(rewards.shape)
    after = value
    for t in reversed(range(len(rewards))):
        targets[t] = rewards[t] + discount * np.where(ended[t], 0.0, after)
        after = targets[t] if bonus is None else targets[t] + bonus[t]
    return targets


class ValueExpansion:
    r"""Soft actor-critic whose targets look H imagined steps further; with H = 0 it is as it was.

    From x' of a real transition the policy goes on H steps in the model. The critic is trained at the real transition
    and at each imagined one, towards `expanded_targets`; the policy at the real states.

    Args:
        problem: knows reward and end.
        agent: whose critics are trained.
        horizon: H.
        seed: of the dynamics' noise.

    Source: Feinberg et al. 2018, algorithm 1.
    """

    def __init__(self, problem: LearningProblem, agent: SoftActorCritic, horizon: int, seed: int) -> None:
        """Keep them."""
        self._problem, self._agent = problem, agent
        self._horizon = check_whole("ValueExpansion", "horizon", horizon, 0, 10**4)
        self._rng = np.random.default_rng(seed)

    def update(self, batch: Batch, dynamics: LearnedDynamics | None) -> None:
        """One step of critics, actor, α and target critics on real transitions; without dynamics nothing is imagined.

        Raises:
            InvalidFieldError: the dynamics left the finite numbers.
        """
        if dynamics is None or not self._horizon:
            self._agent.update(batch)
            return
        draw = self._agent.random_action
        starts = batch.successors.numpy().astype(np.float64)
        rollout = imagine(self._problem, dynamics, draw, starts, self._horizon, self._rng)
        targets, weights = self.targets(batch, rollout)
        dtype = self._agent.dtype
        self._agent.improve(
            torch.cat([batch.states, torch.as_tensor(rollout.states[:-1], dtype=dtype).flatten(0, 1)]),
            torch.cat([batch.actions, torch.as_tensor(rollout.actions, dtype=dtype).flatten(0, 1)]),
            targets.flatten(),
            weights.flatten(),
            batch.states,
        )

    def targets(self, batch: Batch, rollout: Imagined) -> tuple[Tensor, Tensor]:
        """y (H + 1, B) of the real transitions and of the steps imagined from their ends, and which of them count.

        y is in the agent's unit of rewards. What counts has a weight above 0; all weights have the mean 1.
        """
        agent = self._agent
        real = batch.ended.numpy() > 0.0
        value = agent.soft_values(torch.as_tensor(rollout.states[-1], dtype=agent.dtype)).numpy()
        bonus = np.concatenate([np.zeros((1, len(batch))), -agent.temperature * rollout.log_densities])
        rewards = np.concatenate([batch.rewards.numpy()[None], rollout.rewards]) / agent.reward_unit
        ended = np.concatenate([real[None], rollout.ended])
        counts = np.concatenate([np.ones((1, len(batch)), dtype=bool), rollout.alive & ~real])
        targets = expanded_targets(rewards, ended, value, agent.options.discount, bonus)
        weights = counts / counts.mean()
        return torch.as_tensor(targets, dtype=agent.dtype), torch.as_tensor(weights, dtype=agent.dtype)
