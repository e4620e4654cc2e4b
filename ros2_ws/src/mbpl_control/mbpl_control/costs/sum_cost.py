"""The sum of terms that makes a task's cost."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbpl_control.core.errors import InvalidFieldError
from mbpl_control.core.validation import Array
from mbpl_control.costs.cost import Cost, Quadratization
from mbpl_control.costs.term import Term, ramp_weights


class SumCost(Cost):
    r"""Σ_i r_i(t) l_i(x_t, u_t), each term with its ramp r_i.

    Terms on states count at all T+1 states; terms on actions at the T steps.

    Args:
        terms: what is summed, at least one.
        tangent_size: ndx.
        action_size: m.
    """

    def __init__(self, terms: Sequence[Term], tangent_size: int, action_size: int) -> None:
        """Keep the terms."""
        if not terms:
            raise InvalidFieldError("SumCost", "terms", "none", "at least 1")
        self.terms = tuple(terms)
        self._ndx, self._m = tangent_size, action_size

    def evaluate(self, states: Array, actions: Array) -> Array:
        """See `Cost.evaluate`."""
        states, actions = np.asarray(states), np.asarray(actions)
        return sum(self._weighted(term, states, actions) for term in self.terms)  # type: ignore[return-value]

    def evaluate_terms(self, states: Array, actions: Array) -> list[Array]:
        """Each term's share of the costs, (..., T+1) a term."""
        states, actions = np.asarray(states), np.asarray(actions)
        return [self._weighted(term, states, actions) for term in self.terms]

    def quadratize(self, states: Array, actions: Array, hessian: str = "exact") -> Quadratization:
        """See `Cost.quadratize`."""
        if hessian not in ("exact", "gauss_newton"):
            allowed = "exact or gauss_newton"
            raise InvalidFieldError("SumCost", "hessian", repr(hessian), allowed)
        steps, ndx, m = len(actions), self._ndx, self._m
        value = np.zeros(steps + 1)
        lx, lxx = np.zeros((steps + 1, ndx)), np.zeros((steps + 1, ndx, ndx))
        lu, luu = np.zeros((steps, m)), np.zeros((steps, m, m))
        for term in self.terms:
            weights = ramp_weights(term.ramp, steps)
            # a ramp that is zero for most of the horizon makes most of the work needless
            rows = np.flatnonzero(weights[:steps] if term.on_actions else weights)
            if rows.size == 0:
                continue
            w = weights[rows]
            part = term.expand(states[rows], actions[rows] if term.on_actions else actions, hessian == "exact")
            value[rows] += w * part.value
            if part.lx is not None and part.lxx is not None:
                lx[rows] += w[:, None] * part.lx
                lxx[rows] += w[:, None, None] * part.lxx
            if part.lu is not None and part.luu is not None:
                lu[rows] += w[:, None] * part.lu
                luu[rows] += w[:, None, None] * part.luu
        return Quadratization(value, lx, lu, lxx, np.zeros((steps, m, ndx)), luu)

    def _weighted(self, term: Term, states: Array, actions: Array) -> Array:
        batch, steps = actions.shape[:-2], actions.shape[-2]
        weights = ramp_weights(term.ramp, steps)
        out = np.zeros((*batch, steps + 1))
        rows = np.flatnonzero(weights[:steps] if term.on_actions else weights)
        if rows.size == 0:
            return out
        x = states[..., rows, :]
        u = actions[..., rows, :] if term.on_actions else actions[..., :0, :]
        flat = term.evaluate(x.reshape(-1, x.shape[-1]), u.reshape(-1, u.shape[-1]))
        out[..., rows] = weights[rows] * flat.reshape(*batch, len(rows))
        return out
