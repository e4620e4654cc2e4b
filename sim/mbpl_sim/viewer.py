"""The simulation's side of the viewer: snapshots of the robot, handed to a process that serves the browser."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import threading
from collections.abc import Callable

from mbpl_control.core import ModelError
from mbpl_sim.simulation import Simulation
from mbpl_sim.viewer_protocol import READY, Snapshot

#: Snapshots a second: smooth to the eye, and nothing beside the rate of control.
RATE = 30.0
_READY = re.compile(re.escape(READY) + r" (\S+)")


class Viewer:
    """Shows a running simulation in the browser and leaves its timing alone.

    Drawing and serving happen in another process. Here a thread copies positions 30 times a second and writes them to
    that process' pipe; where the reader is late, only this thread waits. A snapshot may be taken in the middle of a
    physics step, so that joints differ by one step: nobody sees that.

    Args:
        simulation: what to show.
        log: takes a line of text: where the page is, or why there is none.

    Raises:
        ModelError: the viewer's library is not installed.
    """

    def __init__(self, simulation: Simulation, log: Callable[[str], object]) -> None:
        """Start the process and the thread."""
        if importlib.util.find_spec("mjviser") is None:
            raise ModelError("the viewer needs the package mjviser: pip install mjviser, or launch with view:=false")
        self._simulation, self._log = simulation, log
        self._end = threading.Event()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mbpl_sim.viewer_server", str(simulation.task.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            # an interrupt from the terminal ends the simulation first, and with it the pipe
            start_new_session=True,
        )
        self._threads = [
            threading.Thread(target=self._announce, name="viewer output", daemon=True),
            threading.Thread(target=self._feed, name="viewer snapshots", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """Of the viewer's process."""
        return self._process.pid

    def stop(self) -> None:
        """End the process; safe to call twice."""
        self._end.set()
        self._process.terminate()
        self._process.wait()
        for thread in self._threads:
            thread.join()

    def _announce(self) -> None:
        """Tell where the page is; when the process ends by itself, tell its last words."""
        lines: list[str] = []
        assert self._process.stdout is not None
        for raw in self._process.stdout:
            line = raw.decode(errors="replace").rstrip()
            lines = [*lines[-9:], line]
            ready = _READY.match(line)
            if ready is not None:
                self._log(f"{READY} {ready.group(1)}")
        if not self._end.is_set():
            self._log("the viewer ended; the simulation goes on without it: " + " | ".join(lines[-3:]))

    def _feed(self) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        try:
            while not self._end.wait(1.0 / RATE):
                pipe.write(self._snapshot().pack())
                pipe.flush()
        except OSError:
            # the process is gone: `_announce` tells why
            return

    def _snapshot(self) -> Snapshot:
        simulation = self._simulation
        pushes = simulation.pushes
        return Snapshot(
            simulation.time,
            simulation.data.qpos.copy(),
            pushes[-1].body if pushes else -1,
            pushes[-1].wrench[:3] if pushes else None,
        )
