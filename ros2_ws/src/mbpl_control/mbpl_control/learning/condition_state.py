"""What is kept of a start condition from one iteration to the next."""

from __future__ import annotations

from dataclasses import dataclass

from mbpl_control.core import LinearGaussianController
from mbpl_control.core.validation import Array
from mbpl_control.learning.local_model import LocalModel, TrialSet


@dataclass
class ConditionState:
    """A start condition's controller, and what its last step was made from.

    Attributes:
        index: of the condition in the task.
        controller: the local controller.
        eta: multiplier of the last step.
        multiplier: of the step size.
        model: of the trials the controller was made from; None before the first step.
        made_from: controller those trials were run with, or would have been.
        trials: those trials.
        by_policy: whether the policy ran them; in guided policy search only.
        samples: how many trials those were.
        trial_cost: mean cost of those trials; NaN before the first step.
        predicted_cost: what the step was to cost.
        policy_cost: what the policy's trial without noise cost last; NaN before any. Of guided policy search only.
        distance: median final distance of those trials.
        spread: covariances (T+1, n, n) of the states the controller is expected to visit; None before the first step.
    """

    index: int
    controller: LinearGaussianController
    eta: float = 1.0
    multiplier: float = 1.0
    model: LocalModel | None = None
    made_from: LinearGaussianController | None = None
    trials: TrialSet | None = None
    by_policy: bool = False
    samples: int = 0
    trial_cost: float = float("nan")
    predicted_cost: float = float("nan")
    policy_cost: float = float("nan")
    distance: float = float("inf")
    spread: Array | None = None
