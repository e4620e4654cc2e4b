"""How the requests of a pool are dealt to its workers."""

from __future__ import annotations

import math
import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

from mbpl_control.agents.worker import Chunk, Job
from mbpl_control.core import Trial
from mbpl_control.learning.learner import TrialRequest

#: Requests are dealt in so many chunks a worker, so that one that is held up does not hold up the others.
CHUNKS_PER_WORKER = 4


class Deal:
    """Requests, cut into chunks; each law is pickled once, and sent to a worker once.

    Args:
        requests: all of them.
        run: number of this list.
        workers: who share it.
    """

    def __init__(self, requests: Sequence[TrialRequest], run: int, workers: int) -> None:
        """Cut."""
        self.requests = requests
        self._run = run
        size = math.ceil(len(requests) / (CHUNKS_PER_WORKER * workers))
        # requests of the same law follow each other, so that a worker needs few of the laws
        keys: dict[int, int] = {}
        jobs = [
            Job(index, keys.setdefault(id(request.law), len(keys)), request.mode, request.condition, request.seed)
            for index, request in enumerate(requests)
        ]
        laws = {keys[id(request.law)]: request.law for request in requests}
        self._laws = {key: pickle.dumps(law, pickle.HIGHEST_PROTOCOL) for key, law in laws.items()}
        self._chunks = [tuple(jobs[i : i + size]) for i in range(0, len(jobs), size)]
        self._sent: dict[object, set[int]] = {}

    def next_for(self, worker: object) -> Chunk | None:
        """The next chunk, with what this worker lacks; None when all are dealt."""
        if not self._chunks:
            return None
        jobs = self._chunks.pop(0)
        has = self._sent.setdefault(worker, set())
        needs = {job.law for job in jobs} - has
        has |= needs
        return Chunk(self._run, {key: self._laws[key] for key in sorted(needs)}, jobs)


class Workers(ABC):
    """What a pool asks of whoever holds its workers."""

    @abstractmethod
    def start(self, count: int) -> None:
        """Have at least `count` workers."""

    @abstractmethod
    def trials(self, deal: Deal, count: int) -> Iterator[tuple[int, Trial]]:
        """Index and trial of each request as it is done, by `count` of the workers.

        Raises:
            MbplError: a request is wrong, or a worker died.
        """

    @abstractmethod
    def close(self) -> None:
        """End all workers."""
