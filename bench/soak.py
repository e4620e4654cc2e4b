"""Soak: trials and swaps without a pause at 500 Hz for a quarter of an hour; what grows, is missed, or is lost.

The whole graph as its launch file starts it, in real time, bags recorded. Memory is what a process alone holds (USS):
the pages it shares with others cannot grow by its doing.
"""

from __future__ import annotations

import argparse
import itertools
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from domain_coordinator import domain_id
from mbpl_msgs.action import RunTrial
from mbpl_msgs.msg import ManagerStatus
from rclpy.qos import QoSProfile
from report import RESULTS, Row, report

from mbpl_control.bags import read_episode
from mbpl_control.core import MbplError, RefusedError
from mbpl_control.demo.process import LaunchedGraph
from mbpl_control.nodes.client import GraphClient
from mbpl_control.nodes.qos import LATCHED

CONTROLLERS = ("ilqr_feedback", "ilqr_sampled", "ilqr_open_loop", "ilqr_mpc")
#: What takes over from what between two trials, in motion.
SWAPS = ("ilqr_feedback", "hold", "ilqr_mpc", "ilqr_sampled", "hold")
SERVICES = ("mujoco_sim/reset", "controller_manager/switch_controller", "ilqr_controller/plan", "mpc_controller/plan")
#: Share of the time that does not count: what is loaded and compiled once.
WARM_UP = 0.25
#: s between two looks at memory.
INTERVAL = 2.0
#: s between two statuses, of which three in a row may not be missing.
HEARTBEAT = 0.1
MIB = 2**20


@dataclass
class Soak:
    """What was seen so far.

    Attributes:
        memory: by node, (time, USS) in s and MiB.
        sent: when each status was sent, s, as its middleware stamped it.
        beats: arrival of each status here, s on the steady clock.
        trials: completed.
        cut: trials that the safety contract ended or refused, with why.
        swaps: done.
        refused: swaps that were refused, with why.
        bags: directories that were recorded.
        ended: nodes that ended before they were told to.
    """

    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    sent: list[float] = field(default_factory=list)
    beats: list[float] = field(default_factory=list)
    trials: int = 0
    cut: list[str] = field(default_factory=list)
    swaps: int = 0
    refused: list[str] = field(default_factory=list)
    bags: list[Path] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)


