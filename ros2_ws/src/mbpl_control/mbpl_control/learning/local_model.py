"""What is known of one start condition after its trials: dynamics and cost around their mean trajectory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mbpl_control.core import LinearGaussianController, LinearGaussianDynamics, Trial
from mbpl_control.core.validation import Array
from mbpl_control.costs.cost import Quadratization
from mbpl_control.fitting.local_dynamics import LocalDynamics
from mbpl_control.tasks.task import Task
from mbpl_control.trajopt.kl_lqr import KLProblem, LinearLaw


@dataclass(frozen=True)
class TrialSet:
    """The valid trials of one condition and iteration.

    Attributes:
        states: (N, T+1, n).
        actions: (N, T, m), as applied.
        costs: (N,) of each trial.
    """

    states: Array
    actions: Array
    costs: Array

    @classmethod
    def of(cls, trials: Sequence[Trial]) -> TrialSet:
        """From trials of full length."""
        return cls(
            np.array([t.states for t in trials]),
            np.array([t.actions for t in trials]),
            np.array([t.cost for t in trials]),
        )

    @property
    def mean_states(self) -> Array:
        """(T+1, n)."""
        mean: Array = self.states.mean(axis=0)
        return mean

    @property
    def mean_actions(self) -> Array:
        """(T, m)."""
        mean: Array = self.actions.mean(axis=0)
        return mean


@dataclass(frozen=True)
class LocalModel:
    """Dynamics and cost in deviations from a reference trajectory.

    Attributes:
        states: the reference x̂ (T+1, n).
        actions: û (T, m).
        dynamics: fitted, in deviations.
        cost: quadratic, in deviations.
        start_mean: of x_0, in deviations (n,).
        start_covariance: (n, n).
    """

    states: Array
    actions: Array
    dynamics: LocalDynamics
    cost: Quadratization
    start_mean: Array
    start_covariance: Array

    @classmethod
    def of_dynamics(
        cls, dynamics: LinearGaussianDynamics, trials: TrialSet, cost: Quadratization, start_variance: float
    ) -> LocalModel:
        """The model of trials whose dynamics were fitted elsewhere; the inverse of `absolute_dynamics`.

        Args:
            dynamics: of plain states and actions.
            trials: those it was fitted to.
            cost: in deviations from their mean trajectory.
            start_variance: at least so much, of each number of x_0.
        """
        steps = dynamics.steps
        unknown = np.full(steps, np.nan)
        error = dynamics.fit_error if dynamics.fit_error.size else unknown
        ranks = np.full(steps, dynamics.metadata.get("rank_min", 0), dtype=np.intp)
        fitted = LocalDynamics(dynamics.a, dynamics.b, dynamics.c, dynamics.covariances, error, unknown, ranks)
        states, actions = trials.mean_states, trials.mean_actions
        variance = np.maximum(trials.states[:, 0].var(axis=0), start_variance)
        still = np.zeros(states.shape[1])
        return cls(states, actions, fitted.around(states, actions), cost, still, np.diag(variance))

    def law(self, controller: LinearGaussianController) -> LinearLaw:
        """A controller as a law in deviations from the reference."""
        k = controller.means_along(self.states[:-1]) - self.actions
        return LinearLaw.of(np.array(controller.gains), k, np.array(controller.covariances))

    def problem(
        self,
        previous: LinearLaw,
        entropy: float,
        attraction: LinearLaw | None = None,
        attraction_weights: Array | None = None,
    ) -> KLProblem:
        """The optimisation of a law near `previous`; see `KLProblem`."""
        d = self.dynamics
        return KLProblem(
            d.a, d.b, d.c, d.noise, self.start_mean, self.start_covariance,
            self.cost, previous, entropy, attraction, attraction_weights,
        )  # fmt: skip

    def controller(
        self, task: Task, law: LinearLaw, means: Array, name: str, smoothing: float, metadata: dict[str, int]
    ) -> LinearGaussianController:
        """A law in deviations as a controller around the trajectory it is expected to take.

        Planned actions stay within the limits of the actuators; what noise and feedback add to them is limited where
        the action is applied, and trials tell the action that was applied.

        Args:
            task: whose states and actions they are.
            law: in deviations.
            means: expected states under it, in deviations (T+1, n).
            name: of the controller.
            smoothing: of its noise, steps.
            metadata: kept with it.
        """
        actions = self.actions + law.feedforward + np.einsum("tij,tj->ti", law.gains, means[:-1])
        actions = np.clip(actions, task.action.lower, task.action.upper)
        return LinearGaussianController(
            task.state, task.action, task.dt, self.states + means, actions, law.gains,
            covariances=law.covariances, noise_smoothing=smoothing, name=name, metadata=metadata,
        )  # fmt: skip

    def absolute_dynamics(self, task: Task, samples: int) -> LinearGaussianDynamics:
        """The fitted dynamics of plain states and actions."""
        d = self.dynamics
        c = (
            d.c
            + self.states[1:]
            - np.einsum("tij,tj->ti", d.a, self.states[:-1])
            - np.einsum("tij,tj->ti", d.b, self.actions)
        )
        quality: dict[str, float | int] = {"rank_min": int(d.rank.min()), "rank_max": int(d.rank.max())}
        if np.isfinite(d.held_out_error).all():
            quality["held_out_error"] = float(d.held_out_error.mean())
        return LinearGaussianDynamics(
            task.state, task.action, task.dt, d.a, d.b, c, d.noise, samples, d.one_step_error, "fitted", quality
        )


def mean_expansion(expansions: Sequence[Quadratization], states: Array, actions: Array, at: TrialSet) -> Quadratization:
    """The mean of expansions at several trials, each moved to one reference.

    Args:
        expansions: one a trial, in deviations from it.
        states: reference (T+1, n).
        actions: reference (T, m).
        at: the trials.
    """
    count = len(expansions)
    stacks = {
        name: np.array([getattr(e, name) for e in expansions]) for name in ("value", "lx", "lu", "lxx", "lux", "luu")
    }
    dx, du = states - at.states, actions - at.actions
    lxx_dx = np.einsum("ktij,ktj->kti", stacks["lxx"], dx)
    luu_du = np.einsum("ktij,ktj->kti", stacks["luu"], du)
    lux_dx = np.einsum("ktij,ktj->kti", stacks["lux"], dx[:, :-1])
    xul = np.einsum("ktij,kti->ktj", stacks["lux"], du)
    value = stacks["value"] + np.einsum("kti,kti->kt", dx, stacks["lx"] + 0.5 * lxx_dx)
    value[:, :-1] += np.einsum("kti,kti->kt", du, stacks["lu"] + 0.5 * luu_du + lux_dx)
    lx = stacks["lx"] + lxx_dx
    lx[:, :-1] += xul
    lu = stacks["lu"] + luu_du + lux_dx
    total = (value, lx, lu, stacks["lxx"], stacks["lux"], stacks["luu"])
    return Quadratization(*(part.sum(axis=0) / count for part in total))
