"""LQR with fitted local models: a local controller for each start condition, from a handful of trials."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from mbpl_control.core import ExecutionMode, LinearGaussianDynamics, Trial
from mbpl_control.core.errors import RefusedError
from mbpl_control.learning.condition_state import ConditionState
from mbpl_control.learning.keeping import load_local, prefixed, save_local, under
from mbpl_control.learning.learner import IterationReport, TrialRequest
from mbpl_control.learning.local_learner import EVALUATION, LocalLearner
from mbpl_control.learning.local_model import LocalModel
from mbpl_control.learning.local_step import Row

#: In the names of its controllers.
METHOD = "lqr_flm"


class LqrFlm(LocalLearner):
    r"""LQR-FLM: fit, optimise within a KL bound, try, again.

    Each iteration, for each start condition:

    1. N trials under the current controller p̄, in the sampled mode;
    2. x' ~ N(A x + B u + c, N) fitted at each step, under a mixture prior shared by all conditions;
    3. min_p E_p[cost] subject to KL(p(τ) ‖ p̄(τ)) ≤ ε (`KLConstrainedLQR`), the cost expanded at the trials, or
       majorised once the trials end near the target;
    4. ε adapted by the improvement that was predicted and the one that came (`next_multiplier`).

    Trials that were cut short or diverged are discarded. A condition with fewer than two trials left takes a smaller
    step from what it last knew; one whose optimisation fails keeps its controller and takes a smaller step next time.

    Source: Levine and Abbeel 2014, "Learning neural network policies with guided policy search under unknown
    dynamics".
    """

    def requests(self) -> list[TrialRequest]:
        """See `Learner.requests`."""
        return self.controller_requests()

    def evaluation_requests(self) -> list[TrialRequest]:
        """One trial a condition without noise."""
        return [self.request(self.states[c].controller, ExecutionMode.MEAN, c, EVALUATION) for c in self.training]

    def learn(self, trials: Sequence[Trial], evaluation: Sequence[Trial] = ()) -> IterationReport:
        """See `Learner.learn`."""
        self.events.clear()
        begin = time.perf_counter()
        sets = self.sort(trials)
        models = self.fit(sets)
        self.take_in(sets, models, shared=False)
        fitted = time.perf_counter()
        rows = []
        for c in self.training:
            s, iteration = self.states[c], self.iteration + 1
            row = self.measured(c, trials) | self._without_noise(c, evaluation)
            if c in models:
                rows.append(row | self._step(s, iteration))
            else:
                rows.append(row | self.step.back(s, METHOD, iteration))
        self.iteration += 1
        seconds = {"fit": fitted - begin, "optimise": time.perf_counter() - fitted}
        return IterationReport(self.iteration, tuple(rows), tuple(self.events), seconds)

    def improve(self, condition: int, trials: Sequence[Trial], dynamics: LinearGaussianDynamics, number: int) -> Row:
        """A step of one condition alone, on dynamics that somebody else fitted to these trials.

        Args:
            condition: a training condition.
            trials: of its controller, in the sampled mode.
            dynamics: of plain states and actions.
            number: of the new controller.

        Raises:
            RefusedError: fewer than two of the trials are valid, or the dynamics are not of the task.
        """
        self.events.clear()
        chosen = self.sort(trials)[condition]
        if chosen is None:
            raise RefusedError(f"condition {condition}: fewer than two valid trials; {'; '.join(self.events)}")
        if (dynamics.state, dynamics.steps) != (self.task.state, self.task.horizon):
            raise RefusedError(f"the dynamics are of {dynamics.steps} steps, or of another state than the task's")
        s, cost = self.states[condition], self.expand(condition, chosen)
        model = LocalModel.of_dynamics(dynamics, chosen, cost, self.options.start_variance)
        self.take_in({condition: chosen}, {condition: model}, shared=False)
        return self.measured(condition, trials) | self._step(s, number)

    def _step(self, s: ConditionState, number: int) -> Row:
        """A step from the trials that count, near what they were run with."""
        assert s.model is not None and s.made_from is not None  # noqa: S101 - they were taken in
        return self.step.optimise(s, METHOD, number, s.model.law(s.made_from))

    def _without_noise(self, c: int, evaluation: Sequence[Trial]) -> Row:
        """How the trial of a condition without noise went."""
        trial = next((t for t in evaluation if t.condition == c), None)
        if trial is None:
            nan = float("nan")
            return {"mean_cost": nan, "mean_success": nan, "mean_distance": nan}
        distance = self.distance(c, trial.states)
        return {"mean_cost": trial.cost, "mean_success": float(trial.success), "mean_distance": distance}

    def save(self, directory: Path) -> None:
        """Controllers and dynamics of each condition, and the learner's memory."""
        extra = prefixed("prior", self.prior.arrays())
        header = self.identity() | {"iteration": self.iteration}
        save_local(directory, self.task, header, self.states, extra)

    def restore(self, directory: Path) -> None:
        """See `Learner.restore`."""
        header, arrays = load_local(directory, self.identity(), self.states)
        self.iteration = int(header["iteration"])
        self.prior.restore(under("prior", arrays))
