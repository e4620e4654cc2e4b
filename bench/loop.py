"""Round trip of the control loop over DDS: simulation and controller manager, beside a bare echo.

Two processes each: the simulation sends `joint_states` and the manager answers with `joint_commands`, computed by a
linear-Gaussian law with feedback and every limit on; the echo sends the same `joint_states` there and back with rclpy's
own executor and no work at all. Both are measured in turns at every rate.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import psutil
from ament_index_python.packages import get_package_prefix
from domain_coordinator import domain_id
from mbpl_msgs.srv import LoadController
from report import Row, report
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from mbpl_control.nodes import conversions as convert
from mbpl_control.nodes.client import GraphClient
from mbpl_control.tasks import load_task
from mbpl_control.trajopt.planning import plan_task, task_controller

ECHO = Path(__file__).resolve().parent / "echo_peer.py"
#: Periods at the beginning of a turn that do not count: discovery, and the switch to the law.
WARM_UP = 200


@dataclass(frozen=True)
class Turn:
    """What one turn showed.

    Attributes:
        latencies: (N,) s, one a period, NaN where no answer came.
        cpu: s of processor time of both processes together, per second.
    """

    latencies: np.ndarray
    cpu: float


def main() -> None:
    """Measure, print, write bench/results/loop.json."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=float, nargs="+", default=[200.0, 500.0, 1000.0], help="Hz")
    parser.add_argument("--seconds", type=float, default=60.0, help="per rate, for each of loop and echo")
    parser.add_argument("--turns", type=int, default=3, help="alternating turns per rate")
    options = parser.parse_args()
    # whoever ends this ends the nodes it started, too
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    rows: list[Row] = []
    total = len(options.rates) * options.turns * 2
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with domain_id() as domain, Progress(*columns) as progress, tempfile.TemporaryDirectory() as scratch:
        os.environ["ROS_DOMAIN_ID"] = str(domain)
        bar = progress.add_task("", total=total)
        for rate in options.rates:
            loops: list[Turn] = []
            echoes: list[Turn] = []
            for turn in range(options.turns):
                seconds = options.seconds / options.turns
                for kind, run, into in (("echo", _echo, echoes), ("loop", _loop, loops)):
                    progress.update(bar, description=f"{rate:g} Hz, {kind}, turn {turn + 1}")
                    into.append(run(rate, seconds, Path(scratch) / f"{kind}-{rate:g}-{turn}.npy"))
                    progress.advance(bar)
            rows += _rows(rate, loops, echoes)
    report("loop", rows, {"seconds_per_rate": options.seconds, "turns": options.turns, "task": "arm_reach"})


def _rows(rate: float, loops: list[Turn], echoes: list[Turn]) -> list[Row]:
    loop = np.concatenate([t.latencies for t in loops])
    echo = np.concatenate([t.latencies for t in echoes])
    period = 1e3 / rate
    rows = []
    for name, turns in (("loop", loops), ("bare rclpy echo", echoes)):
        for q in (50.0, 99.0, 99.9, 100.0):
            each = [1e3 * float(np.nanpercentile(t.latencies, q)) for t in turns]
            whole = 1e3 * float(np.nanpercentile(np.concatenate([t.latencies for t in turns]), q))
            label = "max" if q == 100.0 else f"p{q:g}"
            target = period if name == "loop" and q == 99.0 and rate >= 500.0 else None
            rows.append(Row(f"{rate:g} Hz {name} {label}", whole, "ms", target, spread=(min(each), max(each))))
    for q in (50.0, 99.0):
        each = [
            float(np.nanpercentile(a.latencies, q) / np.nanpercentile(b.latencies, q))
            for a, b in zip(loops, echoes, strict=True)
        ]
        rows.append(
            Row(f"{rate:g} Hz ratio to echo p{q:g}", float(np.median(each)), "1", 2.0, spread=(min(each), max(each)))
        )
    for name, samples in (("loop", loop), ("bare rclpy echo", echo)):
        missed = ~(samples <= 1.0 / rate)
        rows.append(Row(f"{rate:g} Hz {name} deadline misses", float(missed.sum()), f"of {len(missed)}"))
        in_a_row = _longest_run(missed)
        target = 1.0 if name == "loop" and rate <= 500.0 else None
        rows.append(Row(f"{rate:g} Hz {name} misses in a row", float(in_a_row), "1", target))
    for name, turns in (("loop", loops), ("bare rclpy echo", echoes)):
        rows.append(Row.of_samples(f"{rate:g} Hz {name} processor time", [100.0 * t.cpu for t in turns], "% of a core"))
    return rows


