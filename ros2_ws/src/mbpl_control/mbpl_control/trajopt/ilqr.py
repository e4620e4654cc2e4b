"""Iterative LQR with limits on the actions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mbpl_control.core.errors import InvalidFieldError, SolverError
from mbpl_control.core.validation import Array, float_array
from mbpl_control.costs.cost import Cost
from mbpl_control.models.dynamics import Dynamics
from mbpl_control.trajopt.clock import Clock
from mbpl_control.trajopt.forms import Form, Trajectory, choose
from mbpl_control.trajopt.options import ILQROptions
from mbpl_control.trajopt.result import ILQRResult, Iteration
from mbpl_control.trajopt.riccati import Backward
from mbpl_control.trajopt.secants import NEAR

#: Step sizes below the first one that is tried.
SMALLER_STEPS = 0.5 ** np.arange(0, 11)
#: The first step size stays within these bounds near the end, and is 1 before; of 2 the model would expect nothing.
FIRST_STEP = (0.5, 1.8)
#: A model may promise this many times the cost tolerance when the search ends on a small change of the cost.
LITTLE = 10.0
_FACTOR = 1.6
#: μ where the first is needed, and what is taken for none.
FIRST_REGULARIZATION, LEAST_REGULARIZATION = 1e-6, 1e-9


class ILQR:
    r"""Minimise a cost over trajectories of a model, and return the feedback around the best one.

    Each iteration linearises the dynamics and expands the cost along the trajectory, solves the quadratic problem by
    the Riccati recursion (`riccati.backward_pass`), and tries steps α along

        u_t = clip( û_t + α k_t + K_t (x_t ⊖ x̂_t) )

    A step is taken when it brings at least `acceptance` of the reduction the model expects. The first α is tried
    alone, since it is nearly always good; smaller ones follow in batches as large as suits the model. It is 1, until
    the cost changes little any more: from there on, a parabola through the cost before a step, its slope and the cost
    after it tells which α would have been best, and the next iteration begins with that. The quadratic model leaves
    out second derivatives, so its curvature is off, and near the end by much the same factor each time.
    Regularisation follows the schedule of Tassa et al. 2012.

    A robot whose every joint is driven is looked at the other way round, with the acceleration as the control
    (`forms.InverseForm`), until an effort meets a limit: the same optimum, with less to compute.

    A model that `shares_derivatives` is differentiated along the first trial right away, which then costs no separate
    rollout.

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
        states: Array | None = None,
    ) -> ILQRResult:
        """Search from a start state and a first guess of the actions.

        Args:
            start: x (nx,).
            actions: (T, m); clipped to the limits of the action.
            callback: told of each iteration.
            states: where these actions lead on the model (T+1, nx), if that is known already; the actions within their
                limits then.

        Raises:
            InvalidFieldError: a shape or a number is wrong.
            SolverError: the first trajectory diverges, or the problem has no descent direction from it.
        """
        dynamics = self.dynamics
        m = dynamics.action.size
        start = float_array("ILQR", "start", start, (dynamics.state.size,))
        dynamics.state.space.check("ILQR", "start", start)
        actions = float_array("ILQR", "actions", actions, (None, m))
        if len(actions) == 0:
            raise InvalidFieldError("ILQR", "actions", "0 steps", "at least 1 step")
        if states is not None:
            states = float_array("ILQR", "states", states, (len(actions) + 1, dynamics.state.size))
        search = _Search(self, np.clip(actions, dynamics.action.lower, dynamics.action.upper), start, states)
        return search.run(callback)


