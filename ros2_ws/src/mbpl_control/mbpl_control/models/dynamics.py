"""What a planner may ask of a model."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from mbpl_control.core import ActionDefinition, ModelError, StateDefinition
from mbpl_control.core.validation import Array
from mbpl_control.models.inverse_dynamics import InverseDynamics


class Dynamics(ABC):
    """Discrete-time dynamics x_{t+1} = f(x_t, u_t), the action held over a step of dt.

    Attributes:
        state: what x is; nx numbers, ndx in the tangent space.
        action: what u is; m numbers.
        dt: duration of a step, s.
        shares_derivatives: whether `rollout_linearized` costs about as much as `linearize` alone.
        line_search_batch: how many trajectories `follow` follows for little more than the price of one.
    """

    state: StateDefinition
    action: ActionDefinition
    dt: float
    shares_derivatives: bool = False
    line_search_batch: int = 1

    @property
    def leap(self) -> float:
        """The h of a step v' = v + h a(q, v, u), q' = q + h v' of x = (q, v); 0 where a step is another one.

        Half of A and B follows from the other half then: [A B]_q = [I 0 0] + h [A B]_v.
        """
        return 0.0

    @property
    def inverse(self) -> InverseDynamics | None:
        """The same step with the acceleration as the control; None where there is none."""
        return None

    @abstractmethod
    def step(self, states: Array, actions: Array) -> Array:
        """x_{t+1} = f(x_t, u_t) for a batch. (B, nx), (B, m) → (B, nx); B = 1 is not special."""

    @abstractmethod
    def linearize(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """Derivatives in the tangent space along a trajectory.

            f(x ⊕ δx, u + δu) ⊖ f(x, u) ≈ A δx + B δu

        Args:
            states: (T, nx).
            actions: (T, m).

        Returns:
            A (T, ndx, ndx) and B (T, ndx, m).
        """

    def set_duration(self, dt: float) -> None:
        """Let a step last dt seconds from now on, in as many substeps as before.

        Raises:
            ModelError: the model holds for its own step alone, as one that was fitted does.
        """
        raise ModelError(f"{type(self).__name__}: the step of {self.dt} s cannot change to {dt} s")

    def rollout(self, start: Array, actions: Array) -> Array:
        """States under given actions. (nx,), (T, m) → (T+1, nx)."""
        return self.rollouts(np.asarray(start)[None], np.asarray(actions)[None])[0]

    def rollouts(self, starts: Array, actions: Array) -> Array:
        """States of L trajectories under given actions. (L, nx), (L, T, m) → (L, T+1, nx)."""
        return self.follow(starts, actions)[0]

    def follow(
        self,
        starts: Array,
        plans: Array,
        nominal_states: Array | None = None,
        gains: Array | None = None,
        lower: Array | float = -np.inf,
        upper: Array | float = np.inf,
    ) -> tuple[Array, Array]:
        r"""Trajectories side by side, each under a plan of its own and the feedback of all.

            u_t = clip( plan_t + K_t (x_t ⊖ x̂_t), lower, upper )

        Args:
            starts: (L, nx).
            plans: (L, T, m).
            nominal_states: x̂ (T+1, nx) or (T, nx); not looked at without gains.
            gains: K (T, m, ndx); no feedback when None.
            lower: (m,) limits of the action.
            upper: (m,) limits of the action.

        Returns:
            states (L, T+1, nx) and actions (L, T, m). A trajectory that diverges holds numbers that are not finite.
        """
        count, steps, m = np.shape(plans)
        states, actions = np.empty((count, steps + 1, self.state.size)), np.empty((count, steps, m))
        states[:, 0] = starts
        for t in range(steps):
            wanted = plans[:, t]
            if gains is not None and nominal_states is not None:
                wanted = wanted + self.state.space.difference(states[:, t], nominal_states[t]) @ gains[t].T
            actions[:, t] = np.clip(wanted, lower, upper)
            states[:, t + 1] = self.step(states[:, t], actions[:, t])
        return states, actions

    def rollout_feedback(
        self,
        nominal_states: Array,
        nominal_actions: Array,
        feedforward: Array,
        gains: Array,
        step_sizes: Array,
        lower: Array,
        upper: Array,
    ) -> tuple[Array, Array]:
        r"""Trajectories of a line search, one for each step size α, all from the first nominal state.

            u_t = clip( û_t + α k_t + K_t (x_t ⊖ x̂_t), lower, upper )

        Args:
            nominal_states: x̂ (T+1, nx).
            nominal_actions: û (T, m).
            feedforward: k (T, m).
            gains: K (T, m, ndx).
            step_sizes: α (S,).
            lower: (m,) limits of the action.
            upper: (m,) limits of the action.

        Returns:
            states (S, T+1, nx) and actions (S, T, m), as `follow` does.
        """
        plans = nominal_actions + np.asarray(step_sizes)[:, None, None] * feedforward
        starts = np.repeat(nominal_states[:1], len(plans), axis=0)
        return self.follow(starts, plans, nominal_states, gains, lower, upper)

    def rollout_linearized(
        self,
        nominal_states: Array,
        nominal_actions: Array,
        feedforward: Array,
        gains: Array,
        lower: Array,
        upper: Array,
    ) -> tuple[Array, Array, Array, Array]:
        """A full step of the line search, and the derivatives along the trajectory it leads to.

        A model whose derivatives give the next state for nothing does both at once, and says so by
        `shares_derivatives`.

        Args:
            nominal_states: x̂ (T+1, nx).
            nominal_actions: û (T, m).
            feedforward: k (T, m).
            gains: K (T, m, ndx).
            lower: (m,) limits of the action.
            upper: (m,) limits of the action.

        Returns:
            states (T+1, nx), actions (T, m), A (T, ndx, ndx) and B (T, ndx, m).
        """
        one = np.ones(1)
        arguments = (nominal_states, nominal_actions, feedforward, gains, one, lower, upper)
        states, actions = (part[0] for part in self.rollout_feedback(*arguments))
        return states, actions, *self.linearize(states[:-1], actions)