def _longest_run(missed: np.ndarray) -> int:
    longest = run = 0
    for miss in missed:
        run = run + 1 if miss else 0
        longest = max(longest, run)
    return longest


class Processes:
    """Child processes that end with the `with` block, and the processor time they took."""

    def __init__(self) -> None:
        """None yet."""
        self._children: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> None:
        """Start one; its output is shown only when it fails."""
        self._children.append(
            subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True)
        )

    def cpu_time(self) -> float:
        """Processor time of all of them so far, s."""
        times = [psutil.Process(child.pid).cpu_times() for child in self._children]
        return sum(t.user + t.system for t in times)

    def __enter__(self) -> Processes:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Interrupt all of them and wait; one that does not end is killed."""
        for child in reversed(self._children):
            child.send_signal(signal.SIGINT)
            try:
                child.wait(15.0)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()


def _measure(processes: Processes, seconds: float) -> float:
    before, begin = processes.cpu_time(), time.monotonic()
    time.sleep(seconds)
    return (processes.cpu_time() - before) / (time.monotonic() - begin)


def _echo(rate: float, seconds: float, file: Path) -> Turn:
    with Processes() as processes:
        processes.start(sys.executable, str(ECHO), "answer")
        processes.start(sys.executable, str(ECHO), "ask", "--rate", str(rate), "--file", str(file))
        time.sleep(2.0 + WARM_UP / rate)
        cpu = _measure(processes, seconds)
    return Turn(_tail(file, rate, seconds), cpu)


def _loop(rate: float, seconds: float, file: Path) -> Turn:
    parameters = ["--ros-args", "-r", "__ns:=/mbpl", "--log-level", "warn", "-p", f"rate:={rate}"]
    with ExitStack() as stack:
        processes = stack.enter_context(Processes())
        manager, robot = node_program("mbpl_control", "controller_manager"), node_program("mbpl_sim", "mujoco_sim")
        processes.start(manager, *parameters, "-p", "state_source:=joint_states")
        processes.start(robot, *parameters, "-p", f"latency_file:={file}")
        with GraphClient(timeout=30.0) as client:
            _activate_law(client)
        time.sleep(WARM_UP / rate)
        cpu = _measure(processes, seconds)
    return Turn(_tail(file, rate, seconds), cpu)


def node_program(package: str, executable: str) -> str:
    """The program of a node, without a launcher in between whose time would count."""
    return str(Path(get_package_prefix(package)) / "lib" / package / executable)


def _activate_law(client: GraphClient) -> None:
    """A planned law with feedback that goes on at its end, so that every tick does the whole work."""
    task = load_task("arm_reach")
    law = replace(task_controller(task, plan_task(task, 0)), end_rule="repeat_last")
    client.wait_for_services(["controller_manager/switch_controller", "mujoco_sim/reset"], 30.0)
    message = convert.controller_to_msg(law)
    client.load(LoadController.Request(name="measured", type="linear_gaussian", law=[message]))
    client.reset_sim(0)
    client.wait_status(lambda s: 0.0 <= s.state_age < 0.05)
    client.activate("measured")
    client.wait_status(lambda s: s.active_controller == "measured" and s.mode == "active")


def _tail(file: Path, rate: float, seconds: float) -> np.ndarray:
    """The last `seconds` of a file, without the answers that the end cut off."""
    count = int(rate * seconds)
    return np.load(file)[-count - 20 : -20]


if __name__ == "__main__":
    main()
