"""What learners that know neither laws nor targets see of a task, and its cost in those numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mbpl_control.core.errors import TaskError
from mbpl_control.core.state_definition import StateBlock, StateDefinition
from mbpl_control.core.validation import Array, Indices
from mbpl_control.costs import ActionCost, SumCost
from mbpl_control.policies.features import FeatureMap
from mbpl_control.tasks.task import Task

#: States near each start at which costs of different starts are held against each other.
PROBES = 8


class TaskView:
    r"""o = P x + b, P a permutation: a Markov state from which the cost follows, whatever the start condition.

    It is the first of these from which the cost follows:

    1. what the file's `observation` says, where that is the whole state in another order, or relative to the target;
    2. the task's state x itself, b = 0;
    3. x with the positions of frames relative to the target of the start condition, b = −target there.

    Where an `action` term aims at the effort that holds the start still, the mean over the starts is taken: o does not
    tell one start from another, and near each other's starts these efforts are alike.

    Args:
        task: what is learned.
        conditions: start conditions it is learned from.

    Attributes:
        definition: what o is, n numbers.
        features: φ(o), with the sine and cosine of an angle that winds in its place, for networks that know no angles.

    Raises:
        TaskError: the start conditions differ in their cost, and no view tells how.
    """

    def __init__(self, task: Task, conditions: Sequence[int]) -> None:
        """Find the view."""
        self._task, self._conditions = task, tuple(task.condition(c).index for c in conditions)
        self._costs = [task.learning_cost(c) for c in self._conditions]
        for definition, columns, offsets in self._candidates():
            self.definition, self._columns, self._offsets = definition, columns, offsets
            if self._costs_agree():
                self.features = FeatureMap(definition)
                return
        raise TaskError(
            f"{task.path.name}: what its start conditions cost differs in what its state does not show: a target of a "
            "frame whose position is none of its numbers. Add frame_positions(FRAME) to its state, or choose one "
            "start condition"
        )

    def of(self, states: Array, condition: int) -> Array:
        """o of states x from a start condition. (..., nx) → (..., n)."""
        return np.asarray(states)[..., self._columns] + self._offsets[condition]

    def states(self, views: Array) -> Array:
        """x of o, as if from the first of the start conditions. (..., n) → (..., nx)."""
        return self._back(views, self._conditions[0])

    def gradients(self, gradients: Array) -> Array:
        """Derivatives by o from those by x. (..., nx) → (..., n)."""
        return gradients[..., self._columns]

    def curvatures(self, hessians: Array) -> Array:
        """Second derivatives by o from those by x. (..., nx, nx) → (..., n, n)."""
        return hessians[..., self._columns[:, None], self._columns]

    def cost(self) -> SumCost:
        """The cost as a function of `states` and actions."""
        terms = []
        for alike in zip(*(cost.terms for cost in self._costs), strict=True):
            first = alike[0]
            if isinstance(first, ActionCost):
                targets = [term.target for term in alike if isinstance(term, ActionCost)]
                first = ActionCost(first.weights, np.mean(targets, axis=0), first.ramp)
            terms.append(first)
        return SumCost(terms, self._task.state.tangent_size, self._task.action.size)

    @property
    def horizon(self) -> int:
        """T of the task."""
        return self._task.horizon

    def _back(self, views: Array, condition: int) -> Array:
        out = np.empty_like(views)
        out[..., self._columns] = views - self._offsets[condition]
        return out

    def _candidates(self) -> list[tuple[StateDefinition, Indices, Array]]:
        """Definition, columns of x, and b of every start condition of the task."""
        task, count = self._task, len(self._task.conditions)
        size = task.state.size
        found = []
        maps = [task.observation_map(c) for c in range(count)]
        columns = maps[0][0].argmax(axis=1)
        if task.observation != task.state and np.array_equal(np.sort(columns), np.arange(size)):
            found.append((task.observation, columns, np.array([offset for _, offset in maps])))
        found.append((task.state, np.arange(size), np.zeros((count, size))))
        if all(condition.target is not None for condition in task.conditions):
            blocks, offsets, at = [], np.zeros((count, size)), 0
            for block in task.state.blocks:
                relative = block.kind == "frame_position"
                kind = "frame_offset" if relative else block.kind
                blocks.append(StateBlock(kind, block.names, block.spaces, block.units))
                if relative:
                    targets = np.array([condition.target for condition in task.conditions])
                    offsets[:, at : at + block.size] = -np.tile(targets, block.size // 3)
                at += block.size
            found.append((StateDefinition(tuple(blocks)), np.arange(size), offsets))
        return found

    def _costs_agree(self) -> bool:
        """Whether every term on states says the same from every start, at states near all of them."""
        rng = np.random.default_rng(0)
        starts = np.array([self._task.condition(c).state for c in self._conditions])
        states = self._task.task_state(starts)
        views = np.concatenate([self.of(x, c)[None] for x, c in zip(states, self._conditions, strict=True)])
        views = np.repeat(views, PROBES, axis=0)
        views = views + 0.1 * rng.standard_normal(views.shape)
        none = np.zeros((len(views), self._task.action.size))
        told = []
        for c, cost in zip(self._conditions, self._costs, strict=True):
            x = self._back(views, c)
            told.append([term.evaluate(x, none) for term in cost.terms if not term.on_actions])
        table = np.array(told)
        return bool(np.allclose(table, table[:1], rtol=1e-9, atol=1e-9))


class MeanCost:
    r"""The task's cost without its ramps, as a function of o and u; a `PointCost`.

    A task's weights may run with time; what a learner with a model is told must not. Each term counts with the mean of
    its weights over the T steps, the final state's among them,

        c̄(o, u) = Σ_i w̄_i l_i(o, u),   w̄_i = 1/T Σ_{t≤T} r_i(t)

    so that T steps without any motion cost what the task makes them cost, and a term that counts at the end alone
    pulls all the time, T times weaker.

    Args:
        view: of the task.
    """

    def __init__(self, view: TaskView) -> None:
        """Take the mean of each ramp."""
        self._view, self._cost = view, view.cost()
        self.weights = self._cost.weights(view.horizon).sum(axis=1) / view.horizon

    def value(self, states: Array, actions: Array) -> Array:
        """See `PointCost.value`."""
        return self._cost.stage(self.weights, self._view.states(states), actions)

    def gradient(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `PointCost.gradient`."""
        # the first derivatives are exact either way, and these second ones cost nothing
        expansion = self._cost.expand_stage(self.weights, self._view.states(states), actions, "gauss_newton")
        return self._view.gradients(expansion.lx), expansion.lu

    def curvature(self, states: Array, actions: Array) -> tuple[Array, Array]:
        """See `PointCost.curvature`."""
        expansion = self._cost.expand_stage(self.weights, self._view.states(states), actions)
        return self._view.curvatures(expansion.lxx), expansion.luu
