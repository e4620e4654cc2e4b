"""What a planner returns: a trajectory, its feedback, and the story of how it was found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mbpl_control.core import ActionDefinition, LinearGaussianController, StateDefinition
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array

#: Why a solve ended, and whether that counts as converged.
STOP_REASONS = {
    "gradient": True,
    "cost_change": True,
    "no_expected_reduction": True,
    "max_iterations": False,
    "regularization_limit": False,
    "time_budget": False,
}


@dataclass(frozen=True)
class Iteration:
    """One iteration.

    Attributes:
        cost: after it.
        expected: reduction the quadratic model promised at the step size taken.
        actual: reduction that came.
        step_size: α; 0 when no step was accepted.
        regularization: μ in force.
        gradient_norm: largest |dJ/dk| among actions that no limit held, before it.
    """

    cost: float
    expected: float
    actual: float
    step_size: float
    regularization: float
    gradient_norm: float


@dataclass(frozen=True, eq=False)
class ILQRResult:
    """A locally optimal trajectory with its feedback.

    Attributes:
        state: what x is.
        action: what u is.
        dt: s.
        states: x̂ (T+1, nx).
        actions: û (T, m).
        gains: K (T, m, ndx).
        q_uu: Q_uu (T, m, m).
        free: (T, m) whether an action is off its limits.
        costs: (T+1,) along the trajectory.
        gradient_norm: largest |dJ/dk| among actions that no limit holds, at the trajectory.
        stop_reason: a key of `STOP_REASONS`.
        iterations: the story.
        form: how it was looked at last, "forward dynamics" or "inverse dynamics" (`ILQROptions.form`). Gains and the
            rest are those of the action either way.
        timing: seconds by phase: "derivatives", "backward", "forward", "total". A rollout that came with its
            derivatives counts among the derivatives.
    """

    state: StateDefinition
    action: ActionDefinition
    dt: float
    states: Array
    actions: Array
    gains: Array
    q_uu: Array
    free: NDArray[np.bool_]
    costs: Array
    gradient_norm: float
    stop_reason: str
    iterations: tuple[Iteration, ...]
    timing: Mapping[str, float]
    form: str = "forward dynamics"

    @property
    def cost(self) -> float:
        """Total cost."""
        return float(self.costs.sum())

    @property
    def converged(self) -> bool:
        """Whether the stop reason is one of convergence."""
        return STOP_REASONS[self.stop_reason]

    def controller(
        self,
        execution: str = "continuous",
        end_rule: str = "hold",
        temperature: float = 0.0,
        name: str = "ilqr",
        **fields: Any,
    ) -> LinearGaussianController:
        """The trajectory and its gains as a law.

        Args:
            execution: "zero_order" or "continuous".
            end_rule: "hold", "fallback" or "repeat_last".
            temperature: Σ = temperature · Q_uu⁻¹ on the free actions, zero on those at a limit.
            name: of the law.
            fields: further fields of the law.
        """
        if not temperature >= 0.0:
            raise InvalidFieldError("ILQRResult", "temperature", str(temperature), "0 or more")
        covariances = np.zeros_like(self.q_uu)
        if temperature > 0.0:
            for t, free in enumerate(self.free):
                index = np.flatnonzero(free)
                if index.size:
                    block = np.linalg.inv(self.q_uu[t][np.ix_(index, index)])
                    covariances[t][np.ix_(index, index)] = 0.5 * temperature * (block + block.T)
        return LinearGaussianController(
            self.state,
            self.action,
            self.dt,
            self.states,
            self.actions,
            self.gains,
            covariances=covariances,
            execution=execution,
            end_rule=end_rule,
            name=name,
            **fields,
        )

    def summary(self) -> str:
        """One line a person can read."""
        verdict = "converged" if self.converged else "stopped"
        phases = ", ".join(
            f"{name} {1e3 * self.timing[name]:.0f} ms" for name in ("derivatives", "backward", "forward")
        )
        return (
            f"{verdict} ({self.stop_reason.replace('_', ' ')}) after {len(self.iterations)} iterations in "
            f"{self.timing['total']:.3f} s by {self.form}: cost {self.cost:.6g}, "
            f"gradient {self.gradient_norm:.2g}; {phases}"
        )
