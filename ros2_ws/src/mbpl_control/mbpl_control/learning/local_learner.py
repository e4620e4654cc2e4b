"""What learners of local controllers share: trials by condition, local models under one prior, steps and reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mbpl_control.core import ExecutionMode, LinearGaussianController, Trial
from mbpl_control.core.errors import MbplError, TaskError
from mbpl_control.core.validation import Array
from mbpl_control.costs.cost import Quadratization
from mbpl_control.costs.sum_cost import SumCost
from mbpl_control.fitting.local_dynamics import fit_local_dynamics, transitions
from mbpl_control.fitting.prior import MixturePrior, PriorOptions
from mbpl_control.fitting.regression import NormalInverseWishart
from mbpl_control.learning.condition_state import ConditionState
from mbpl_control.learning.initial import first_controller
from mbpl_control.learning.learner import Learner, TrialRequest, trial_seed
from mbpl_control.learning.local_model import LocalModel, TrialSet, mean_expansion
from mbpl_control.learning.local_step import LocalStep, Row
from mbpl_control.policies.policy import GaussianPolicy
from mbpl_control.tasks.learning_schema import LearningSection
from mbpl_control.tasks.task import Task

#: Sample number of the trial without exploration in `trial_seed`.
EVALUATION = 2**20
#: A state further away than this from everything a robot does means that the trial diverged.
DIVERGED = 1e6


class LocalLearner(Learner):
    """Base of the learners that fit local models.

    Args:
        task: what is learned.
        seed: of everything drawn.
        options: see `LearningSection`.

    Raises:
        TaskError: the state of the task has a number whose differences are not plain ones.
    """

    def __init__(self, task: Task, seed: int, options: LearningSection) -> None:
        """Lay out the conditions."""
        self.task, self.seed, self.options = task, seed, options
        self.iteration = 0
        if task.state.size != task.state.tangent_size:
            raise TaskError(
                f"{task.path.name}: learning needs states of plain numbers; the state has "
                f"{task.state.size} numbers and {task.state.tangent_size} directions (a ball or free joint)"
            )
        self.training = [c.index for c in task.conditions if not c.held_out]
        # one mixture for all conditions: each learns from what the others saw
        window = options.prior.window * len(self.training)
        self.prior = MixturePrior(PriorOptions(**{**options.prior.model_dump(), "window": window}))
        self.costs: dict[int, SumCost] = {c: task.learning_cost(c) for c in self.training}
        #: of the last fit, by condition
        self.priors: dict[int, NormalInverseWishart] = {}
        self.events: list[str] = []
        self.step = LocalStep(task, options, self.costs, self.events)
        smoothing = options.exploration.smoothing
        self.states = {
            c: ConditionState(c, first_controller(task, c, options.initial, smoothing), multiplier=options.step.start)
            for c in self.training
        }
        self.shifts = {c: self._shift(c) for c in self.training}
        self._columns = np.concatenate(
            [task.state.indices(kind, task.robot.joint_names) for kind in ("joint_positions", "joint_velocities")]
        )

    def _shift(self, condition: int) -> Array:
        """Where the condition's target stands, in the coordinates of the state that are points of frames.

        The prior sees points of frames relative to the target, so that conditions that differ in it look alike.
        """
        task = self.task
        shift, target = np.zeros(task.state.size), task.condition(condition).target
        at = 0
        for block in task.state.blocks:
            if block.kind == "frame_position" and target is not None:
                shift[at : at + block.size] = np.tile(target, block.size // 3)
            at += block.size
        return shift

    def controller_requests(self) -> list[TrialRequest]:
        """Trials of every condition's controller, in the sampled mode."""
        return [
            self.request(self.explorer(c), ExecutionMode.SAMPLED, c, sample)
            for c in self.training
            for sample in range(self.options.samples)
        ]

    def request(
        self, law: LinearGaussianController | GaussianPolicy, mode: ExecutionMode, condition: int, sample: int
    ) -> TrialRequest:
        """A trial of this iteration, with the seed of its condition and its number among the condition's."""
        seed = trial_seed(self.seed, self.iteration, condition, sample)
        return TrialRequest(law, mode, condition, seed, self.iteration + 1)

    def explorer(self, condition: int) -> LinearGaussianController:
        """The controller as it is tried: with less noise once it ends near the target, where noise decides success.

        The KL divergence goes on counting the law's own Σ, so that less noise does not make steps shorter.
        """
        s, explore = self.states[condition], self.options.exploration
        # a task without a rule of success has no distance, NaN, and is never close
        if explore.close_share == 1.0 or not s.distance <= explore.close_within:
            return s.controller
        return replace(s.controller, covariances=explore.close_share**2 * s.controller.covariances)

    def sort(self, trials: Sequence[Trial]) -> dict[int, TrialSet | None]:
        """Valid trials by condition; None where fewer than two are left. What is discarded is an event."""
        out: dict[int, TrialSet | None] = {}
        for c in self.training:
            good = []
            for trial in trials:
                if trial.condition != c:
                    continue
                why = self._unfit(trial)
                if why:
                    self.events.append(f"condition {c}: trial with seed {trial.seed} discarded: {why}")
                else:
                    good.append(trial)
            out[c] = TrialSet.of(good) if len(good) >= 2 else None
        return out

    def _unfit(self, trial: Trial) -> str:
        """Why nothing can be learned from a trial; empty when something can."""
        if trial.stop_reason != "completed":
            return trial.stop_reason
        if trial.steps != self.task.horizon:
            return f"{trial.steps} of {self.task.horizon} steps"
        if np.abs(trial.states).max() > DIVERGED or not np.isfinite(trial.costs).all():
            return "it diverged"
        return ""

    def fit(self, sets: dict[int, TrialSet | None]) -> dict[int, LocalModel]:
        """Dynamics, under the shared prior, and cost of every condition that has trials."""
        points = {c: transitions(s.states - self.shifts[c], s.actions) for c, s in sets.items() if s is not None}
        if not points:
            return {}
        shares = self.prior.update(np.concatenate(list(points.values())))
        models, at = {}, 0
        for c, mine in points.items():
            prior = self.priors[c] = self.prior.at(shares[at : at + len(mine)])
            at += len(mine)
            s = sets[c]
            assert s is not None  # noqa: S101 - only such have points
            shift = self.shifts[c]
            fold = self.iteration % len(mine) if len(mine) >= 3 else None
            dynamics = fit_local_dynamics(s.states - shift, s.actions, prior, self.options.ridge, fold)
            states, actions = s.mean_states, s.mean_actions
            variance = np.maximum(s.states[:, 0].var(axis=0), self.options.start_variance)
            models[c] = LocalModel(
                states,
                actions,
                dynamics.around(states - shift, actions),
                self.expand(c, s),
                np.zeros(len(shift)),
                np.diag(variance),
            )
        return models

    def expand(self, condition: int, trials: TrialSet) -> Quadratization:
        """The cost expanded at each trial, the mean of it around their mean trajectory."""
        cost = self.costs[condition]
        expansions = [
            cost.quadratize(x, u, self.options.surrogate.hessian)
            for x, u in zip(trials.states, trials.actions, strict=True)
        ]
        return mean_expansion(expansions, trials.mean_states, trials.mean_actions, trials)

    def measured(self, c: int, trials: Sequence[Trial]) -> Row:
        """What the trials of a condition say, whatever is learned from them."""
        mine = [t for t in trials if t.condition == c]
        whole = [t for t in mine if not self._unfit(t)]
        distances = [self.distance(c, t.states) for t in whole]
        return {
            "condition": c,
            "cost": float(np.mean([t.cost for t in whole])) if whole else float("nan"),
            "success": float(np.mean([t.success for t in mine])),
            "distance": float(np.median(distances)) if distances else float("nan"),
            "discarded": len(mine) - len(whole),
        }

    def take_in(self, sets: dict[int, TrialSet | None], models: dict[int, LocalModel], shared: bool) -> set[int]:
        """Give every condition its new trials, and adapt the step sizes, of each or of all by their mean.

        Where the last step made a condition worse, `sets` and `models` hold what it was made from afterwards.

        Returns:
            the conditions whose last step was taken back.
        """
        promises = {}
        for c, model in list(models.items()):
            trials, s = sets[c], self.states[c]
            assert trials is not None  # noqa: S101 - only such have models
            if self.step.failed(s, trials):
                assert s.model is not None  # noqa: S101 - there was a step
                self.step.take_back(s, trials)
                sets[c], models[c] = s.trials, s.model
                continue
            distance = float(np.median([self.distance(c, x) for x in trials.states]))
            promises[c] = self.step.took_in(self.states[c], trials, model, distance)
        mean = np.mean(list(promises.values()), axis=0) if promises else np.full(2, np.nan)
        for c, (promised, came) in promises.items():
            self.step.adapt(self.states[c], *(mean if shared else (promised, came)))
        return models.keys() - promises.keys()

    def identity(self) -> dict[str, Any]:
        """What must be the same in a learner that goes on with what this one kept."""
        return {
            "learner": type(self).__name__,
            "task_hash": self.task.hash,
            "seed": self.seed,
            "options": self.options.model_dump(mode="json", exclude={"iterations"}),
        }

    def distance(self, condition: int, states: Array) -> float:
        """Final distance of the success rule over the last states that count; NaN when the task has no rule."""
        try:
            return self.task.success(states[:, self._columns], condition).distance
        except MbplError:
            return float("nan")
