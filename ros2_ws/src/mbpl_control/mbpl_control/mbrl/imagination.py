"""Short rollouts of a policy in learned dynamics, from states that were really seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array, check_whole
from mbpl_control.mbrl.learned_dynamics import LearnedDynamics, Transitions
from mbpl_control.mbrl.problem import LearningProblem

#: x (B, n) → u (B, m) by lot, and ln π (B,) of each.
Draw = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class Imagined:
    """B rollouts of k steps. Where one has ended for good its last state is repeated, and its steps are not alive.

    Attributes:
        states: x (k + 1, B, n).
        actions: u (k, B, m).
        log_densities: ln π(u|x) (k, B).
        rewards: r (k, B).
        ended: whether it ended with the step (k, B).
        alive: whether the step was begun (k, B).
    """

    states: Array
    actions: Array
    log_densities: Array
    rewards: Array
    ended: NDArray[np.bool_]
    alive: NDArray[np.bool_]

    def transitions(self) -> tuple[Transitions, Array, NDArray[np.bool_]]:
        """All steps that are alive, as transitions, rewards and whether each ended."""
        rows = self.alive
        moved = Transitions(self.states[:-1][rows], self.actions[rows], self.states[1:][rows])
        return moved, self.rewards[rows], self.ended[rows]


def imagine(
    problem: LearningProblem,
    dynamics: LearnedDynamics,
    draw: Draw,
    starts: Array,
    steps: int,
    rng: np.random.Generator,
) -> Imagined:
    """Branched rollouts: x_{t+1} ~ p̂(x_{t+1} | x_t, u_t), u_t ~ π(u | x_t); reward and end are the problem's own.

    Args:
        problem: knows reward and end.
        dynamics: p̂.
        draw: π.
        starts: x_0 (B, n).
        steps: k.
        rng: of the dynamics' noise.

    Raises:
        InvalidFieldError: no step, or the dynamics left the finite numbers.
    """
    check_whole("imagine", "steps", steps, 1, 10**6)
    states, parts = [np.array(starts)], []
    alive = np.ones(len(starts), dtype=bool)
    for t in range(steps):
        x = states[-1]
        u, log_density = draw(x)
        after = dynamics.sample(x, u, rng)
        if not np.isfinite(after[alive]).all():
            raise InvalidFieldError("imagine", "states", f"not finite after step {t + 1}", "finite")
        after = np.where(alive[:, None], after, x)
        row = tuple(torch.from_numpy(part) for part in (x, u, after))
        rewards, ended = problem.reward(*row).numpy(), problem.ended(row[2]).numpy()
        parts.append((u, log_density, rewards, ended & alive, alive))
        states.append(after)
        alive = alive & ~ended
    return Imagined(np.stack(states), *(np.stack(part) for part in zip(*parts, strict=True)))