class _Search:
    """One run of the algorithm."""

    def __init__(self, problem: ILQR, actions: Array, start: Array, states: Array | None) -> None:
        self.dynamics, self.cost, self.options = problem.dynamics, problem.cost, problem.options
        self.clock = Clock()
        self.form, self.forward = choose(self.dynamics, self.cost, self.options, actions, self.clock)
        self.mu = self.options.regularization
        self.growth = 1.0
        self.first_step = 1.0
        self.confident = True
        self.story: list[Iteration] = []
        if states is None:
            with self.clock.timed("forward"), np.errstate(all="ignore"):
                states = self.dynamics.rollout(start, actions)
        with self.clock.timed("derivatives"), np.errstate(all="ignore"):
            quadratic = self.cost.quadratize(states, actions, self.options.hessian)
            costs = quadratic.value
        if not (np.isfinite(states).all() and np.isfinite(costs).all()):
            bad = np.flatnonzero(~np.isfinite(states).all(axis=1))
            where = f"at step {bad[0]}" if bad.size else "in its cost"
            raise SolverError(f"iLQR: the first trajectory is not finite {where}; give other first actions")
        self.now = Trajectory(states, actions, costs, quadratic=quadratic)

    def run(self, callback: Callable[[Iteration], None] | None) -> ILQRResult:
        backward, reason = self._backward(), ""
        law: Backward | None = None
        while not reason:
            if backward.gradient_norm <= self.options.gradient_tolerance:
                reason = "gradient"
            elif len(self.story) == self.options.max_iterations:
                reason = "max_iterations"
            elif self.story and self._out_of_time():
                reason = "time_budget"
            if reason:
                break
            record = self._step(backward)
            self.story.append(record)
            if callback is not None:
                callback(record)
            scale = self.options.cost_tolerance * (1.0 + abs(record.cost))
            if record.step_size > 0.0:
                self._regularize_less()
                if len(self.story) == self.options.max_iterations:
                    # no search goes on from here: the one pass that is left is that of the law
                    backward = law = self._law()
                else:
                    backward = self._backward()
                if record.actual <= scale and self._promises_little(backward, LITTLE * scale):
                    reason = "cost_change"
            elif self._promises_little(backward, scale):
                reason = "no_expected_reduction"
            elif self._regularize_more():
                backward = self._backward()
            else:
                reason = "regularization_limit"
        if law is None:
            law = backward if self.mu == 0.0 and self.form is self.forward else self._law()
        self.clock.seconds["total"] = self.clock.elapsed
        return self._result(law, reason)

    def _law(self) -> Backward:
        """The law around the trajectory that was found, of the action, whatever the control was.

        μ bounds steps; feedback around where they ended is better without it, unless the model is not convex.
        """
        plain = self.form.law(self.now)
        return plain if plain.failed_at < 0 else self._backward(self.forward)

    def _result(self, backward: Backward, reason: str) -> ILQRResult:
        dynamics = self.dynamics
        return ILQRResult(
            dynamics.state,
            dynamics.action,
            dynamics.dt,
            self.now.states,
            self.now.actions,
            backward.gains,
            backward.q_uu,
            backward.free,
            self.now.costs,
            backward.gradient_norm,
            reason,
            tuple(self.story),
            self.clock.seconds,
            self.form.name,
        )

    # --- the quadratic model ---

    def _backward(self, form: Form | None = None) -> Backward:
        """The backward pass with as little regularisation as it takes."""
        while True:
            backward = (form or self.form).backward(self.now, self.mu)
            if backward.failed_at < 0:
                return backward
            if not self._regularize_more():
                raise SolverError(
                    f"iLQR: Q_uu is not positive definite at step {backward.failed_at} even with regularisation "
                    f"{self.options.max_regularization:g}; does every action have a cost?"
                )

    def _promises_little(self, backward: Backward, limit: float) -> bool:
        """Whether the model expects at most `limit`, even without the regularisation that keeps steps small."""
        if self.mu > 0.0:
            backward = self.form.backward(self.now, 0.0)
        return backward.failed_at < 0 and backward.expected(1.0) <= limit

    # --- the step ---

    def _step(self, backward: Backward) -> Iteration:
        """Take the largest step that keeps its promise, if there is one."""
        before = self.now.cost
        # where a longer step is one of which the model expects nothing, as limits can bring about, it is not tried
        longer = not self.form.knows_curvature and backward.expected(self.first_step) > 0.0
        first = self.first_step if longer else 1.0
        sizes = SMALLER_STEPS[SMALLER_STEPS < first]
        batch = self.form.batch
        batches = [np.array([first])] + [sizes[i : i + batch] for i in range(0, len(sizes), batch)]
        for tried, part in enumerate(batches):
            found = self.form.attempt(self.now, backward, part, tried == 0 and self.confident)
            if found is None:
                # limits are a matter of the forward form, which goes on from here
                self.form = self.forward
                return self._step(self._backward())
            for size, trajectory in zip(part, found, strict=True):
                actual = before - trajectory.cost
                expected = float(backward.expected(size))
                kept = actual > 0.0 and actual >= self.options.acceptance * expected
                if not (kept and np.isfinite(trajectory.states).all()):
                    continue
                self.now = trajectory
                self.confident = tried == 0
                if tried:
                    self.form.distrust()
                self._aim(backward.linear, float(size), actual)
                return Iteration(trajectory.cost, expected, actual, float(size), self.mu, backward.gradient_norm)
        self.first_step, self.confident = 1.0, False
        return Iteration(before, float(backward.expected(1.0)), 0.0, 0.0, self.mu, backward.gradient_norm)

    def _aim(self, slope: float, size: float, actual: float) -> None:
        """Set the next iteration's first step size: the minimum of the parabola through J(0), J'(0) and J(α)."""
        if actual > NEAR * (1.0 + abs(self.now.cost)):
            self.first_step = 1.0
            return
        curvature = -(actual + slope * size) / (size * size)
        best = -slope / (2.0 * curvature) if curvature > 0.0 else FIRST_STEP[1]
        self.first_step = float(np.clip(best, *FIRST_STEP))

    # --- regularisation, time ---

    def _regularize_more(self) -> bool:
        self.growth = max(_FACTOR, self.growth * _FACTOR)
        self.mu = max(FIRST_REGULARIZATION, self.mu * self.growth)
        return self.mu <= self.options.max_regularization

    def _regularize_less(self) -> None:
        self.growth = min(1.0 / _FACTOR, self.growth / _FACTOR)
        self.mu *= self.growth
        if self.mu < LEAST_REGULARIZATION:
            self.mu = 0.0

    def _out_of_time(self) -> bool:
        budget = self.options.time_budget
        return budget is not None and self.clock.elapsed > budget
