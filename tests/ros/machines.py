"""Processes of the tests about hardware: a robot's driver, the bridge, and what the driver recorded."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

ROBOTS = Path(__file__).with_name("robots.py")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "hardware"
#: s of the robot files of these tests: a busy machine may let more than the default pass between two states.
COMMAND_TIMEOUT = 0.5
#: Order in which the controllers of the tests have the joints of the arm.
ORDER = ["wrist_roll", "pan", "elbow", "lift", "upper_roll", "wrist", "forearm_roll"]


def robot_file(directory: Path, example: str = "arm7.yaml", **changes: object) -> Path:
    """The robot file of an example, with some keys changed, in a directory of the test's own."""
    content = YAML(typ="safe").load(EXAMPLES / example) | {"joints": ORDER, "command_timeout": COMMAND_TIMEOUT}
    content |= changes
    path = directory / "arm.yaml"
    YAML().dump(content, path)
    return path


@contextmanager
def running(command: list[str], log: Path, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen]:
    """A process that is told to end, and made to, when the block is left."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=environment
        )
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15.0)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(10.0)


def ros_arguments(**parameters: object) -> list[str]:
    """Parameters on a command line."""
    words = ["--ros-args", "--log-level", "warn"]
    for name, value in parameters.items():
        text = "[" + ", ".join(value) + "]" if isinstance(value, list) else str(value)
        words += ["-p", f"{name}:={text}"]
    return words


def driver(kind: str, **parameters: object) -> list[str]:
    """Command line of a stand-in for a driver."""
    return [sys.executable, str(ROBOTS), kind, *ros_arguments(joints=ORDER, **parameters)]


def bridge(**parameters: object) -> list[str]:
    """Command line of the bridge."""
    names = ["-r", "__ns:=/mbpl"]
    return [sys.executable, "-m", "mbpl_control.nodes.hardware_bridge", *ros_arguments(**parameters), *names]


class Record:
    """What a driver measured and applied, a row a period.

    Attributes:
        time: (n,) s on the steady clock.
        positions: (n, 7) rad, in the model's order.
        velocities: (n, 7) rad/s.
        efforts: (n, 7) N m, as they acted; zero while the brakes hold.
    """

    def __init__(self, path: Path) -> None:
        """Read."""
        rows = np.load(path)
        self.time, self.positions, self.velocities, self.efforts = np.split(rows, [1, 8, 15], axis=1)
        self.time = self.time[:, 0]

    @property
    def longest_stall(self) -> float:
        """s between two periods that a busy machine has let pass."""
        return float(np.diff(self.time).max())
