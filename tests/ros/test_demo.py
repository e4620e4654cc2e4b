"""`mbpl demo` as its user runs it, and how it ends when something goes wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mcap.reader import make_reader
from rosbags.rosbag2 import Reader

DEADLINE = 150.0


def processes_of(domain: int) -> dict[int, str]:
    """Command lines of the processes that were started in a ROS domain, by process id."""
    found = {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            environment = (directory / "environ").read_bytes().split(b"\0")
            words = (directory / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # it ended meanwhile, or is not ours
        if b"ROS_DOMAIN_ID=%d" % domain in environment and words != [b""] and int(directory.name) != os.getpid():
            found[int(directory.name)] = b" ".join(words).decode(errors="replace")
    return found


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)


class RunningDemo:
    """`mbpl demo` in a process of its own, in the domain of the test."""

    def __init__(self, directory: Path) -> None:
        """Start it without the part that learns; bags and report go to `directory / "out"`."""
        self.output, self.printed = directory / "out", directory / "printed.txt"
        with open(self.printed, "wb") as stream:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "mbpl_control.cli.main",
                    "demo",
                    "--iterations",
                    "0",
                    "--output",
                    str(self.output),
                ],
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    @property
    def text(self) -> str:
        """All it has printed so far."""
        return self.printed.read_text(errors="replace")

    def wait_for(self, words: str) -> None:
        """Wait until it has printed something."""
        wait_until(lambda: words in self.text or self.process.poll() is not None, repr(words))
        assert words in self.text, self.text


@pytest.fixture
def demo(domain: int, tmp_path: Path) -> Iterator[RunningDemo]:
    """The demo, which has just been started."""
    running = RunningDemo(tmp_path)
    yield running
    if running.process.poll() is None:
        running.process.terminate()
        running.process.wait(60.0)


@pytest.mark.timeout(400)
def test_the_demo_keeps_its_promises_and_leaves_a_report_and_readable_bags_and_no_process(
    demo: RunningDemo, domain: int
) -> None:
    assert demo.process.wait(350.0) == 0, demo.text
    summary = json.loads((demo.output / "summary.json").read_text())
    assert summary["kept"] is True
    assert len(summary["trials"]) == 12
    assert {(s["before"], s["after"]) for run in summary["swaps"] for s in run["swaps"]} >= {
        ("hold", "ilqr_open_loop"),
        ("ilqr_open_loop", "ilqr_feedback"),
        ("ilqr_feedback", "ilqr_mpc"),
        ("ilqr_mpc", "hold"),
        ("hold", "ilqr_mpc"),
    }
    for trial in summary["trials"]:
        bag = demo.output / "bags" / trial["bag"]
        with Reader(bag) as reader:
            count = reader.message_count
        with open(next(bag.glob("*.mcap")), "rb") as stream:
            assert sum(1 for _ in make_reader(stream).iter_messages()) == count > 1000
    assert (demo.output / "report.html").stat().st_size > 100_000
    for words in ("disturbance", "deadline", "every bag is read by two independent libraries", "report: "):
        assert words in demo.text, demo.text
    wait_until(lambda: not processes_of(domain), "the graph's processes to be gone", 5.0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_an_interrupted_demo_ends_every_process_it_started(
    demo: RunningDemo, domain: int, number: signal.Signals
) -> None:
    demo.wait_for("the graph is up")
    assert len(processes_of(domain)) >= 8
    demo.process.send_signal(number)
    assert demo.process.wait(60.0) == 130
    assert "interrupted: ending the graph" in demo.text
    wait_until(lambda: not processes_of(domain), "the graph's processes to be gone", 5.0)


def test_a_demo_whose_manager_dies_ends_at_once_and_shows_the_end_of_the_log(demo: RunningDemo, domain: int) -> None:
    demo.wait_for("the graph is up")
    (manager,) = [p for p, words in processes_of(domain).items() if "/controller_manager" in words]
    os.kill(manager, signal.SIGKILL)
    assert demo.process.wait(60.0) == 2
    assert "the launched graph ended" in demo.text
    assert str(demo.output / "graph.log") in demo.text.replace("\n", "")
    assert "controller_manager" in demo.text
    wait_until(lambda: not processes_of(domain), "the graph's processes to be gone", 5.0)


def test_an_output_directory_that_exists_is_refused_with_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    demo = RunningDemo(tmp_path)
    assert demo.process.wait(60.0) == 2
    assert "exists already; nothing was changed" in " ".join(demo.text.split())
    assert list((tmp_path / "out").iterdir()) == []
