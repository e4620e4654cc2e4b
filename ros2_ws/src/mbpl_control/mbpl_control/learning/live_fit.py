"""What the dynamics are during a trial: those fitted before it, corrected with every step."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mbpl_control.core import LinearGaussianDynamics
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.fitting.online import OnlineDynamics, OnlineOptions, information_of
from mbpl_control.learning.local_model import TrialSet


@dataclass(frozen=True)
class FittedTrials:
    """Dynamics that were fitted to trials, with what decides which of several a state is nearest to.

    Attributes:
        condition: start condition of the trials.
        dynamics: of plain states and actions, T steps.
        mean_states: of the trials, (T+1, n).
        input_mean: of all (x, u) of the trials, (n+m,).
        input_covariance: of the same, (n+m, n+m).
    """

    condition: int
    dynamics: LinearGaussianDynamics
    mean_states: Array
    input_mean: Array
    input_covariance: Array

    @classmethod
    def of(cls, condition: int, dynamics: LinearGaussianDynamics, trials: TrialSet) -> FittedTrials:
        """From the trials the dynamics were fitted to."""
        inputs = np.concatenate([trials.states[:, :-1], trials.actions], axis=2)
        inputs = inputs.reshape(-1, inputs.shape[2])
        covariance = np.atleast_2d(np.cov(inputs, rowvar=False))
        return cls(condition, dynamics, trials.mean_states, inputs.mean(axis=0), covariance)


@dataclass(frozen=True)
class StepFit:
    """One step of a trial, and the dynamics that follow from it.

    Attributes:
        step: t.
        condition: whose fit was corrected.
        fitted_error: (n,) of what the fit before the trial expected of the step, x' − (A_t x + B_t u + c_t).
        error: (n,) of what the corrected fit expected, before it learned from the step.
        dynamics: corrected, of this one step.
    """

    step: int
    condition: int
    fitted_error: Array
    error: Array
    dynamics: LinearGaussianDynamics


#: Errors so many times what a fit expects of itself, in the root mean square, are those of another robot.
CHANGED = 5.0


@dataclass(frozen=True)
class LiveReport:
    """How a trial compares with what was fitted before it; root mean squares over steps and coordinates.

    Attributes:
        steps: that were learned from.
        fitted_error: of the fit.
        online_error: of the corrected fit, each step before it was learned from.
        expected_error: what the fit expects of itself, from its N_t.
    """

    steps: int
    fitted_error: float
    online_error: float
    expected_error: float

    @property
    def ratio(self) -> float:
        """Error of the fit, by what it expects."""
        return self.fitted_error / max(self.expected_error, np.finfo(np.float64).tiny)

    @property
    def changed(self) -> bool:
        """Whether the robot is another than the one that was fitted."""
        return self.ratio > CHANGED


class LiveFit:
    r"""The dynamics of a trial: x' ~ N( (A_t + ΔA) x + (B_t + ΔB) u + (c_t + Δc), N ).

    A_t, B_t, c_t were fitted to trials before and know how the dynamics change along the trajectory; Δ is one for all
    steps, begins at zero and follows the errors of the fit by recursive least squares that forgets. A robot that is as
    it was keeps the fit; one that carries a load, or lost the strength of a motor, is followed within some
    1 / (1 − λ) steps. N is that of the errors.

    What is known at the start counts as much as what is remembered: R₀ is the information of 1 / (1 − λ) transitions
    spread as those of the trials, N₀ the mean of N_t.

    Where several start conditions were fitted, each step is held against the one whose trials are nearest to its
    state, each number by its spread over all of them.

    Args:
        fits: of the same task; one a condition.
        options: λ below 1, and κ.

    Raises:
        InvalidFieldError: no fit, or nothing is ever forgotten.

    Source: Fu, Levine and Abbeel 2016, "One-shot learning of manipulation skills with online dynamics adaptation and
    neural network priors", for a fit made before as what an online one starts from.
    """

    def __init__(self, fits: list[FittedTrials], options: OnlineOptions | None = None) -> None:
        """Begin with the fits as they are."""
        if not fits:
            raise InvalidFieldError("LiveFit", "fits", "none", "at least one")
        self.options = OnlineOptions() if options is None else options
        if self.options.forgetting >= 1.0:
            raise InvalidFieldError("LiveFit", "forgetting", str(self.options.forgetting), "below 1")
        self._fits = fits
        d = fits[0].dynamics
        n, m = d.state.size, d.action.size
        remembered = 1.0 / (1.0 - self.options.forgetting)
        mean = np.mean([f.input_mean for f in fits], axis=0)
        # between the conditions, too: what none of them told apart is not known of any
        apart = np.mean([np.outer(f.input_mean - mean, f.input_mean - mean) for f in fits], axis=0)
        covariance = np.mean([f.input_covariance for f in fits], axis=0) + apart
        self._scale = np.sqrt(np.maximum(np.diagonal(covariance)[:n], 1e-12))
        # sums of squares: errors of the fit, of the corrected one, and what the fit expects
        self._squares, self._steps = np.zeros(3), 0
        noise = np.mean([f.dynamics.covariances.mean(axis=0) for f in fits], axis=0)
        self._correction = OnlineDynamics(
            np.zeros((n, n)),
            np.zeros((n, m)),
            np.zeros(n),
            noise,
            information_of(mean, covariance, remembered),
            remembered,
            self.options,
        )

    def update(self, step: int, state: Array, action: Array, following: Array) -> StepFit:
        """Learn from a step.

        Args:
            step: t, from 0; beyond the horizon of the fit it is an error.
            state: x (n,).
            action: u (m,), as applied.
            following: x' (n,).

        Raises:
            InvalidFieldError: no fit has such a step, a shape is wrong, or a number is not finite; nothing is learned.
        """
        fit = self._nearest(step, state)
        d = fit.dynamics
        fitted_error = following - d.mean(step, state, action)
        error = self._correction.update(state, action, fitted_error)
        expected = np.diagonal(d.covariances[step])
        self._squares += [np.mean(fitted_error**2), np.mean(error**2), np.mean(expected)]
        self._steps += 1
        delta = self._correction
        now = LinearGaussianDynamics(
            d.state,
            d.action,
            d.dt,
            (d.a[step] + delta.a)[None],
            (d.b[step] + delta.b)[None],
            (d.c[step] + delta.c)[None],
            delta.noise[None],
            d.samples,
            np.array([np.sqrt(np.mean(error**2))]),
            "online",
            {"condition": fit.condition, "step": step},
        )
        return StepFit(step, fit.condition, fitted_error, error, now)

    @property
    def learned(self) -> int:
        """Steps that were learned from."""
        return self._steps

    def report(self) -> LiveReport:
        """How the steps so far compare with what was fitted; there must be one."""
        fitted, online, expected = np.sqrt(self._squares / self._steps)
        return LiveReport(self._steps, float(fitted), float(online), float(expected))

    def _nearest(self, step: int, state: Array) -> FittedTrials:
        """The fit whose trials are nearest at a step."""
        return min(
            self._fits,
            key=lambda f: (
                float(np.sum(((state - f.mean_states[step]) / self._scale) ** 2)) if step < f.dynamics.steps else np.inf
            ),
        )
