"""Workers as processes of this machine, each with one end of a pipe."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

from mbpl_control.agents.deal import Deal, Workers
from mbpl_control.agents.recipe import AgentRecipe
from mbpl_control.agents.worker import Job, describe
from mbpl_control.core import Trial
from mbpl_control.core.errors import MbplError

#: s that a worker has to end by itself when its pipe is closed.
GRACE = 2.0
#: One thread a worker: they share the processors among them already.
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
PROGRAM = "import sys; from mbpl_control.agents.worker import main; main(sys.argv[1:])"


@dataclass(eq=False)
class Process:
    """A worker.

    Attributes:
        process: it.
        pipe: our end.
        idle: whether it waits for a chunk.
        jobs: what it has not answered yet, in order.
    """

    process: subprocess.Popen[bytes]
    pipe: Connection
    idle: bool = False
    jobs: list[Job] = field(default_factory=list)


class ProcessWorkers(Workers):
    """Processes of this machine, started anew rather than forked: a fork of threads or of torch may hang.

    A worker ends when its pipe is closed, which the kernel does for a parent that is killed; and it looks at its parent
    itself, in case another process has inherited the pipe.

    Args:
        recipe: of the agent that each builds.
    """

    def __init__(self, recipe: AgentRecipe) -> None:
        """Start nothing."""
        self._recipe = pickle.dumps(recipe)
        self._workers: list[Process] = []

    @property
    def pids(self) -> list[int]:
        """Process ids of the workers."""
        return [worker.process.pid for worker in self._workers]

    def start(self, count: int) -> None:
        """See `Workers.start`."""
        while len(self._workers) < count:
            ours, theirs = Pipe()
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, str(theirs.fileno()), str(os.getpid())],
                    pass_fds=(theirs.fileno(),),
                    env={**os.environ, **ONE_THREAD, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
                    stdin=subprocess.DEVNULL,
                    # standard output belongs to the command that started us, and may hold JSON
                    stdout=2,
                    # out of reach of Ctrl-C at the terminal, even before it can ignore it
                    start_new_session=True,
                )
            self._workers.append(Process(process, ours))
            try:
                ours.send_bytes(self._recipe)
            except ConnectionError:
                self._died(self._workers[-1])

    def trials(self, deal: Deal, count: int) -> Iterator[tuple[int, Trial]]:
        """See `Workers.trials`."""
        working = self._workers[:count]
        for worker in working:
            if worker.idle:
                self._give(worker, deal)
        left = len(deal.requests)
        while left:
            # a worker dies once: its pipe is then ready, with nothing to read
            for pipe in wait([worker.pipe for worker in working]):
                worker = next(w for w in working if w.pipe is pipe)
                kind, content = self._receive(worker, deal)
                if kind == "ready":
                    worker.idle = True
                    self._give(worker, deal)
                elif kind == "trial":
                    worker.jobs.pop(0)
                    left -= 1
                    yield content
                else:
                    raise MbplError(content)
        # what is still on its way is that they are ready, which the next deal shall not wait for
        for worker in working:
            while not worker.idle and not worker.jobs and worker.pipe.poll(GRACE):
                self._receive(worker, deal)
                worker.idle = True

    def close(self) -> None:
        """See `Workers.close`."""
        for worker in self._workers:
            worker.pipe.close()
            if worker.jobs:
                worker.process.kill()
        for worker in self._workers:
            try:
                worker.process.wait(GRACE)
            except subprocess.TimeoutExpired:
                worker.process.kill()
                worker.process.wait()
        self._workers.clear()

    def _give(self, worker: Process, deal: Deal) -> None:
        chunk = deal.next_for(worker)
        if chunk is None:
            return
        worker.idle = False
        worker.jobs = list(chunk.jobs)
        try:
            worker.pipe.send_bytes(pickle.dumps(chunk, pickle.HIGHEST_PROTOCOL))
        except ConnectionError:
            self._died(worker, deal)

    def _receive(self, worker: Process, deal: Deal) -> tuple[str, Any]:
        try:
            kind, content = pickle.loads(worker.pipe.recv_bytes())  # noqa: S301 - from our worker
        except (EOFError, ConnectionError):
            self._died(worker, deal)
            raise
        return kind, content

    def _died(self, worker: Process, deal: Deal | None = None) -> None:
        """Say what a worker that is gone was doing.

        Raises:
            MbplError: always.
        """
        try:
            status = worker.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            how = "closed its pipe"
        else:
            how = f"was killed by signal {-status}" if status < 0 else f"ended with exit code {status}"
        doing = "with no trial to run"
        if deal is not None and worker.jobs:
            doing = f"in the {describe(deal.requests[worker.jobs[0].index])}"
        raise MbplError(f"worker process {worker.process.pid} {how} {doing}")
