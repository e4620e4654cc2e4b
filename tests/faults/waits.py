"""How long the processes between robot and command wait for a processor: what a busy machine owes them."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path

import psutil
from graph import Graph

#: Nodes a state passes through on its way to a command.
CHAIN = ("mujoco_sim", "state_estimator", "controller_manager")
#: s between two looks, and s over which waits are added up: the time-out of a state.
LOOK, WINDOW = 0.02, 0.1


class Waits:
    """Adds up, thread by thread, the time that the kernel says they were ready to run and did not.

    Args:
        graph: whose processes are watched.

    Source: Linux, Documentation/scheduler/sched-stats.rst, on /proc/PID/task/TID/schedstat.
    """

    def __init__(self, graph: Graph) -> None:
        """Begin."""
        self._graph = graph
        self._found: deque[tuple[float, dict[Path, int]]] = deque()
        self._most: list[tuple[float, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join(5.0)

    def longest(self, since: float) -> float:
        """s within `WINDOW` that one thread waited at most, since a time of day in s."""
        return max((waited for at, waited in list(self._most) if at >= since), default=0.0)

    def _watch(self) -> None:
        while not self._ended.wait(LOOK):
            now, found = time.time(), {}
            for name in CHAIN:
                try:
                    threads = list(Path(f"/proc/{self._graph.process(name).pid}/task").iterdir())
                    # on the processor, waiting for it, and how often, ns
                    found |= {t: int((t / "schedstat").read_text().split()[1]) for t in threads}
                except (OSError, ValueError, psutil.NoSuchProcess):
                    # it was killed, or is not there yet
                    continue
            self._found.append((now, found))
            while self._found[0][0] < now - WINDOW:
                self._found.popleft()
            before = self._found[0][1]
            self._most.append((now, max((1e-9 * (w - before.get(t, w)) for t, w in found.items()), default=0.0)))
            del self._most[:-5000]
