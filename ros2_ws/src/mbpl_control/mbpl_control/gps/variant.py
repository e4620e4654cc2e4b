"""What the variants of guided policy search differ in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from mbpl_control.core.validation import Array
from mbpl_control.gps.linearisation import PolicyAtTrials
from mbpl_control.learning.condition_state import ConditionState
from mbpl_control.learning.local_step import Pull
from mbpl_control.trajopt.kl_lqr import LinearLaw


@dataclass(frozen=True)
class ConditionView:
    """A condition in the middle of an iteration.

    Attributes:
        state: its controller and memory.
        policy: what the policy says at its trials.
        link: the policy linearised, in deviations from the model's reference.
        old: the controller the trials were run with, or would have been, likewise.
        by_policy: whether the policy ran the trials.
        follows: whether the policy does there what the controllers do, well enough to be what a step begins from.
    """

    state: ConditionState
    policy: PolicyAtTrials
    link: LinearLaw
    old: LinearLaw
    by_policy: bool = False
    follows: bool = True

    @property
    def ran(self) -> LinearLaw:
        """What ran the trials, in deviations from the model's reference."""
        return self.link if self.by_policy else self.old

    def controller_means(self) -> Array:
        """What the present controller does at the states of the trials (N, T, m)."""
        return self.state.controller.means_along(self.policy.states)

    def precisions(self) -> Array:
        """Σ⁻¹ (T, m, m) of the present controller."""
        return np.asarray(np.linalg.inv(self.state.controller.covariances), dtype=np.float64)

    def divergence(self) -> Array:
        r"""KL( p(u|x) ‖ π(u|x) ) of the present controller, mean over the trials' states (T,), nats."""
        policy, controller = self.policy.covariances, self.state.controller.covariances
        inverse = np.linalg.inv(policy)
        d = self.controller_means() - self.policy.means
        quadratic = np.einsum("kti,tij,ktj->t", d, inverse, d) / len(d)
        trace = np.einsum("tij,tji->t", inverse, controller)
        logs = np.linalg.slogdet(policy)[1] - np.linalg.slogdet(controller)[1]
        kl: Array = 0.5 * (quadratic + trace + logs - d.shape[2])
        return kl


class Variant(ABC):
    """What a variant adds to the shared loop.

    Attributes:
        name: of the variant.
        rounds: how often an iteration goes through duals, controllers and policy.
        policy_first: whether a round trains the policy before it makes the controllers.
    """

    name: str
    rounds: int = 1
    policy_first: bool = False

    @abstractmethod
    def near(self, view: ConditionView) -> LinearLaw:
        """The law the new controller is kept close to."""

    def pull(self, view: ConditionView) -> Pull | None:
        """What draws the controller to the policy beside the bound; None for nothing."""
        return None

    def shift(self, view: ConditionView) -> Array:
        """Added to the controller's means to make the policy's targets (T, m)."""
        return np.zeros_like(view.link.feedforward)

    def weights(self, view: ConditionView) -> Array:
        """Of the targets of each step (T,)."""
        return np.ones(len(view.link.feedforward))

    def update_duals(self, view: ConditionView, last_round: bool) -> None:
        """Move the multipliers of a condition; nothing when there are none."""
        return

    def arrays(self) -> dict[str, Array]:
        """What it remembers."""
        return {}

    def restore(self, arrays: dict[str, Array]) -> None:
        """Remember it again; nothing when there is nothing."""
        return
