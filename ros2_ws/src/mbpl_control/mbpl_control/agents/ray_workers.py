"""Workers as actors of Ray, on this machine or on a cluster."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any

import ray

from mbpl_control.agents.deal import Deal, Workers
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.agents.worker import Chunk, ChunkRunner, describe, one_thread
from mbpl_control.core import Trial
from mbpl_control.core.errors import MbplError


class _Actor:
    """A worker: Ray gives it a process of its own, with one thread."""

    def __init__(self, recipe: bytes) -> None:
        self._runner = ChunkRunner(pickle.loads(recipe).build())  # noqa: S301 - from our parent

    def run(self, chunk: Chunk) -> list[tuple[int, Trial]] | str:
        """Index and trial of each job, or what is wrong with one."""
        try:
            with one_thread():
                return list(self._runner.trials(chunk))
        except MbplError as error:
            return str(error)


class RayWorkers(Workers):
    """Actors of Ray. The cluster is the one Ray is connected to; when it is to none, one is started on this machine.

    The task's file must be at the same path on every machine.

    Args:
        recipe: of the agent that each builds.
    """

    def __init__(self, recipe: AgentRecipe) -> None:
        """Start nothing."""
        self._recipe = pickle.dumps(recipe)
        self._actors: list[Any] = []
        self._own_cluster = False

    def start(self, count: int) -> None:
        """See `Workers.start`."""
        if not ray.is_initialized():
            # as many as were asked for, even if the machine has fewer processors
            ray.init(num_cpus=count, include_dashboard=False, log_to_driver=False, configure_logging=False)
            self._own_cluster = True
        actor = ray.remote(num_cpus=1)(_Actor)
        while len(self._actors) < count:
            self._actors.append(actor.remote(self._recipe))

    def trials(self, deal: Deal, count: int) -> Iterator[tuple[int, Trial]]:
        """See `Workers.trials`."""
        running: dict[Any, tuple[Any, Chunk]] = {}

        def give(actor: Any) -> None:
            chunk = deal.next_for(actor)
            if chunk is not None:
                running[actor.run.remote(chunk)] = (actor, chunk)

        for actor in self._actors[:count]:
            give(actor)
        while running:
            (done,), _ = ray.wait(list(running))
            actor, chunk = running.pop(done)
            try:
                result = ray.get(done)
            except ray.exceptions.RayError as error:
                first = describe(deal.requests[chunk.jobs[0].index])
                raise MbplError(f"a worker of Ray failed in the {first}, or one after it: {error}") from error
            if isinstance(result, str):
                raise MbplError(result)
            give(actor)
            yield from result

    def close(self) -> None:
        """See `Workers.close`."""
        for actor in self._actors:
            ray.kill(actor)
        self._actors.clear()
        if self._own_cluster:
            ray.shutdown()
            self._own_cluster = False
