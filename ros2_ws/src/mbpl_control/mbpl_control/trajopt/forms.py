"""The two ways iLQR looks at a robot: the effort as the control, or the acceleration."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np

from mbpl_control.core.compiled import plain
from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.costs.cost import Cost, Quadratization
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.models.inverse_dynamics import InverseDynamics
from mbpl_control.trajopt.clock import Clock
from mbpl_control.trajopt.feedback_kernels import response, slopes_by_push
from mbpl_control.trajopt.options import ILQROptions
from mbpl_control.trajopt.riccati import Backward, backward_pass
from mbpl_control.trajopt.secants import LearnedCurvature

#: What the inverse form does not tell of its law.
_NONE, _NONE_FREE = np.zeros(0), np.zeros(0, np.bool_)


@dataclass
class Trajectory:
    """A trajectory, its costs, and its expansion once that is known.

    Attributes:
        states: (T+1, nx).
        actions: (T, m).
        costs: (T+1,).
        linear: A and B, of the forward form.
        quadratic: of the cost.
        accelerated: what the inverse form knows of it.
    """

    states: Array
    actions: Array
    costs: Array
    linear: tuple[Array, Array] | None = None
    quadratic: Quadratization | None = None
    accelerated: Accelerated | None = None

    @cached_property
    def cost(self) -> float:
        """Total cost; asked for again and again."""
        return float(self.costs.sum())


class Accelerated(NamedTuple):
    """A trajectory with the acceleration as the control, and its expansion.

    Attributes:
        accelerations: a (T, n).
        place: (q, v, a) (T+1, 3n); nothing is accelerated at the last state.
        jacobians: ∂τ/∂(q, v, a) as `InverseDynamics.along` gives them.
        slopes: of the cost by (q, v, a) (T+1, 3n).
        luu: diagonal of l_uu (T, n), which is all of it where a cost is separable.
    """

    accelerations: Array
    place: Array
    jacobians: Array
    slopes: Array
    luu: Array


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

    def distrust(self) -> None:
        """A step had to be shortened: forget what was learned of the curvature."""


class ForwardForm:
    r"""The effort, or whatever the action is, as the control: A and B of the model; limits by `box_qp`.

    As long as no action is at a limit, what the quadratic model leaves out is learned near the end, as in
    `InverseForm`. The dynamics are not linear, so it is learned of pushes alone: the cost as a function of p with
    u_t = p_t + K_t x_t, by the gains K in force where learning began, which keep it well conditioned where dynamics are
    unstable. Its gradient is exact (`feedback_kernels.slopes_by_push`).
    """

    name = "forward dynamics"

    def __init__(self, dynamics: Dynamics, cost: Cost, options: ILQROptions, clock: Clock) -> None:
        """Keep the problem."""
        self.dynamics, self.cost, self.clock = dynamics, cost, clock
        self._hessian = options.hessian
        self.low, self.high = dynamics.action.lower, dynamics.action.upper
        self.batch = dynamics.line_search_batch
        self._curvature = LearnedCurvature[Trajectory]()
        #: gains of the last law, and those of the pushes
        self._newest, self._held = _NONE, _NONE
        self._slopes: tuple[Trajectory, Array] | None = None

    @property
    def knows_curvature(self) -> bool:
        """See `Form.knows_curvature`."""
        return len(self._curvature.pairs) > 0

    def backward(self, now: Trajectory, mu: float) -> Backward:
        """See `Form.backward`."""
        if now.linear is None or now.quadratic is None:
            with self.clock.timed("derivatives"):
                now.linear = self.dynamics.linearize(now.states[:-1], now.actions)
                if now.quadratic is None:
                    now.quadratic = self.cost.quadratize(now.states, now.actions, self._hessian)
        with self.clock.timed("backward"):
            self._curvature.see(now, mu, self._between)
            law = self._corrected(now, mu) if self.knows_curvature else None
            if law is None:
                self._curvature.pairs.forget()
                law = self._recursion(now, mu, now.quadratic.lx, now.quadratic.lu)
            self._newest = law.gains
            return law

    def _recursion(self, now: Trajectory, mu: float, lx: Array, lu: Array) -> Backward:
        assert now.linear is not None and now.quadratic is not None  # noqa: S101 - expanded before
        (a, b), q = now.linear, now.quadratic
        none = np.zeros((len(now.actions), a.shape[1]))
        low, high = self.low - now.actions, self.high - now.actions
        return backward_pass(a, b, none, lx, lu, q.lxx, q.lux, q.luu, low, high, mu, self.dynamics.leap)

    def _corrected(self, now: Trajectory, mu: float) -> Backward | None:
        """The law by what was learned of the curvature; None where its step meets a limit."""
        assert now.linear is not None and now.quadratic is not None  # noqa: S101 - expanded before
        (a, b), q, held = (plain(each) for each in now.linear), now.quadratic, self._held
        slopes = self._slopes_at(now)
        aims, shares = self._curvature.pairs.aims(slopes)
        # a linear term of the pushes, which are u − K x
        shift, lx = aims - slopes, q.lx.copy()
        lx[:-1] -= np.einsum("tij,ti->tj", held, shift)
        law = self._recursion(now, mu, lx, q.lu + shift)
        if law.failed_at >= 0:
            return law
        if not law.free.all():
            return None
        dx, du = response(a, b, law.feedforward, law.gains)
        push = du - np.einsum("tij,tj->ti", held, dx)
        more = self._curvature.pairs.rest(push, shares)
        dx, du = response(a, b, plain(more), held)
        feedforward = law.feedforward + du - np.einsum("tij,tj->ti", law.gains, dx)
        linear = float(np.vdot(slopes, push + more))
        steepest = float(np.abs(self._slopes_under(now, law.gains)).max())
        return law._replace(
            feedforward=feedforward,
            vx=_NONE,
            linear=linear,
            quadratic=-0.5 * linear,
            gradient_norm=steepest,
        )

    def _between(self, last: Trajectory, now: Trajectory) -> tuple[Array, Array] | None:
        """A step and the change of the slope along it, of the pushes; None at a limit."""
        if any(((each.actions <= self.low) | (each.actions >= self.high)).any() for each in (last, now)):
            return None
        if not self.knows_curvature:
            self._held, self._slopes = self._newest, None
        before = self._slopes_at(last)
        moved = self.dynamics.state.space.difference(now.states[:-1], last.states[:-1])
        step = now.actions - last.actions - np.einsum("tij,tj->ti", self._held, moved)
        return step, self._slopes_at(now) - before

    def _slopes_at(self, trajectory: Trajectory) -> Array:
        """Of the cost by the pushes (T, m)."""
        if self._slopes is None or self._slopes[0] is not trajectory:
            self._slopes = trajectory, self._slopes_under(trajectory, self._held)
        return self._slopes[1]

    @staticmethod
    def _slopes_under(trajectory: Trajectory, gains: Array) -> Array:
        """Of the cost by pushes beside these gains (T, m)."""
        assert trajectory.linear is not None and trajectory.quadratic is not None  # noqa: S101 - expanded before
        q = trajectory.quadratic
        return np.asarray(slopes_by_push(*(plain(each) for each in (*trajectory.linear, q.lx, q.lu, gains))))

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

    def distrust(self) -> None:
        """See `Form.distrust`."""
        self._curvature.forget()


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
        self._curvature = LearnedCurvature[Trajectory]()
        #: of the last pass, if it had no regularisation: the trajectory, K, Q_aa and what was told
        self._plain: tuple[Trajectory, Array, Array, Array] | None = None

    @property
    def knows_curvature(self) -> bool:
        """See `Form.knows_curvature`."""
        return len(self._curvature.pairs) > 0

    def backward(self, now: Trajectory, mu: float) -> Backward:
        """See `Form.backward`."""
        inverse = self._inverse
        known = self._expand(now)
        with self._forward.clock.timed("backward"):
            self._curvature.see(now, mu, self._between)
            pairs = self._curvature.pairs
            aims, shares = pairs.aims(known.slopes)
            gains, feedforward, told = self._recursion(now, known, mu, aims)
            failed_at, linear, quadratic, gradient_norm = told.tolist()
            if shares and failed_at < 0:
                along = inverse.lead(now.states, known.accelerations, feedforward, gains, 1.0)
                more = pairs.rest(_place(*along) - known.place, shares)
                n = inverse.size
                feedforward += more[:-1, 2 * n :] - np.einsum("tij,tj->ti", gains, more[:-1, : 2 * n])
                linear += float(np.vdot(known.slopes, more))
                quadratic = -0.5 * linear
        return Backward(
            int(failed_at), gains, feedforward, _NONE, _NONE_FREE, _NONE, _NONE, linear, quadratic, gradient_norm
        )

    def law(self, now: Trajectory) -> Backward:
        """See `Form.law`: what a pass tells of the acceleration, told of the action."""
        known = self._expand(now)
        with self._forward.clock.timed("backward"):
            if self._plain is None or self._plain[0] is not now:
                self._recursion(now, known, 0.0, known.slopes)
            _, gains, curvature, told = self._plain  # type: ignore[misc]
            gains, q_uu = self._inverse.action_law(known.jacobians, gains, curvature)
        free = np.ones(now.actions.shape, np.bool_)
        return Backward(int(told[0]), gains, _NONE, q_uu, free, _NONE, _NONE, 0.0, 0.0, float(told[3]))

    def _recursion(self, now: Trajectory, known: Accelerated, mu: float, aims: Array) -> tuple[Array, Array, Array]:
        """Gains and feedforward of the acceleration, and the numbers that `InverseDynamics.backward` tells."""
        assert now.quadratic is not None  # noqa: S101 - expanded before
        lxx = now.quadratic.lxx
        found = self._inverse.backward(mu, known.jacobians, known.slopes, aims, lxx, known.luu)
        gains, feedforward, curvature, told = found
        # what is kept depends on no aims
        self._plain = (now, gains, curvature, told) if mu == 0.0 else None
        return gains, feedforward, told

    def attempt(self, now: Trajectory, law: Backward, sizes: Array, at_once: bool) -> list[Trajectory] | None:
        """See `Form.attempt`."""
        assert now.accelerated is not None  # noqa: S101 - expanded before
        clock, inverse, before = self._forward.clock, self._inverse, now.accelerated.accelerations
        with clock.timed("forward"), np.errstate(all="ignore"):
            states, accelerations = inverse.lead(now.states, before, law.feedforward, law.gains, float(sizes[0]))
        with clock.timed("derivatives"), np.errstate(all="ignore"):
            actions, jacobians = inverse.along(states, accelerations)
            if self.meets_limit(actions):
                return None
            quadratic = self._quadratize(states, actions)
            accelerated = self._accelerated(states, accelerations, jacobians, quadratic)
        return [Trajectory(states, actions, quadratic.value, None, quadratic, accelerated)]

    def distrust(self) -> None:
        """See `Form.distrust`."""
        self._curvature.forget()

    def _expand(self, now: Trajectory) -> Accelerated:
        """What is known of a trajectory, made if it is not there yet."""
        if now.accelerated is None:
            with self._forward.clock.timed("derivatives"):
                accelerations = self._inverse.accelerations(now.states)
                jacobians = self._inverse.along(now.states, accelerations)[1]
                if now.quadratic is None:
                    now.quadratic = self._quadratize(now.states, now.actions)
                now.accelerated = self._accelerated(now.states, accelerations, jacobians, now.quadratic)
        return now.accelerated

    def _accelerated(self, states: Array, accelerations: Array, jacobians: Array, q: Quadratization) -> Accelerated:
        slopes = self._inverse.slopes(jacobians, q.lx, q.lu)
        luu = np.ascontiguousarray(np.einsum("tii->ti", q.luu))
        return Accelerated(accelerations, _place(states, accelerations), jacobians, slopes, luu)

    def _between(self, last: Trajectory, now: Trajectory) -> tuple[Array, Array]:
        """A step and the change of the slope along it, of (q, v, a)."""
        assert last.accelerated is not None and now.accelerated is not None  # noqa: S101 - expanded before
        one, other = last.accelerated, now.accelerated
        return other.place - one.place, other.slopes - one.slopes

    def meets_limit(self, actions: Array) -> bool:
        """Whether an effort (T, m) is at a limit or beyond."""
        return bool(((actions <= self._forward.low) | (actions >= self._forward.high)).any())

    def _quadratize(self, states: Array, actions: Array) -> Quadratization:
        return self._forward.cost.quadratize(states, actions, self._forward._hessian)


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
