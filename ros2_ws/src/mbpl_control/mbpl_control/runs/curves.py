"""How good learners of any kind were after how many steps of the environment, and after how long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mbpl_control.core.trial import Trial
from mbpl_control.mbrl.evaluation import Evaluation, solved_by
from mbpl_control.runs.directory import RunDirectory
from mbpl_control.runs.step_run import StepRun

#: Evaluations in a row that have to solve a problem before it counts as solved.
IN_A_ROW = 3


@dataclass(frozen=True, eq=False)
class Curve:
    """One seed of one method.

    Attributes:
        method: its name.
        seed: of everything drawn.
        evaluations: in order of their steps.
        note: what else there is to say of it.
    """

    method: str
    seed: int
    evaluations: Sequence[Evaluation]
    note: str = ""

    def solved(self, enough: float) -> Evaluation | None:
        """The evaluation with which the problem counts as solved; None where none does."""
        return solved_by(self.evaluations, enough, IN_A_ROW)


def step_curves(run: StepRun) -> list[Curve]:
    """Every seed of a run of a step learner that was judged at least once."""
    left, method = run.left, run.description.method
    out = []
    for seed in run.description.seeds:
        evaluations = run.evaluations(seed)
        note = "not finished" if seed in left else run.note(seed)
        if evaluations:
            out.append(Curve(method, seed, evaluations, note))
    return out


def training_curve(directory: RunDirectory, last: Sequence[Trial] = ()) -> Curve:
    """A run of iterations, by its trials without exploration from each training condition.

    Those of an iteration were run before it learned: they judge what the iterations before it came to.

    Args:
        directory: of the run.
        last: trials without exploration after the last iteration.
    """
    steps, seconds, evaluations = 0, 0.0, []
    conditions: set[int] = set()
    for saved in directory.iterations():
        learned = saved.trials()
        conditions |= {trial.condition for trial in learned}
        evaluations += _judged(saved.evaluation(), conditions, steps, seconds)
        steps += sum(trial.steps for trial in learned)
        seconds += sum(saved.report.seconds.values())
    evaluations += _judged(last, conditions, steps, seconds)
    return Curve(directory.description.method, directory.description.seed, evaluations)


def _judged(trials: Sequence[Trial], conditions: set[int], steps: int, seconds: float) -> list[Evaluation]:
    """Trials as an evaluation; none where there are none. One that was aborted has no return, NaN."""
    mine = [trial for trial in trials if trial.condition in conditions]
    if not mine:
        return []
    returns = tuple(-trial.cost if trial.stop_reason == "completed" else float("nan") for trial in mine)
    return [Evaluation(steps, seconds, returns, tuple(trial.success for trial in mine))]
