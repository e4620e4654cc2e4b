"""The viewer in a process of its own: what is sent to it, that it serves a page, and how both sides end."""

from __future__ import annotations

import io
import os
import queue
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mbpl_control.tasks import load_task
from mbpl_sim.simulation import Simulation
from mbpl_sim.viewer import Viewer
from mbpl_sim.viewer_protocol import Snapshot, size
from mbpl_sim.viewer_server import snapshots

#: Starts a viewer, tells its process, and dies without a word to it.
DYING = """
import os, sys
from mbpl_control.tasks import load_task
from mbpl_sim.simulation import Simulation
from mbpl_sim.viewer import Viewer
print(Viewer(Simulation(load_task(sys.argv[1])), print).pid, flush=True)
os._exit(0)
"""


@pytest.fixture
def simulation(task_files: Path) -> Simulation:
    """The arm, at its first start."""
    return Simulation(load_task(task_files / "arm_reach.yaml"))


@pytest.fixture
def running(simulation: Simulation) -> Iterator[tuple[Viewer, queue.Queue[str]]]:
    """A viewer, and what it says."""
    said: queue.Queue[str] = queue.Queue()
    viewer = Viewer(simulation, said.put)
    yield viewer, said
    viewer.stop()


def alive(pid: int) -> bool:
    try:
        # one that has ended and that nobody has waited for yet is no longer alive
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.parametrize("nq", [1, 7])
def test_a_snapshot_comes_out_as_it_went_in(nq: int) -> None:
    rng = np.random.default_rng(0)
    sent = [
        Snapshot(0.5, rng.normal(size=nq)),
        Snapshot(1.5, rng.normal(size=nq), 3, np.array([0.0, 40.0, -1.0])),
    ]
    data = b"".join(s.pack() for s in sent)
    assert len(data) == 2 * size(nq)
    received = list(snapshots(io.BytesIO(data), nq))
    assert [(s.time, s.body) for s in received] == [(0.5, -1), (1.5, 3)]
    for a, b in zip(sent, received, strict=True):
        assert (a.positions == b.positions).all()
    assert received[0].force is None
    assert received[1].force is not None and received[1].force.tolist() == [0.0, 40.0, -1.0]


def test_a_torn_snapshot_ends_the_stream_without_an_error() -> None:
    data = Snapshot(0.5, np.zeros(7)).pack()
    assert len(list(snapshots(io.BytesIO(data + data[:-1]), 7))) == 1


def test_the_pushes_of_a_simulation_are_those_that_act_now(simulation: Simulation) -> None:
    simulation.disturb("tool", np.array([0.0, 40.0, 0.0, 0.0, 0.0, 0.0]), 0.02, 0.03)
    acting = []
    for _ in range(14):
        acting.append(len(simulation.pushes))
        simulation.command(np.zeros(7))
        simulation.step()
    # 5 ms a period: the push begins after four and lasts six
    assert acting == [0] * 4 + [1] * 6 + [0] * 4


def test_a_viewer_serves_a_page_on_this_machine_and_is_gone_when_it_is_stopped(
    running: tuple[Viewer, queue.Queue[str]],
) -> None:
    viewer, said = running
    words = said.get(timeout=60.0)
    assert words.startswith("viewer: http://localhost:")
    with urllib.request.urlopen(words.split()[1], timeout=20.0) as answer:
        assert answer.status == 200
        assert b"<html" in answer.read().lower()
    viewer.stop()
    assert not alive(viewer.pid)
    assert said.empty()


def test_a_viewer_that_dies_is_told_and_the_simulation_goes_on(
    running: tuple[Viewer, queue.Queue[str]], simulation: Simulation
) -> None:
    viewer, said = running
    said.get(timeout=60.0)
    os.kill(viewer.pid, signal.SIGKILL)
    assert said.get(timeout=20.0).startswith("the viewer ended; the simulation goes on without it")
    before = simulation.time
    simulation.step()
    assert simulation.time > before


def test_a_viewer_ends_by_itself_when_the_process_of_its_simulation_dies(task_files: Path) -> None:
    words = [sys.executable, "-c", DYING, str(task_files / "arm_reach.yaml")]
    pid = int(subprocess.run(words, stdout=subprocess.PIPE, check=True, timeout=60.0).stdout.split()[0])
    end = time.monotonic() + 60.0
    while alive(pid):
        assert time.monotonic() < end, "the viewer outlives its simulation"
        time.sleep(0.05)
