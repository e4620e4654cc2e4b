"""One step of a local controller: adapt the step size, optimise within it, and what to do when that fails."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from mbpl_control.core.errors import SolverError
from mbpl_control.core.validation import Array
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.learning.condition_state import ConditionState
from mbpl_control.learning.local_model import LocalModel, TrialSet, mean_expansion
from mbpl_control.learning.step_rule import SHRINK, next_multiplier
from mbpl_control.tasks.learning_schema import LearningSection
from mbpl_control.tasks.task import Task
from mbpl_control.trajopt.kl_lqr import KLConstrainedLQR, KLProblem, KLSolution, LinearLaw, evaluate_law

Row = dict[str, float | int | str]

#: A multiplier of a step is not shrunk below it.
LEAST = 1e-3


@dataclass(frozen=True)
class Pull:
    """What draws a local controller towards a policy, in deviations from the model's reference.

    Attributes:
        law: the policy, linearised.
        weights: ν (T,) of KL(p ‖ π) at each step.
        multipliers: λ (T, m), a price on the action: λᵀu is added to the cost.
    """

    law: LinearLaw
    weights: Array
    multipliers: Array


class LocalStep:
    """Steps of local controllers of a task.

    Args:
        task: whose options for learning count.
        costs: by condition, of the task's own state.
        events: what is out of the ordinary is appended here.
    """

    def __init__(self, task: Task, options: LearningSection, costs: dict[int, SumCost], events: list[str]) -> None:
        """Keep them."""
        self._task, self._options, self._costs = task, options, costs
        self._optimizer = KLConstrainedLQR()
        self.events = events

    def took_in(self, s: ConditionState, trials: TrialSet, model: LocalModel, distance: float) -> tuple[float, float]:
        """New trials of a condition; the improvement its last step promised and the one that came, NaN before any."""
        cost = float(trials.costs.mean())
        promised, came = s.trial_cost - s.predicted_cost, s.trial_cost - cost
        s.distance, s.trial_cost, s.samples = distance, cost, len(trials.states)
        s.made_from, s.model, s.trials = s.controller, model, trials
        return promised, came

    def failed(self, s: ConditionState, trials: TrialSet) -> bool:
        r"""Whether the last step of a condition made it worse, beyond what noise explains and what it promised to gain.

            c̄' − c̄ > max(0, promised) + κ s √( 1/N + 1/N' )

        c̄ and s are mean and deviation of the costs of the N trials before the step, c̄' is the mean of the N' after
        it; κ is `take_back`. The deviation after it does not count: a controller that began to fail in two trials of
        five varies more than any noise, and is worse all the same.
        """
        if s.trials is None:
            return False
        before, after = s.trials.costs, trials.costs
        error = before.std(ddof=1) * np.sqrt(1.0 / len(before) + 1.0 / len(after))
        promised = max(0.0, s.trial_cost - s.predicted_cost) if np.isfinite(s.predicted_cost) else 0.0
        return bool(after.mean() - before.mean() > promised + self._options.step.take_back * error)

    def take_back(self, s: ConditionState, trials: TrialSet) -> None:
        """A step that failed: what was known before it counts again, and the next one is shorter."""
        s.multiplier = max(SHRINK * s.multiplier, LEAST)
        self.events.append(
            f"condition {s.index}: its trials cost {trials.costs.mean():.4g}, before the step {s.trial_cost:.4g}: "
            "the step is taken back, the next is a tenth"
        )

    def adapt(self, s: ConditionState, promised: float, came: float) -> None:
        """Adapt the step size; the first one is as it was given."""
        step = self._options.step
        cap = step.close_cap if s.distance <= self._options.exploration.close_within else step.cap
        if np.isfinite(promised) and np.isfinite(came):
            s.multiplier = next_multiplier(s.multiplier, promised, came, step.floor, cap)

    def optimise(
        self, s: ConditionState, method: str, iteration: int, previous: LinearLaw, pull: Pull | None = None
    ) -> Row:
        """A new controller within the bound of `previous`; when there is none, the old one and a shorter step next.

        Args:
            s: condition; its model is that of the trials.
            method: that makes the controller, for its name.
            iteration: that it is made in.
            previous: what the new law must stay close to, in deviations from the model's reference.
            pull: of a policy.
        """
        model = s.model
        assert model is not None  # noqa: S101 - the callers see to it
        bound = self._options.step.kl * self._task.horizon * s.multiplier
        surrogate = self._options.surrogate
        majorize = surrogate.kind == "majorize" or (
            surrogate.kind == "auto" and s.distance <= surrogate.majorize_within
        )
        try:
            problem, solution = self._solve(s, model, previous, pull, bound, majorize)
        except SolverError as error:
            s.multiplier = max(SHRINK * s.multiplier, LEAST)
            s.predicted_cost = float("nan")
            self.events.append(f"condition {s.index}: {error}; the controller stays, the next step is a tenth")
            return no_step(s) | quality(model)
        solution = self._limited(problem, solution)
        s.eta, s.predicted_cost, s.spread = solution.eta, solution.expected.cost, solution.expected.covariances
        name, metadata = f"{method}_{s.index}_{iteration}", {"condition": s.index, "iteration": iteration}
        s.controller = model.controller(
            self._task, solution.law, solution.expected.means, name, self._options.exploration.smoothing, metadata
        )
        row: Row = {
            "kl": solution.kl,
            "bound": bound,
            "eta": solution.eta,
            "multiplier": s.multiplier,
            "predicted_cost": solution.expected.cost,
            "surrogate": "majorized" if majorize else "taylor",
        }
        return row | quality(model)

    def back(self, s: ConditionState, method: str, iteration: int) -> Row:
        """Too few trials survived: a shorter step from what was known before, or less noise when nothing was."""
        s.multiplier *= SHRINK
        if s.model is None or s.made_from is None:
            s.controller = replace(s.controller, covariances=SHRINK * s.controller.covariances)
            self.events.append(f"condition {s.index}: too few trials and none before: a tenth of the variance next")
            return no_step(s) | _UNKNOWN
        self.events.append(f"condition {s.index}: too few trials: a step of a tenth the size from the last good ones")
        return self.optimise(s, method, iteration, s.model.law(s.made_from))

    def _solve(
        self,
        s: ConditionState,
        model: LocalModel,
        previous: LinearLaw,
        pull: Pull | None,
        bound: float,
        majorize: bool,
    ) -> tuple[KLProblem, KLSolution]:
        """One step; when the cost is majorised, at the trials first and then at what the step expects, in rounds."""
        if not majorize:
            problem = self._problem(model, previous, pull)
            return problem, self._optimizer.solve(problem, bound, s.eta)
        expected = evaluate_law(self._problem(model, previous, None), previous)
        means, covariances, law, eta = expected.means, expected.covariances, previous, s.eta
        for _ in range(self._options.surrogate.rounds):
            problem = self._problem(self._majorized(s.index, model, means, covariances, law), previous, pull)
            solution = self._optimizer.solve(problem, bound, eta)
            means, covariances, law = solution.expected.means, solution.expected.covariances, solution.law
            eta = solution.eta
        return problem, solution

    def _problem(self, model: LocalModel, previous: LinearLaw, pull: Pull | None) -> KLProblem:
        if pull is None:
            return model.problem(previous, self._options.entropy)
        priced = replace(model, cost=replace(model.cost, lu=model.cost.lu + pull.multipliers))
        return priced.problem(previous, self._options.entropy, pull.law, pull.weights)

    def _majorized(
        self, condition: int, model: LocalModel, means: Array, covariances: Array, law: LinearLaw
    ) -> LocalModel:
        """The model with its cost majorised at a trajectory distribution, in deviations from the reference."""
        states = model.states + means
        actions = model.actions + law.feedforward + np.einsum("tij,tj->ti", law.gains, means[:-1])
        bound = self._costs[condition].majorize(states, covariances, actions)
        here = TrialSet(states[None], actions[None], np.zeros(1))
        return replace(model, cost=mean_expansion([bound], model.states, model.actions, here))

    def _limited(self, problem: KLProblem, solution: KLSolution) -> KLSolution:
        """The solution with its covariances between floor and ceiling, which are shares of the effort limits.

        Eigenvalues of D⁻¹ Σ D⁻¹, D the limits, are put between the squares of floor and ceiling. An actuator
        without a limit counts as one of 1 unit.
        """
        action, explore = self._task.action, self._options.exploration
        limit = np.minimum(action.upper, -action.lower)
        scale = np.where(np.isfinite(limit) & (limit > 0.0), limit, 1.0)
        values, vectors = np.linalg.eigh(solution.law.covariances / (scale[:, None] * scale))
        low, high = explore.floor**2, explore.ceiling**2
        if (values >= low).all() and (values <= high).all():
            return solution
        values = np.clip(values, low, high)
        covariances = np.einsum("tij,tj,tkj->tik", vectors, values, vectors) * (scale[:, None] * scale)
        law = LinearLaw.of(solution.law.gains, solution.law.feedforward, covariances)
        expected = evaluate_law(problem, law)
        return replace(solution, law=law, kl=expected.kl, expected=expected)


def quality(model: LocalModel) -> Row:
    """How good a fit is."""
    d = model.dynamics
    left_out = d.held_out_error[np.isfinite(d.held_out_error)]
    return {
        "one_step_error": float(d.one_step_error.mean()),
        "held_out_error": float(left_out.mean()) if left_out.size else float("nan"),
        "rank": int(d.rank.min()),
    }


#: Quality of a fit that was not made.
_UNKNOWN: Row = {"one_step_error": float("nan"), "held_out_error": float("nan"), "rank": 0}


def no_step(s: ConditionState) -> Row:
    """The row of a condition that took no step."""
    nan = float("nan")
    return {
        "kl": nan,
        "bound": nan,
        "eta": s.eta,
        "multiplier": s.multiplier,
        "predicted_cost": nan,
        "surrogate": "none",
    }
