"""Ctrl-C at a node that spins, and at one that is still being built."""

from __future__ import annotations

import subprocess
import sys

SPINNING = """
import os, signal
import rclpy
from rclpy.node import Node
from mbpl_control.nodes.node_tools import run

class Busy(Node):
    def __init__(self):
        super().__init__("busy")
        self.create_timer(0.01, self.work)

    def work(self):
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(100_000):
            pass  # long enough for an exception to come here
        print("the callback finished", flush=True)

print("ended with", run(Busy))
"""

BUILDING = """
import os, signal
from mbpl_control.nodes.node_tools import run

def build():
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(10_000_000):
        pass
    print("built all the same", flush=True)

print("ended with", run(build))
"""


def printed(script: str) -> list[str]:
    """What a script printed, each run in a process of its own: signal handlers belong to the process."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60.0, check=True)
    return done.stdout.split("\n")[:-1]


def test_a_callback_that_runs_when_ctrl_c_comes_is_finished_and_the_node_ends_well() -> None:
    assert printed(SPINNING) == ["the callback finished", "ended with 0"]


def test_a_node_that_is_being_built_stops_at_once() -> None:
    assert printed(BUILDING) == ["ended with 0"]
