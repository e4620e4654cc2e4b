"""Guided policy search: the loop all variants share."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from mbpl_control.core import ExecutionMode, Trial
from mbpl_control.core.validation import Array
from mbpl_control.fitting.prior import MixturePrior
from mbpl_control.gps.imagined import imagined_trials
from mbpl_control.gps.linearisation import PolicyAtTrials, linearise, policy_at
from mbpl_control.gps.variant import ConditionView, Variant
from mbpl_control.gps.variants import BregmanADMM, Lagrangian, MirrorDescent
from mbpl_control.learning.keeping import load_local, prefixed, save_local, under
from mbpl_control.learning.learner import IterationReport, TrialRequest, trial_seed
from mbpl_control.learning.local_learner import EVALUATION, LocalLearner
from mbpl_control.learning.local_model import LocalModel, TrialSet
from mbpl_control.learning.local_step import Row, no_step
from mbpl_control.learning.neighbours import with_neighbours, within_reach
from mbpl_control.policies import GaussianPolicy, PolicyArchitecture, PolicyTargets
from mbpl_control.policies.training import AdamTrainer, NaturalGradientTrainer, PolicyTrainer
from mbpl_control.tasks.learning_schema import LearningSection
from mbpl_control.tasks.task import Task

#: Sample number of a training of the policy in `trial_seed`; the round is added.
TRAINING = 2**21
#: The same of the states added to a training.
NEIGHBOURS = 2**22
#: The same of trajectories on the fitted dynamics.
VISITS = 2**23
POLICY_FILE = "policy.npz"
#: Targets a step of Adam. With neighbours there are some 25 000, and smaller batches are too noisy for 3000 steps.
BATCH = 256
#: Trajectories on the fitted dynamics by which a policy shows, in the middle of its training, where it would go.
IMAGINED = 4


class GuidedPolicySearch(LocalLearner):
    r"""Local controllers teach a policy, and are held where the policy can follow.

    Each iteration:

    1. trials of each start condition, of its controller or of the policy (`sample_from`, `tries_policy`);
    2. local dynamics, as in `LqrFlm`; the policy linearised at the same states (`linearise`);
    3. a new controller for each condition: its cost, near what the variant says, pulled as it says;
    4. the policy trained to agree with the controllers at the trials' states, and where controllers and policy are
       going (`_taught_at`), each error weighted by Σ_t⁻¹; the policy sees the observation, which may be less than the
       state;
    5. the variant's multipliers.

    Args:
        task: what is learned.
        seed: of everything drawn.
        options: see `LearningSection`; its `gps` names the variant.

    Source: Montgomery and Levine 2016; Levine, Finn, Darrell and Abbeel 2016; Levine and Koltun 2013.
    """

    def __init__(self, task: Task, seed: int, options: LearningSection) -> None:
        """Begin with the first controllers and an untrained policy."""
        super().__init__(task, seed, options)
        gps = options.gps
        self.variant: Variant = {
            "mdgps": lambda: MirrorDescent(gps.policy_share),
            "badmm": lambda: BregmanADMM(self.training, task.horizon, task.action.size),
            "lagrangian": lambda: Lagrangian(self.training),
        }[gps.variant]()
        self.policy = GaussianPolicy(
            task.observation,
            task.action,
            task.dt,
            seed=trial_seed(seed, 0, 0, TRAINING) % 2**32,
            architecture=PolicyArchitecture(tuple(gps.hidden), covariance=gps.covariance),
            task=task.name,
            task_hash=task.hash,
        )
        steps = -(-gps.policy_iterations // gps.policy_rounds)
        self.trainer: PolicyTrainer = AdamTrainer(steps, BATCH) if gps.optimizer == "adam" else NaturalGradientTrainer()
        window = options.samples * len(self.training)
        self.policy_prior = MixturePrior(replace(self.prior.options, window=window))
        # of the iteration that is learned from: the policy's trials without noise, by condition of training
        self._shown: dict[int, Trial] = {}
        # and conditions whose last step was taken back
        self._taken_back: set[int] = set()

    def requests(self) -> list[TrialRequest]:
        """Trials of each condition's controller or of the policy."""
        return [
            replace(request, law=self.policy) if self.tries_policy(request.condition) else request
            for request in self.controller_requests()
        ]

    def tries_policy(self, condition: int) -> bool:
        """Whether the policy runs the next trials of a condition, once it is trained.

        With `sample_from: better` it does where its trial without noise cost less than the last trials of the
        condition: a controller that went astray is not tried on, and its successor begins from where the policy goes.
        """
        sample_from, s = self.options.gps.sample_from, self.states[condition]
        if self.policy.trainings == 0 or sample_from == "controllers":
            return False
        return sample_from == "policy" or s.policy_cost < s.trial_cost

    def evaluation_requests(self) -> list[TrialRequest]:
        """The policy without noise from every start condition, those held out included."""
        if self.policy.trainings == 0:
            return []
        return [self.request(self.policy, ExecutionMode.MEAN, c.index, EVALUATION) for c in self.task.conditions]

    def learn(self, trials: Sequence[Trial], evaluation: Sequence[Trial] = ()) -> IterationReport:
        """See `Learner.learn`."""
        self.events.clear()
        clock = [time.perf_counter()]
        by_policy = {c: self.tries_policy(c) for c in self.training}
        sets = self.sort(trials)
        models = self.fit(sets)
        self._taken_back = self.take_in(sets, models, shared=self.options.gps.step_rule == "global")
        for c in models.keys() - self._taken_back:
            self.states[c].by_policy = by_policy[c]
        clock.append(time.perf_counter())
        self._shown = {t.condition: t for t in evaluation if t.condition in models}
        rows: dict[int, Row] = {c: self.measured(c, trials) | self._judged(c, evaluation) for c in self.training}
        for c, row in rows.items():
            row["tried"] = "policy" if by_policy[c] else "controller"
            self.states[c].policy_cost = float(row["policy_cost"])
        steps: dict[int, Row] = {c: no_step(self.states[c]) for c in self.training}
        trained = 0.0
        if models:
            first = self.policy.trainings == 0
            if first:
                trained += self._train(sets, models, {}, 0)
            for turn in range(self.variant.rounds):
                views = self._views(sets, models)
                last = turn == self.variant.rounds - 1
                # the very first training was on the same targets: no multiplier has moved yet
                if self.variant.policy_first and not (first and turn == 0):
                    trained += self._train(sets, models, views, turn)
                    views = self._views(sets, models)
                for c, view in views.items():
                    self.variant.update_duals(view, last)
                    steps[c] = self._step(c, view)
                if not self.variant.policy_first:
                    trained += self._train(sets, models, views, turn)
        for c in self.training:
            if c not in models:
                steps[c] = self.step.back(self.states[c], self.variant.name, self.iteration + 1)
        self.iteration += 1
        clock.append(time.perf_counter())
        table = [rows[c] | steps[c] | self._agreement(c, sets, models) for c in self.training]
        table += [self._held_out_row(c.index, evaluation, table[0]) for c in self.task.conditions if c.held_out]
        seconds = {"fit": clock[1] - clock[0], "optimise": clock[2] - clock[1] - trained, "policy": trained}
        return IterationReport(self.iteration, tuple(table), tuple(self.events), seconds)

    def _step(self, c: int, view: ConditionView) -> Row:
        """A new controller of a condition."""
        near, pull = self.variant.near(view), self.variant.pull(view)
        return self.step.optimise(self.states[c], self.variant.name, self.iteration + 1, near, pull)

    def _views(self, sets: dict[int, TrialSet | None], models: dict[int, LocalModel]) -> dict[int, ConditionView]:
        """The policy at the trials as it is now, with each condition's controllers."""
        at = self._policy_at(sets, models)
        links = linearise(at, models, self.shifts, self.policy_prior, self.options.ridge)
        out = {}
        for c, model in models.items():
            s = self.states[c]
            assert s.made_from is not None  # noqa: S101 - a condition with a model has one
            out[c] = ConditionView(s, at[c], links[c], model.law(s.made_from), s.by_policy, self._follows(c))
        return out

    def _follows(self, c: int) -> bool:
        """Whether the policy is fit to be what a step of a condition begins from.

        It is not where its trial without noise failed, or cost more than the worst of the trials. Nor is it after a
        step that was taken back: the trials that count again are not of this iteration, and the policy is another by
        now. Without such a trial there is no telling, and it is.
        """
        if c in self._taken_back:
            return False
        shown, counted = self._shown.get(c), self.states[c].trials
        assert counted is not None  # noqa: S101 - a condition with a model has them
        return shown is None or (not self._unfit(shown) and shown.cost <= float(counted.costs.max()))

    def _policy_at(self, sets: dict[int, TrialSet | None], models: dict[int, LocalModel]) -> dict[int, PolicyAtTrials]:
        out = {}
        for c in models:
            trials = sets[c]
            assert trials is not None  # noqa: S101 - only such have models
            out[c] = policy_at(self.policy, self.task, c, trials)
        return out

    def _train(
        self,
        sets: dict[int, TrialSet | None],
        models: dict[int, LocalModel],
        views: dict[int, ConditionView],
        turn: int,
    ) -> float:
        """Train the policy on the controllers, in rounds; the seconds it took.

        Each round teaches it where it would go by now, on the fitted dynamics.
        """
        begin = time.perf_counter()
        for part in range(self.options.gps.policy_rounds):
            number = turn * self.options.gps.policy_rounds + part
            lessons = []
            for c in models:
                trials, controller = sets[c], self.states[c].controller
                assert trials is not None  # noqa: S101 - only such have models
                states = self._taught_at(c, trials.states[:, :-1], models[c], number)
                means, weights = controller.means_along(states), None
                if c in views:
                    means = means + self.variant.shift(views[c])
                    weights = self.variant.weights(views[c])
                lessons.append(PolicyTargets.along(controller, states, self.task.observe(states, c), means, weights))
            seed = trial_seed(self.seed, self.iteration, 0, TRAINING + number)
            self.trainer.train(self.policy, PolicyTargets.joined(lessons), seed)
        return time.perf_counter() - begin

    def _taught_at(self, c: int, states: Array, model: LocalModel, number: int) -> Array:
        """Trials' states and others near; before the first step, whose spread is not known, none.

        Those others lie in turn around the trials; around where the new controller is going, which leaves the trials
        behind; around where the policy went in its trial without noise, if there was one; and around each trajectory
        that the policy as it is now takes on the fitted dynamics. What it gets wrong there, it is corrected in.

        Args:
            c: the condition.
            states: of its trials, (N, T, n).
            model: fitted to them.
            number: of the training in this iteration.
        """
        s = self.states[c]
        if s.spread is None or not self.options.gps.neighbours:
            return states
        ahead, shown = s.controller.nominal_states[:-1], self._shown.get(c)
        others = [] if shown is None or self._unfit(shown) else [shown.states[:-1]]
        if self.policy.trainings:
            seed = trial_seed(self.seed, self.iteration, c, VISITS + number)
            others += list(imagined_trials(self.policy, self.task, c, model, IMAGINED, seed))
        seed = trial_seed(self.seed, self.iteration, c, NEIGHBOURS + number)
        near = (within_reach(other, ahead, states) for other in others)
        return with_neighbours(states, s.spread[:-1], self.options.gps.neighbours, seed, ahead, *near)

    def _judged(self, c: int, evaluation: Sequence[Trial]) -> Row:
        """How the policy did from a condition, without noise, before this iteration."""
        trial = next((t for t in evaluation if t.condition == c), None)
        if trial is None:
            nan = float("nan")
            return {"policy_cost": nan, "policy_success": nan, "policy_distance": nan, "held_out_success": nan}
        success, distance = float(trial.success), self.distance(c, trial.states)
        held_out = success if self.task.condition(c).held_out else float("nan")
        return {
            "policy_cost": trial.cost,
            "policy_success": float("nan") if self.task.condition(c).held_out else success,
            "policy_distance": distance,
            "held_out_success": held_out,
        }

    def _agreement(self, c: int, sets: dict[int, TrialSet | None], models: dict[int, LocalModel]) -> Row:
        """How well policy and controller agree after the iteration: root mean square error in units of Σ."""
        trials = sets[c]
        if c not in models or trials is None:
            return {"disagreement": float("nan")}
        controller = self.states[c].controller
        at = policy_at(self.policy, self.task, c, trials)
        error = at.means - controller.means_along(at.states)
        whitened = np.einsum("kti,tij,ktj->kt", error, np.linalg.inv(controller.covariances), error)
        return {"disagreement": float(np.sqrt(whitened.mean() / error.shape[2]))}

    def _held_out_row(self, c: int, evaluation: Sequence[Trial], like: Row) -> Row:
        """A row of a condition nothing is learned from: only how the policy did counts."""
        blank: Row = {key: "" if isinstance(value, str) else float("nan") for key, value in like.items()}
        return blank | {"condition": c, "discarded": 0, "rank": 0} | self._judged(c, evaluation)

    def save(self, directory: Path) -> None:
        """Controllers and dynamics of each condition, the policy, and the learner's memory."""
        extra = prefixed("variant", self.variant.arrays())
        extra |= prefixed("prior", self.prior.arrays()) | prefixed("policy_prior", self.policy_prior.arrays())
        header = self.identity() | {"iteration": self.iteration}
        save_local(directory, self.task, header, self.states, extra)
        self.policy.save(directory / POLICY_FILE)

    def restore(self, directory: Path) -> None:
        """See `Learner.restore`."""
        header, arrays = load_local(directory, self.identity(), self.states)
        self.iteration = int(header["iteration"])
        self.variant.restore(under("variant", arrays))
        self.prior.restore(under("prior", arrays))
        self.policy_prior.restore(under("policy_prior", arrays))
        self.policy = GaussianPolicy.load(directory / POLICY_FILE)
