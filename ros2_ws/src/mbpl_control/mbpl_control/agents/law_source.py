"""Where the manager of an in-process trial gets its laws from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Protocol

from mbpl_control.core import FeedbackLaw, LinearGaussianController
from mbpl_control.core.validation import Array
from mbpl_control.runtime.config import ManagerConfig
from mbpl_control.runtime.executors import RobotSample
from mbpl_control.runtime.manager import ManagerCore

#: Name of the law in the manager's registry while it is tried.
UNDER_TRIAL = "under_trial"


class LawSource(ABC):
    """Gives the manager the law under trial.

    Attributes:
        type: of the controller that runs it, see `ControllerEntry`.
    """

    type: str

    @abstractmethod
    def config(self, config: ManagerConfig, seed: int) -> ManagerConfig:
        """What the manager must be told beside `config` for a trial with this seed."""

    @abstractmethod
    def tell(self, manager: ManagerCore, sample: RobotSample, now_ns: int) -> None:
        """Give a law: before the controller is activated at `sample`, and whenever the manager waits for one there."""


class WholeHorizon(LawSource):
    """A controller, given once."""

    type = "linear_gaussian"

    def __init__(self, controller: LinearGaussianController) -> None:
        """Keep it."""
        self._controller = controller

    def config(self, config: ManagerConfig, seed: int) -> ManagerConfig:
        """See `LawSource.config`."""
        return replace(config, seed=seed)

    def tell(self, manager: ManagerCore, sample: RobotSample, now_ns: int) -> None:
        """See `LawSource.tell`."""
        manager.on_law(UNDER_TRIAL, self._controller, 1, now_ns)


class Feedback(Protocol):
    """What answers a state with a law."""

    def at(self, x: Array) -> FeedbackLaw:
        """The law for a state (nx,)."""


class PolicySource(LawSource):
    """A policy, or whoever else has an answer to each state, asked at each that waits for it."""

    type = "feedback_law"

    def __init__(self, feedback: Feedback) -> None:
        """Count from the first answer."""
        self._feedback = feedback
        self._sequence = 0

    def config(self, config: ManagerConfig, seed: int) -> ManagerConfig:
        """See `LawSource.config`. States wait for their laws; here no answer takes any time."""
        return replace(config, seed=seed, law_wait=0.5 * config.state_timeout)

    def tell(self, manager: ManagerCore, sample: RobotSample, now_ns: int) -> None:
        """See `LawSource.tell`."""
        self._sequence += 1
        stamp = sample.stamp_ns
        law = self._feedback.at(sample.x)
        manager.on_law(UNDER_TRIAL, law, self._sequence, now_ns, stamp, stamp, step=self._sequence - 1)
