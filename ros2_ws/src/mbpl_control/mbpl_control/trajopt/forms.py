"""The two ways iLQR looks at a robot: the effort as the control, or the acceleration."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.costs.cost import Cost, Quadratization
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.models.inverse_dynamics import InverseDynamics
from mbpl_control.trajopt.options import ILQROptions
from mbpl_control.trajopt.riccati import Backward, backward_pass
from mbpl_control.trajopt.secants import Secants

#: What the inverse form does not tell of its law.
_NONE, _NONE_FREE = np.zeros(0), np.zeros(0, np.bool_)
#: Near the end is where a step lowers the cost by less than this fraction of 1 + |cost|.
NEAR = 1e-2


@dataclass
class Trajectory:
    """A trajectory, its costs, and its expansion once that is known.

    Attributes:
        states: (T+1, nx).
        actions: (T, m).
        costs: (T+1,).
        linear: A and B, of the forward form.
        quadratic: of the cost.
        accelerations: (T, n), of the inverse form.
        jacobians: ∂τ/∂(q, v, a), of the inverse form.
        slopes: of the cost by (q, v, a) (T+1, 3n), of the inverse form.
    """

    states: Array
    actions: Array
    costs: Array
    linear: tuple[Array, Array] | None = None
    quadratic: Quadratization | None = None
    accelerations: Array | None = None
    jacobians: Array | None = None
    slopes: Array | None = None

    @property
    def cost(self) -> float:
        """Total cost."""
        return float(self.costs.sum())


class Clock:
    """Seconds spent by phase."""

    def __init__(self) -> None:
        """Begin."""
        self.seconds = {"derivatives": 0.0, "backward": 0.0, "forward": 0.0, "total": 0.0}
        self._begin = time.perf_counter()

    @property
    def elapsed(self) -> float:
        """Seconds since the beginning."""
        return time.perf_counter() - self._begin

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Add what happens inside to a phase."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] += time.perf_counter() - begin


class Form(Protocol):
    """What the search asks of either."""

    name: str
    batch: int

    @property
    def knows_curvature(self) -> bool:
        """Whether laws are of the right length as they are: what the quadratic model leaves out was learned."""

    def backward(self, now: Trajectory, mu: float) -> Backward:
        """Law and expectations around a trajectory, whose expansion is made if it is not there yet."""

    def law(self, now: Trajectory) -> Backward:
        """The law of the action around a trajectory, without regularisation, whatever the control is."""

    def attempt(self, now: Trajectory, law: Backward, sizes: Array, at_once: bool) -> list[Trajectory] | None:
        """Trajectories of the given step sizes; None where this form cannot follow, and the other must.

        `at_once` says that the first one's expansion is likely to be needed.
        """


class ForwardForm:
    """The effort, or whatever the action is, as the control: A and B of the model; limits by `box_qp`."""

    name = "forward dynamics"
    knows_curvature = False

    def __init__(self, dynamics: Dynamics, cost: Cost, options: ILQROptions, clock: Clock) -> None:
        """Keep the problem."""
        self.dynamics, self.cost, self.clock = dynamics, cost, clock
        self._hessian = options.hessian
        self.low, self.high = dynamics.action.lower, dynamics.action.upper
        self.batch = dynamics.line_search_batch

    def backward(self, now: Trajectory, mu: float) -> Backward:
        """See `Form.backward`."""
        if now.linear is None or now.quadratic is None:
            with self.clock.timed("derivatives"):
                now.linear = self.dynamics.linearize(now.states[:-1], now.actions)
                if now.quadratic is None:
                    now.quadratic = self.cost.quadratize(now.states, now.actions, self._hessian)
        with self.clock.timed("backward"):
            a, b = now.linear
            q = now.quadratic
            none = np.zeros((len(now.actions), a.shape[1]))
            low, high = self.low - now.actions, self.high - now.actions
            leap = self.dynamics.leap
            return backward_pass(a, b, none, q.lx, q.lu, q.lxx, q.lux, q.luu, low, high, mu, leap)

    def law(self, now: Trajectory) -> Backward:
        """See `Form.law`."""
        return self.backward(now, 0.0)

    def attempt(self, now: Trajectory, law: Backward, sizes: Array, at_once: bool) -> list[Trajectory]:
        """See `Form.attempt`."""
        dynamics = self.dynamics
        if at_once and dynamics.shares_derivatives:
            with self.clock.timed("derivatives"), np.errstate(all="ignore"):
                step = float(sizes[0]) * law.feedforward
                states, actions, a, b = dynamics.rollout_linearized(
                    now.states, now.actions, step, law.gains, self.low, self.high
                )
                quadratic = self.cost.quadratize(states, actions, self._hessian)
            return [Trajectory(states, actions, quadratic.value, (a, b), quadratic)]
        with self.clock.timed("forward"), np.errstate(all="ignore"):
            several, played = dynamics.rollout_feedback(
                now.states, now.actions, law.feedforward, law.gains, sizes, self.low, self.high
            )
            costs = self.cost.evaluate(several, played)
        return [Trajectory(*parts) for parts in zip(several, played, costs, strict=True)]


class InverseForm:
    r"""The acceleration as the control, of a robot whose every joint is driven, as long as no effort meets a limit.

    The dynamics are linear, so no second derivatives of theirs are left out; the cost of the effort is one of
    τ(q, v, a), expanded by its first derivatives. Gains and gradients are those of the acceleration.

    Near the end, what that expansion leaves out is learned from the steps themselves (`secants.Secants`): displacements
    of trajectories of linear dynamics add up, so that the backward pass can stand for the first guess of the inverse
    Hessian of a quasi-Newton method.
    """

    name = "inverse dynamics"
    batch = 1

    def __init__(self, inverse: InverseDynamics, forward: ForwardForm) -> None:
        """Keep the problem, which is that of the forward form."""
        self._inverse, self._forward = inverse, forward
        self._secants = Secants()
        #: the trajectory of the last law, and its regularisation
        self._last: tuple[Trajectory | None, float] = None, 0.0

    @property
    def knows_curvature(self) -> bool:
        """See `Form.knows_curvature`."""
        return len(self._secants) > 0

    def backward(self, now: Trajectory, mu: float) -> Backward:
        """See `Form.backward`."""
        inverse = self._inverse
        accelerations, jacobians, q = self._expand(now)
        with self._forward.clock.timed("backward"):
            if now.slopes is None:
                now.slopes = inverse.slopes(jacobians, q.lx, q.lu)
            self._learn(now, mu)
            aims, shares = self._secants.aims(now.slopes)
            gains, feedforward, _, told = inverse.backward(mu, jacobians, now.slopes, aims, q.lxx, _diagonal(q))
            failed_at, linear, quadratic, gradient_norm = told.tolist()
            if shares and failed_at < 0:
                along = inverse.lead(now.states, accelerations, feedforward, gains, 1.0)
                more = self._secants.rest(_place(*along) - _place(now.states, accelerations), shares)
                n = inverse.size
                feedforward += more[:-1, 2 * n :] - np.einsum("tij,tj->ti", gains, more[:-1, : 2 * n])
                linear += float(np.vdot(now.slopes, more))
                quadratic = -0.5 * linear
        return Backward(
            int(failed_at), gains, feedforward, _NONE, _NONE_FREE, _NONE, _NONE, linear, quadratic, gradient_norm
        )

    def law(self, now: Trajectory) -> Backward:
        """See `Form.law`: the pass is made once more, and what it tells of the acceleration told of the action."""
        _, jacobians, q = self._expand(now)
        with self._forward.clock.timed("backward"):
            slopes = self._inverse.slopes(jacobians, q.lx, q.lu) if now.slopes is None else now.slopes
            found = self._inverse.backward(0.0, jacobians, slopes, slopes, q.lxx, _diagonal(q))
            gains, feedforward, curvature, told = found
            action_gains, q_uu = self._inverse.action_law(jacobians, gains, curvature)
            failed_at, linear, quadratic, gradient_norm = told.tolist()
        free = np.ones(feedforward.shape, dtype=np.bool_)
        return Backward(int(failed_at), action_gains, _NONE, q_uu, free, _NONE, _NONE, linear, quadratic, gradient_norm)

    def attempt(self, now: Trajectory, law: Backward, sizes: Array, at_once: bool) -> list[Trajectory] | None:
        """See `Form.attempt`."""
        assert now.accelerations is not None  # noqa: S101 - expanded before
        clock, inverse = self._forward.clock, self._inverse
        with clock.timed("forward"), np.errstate(all="ignore"):
            states, accelerations = inverse.lead(
                now.states, now.accelerations, law.feedforward, law.gains, float(sizes[0])
            )
        with clock.timed("derivatives"), np.errstate(all="ignore"):
            actions, jacobians = inverse.along(states, accelerations)
            if self.meets_limit(actions):
                return None
            quadratic = self._quadratize(states, actions)
        return [Trajectory(states, actions, quadratic.value, None, quadratic, accelerations, jacobians)]

    def _expand(self, now: Trajectory) -> tuple[Array, Array, Quadratization]:
        """Accelerations, derivatives of the efforts and the expansion of the cost, which are made if not there yet."""
        if now.accelerations is None or now.jacobians is None or now.quadratic is None:
            with self._forward.clock.timed("derivatives"):
                now.accelerations = self._inverse.accelerations(now.states)
                now.jacobians = self._inverse.along(now.states, now.accelerations)[1]
                if now.quadratic is None:
                    now.quadratic = self._quadratize(now.states, now.actions)
        return now.accelerations, now.jacobians, now.quadratic

    def _learn(self, now: Trajectory, mu: float) -> None:
        """What the step that led here showed of the curvature; nothing while steps still change much."""
        (last, before), self._last = self._last, (now, mu)
        if last is None:
            return
        if last is now:
            if mu > before:
                # a step by them was not taken, and it is for the regularisation now to find one that is
                self._secants.forget()
            return
        if last.cost - now.cost > NEAR * (1.0 + abs(now.cost)):
            self._secants.forget()
            return
        assert last.accelerations is not None and now.accelerations is not None  # noqa: S101 - expanded before
        step = _place(now.states, now.accelerations) - _place(last.states, last.accelerations)
        assert last.slopes is not None and now.slopes is not None  # noqa: S101 - expanded before
        self._secants.add(step, now.slopes - last.slopes)

    def meets_limit(self, actions: Array) -> bool:
        """Whether an effort (T, m) is at a limit or beyond."""
        return bool(((actions <= self._forward.low) | (actions >= self._forward.high)).any())

    def _quadratize(self, states: Array, actions: Array) -> Quadratization:
        return self._forward.cost.quadratize(states, actions, self._forward._hessian)


def _diagonal(q: Quadratization) -> Array:
    """The diagonal of l_uu (T, m), which is all of it where costs are separable."""
    return np.ascontiguousarray(np.einsum("tii->ti", q.luu))


def _place(states: Array, accelerations: Array) -> Array:
    """A trajectory as one array (T+1, 3n); nothing is accelerated at its last state."""
    n = accelerations.shape[1]
    out = np.zeros((len(states), 3 * n))
    out[:, : 2 * n] = states
    out[:-1, 2 * n :] = accelerations
    return out


def choose(
    dynamics: Dynamics, cost: Cost, options: ILQROptions, actions: Array, clock: Clock
) -> tuple[Form, ForwardForm]:
    """The form a search begins with, and the forward one, which it can fall back to.

    Raises:
        InvalidFieldError: the options ask for inverse dynamics, and this problem has none.
    """
    forward = ForwardForm(dynamics, cost, options, clock)
    if options.form == "forward":
        return forward, forward
    inverse = dynamics.inverse
    if inverse is None or not cost.separable:
        if options.form == "inverse":
            found = "'inverse' for a model or a cost without it"
            allowed = "'auto' or 'forward': inverse dynamics take a robot by generated kernels, one substep a step, "
            allowed += "every joint driven, none that wraps or has dry friction, and a separable cost"
            raise InvalidFieldError("ILQROptions", "form", found, allowed)
        return forward, forward
    form = InverseForm(inverse, forward)
    return (forward if form.meets_limit(actions) else form), forward
