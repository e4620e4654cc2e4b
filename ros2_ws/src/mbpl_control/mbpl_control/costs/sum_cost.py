"""The sum of terms that makes a task's cost."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.costs.cost import Cost, Quadratization
from mbpl_control.costs.one_pass import OnePass, Schedule
from mbpl_control.costs.term import Expansion, Term, ramp_weights

#: Schedules that are kept.
MOST_SCHEDULES = 64


class SumCost(Cost):
    r"""Σ_i r_i(t) l_i(x_t, u_t), each term with its ramp r_i.

    Terms on states count at all T+1 states; terms on actions at the T steps.

    Args:
        terms: what is summed, at least one.
        tangent_size: ndx.
        action_size: m.
    """

    # no term mixes states and actions, or actions with each other
    separable = True

    def __init__(self, terms: Sequence[Term], tangent_size: int, action_size: int) -> None:
        """Keep the terms."""
        if not terms:
            raise InvalidFieldError("SumCost", "terms", "none", "at least 1")
        self.terms = tuple(terms)
        self._ndx, self._m = tangent_size, action_size
        instructions = [term.instruction() for term in self.terms]
        #: the terms that take part in one pass, and those that do not
        self._together = tuple(term for term, each in zip(self.terms, instructions, strict=True) if each is not None)
        self._alone = tuple(term for term, each in zip(self.terms, instructions, strict=True) if each is None)
        self._pass = OnePass([each for each in instructions if each is not None], tangent_size, action_size)
        #: of the one pass, by steps and window; shared by the windows of this cost
        self._schedules: dict[tuple[int, tuple[int, int, bool] | None], Schedule] = {}
        #: offset, horizon, and whether the last state weighs what that of the horizon does
        self._window: tuple[int, int, bool] | None = None

    def window(self, offset: int, horizon: int) -> SumCost:
        """The same cost for a trajectory that begins at step `offset` of a horizon of T steps.

        State i of the trajectory weighs what state min(offset + i, T) does, and the last state what state T does: a
        planner that looks less far than T still wants to end where the task ends.
        """
        part = copy.copy(self)
        part._window = (max(0, offset), horizon, True)
        return part

    def prefix(self, horizon: int) -> SumCost:
        """The same cost for a trajectory that begins with a horizon of T steps and may end before or after it.

        State i weighs what state min(i, T) does: what never comes to the end of the task pays nothing for it.
        """
        part = copy.copy(self)
        part._window = (0, horizon, False)
        return part

    def _rows(self, term: Term, steps: int) -> tuple[slice, Array]:
        """The steps a term counts at, and its weights there.

        A ramp that is zero for most of the horizon makes most of the work needless.
        """
        return _counted(term.ramp, term.on_actions, steps, self._window)

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Cost.evaluate`."""
        states, actions = np.asarray(states), np.asarray(actions)
        batch, steps = actions.shape[:-2], actions.shape[-2]
        total = np.zeros((*batch, steps + 1))
        if self._together:
            several = states.reshape(-1, *states.shape[-2:]), actions.reshape(-1, *actions.shape[-2:])
            total += self._pass.values(self._schedule(steps), *several).reshape(total.shape)
        for term in self._alone:
            total += self._weighted(term, states, actions)
        return total

    def evaluate_terms(self, states: Array, actions: Array) -> list[Array]:
        """Each term's share of the costs, (..., T+1) a term."""
        states, actions = np.asarray(states), np.asarray(actions)
        return [self._weighted(term, states, actions) for term in self.terms]

    def weights(self, steps: int) -> Array:
        """Weight of each term at each state of a trajectory of T steps (terms, T+1); that of actions is 0 at T."""
        return np.array(self._table(self.terms, steps))

    def _schedule(self, steps: int) -> Schedule:
        key = steps, self._window
        if key not in self._schedules:
            if len(self._schedules) >= MOST_SCHEDULES:
                self._schedules.clear()
            self._schedules[key] = self._pass.schedule(np.array(self._table(self._together, steps)))
        return self._schedules[key]

    def _table(self, terms: tuple[Term, ...], steps: int) -> Array:
        return _tables(tuple((term.ramp, term.on_actions) for term in terms), steps, self._window)

    def stage(self, weights: Array, states: Array, actions: Array) -> Array:
        """Σ_i w_i l_i at N points, whatever their time. Weights (terms,), states (N, nx), actions (N, m) → (N,)."""
        parts = zip(self.terms, weights, strict=True)
        return sum((w * term.evaluate(states, actions) for term, w in parts if w), np.zeros(len(states)))

    def expand_stage(self, weights: Array, states: Array, actions: Array, hessian: str = "exact") -> Quadratization:
        """Derivatives of `stage` at N points; `lux` is zero, as no term mixes the two. `hessian` as in `quadratize`."""
        exact = _is_exact(hessian)
        count, (ndx, m) = len(states), (self._ndx, self._m)
        value, lx, lu = np.zeros(count), np.zeros((count, ndx)), np.zeros((count, m))
        lxx, luu = np.zeros((count, ndx, ndx)), np.zeros((count, m, m))
        for term, w in zip(self.terms, weights, strict=True):
            if w:
                part = term.expand(states, actions, exact)
                part.add_to(np.full(count, w), (value, lx, lxx), (value, lu, luu))
        return Quadratization(value, lx, lu, lxx, np.zeros((count, m, ndx)), luu)

    def quadratize(self, states: Array, actions: Array, hessian: str = "exact") -> Quadratization:
        """See `Cost.quadratize`."""
        exact = _is_exact(hessian)

        def expand(term: Term, rows: slice) -> Expansion:
            return term.expand(*_parts(term, states, actions, rows), exact)

        if exact or not self._together:
            return self._sum(len(actions), expand)
        steps = len(actions)
        found = self._pass.expand(self._schedule(steps), np.asarray(states), np.asarray(actions))
        q = Quadratization(*found[:4], np.zeros((steps, self._m, self._ndx)), found[4])
        if self._alone:
            self._add(q, self._alone, expand)
        return q

    def majorize(self, means: Array, spreads: Array, actions: Array, hessian: str = "exact") -> Quadratization:
        """A quadratic to minimise in place of the cost, about normal distributions of the states.

        Terms with a quadratic upper bound (the distance of frames) give that, all others their expansion. Minimised,
        and bounded anew about what came out, it goes downhill where an expansion of a logarithm overshoots.

        Args:
            means: of the states (T+1, nx).
            spreads: covariances of the states (T+1, ndx, ndx).
            actions: (T, m).
            hessian: of the other terms, as in `quadratize`.
        """
        exact = _is_exact(hessian)

        def bound(term: Term, rows: slice) -> Expansion:
            return term.majorize(*_parts(term, means, actions, rows), spreads[rows], exact)

        return self._sum(len(actions), bound)

    def _sum(self, steps: int, expand: Callable[[Term, slice], Expansion]) -> Quadratization:
        """Expansions of all terms."""
        ndx, m = self._ndx, self._m
        by_state = np.zeros((steps + 1, ndx)), np.zeros((steps, m)), np.zeros((steps + 1, ndx, ndx))
        q = Quadratization(np.zeros(steps + 1), *by_state, np.zeros((steps, m, ndx)), np.zeros((steps, m, m)))
        self._add(q, self.terms, expand)
        return q

    def _add(self, q: Quadratization, terms: Sequence[Term], expand: Callable[[Term, slice], Expansion]) -> None:
        """Add expansions of terms at the steps they count at, weighed by their ramps."""
        for term in terms:
            rows, w = self._rows(term, len(q.lu))
            if w.size == 0:
                continue
            at = (q.value[rows], q.lu[rows], q.luu[rows]) if term.on_actions else (q.value, q.lu, q.luu)
            expand(term, rows).add_to(w, (q.value[rows], q.lx[rows], q.lxx[rows]), at)

    def _weighted(self, term: Term, states: Array, actions: Array) -> Array:
        batch, steps = actions.shape[:-2], actions.shape[-2]
        rows, weights = self._rows(term, steps)
        out = np.zeros((*batch, steps + 1))
        if weights.size == 0:
            return out
        x = states[..., rows, :]
        u = actions[..., rows, :] if term.on_actions else actions[..., :0, :]
        flat = term.evaluate(x.reshape(-1, x.shape[-1]), u.reshape(-1, u.shape[-1]))
        out[..., rows] = weights * flat.reshape(*batch, len(weights))
        return out