def main() -> None:
    """Soak, print, write bench/results/soak.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--rate", type=float, default=500.0, help="Hz")
    parser.add_argument("--task", default="arm_reach")
    parser.add_argument("--results", type=Path, default=RESULTS, help="directory of soak.json")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with domain_id() as domain, tempfile.TemporaryDirectory() as scratch:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        seen, unreadable = soak(options.task, options.rate, 60.0 * options.minutes, Path(scratch))
    settings = {"minutes": options.minutes, "rate": options.rate, "task": options.task}
    told = {"cut short": seen.cut, "swaps refused": seen.refused, "unreadable": unreadable, "ended": seen.ended}
    report("soak", rows(seen, len(unreadable)), settings | told, options.results)


def soak(task: str, rate: float, seconds: float, scratch: Path) -> tuple[Soak, list[str]]:
    """Run trials and swaps for so long; what was seen, and the bags that cannot be read, with why."""
    seen = Soak()
    bags = scratch / "bags"
    arguments = {"task": task, "rate": str(rate), "bags": str(bags), "log_level": "error"}
    with LaunchedGraph(arguments, scratch / "graph.log") as launched:
        with GraphClient(timeout=20.0, guard=launched.check) as graph:
            graph.wait_for_services(SERVICES, 120.0)
            graph.wait_status(lambda status: status.state_age >= 0.0, 60.0)
            for planner in ("ilqr_controller", "mpc_controller"):
                graph.plan(planner, 0)
            watched = Watch(launched, graph, seen)
            end = time.monotonic() + seconds
            for number in itertools.count():
                if time.monotonic() >= end:
                    break
                cycle(graph, seen, number, bags / f"trial-{number:04d}")
            watched.end()
        launched.check()
    unreadable = []
    for bag in seen.bags:
        try:
            read_episode(bag)
        except MbplError as error:
            unreadable.append(f"{bag.name}: {error}")
    return seen, unreadable


def cycle(graph: GraphClient, seen: Soak, number: int, bag: Path) -> None:
    """One recorded trial, then swaps in motion."""
    goal = RunTrial.Goal(
        controller=CONTROLLERS[number % len(CONTROLLERS)], condition=0, seed=number, record=True, bag=str(bag)
    )
    try:
        graph.run_trial(goal)
        seen.trials += 1
    except RefusedError as error:
        seen.cut.append(str(error))
    if bag.exists():
        seen.bags.append(bag)
    for name in SWAPS:
        try:
            graph.activate(name, 5.0, restart=True)
            seen.swaps += 1
        except RefusedError as error:
            seen.refused.append(str(error))
        time.sleep(0.1)


class Watch:
    """Keeps the books of memory and heartbeats in a thread of its own until its `end`.

    Args:
        launched: whose nodes are watched.
        graph: that hears the status.
        seen: where it is noted.
    """

    def __init__(self, launched: LaunchedGraph, graph: GraphClient, seen: Soak) -> None:
        """Begin."""
        self._seen, self._graph = seen, graph
        self._nodes = nodes_of(launched)
        self._ended = threading.Event()
        # this process is busy with trials: what waits to be counted must not be replaced by what comes after
        every = QoSProfile(depth=1000, reliability=LATCHED.reliability, durability=LATCHED.durability)
        self._heard = graph.node.create_subscription(ManagerStatus, "status", self._on_status, every)
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _on_status(self, _: ManagerStatus, about: dict[str, int]) -> None:
        self._seen.sent.append(1e-9 * about["source_timestamp"])
        self._seen.beats.append(time.monotonic())

    def _look(self) -> None:
        while not self._ended.is_set():
            now = time.monotonic()
            for name, process in self._nodes.items():
                try:
                    self._seen.memory.setdefault(name, []).append((now, process.memory_full_info().uss / MIB))
                except psutil.NoSuchProcess:
                    if name not in self._seen.ended:
                        self._seen.ended.append(name)
            self._ended.wait(INTERVAL)

    def end(self) -> None:
        """Stop watching."""
        self._ended.set()
        self._thread.join()
        self._graph.node.destroy_subscription(self._heard)


def nodes_of(launched: LaunchedGraph) -> dict[str, psutil.Process]:
    """The processes of the launched nodes, by name."""
    found = {}
    for process in psutil.Process(launched.pid).children(recursive=True):
        names = [word.partition(":=")[2] for word in process.cmdline() if word.startswith("__node:=")]
        if names:
            found[names[0]] = process
    return found


def rows(seen: Soak, unreadable: int) -> list[Row]:
    """The figures of a soak."""
    out = []
    for name, samples in sorted(seen.memory.items()):
        times, sizes = np.array(samples).T
        counts = times >= times[0] + WARM_UP * (times[-1] - times[0])
        # medians of the ends: a plan in the making holds memory for a moment
        edge = max(1, int(counts.sum()) // 10)
        start, end = (float(np.median(part)) for part in (sizes[counts][:edge], sizes[counts][-edge:]))
        slope = float(np.polyfit(times[counts] / 60.0, sizes[counts], 1)[0]) if counts.sum() > 2 else 0.0
        out.append(Row(f"{name}: memory after warm-up", start, "MiB"))
        out.append(Row(f"{name}: memory at the end", end, "MiB", 1.02 * start + 2.0))
        out.append(Row(f"{name}: growth after warm-up", slope, "MiB/min"))
    sent, heard = (float(np.diff(times).max()) if len(times) > 1 else 0.0 for times in (seen.sent, seen.beats))
    return [
        *out,
        Row("heartbeats missed", float(missing(seen.sent)), f"of {len(seen.sent)}", 0.0),
        Row("longest time between two statuses sent", sent, "s", 4.0 * HEARTBEAT),
        # this process runs the trials and looks at memory meanwhile
        Row("longest time between two statuses heard here", heard, "s"),
        Row("trials completed", float(seen.trials), "1"),
        Row("trials cut short", float(len(seen.cut)), "1", 0.0),
        Row("swaps", float(seen.swaps), "1"),
        Row("swaps refused", float(len(seen.refused)), "1", 0.0),
        Row("bags recorded", float(len(seen.bags)), "1"),
        Row("bags that cannot be read", float(unreadable), "1", 0.0),
        Row("nodes that ended", float(len(seen.ended)), "1", 0.0),
    ]


def missing(beats: Sequence[float]) -> int:
    """Times that three statuses in a row or more were not sent."""
    return int((np.diff(beats) > 4.0 * HEARTBEAT).sum()) if len(beats) > 1 else 0


if __name__ == "__main__":
    main()
