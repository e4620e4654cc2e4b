"""Laws in execution: the action of a law at a state and a stamp."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mbpl_control.core import ExecutionMode, FeedbackLaw, LinearGaussianController
from mbpl_control.core.validation import Array, Indices


@dataclass(frozen=True)
class RobotSample:
    """The robot at one instant.

    Attributes:
        x: the state (nx,), as the state definition says.
        q: positions of all joints (nv,).
        v: velocities of all joints (nv,).
        stamp_ns: of the measurement, on the robot's clock.
        sequence: of the state message; 0 when it has none.
    """

    x: Array
    q: Array
    v: Array
    stamp_ns: int
    sequence: int = 0


class LawEnded(Exception):  # noqa: N818 - an event, not an error
    """The law has nothing more to say.

    Attributes:
        rule: "hold", "fallback" or "repeat_last".
    """

    def __init__(self, rule: str, reason: str) -> None:
        """Keep the rule."""
        super().__init__(reason)
        self.rule = rule


class Executor(ABC):
    """A law that runs.

    Attributes:
        step: of the law, −1 when it has none.
        new_step: whether the last evaluation began a step.
    """

    step: int = -1
    new_step: bool = False

    @abstractmethod
    def evaluate(self, sample: RobotSample) -> Array:
        """The action (m,) for a sample.

        Raises:
            LawEnded: the horizon or the validity is over.
        """

    def knot(self) -> tuple[Array, Array, Array, Array] | None:
        """Reference x̂, action û + k, gain K, covariance Σ of the present step; None when the law has no knots."""
        return None


class HorizonExecutor(Executor):
    r"""Runs a `LinearGaussianController`.

    zero_order: u is computed at the first sample of a step and held over it. continuous: at every sample,

        u = ū(τ) + K_t (x ⊖ x̂(τ)),   ū and x̂ joined between knots, K held over its step.

    A planned action is the mean over its step, so its knot lies in the middle of the step; that of a state at the
    beginning.

    In the sampled mode the noise is drawn once a step, S_t z with z from the seed, and held over it, so a seed gives
    the same noise whatever the rate.

    Args:
        controller: the law.
        mode: open loop, mean or sampled.
        selection: indices of the law's state in the robot's.
        seed: of the noise, or a generator that draws it.
        start_ns: stamp at which step 0 starts; the first sample when None.
        end_ns: stamp after which the law no longer counts; the end of the horizon when None.
    """

    def __init__(
        self,
        controller: LinearGaussianController,
        mode: ExecutionMode,
        selection: Indices | None = None,
        seed: int | np.random.Generator = 0,
        start_ns: int | None = None,
        end_ns: int | None = None,
    ) -> None:
        """Precompute what does not depend on the sample."""
        self.controller = controller
        self.mode = mode
        self.start_ns, self.end_ns = start_ns, end_ns
        space = controller.state.space
        self._space = space
        leading = selection is not None and np.array_equal(selection, np.arange(len(selection)))
        # a view where it can be one; the state may go on after what the law needs of it
        self._selection = slice(controller.state.size) if leading else selection
        self._steps, self._dt_ns = controller.steps, controller.dt * 1e9
        self._plan = np.ascontiguousarray(controller.planned_actions)
        self._nominal = controller.nominal_states
        self._continuous = controller.execution == "continuous"
        if self._continuous:
            self._state_change = space.difference(self._nominal[1:], self._nominal[:-1])
            # the middle of step t lies between the knots t and t + 1 of this, whose ends repeat
            self._joined = np.concatenate([self._plan[:1], self._plan, self._plan[-1:]])
        self._noise: Array | None = None
        if mode is ExecutionMode.SAMPLED:
            self._noise = controller.noise(np.random.default_rng(seed))
        self._held = self._plan[0]

    def evaluate(self, sample: RobotSample) -> Array:
        """See `Executor.evaluate`."""
        if self.start_ns is None:
            self.start_ns = sample.stamp_ns
        # a stamp within a microsecond of a knot belongs to the step that begins there
        position = (sample.stamp_ns - self.start_ns + 1000) / self._dt_ns
        if self.end_ns is not None and sample.stamp_ns > self.end_ns:
            raise LawEnded(self.controller.end_rule, "the law's validity is over")
        t = int(position) if position > 0.0 else 0
        if t >= self._steps:
            if self.controller.end_rule != "repeat_last":
                raise LawEnded(self.controller.end_rule, f"the horizon of {self._steps} steps is over")
            t = self._steps - 1
            position = float(self._steps)
        self.new_step = t != self.step
        self.step = t
        if not self._continuous:
            if self.new_step:
                self._held = self._at_knot(t, sample.x)
            return self._held
        fraction = min(max(position - t, 0.0), 1.0)
        if fraction < 0.5:
            u = (0.5 - fraction) * self._joined[t] + (0.5 + fraction) * self._joined[t + 1]
        else:
            u = (1.5 - fraction) * self._joined[t + 1] + (fraction - 0.5) * self._joined[t + 2]
        if self.mode is not ExecutionMode.OPEN_LOOP:
            u = u + self.controller.gains[t] @ self._error(t, fraction, sample.x)
        if self._noise is not None:
            u = u + self._noise[t]
        return u

    def knot(self) -> tuple[Array, Array, Array, Array] | None:
        """See `Executor.knot`; an open loop has no gain, and only the sampled mode a covariance."""
        t = max(self.step, 0)
        c = self.controller
        gain = c.gains[t]
        if self.mode is ExecutionMode.OPEN_LOOP:
            gain = np.zeros_like(gain)
        sigma = c.covariances[t]
        if self._noise is None:
            sigma = np.zeros_like(sigma)
        return self._nominal[t], self._plan[t], gain, sigma

    def _at_knot(self, t: int, x: Array) -> Array:
        u = self._plan[t]
        if self.mode is not ExecutionMode.OPEN_LOOP:
            u = u + self.controller.gains[t] @ self._error(t, 0.0, x)
        if self._noise is not None:
            u = u + self._noise[t]
        return u

    def _error(self, t: int, fraction: float, x: Array) -> Array:
        if self._selection is not None:
            x = x[self._selection]
        if fraction == 0.0:
            return self._space.difference(x, self._nominal[t])
        if self._space.is_euclidean:
            return x - self._nominal[t] - fraction * self._state_change[t]
        reference = self._space.integrate(self._nominal[t], fraction * self._state_change[t])
        return self._space.difference(x, reference)


class KnotExecutor(Executor):
    """Runs a single `FeedbackLaw` for as long as it is valid.

    In the sampled mode the noise is drawn once, when it first answers, and held, as over a step of a horizon: a source
    sends a knot a step.

    Args:
        law: the law.
        mode: open loop, mean or sampled.
        selection: indices of the law's state in the robot's.
        seed: of the noise, or a generator that draws it.
        valid_until_ns: stamp after which the law no longer counts; never when 0.
        step: of the horizon it comes from.
    """

    def __init__(
        self,
        law: FeedbackLaw,
        mode: ExecutionMode,
        selection: Indices,
        seed: int | np.random.Generator = 0,
        valid_until_ns: int = 0,
        step: int = -1,
    ) -> None:
        """Keep the law; no noise is drawn for one that never answers."""
        self.law, self.mode = law, mode
        self._noise: Array | None = None
        self._rng = np.random.default_rng(seed)
        self._selection = selection
        self._until = valid_until_ns
        self.step = step
        self.new_step = True
        self._fresh = True

    def evaluate(self, sample: RobotSample) -> Array:
        """See `Executor.evaluate`."""
        if self._until and sample.stamp_ns > self._until:
            raise LawEnded("fallback", "the law's validity is over")
        self.new_step, self._fresh = self._fresh, False
        if self.mode is ExecutionMode.OPEN_LOOP:
            return self.law.nominal_action
        mean = self.law.mean(sample.x[self._selection])
        if self.mode is ExecutionMode.MEAN:
            return mean
        if self._noise is None:
            self._noise = self.law.noise_factor @ self._rng.standard_normal(self.law.action.size)
        return mean + self._noise

    def knot(self) -> tuple[Array, Array, Array, Array] | None:
        """See `Executor.knot`; an open loop has no gain, and only the sampled mode a covariance."""
        law = self.law
        gain = np.zeros_like(law.gain) if self.mode is ExecutionMode.OPEN_LOOP else law.gain
        sigma = law.covariance if self.mode is ExecutionMode.SAMPLED else np.zeros_like(law.covariance)
        return law.reference_state, law.nominal_action, gain, sigma