@functools.lru_cache(maxsize=1024)
def _weights(ramp: str, steps: int, window: tuple[int, int, bool] | None) -> Array:
    """Weights (T+1,) of a ramp along a trajectory, or along a window of the task; not to be written to."""
    if window is None:
        return ramp_weights(ramp, steps)
    offset, horizon, ends = window
    whole = ramp_weights(ramp, horizon)
    weights = whole[np.minimum(offset + np.arange(steps + 1), horizon)]
    if ends:
        weights[-1] = whole[-1]
    weights.setflags(write=False)
    return weights


@functools.lru_cache(maxsize=1024)
def _tables(ramps: tuple[tuple[str, bool], ...], steps: int, window: tuple[int, int, bool] | None) -> Array:
    """Weights of terms, by ramp and whether they are on actions, at each state (terms, T+1); not to be written to."""
    table = np.array([_weights(ramp, steps, window) for ramp, _ in ramps])
    table[[on_actions for _, on_actions in ramps], -1] = 0.0
    return table


@functools.lru_cache(maxsize=1024)
def _counted(ramp: str, on_actions: bool, steps: int, window: tuple[int, int, bool] | None) -> tuple[slice, Array]:
    weights = _weights(ramp, steps, window)[: steps if on_actions else None]
    there = np.flatnonzero(weights)
    rows = slice(int(there[0]), int(there[-1]) + 1) if there.size else slice(0, 0)
    # a copy of its own: compiled functions take what could be written to
    return rows, np.array(weights[rows])


def _parts(term: Term, states: Array, actions: Array, rows: slice) -> tuple[Array, Array]:
    """States and actions at the steps a term counts at; all actions for a term that ignores them."""
    return states[rows], actions[rows] if term.on_actions else actions


def _is_exact(hessian: str) -> bool:
    if hessian not in ("exact", "gauss_newton"):
        raise InvalidFieldError("SumCost", "hessian", repr(hessian), "exact or gauss_newton")
    return hessian == "exact"
