"""Iterative LQR with limits on the actions."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mbpl_control.core import LinearGaussianController
from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array, check_choice, check_positive, float_array
from mbpl_control.costs.cost import Cost
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.trajopt.result import ILQRResult, Iteration
from mbpl_control.trajopt.riccati import Backward, backward_pass

OWNER = "ILQROptions"


@dataclass(frozen=True)
class ILQROptions:
    """How long to search, and how carefully.

    Attributes:
        max_iterations: at least 1.
        cost_tolerance: stop when an accepted step lowers the cost by less than this fraction of 1 + |cost|.
        gradient_tolerance: stop when |Q_u| of every free action is below this.
        hessian: "exact" or "gauss_newton" for the cost.
        regularization: first μ.
        max_regularization: beyond it the search ends.
        acceptance: least ratio of actual to expected reduction.
        time_budget: s of wall time after which no further iteration starts; none when None.
    """

    max_iterations: int = 300
    cost_tolerance: float = 1e-7
    gradient_tolerance: float = 1e-4
    hessian: str = "gauss_newton"
    regularization: float = 1e-6
    max_regularization: float = 1e10
    acceptance: float = 1e-2
    time_budget: float | None = None

    def __post_init__(self) -> None:
        """Check each option."""
        if isinstance(self.max_iterations, bool) or int(self.max_iterations) < 1:
            raise InvalidFieldError(OWNER, "max_iterations", repr(self.max_iterations), "1 or more")
        for name in ("cost_tolerance", "gradient_tolerance", "max_regularization", "acceptance"):
            check_positive(OWNER, name, getattr(self, name))
        if not 0.0 <= self.regularization <= self.max_regularization:
            allowed = f"0 to {self.max_regularization}"
            raise InvalidFieldError(OWNER, "regularization", str(self.regularization), allowed)
        if self.time_budget is not None:
            check_positive(OWNER, "time_budget", self.time_budget, "s")
        check_choice(OWNER, "hessian", self.hessian, ("exact", "gauss_newton"))


#: Step sizes tried together when a full step is refused.
STEP_SIZES = 0.5 ** np.arange(1, 11)
_FACTOR = 1.6
_LEAST_REGULARIZATION = 1e-9


class ILQR:
    r"""Minimise a cost over trajectories of a model, and return the feedback around the best one.

    Each iteration linearises the dynamics and expands the cost along the trajectory, solves the quadratic problem by the
    Riccati recursion (`riccati.backward_pass`), and tries steps α along

        u_t = clip( û_t + α k_t + K_t (x_t ⊖ x̂_t) )

    A step is taken when it brings at least `acceptance` of the reduction −(α Σ kᵀQ_u + α² Σ ½ kᵀQ_uu k) the model expects;
    a full step is tried alone, since it is nearly always good, then all smaller ones at once. Regularisation follows the
    schedule of Tassa et al. 2012.

    Args:
        dynamics: the model.
        cost: what is minimised.
        options: see `ILQROptions`.

    Source: Tassa, Erez and Todorov 2012, "Synthesis and stabilization of complex behaviors through online trajectory
    optimization"; Tassa, Mansard and Todorov 2014 for the limits.
    """

    def __init__(self, dynamics: Dynamics, cost: Cost, options: ILQROptions | None = None) -> None:
        """Keep the problem."""
        self.dynamics = dynamics
        self.cost = cost
        self.options = ILQROptions() if options is None else options

    def solve(
        self,
        start: Array,
        actions: Array,
        callback: Callable[[Iteration], None] | None = None,
    ) -> ILQRResult:
        """Search from a start state and a first guess of the actions.

        Args:
            start: x (nx,).
            actions: (T, m); clipped to the limits of the action.
            callback: told of each iteration.

        Raises:
            InvalidFieldError: a shape or a number is wrong.
            SolverError: the first trajectory diverges, or the problem has no descent direction from it.
        """
        dynamics = self.dynamics
        m = dynamics.action.size
        start = float_array("ILQR", "start", start, (dynamics.state.size,))
        actions = float_array("ILQR", "actions", actions, (None, m))
        if len(actions) == 0:
            raise InvalidFieldError("ILQR", "actions", "0 steps", "at least 1 step")
        search = _Search(self, np.clip(actions, dynamics.action.lower, dynamics.action.upper), start)
        return search.run(callback)


class _Search:
    """One run of the algorithm: the current trajectory and its expansion."""

    def __init__(self, problem: ILQR, actions: Array, start: Array) -> None:
        self.dynamics, self.cost, self.options = problem.dynamics, problem.cost, problem.options
        self.timing = {"derivatives": 0.0, "backward": 0.0, "forward": 0.0, "total": 0.0}
        self.begin = time.perf_counter()
        self.low, self.high = self.dynamics.action.lower, self.dynamics.action.upper
        self.actions = actions
        with np.errstate(all="ignore"):
            self.states = self.dynamics.rollout(start, actions)
            self.costs = self.cost.evaluate(self.states, actions)
        if not (np.isfinite(self.states).all() and np.isfinite(self.costs).all()):
            bad = np.flatnonzero(~np.isfinite(self.states).all(axis=1))
            where = f"at step {bad[0]}" if bad.size else "in its cost"
            raise SolverError(f"iLQR: the first trajectory is not finite {where}; give other first actions")
        self.mu = self.options.regularization
        self.growth = 1.0
        self.story: list[Iteration] = []

    def run(self, callback: Callable[[Iteration], None] | None) -> ILQRResult:
        options = self.options
        reason = "max_iterations"
        self._expand()
        backward = self._backward()
        for _ in range(options.max_iterations):
            if backward.gradient_norm <= options.gradient_tolerance:
                reason = "gradient"
                break
            full = -(backward.linear + backward.quadratic)
            if full <= 1e-12 * (1.0 + abs(self.costs.sum())):
                reason = "no_expected_reduction"
                break
            record = self._step(backward)
            self.story.append(record)
            if callback is not None:
                callback(record)
            if record.step_size == 0.0:
                tiny = full <= options.cost_tolerance * (1.0 + abs(record.cost))
                if tiny:
                    reason = "no_expected_reduction"
                    break
                if not self._regularize_more():
                    reason = "regularization_limit"
                    break
                backward = self._backward()
                continue
            self._regularize_less()
            self._expand()
            backward = self._backward()
            if record.actual <= options.cost_tolerance * (1.0 + abs(record.cost)):
                reason = "cost_change"
                break
            elapsed = time.perf_counter() - self.begin
            if options.time_budget is not None and elapsed > options.time_budget:
                reason = "time_budget"
                break
        self.timing["total"] = time.perf_counter() - self.begin
        dynamics = self.dynamics
        return ILQRResult(
            dynamics.state,
            dynamics.action,
            dynamics.dt,
            self.states,
            self.actions,
            backward.gains,
            backward.q_uu,
            backward.free,
            self.costs,
            reason,
            tuple(self.story),
            self.timing,
        )

    def _expand(self) -> None:
        begin = time.perf_counter()
        self.a, self.b = self.dynamics.linearize(self.states[:-1], self.actions)
        self.model = self.cost.quadratize(self.states, self.actions, self.options.hessian)
        self.timing["derivatives"] += time.perf_counter() - begin

    def _backward(self) -> Backward:
        """The backward pass with as little regularisation as it takes."""
        begin = time.perf_counter()
        q = self.model
        none = np.zeros((len(self.actions), self.a.shape[1]))
        while True:
            backward = backward_pass(
                self.a,
                self.b,
                none,
                q.lx,
                q.lu,
                q.lxx,
                q.lux,
                q.luu,
                self.low - self.actions,
                self.high - self.actions,
                self.mu,
            )
            finite = np.isfinite(backward.linear) and np.isfinite(backward.vxx[0]).all()
            if backward.failed_at < 0 and finite:
                break
            if not self._regularize_more():
                raise SolverError(
                    f"iLQR: Q_uu is not positive definite at step {backward.failed_at} even with regularisation "
                    f"{self.options.max_regularization:g}; does every action have a cost?"
                )
        self.timing["backward"] += time.perf_counter() - begin
        return backward

    def _step(self, backward: Backward) -> Iteration:
        """Take the largest step that keeps its promise, if there is one."""
        begin = time.perf_counter()
        before = float(self.costs.sum())
        record = None
        for sizes in (np.ones(1), STEP_SIZES):
            with np.errstate(all="ignore"):
                states, actions = self.dynamics.rollout_feedback(
                    self.states,
                    self.actions,
                    backward.feedforward,
                    backward.gains,
                    sizes,
                    self.low,
                    self.high,
                )
                costs = self.cost.evaluate(states, actions)
                actual = before - costs.sum(axis=1)
            expected = -(sizes * backward.linear + sizes**2 * backward.quadratic)
            finite = np.isfinite(actual) & np.isfinite(states).all(axis=(1, 2))
            good = finite & (actual > 0.0) & (actual >= self.options.acceptance * expected)
            if good.any():
                i = int(np.argmax(good))
                self.states, self.actions, self.costs = states[i], actions[i], costs[i]
                record = Iteration(
                    before - float(actual[i]),
                    float(expected[i]),
                    float(actual[i]),
                    float(sizes[i]),
                    self.mu,
                    backward.gradient_norm,
                )
                break
        self.timing["forward"] += time.perf_counter() - begin
        if record is None:
            promised = -(backward.linear + backward.quadratic)
            record = Iteration(before, promised, 0.0, 0.0, self.mu, backward.gradient_norm)
        return record

    def _regularize_more(self) -> bool:
        self.growth = max(_FACTOR, self.growth * _FACTOR)
        self.mu = max(_LEAST_REGULARIZATION, self.mu * self.growth)
        return self.mu <= self.options.max_regularization

    def _regularize_less(self) -> None:
        self.growth = min(1.0 / _FACTOR, self.growth / _FACTOR)
        self.mu *= self.growth
        if self.mu < _LEAST_REGULARIZATION:
            self.mu = 0.0


def controller_actions(controller: LinearGaussianController) -> Array:
    """First guess of the actions from an earlier law: its plan (T, m)."""
    return np.array(controller.planned_actions)
