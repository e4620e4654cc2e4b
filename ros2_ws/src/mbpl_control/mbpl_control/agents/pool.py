"""Many trials at once: the same trials, to the last bit, however many processes run them."""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

from mbpl_control.agents.agent import Agent
from mbpl_control.agents.deal import Deal, Workers
from mbpl_control.agents.process_workers import ProcessWorkers
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.agents.worker import attempt, one_thread
from mbpl_control.core import Trial
from mbpl_control.core.errors import MbplError
from mbpl_control.core.validation import check_choice, check_whole
from mbpl_control.learning.learner import TrialRequest

EXECUTORS = ("process", "inline", "ray")

#: Told of each trial as it comes, in whatever order: its index in the list of requests, and the trial.
OnTrial = Callable[[int, Trial], None]


class TrialRunner(ABC):
    """Runs what a learner asks for. A context manager: what it started ends with it."""

    @abstractmethod
    def run(self, requests: Sequence[TrialRequest], on_trial: OnTrial | None = None) -> list[Trial]:
        """Trials of the requests, in their order.

        A law that was refused, or that ended before its first step was over, comes back as a trial of no steps.

        Raises:
            MbplError: a request is wrong, or whoever ran it died; the message names the request.
        """

    def close(self) -> None:  # noqa: B027 - most have nothing to end
        """End what was started."""

    def __enter__(self) -> TrialRunner:
        """Nothing is started yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """See `close`."""
        self.close()


class AgentRunner(TrialRunner):
    """One trial after the other with an agent that exists, such as the robot of the running graph.

    Args:
        agent: who runs them.
    """

    def __init__(self, agent: Agent) -> None:
        """Keep the agent."""
        self._agent = agent

    def run(self, requests: Sequence[TrialRequest], on_trial: OnTrial | None = None) -> list[Trial]:
        """See `TrialRunner.run`."""
        trials = []
        with one_thread():
            for index, request in enumerate(requests):
                trials.append(attempt(self._agent, request))
                if on_trial is not None:
                    on_trial(index, trials[-1])
        return trials


class TrialPool(TrialRunner):
    """Runs trials in process: in this one, or spread over others that stay until the pool is closed.

    A trial depends on its request alone, so executor and number of workers change nothing but the time it takes.
    Workers are started by the first `start` or `run`, and end with this process however it ends. After an exception
    in `run`, Ctrl-C included, they are ended; the next `run` starts others.

    Args:
        recipe: of the agent that each worker builds.
        executor: "process", "inline" (here, one after the other), or "ray" (Ray's actors).
        workers: at most so many; as many as the machine has processors when None. Never more than requests.

    Raises:
        InvalidFieldError: an unknown executor, or no worker.
        MbplError: Ray was asked for and is not installed.
    """

    def __init__(self, recipe: AgentRecipe, executor: str = "process", workers: int | None = None) -> None:
        """Check that the executor can work; start nothing."""
        self._recipe = recipe
        self.executor = check_choice("TrialPool", "executor", executor, EXECUTORS)
        workers = (os.cpu_count() or 1) if workers is None else workers
        self.workers = check_whole("TrialPool", "workers", workers, 1, 4096)
        self._runs = itertools.count()
        self._inline: AgentRunner | None = None
        self._backend: Workers | None = None
        if executor == "process":
            self._backend = ProcessWorkers(recipe)
        elif executor == "ray":
            try:
                from mbpl_control.agents.ray_workers import RayWorkers
            except ImportError as error:
                raise MbplError(
                    f"executor 'ray' needs Ray, which is not installed here: pip install ray ({error})"
                ) from error

            self._backend = RayWorkers(recipe)

    def start(self) -> None:
        """Start the workers in the background, which `run` does otherwise."""
        if self._backend is not None:
            self._backend.start(self.workers)

    def run(self, requests: Sequence[TrialRequest], on_trial: OnTrial | None = None) -> list[Trial]:
        """See `TrialRunner.run`."""
        if not requests:
            return []
        if self._backend is None:
            if self._inline is None:
                self._inline = AgentRunner(self._recipe.build())
            return self._inline.run(requests, on_trial)
        workers = min(self.workers, len(requests))
        trials: dict[int, Trial] = {}
        try:
            self._backend.start(workers)
            deal = Deal(requests, next(self._runs), workers)
            for index, trial in self._backend.trials(deal, workers):
                trials[index] = trial
                if on_trial is not None:
                    on_trial(index, trial)
        except BaseException:
            self.close()
            raise
        return [trials[index] for index in range(len(requests))]

    def close(self) -> None:
        """See `TrialRunner.close`."""
        if self._backend is not None:
            self._backend.close()
