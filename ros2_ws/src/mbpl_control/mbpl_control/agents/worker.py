"""A process that runs trials: told what to run over a pipe, it answers with one trial after the other."""

from __future__ import annotations

import os
import pickle
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

import numpy as np

from mbpl_control.agents.agent import Agent, law_name
from mbpl_control.core import ExecutionMode, Trial
from mbpl_control.core.errors import MbplError, RefusedError
from mbpl_control.learning.learner import TrialRequest

if TYPE_CHECKING:
    from mbpl_control.agents.recipe import AgentRecipe

#: s between two looks at whether the parent still lives.
WATCH_PERIOD = 0.5


def describe(request: TrialRequest) -> str:
    """A request in words."""
    return (
        f"trial of '{law_name(request.law)}' ({ExecutionMode(request.mode).value}) from start condition "
        f"{request.condition} with seed {request.seed}"
    )


def attempt(agent: Agent, request: TrialRequest) -> Trial:
    """Run a request.

    A law that the manager refuses, or that is over before its first step, is a trial all the same: one of no steps,
    whose `stop_reason` says so. One bad law must not end a run of many.

    Raises:
        MbplError: the request itself is wrong; the message names it.
    """
    try:
        return agent.run(request.law, request.mode, request.condition, request.seed, request.iteration)
    except RefusedError as error:
        return _refused(agent, request, str(error))
    except MbplError as error:
        raise MbplError(f"{describe(request)}: {error}") from error


def _refused(agent: Agent, request: TrialRequest, reason: str) -> Trial:
    task = agent.task
    return Trial(
        task.state,
        task.action,
        task.dt,
        task.task_state(task.condition(request.condition).state[None]),
        np.zeros((0, task.action.size)),
        task=task.name,
        task_hash=task.hash,
        condition=request.condition,
        controller=law_name(request.law),
        seed=request.seed,
        stop_reason=f"aborted: refused: {reason}",
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute with one thread, as workers do, if it is loaded: another number could give other last bits."""
    torch = sys.modules.get("torch")
    if torch is None:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@dataclass(frozen=True)
class Job:
    """A request whose law is sent apart, once for all jobs that need it.

    Attributes:
        index: of the request in the whole list.
        law: its key.
        mode: of execution.
        condition: start condition.
        seed: of all noise.
    """

    index: int
    law: int
    mode: ExecutionMode
    condition: int
    seed: int


@dataclass(frozen=True)
class Chunk:
    """Some jobs for one worker.

    Attributes:
        run: number of the list of requests they belong to; laws of an earlier one are forgotten.
        laws: laws, pickled, by key, that the worker does not have yet.
        jobs: what to run, in this order.
    """

    run: int
    laws: Mapping[int, bytes]
    jobs: tuple[Job, ...]


class ChunkRunner:
    """Runs chunks with one agent, and keeps the laws it was sent.

    Args:
        agent: who runs the trials.
    """

    def __init__(self, agent: Agent) -> None:
        """Begin without laws."""
        self._agent = agent
        self._run = -1
        self._laws: dict[int, Any] = {}

    def trials(self, chunk: Chunk) -> Iterator[tuple[int, Trial]]:
        """Index and trial of one job after the other.

        Raises:
            MbplError: a request is wrong.
        """
        if chunk.run != self._run:
            self._laws.clear()
            self._run = chunk.run
        self._laws.update((key, pickle.loads(law)) for key, law in chunk.laws.items())  # noqa: S301 - from our parent
        for job in chunk.jobs:
            yield job.index, attempt(self._agent, TrialRequest(self._laws[job.law], job.mode, job.condition, job.seed))


def main(arguments: Sequence[str]) -> None:
    """Serve a parent until it closes the pipe or is gone.

    Args:
        arguments: file descriptor of the pipe, and the process id of the parent.
    """
    # Ctrl-C at a terminal reaches every process of the group; the parent alone decides what it means
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    descriptor, parent = (int(argument) for argument in arguments)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with Connection(descriptor) as pipe:
        try:
            serve(pipe)
        except (EOFError, ConnectionError):
            # the parent has closed its end, or is gone
            return


def serve(pipe: Connection) -> None:
    """Build the agent from the recipe that comes first, then run the chunks that follow.

    Messages to the parent: ("ready", None), after a chunk too; ("trial", (index, trial)); ("error", text).
    """
    try:
        recipe: AgentRecipe = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our parent
        runner = ChunkRunner(recipe.build())
        while True:
            _send(pipe, "ready", None)
            chunk: Chunk = pickle.loads(pipe.recv_bytes())  # noqa: S301 - from our parent
            with one_thread():
                for trial in runner.trials(chunk):
                    _send(pipe, "trial", trial)
    except (EOFError, ConnectionError):
        raise
    except MbplError as error:
        _send(pipe, "error", str(error))
    except Exception:  # noqa: BLE001 - whatever it is, the parent shall tell
        _send(pipe, "error", f"a worker failed:\n{traceback.format_exc()}")


def _send(pipe: Connection, kind: str, content: object) -> None:
    pipe.send_bytes(pickle.dumps((kind, content), pickle.HIGHEST_PROTOCOL))


def _end_with(parent: int) -> None:
    """End this process when its parent is gone, even in the middle of a trial."""
    while os.getppid() == parent:
        time.sleep(WATCH_PERIOD)
    os._exit(1)
