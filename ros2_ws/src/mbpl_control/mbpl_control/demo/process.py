"""The launched graph as a child process that is always ended."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from mbpl_control.core import MbplError

#: Domains 0 to 101 have ports outside the ephemeral range of every common system.
DOMAINS = range(1, 102)
_ENDING = re.compile(r"\]: (sending signal|process has finished cleanly)")


def own_domain() -> int:
    """The domain of this process: `ROS_DOMAIN_ID`, or one drawn at random so that two demos do not meet."""
    given = os.environ.get("ROS_DOMAIN_ID", "")
    if not given:
        given = str(random.SystemRandom().choice(DOMAINS))
        os.environ["ROS_DOMAIN_ID"] = given
    return int(given)


class LaunchedGraph:
    """`ros2 launch mbpl_bringup FILE` with given arguments; ends with the `with` block.

    Args:
        arguments: launch arguments by name.
        log: file that takes all output.
        file: the launch file.
    """

    def __init__(self, arguments: Mapping[str, str], log: Path, file: str = "mbpl.launch.py") -> None:
        """Keep what to launch; `__enter__` launches it."""
        self.file = file
        self.arguments = dict(arguments)
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> LaunchedGraph:
        """Launch."""
        ros2 = shutil.which("ros2")
        if ros2 is None:
            raise MbplError("the command ros2 is not on the PATH; source tools/env.sh first")
        command = [ros2, "launch", "mbpl_bringup", self.file]
        command += [f"{name}:={value}" for name, value in self.arguments.items()]
        with open(self.log, "wb") as stream:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    def __exit__(self, *_: object) -> None:
        """End it: interrupt, then terminate, then kill the whole group."""
        process = self._process
        if process is None:
            return
        for signum, patience in ((signal.SIGINT, 15.0), (signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            try:
                os.killpg(process.pid, signum)
            except ProcessLookupError:
                break
            try:
                process.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue

    @property
    def pid(self) -> int:
        """Of the launch, whose children the nodes are."""
        assert self._process is not None  # noqa: S101 - it is launched
        return self._process.pid

    def check(self) -> None:
        """Raise `MbplError` with the end of the log when the launch has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise MbplError(
                f"the launched graph ended with code {self._process.returncode}; the log {self.log} ends with:\n"
                + self.tail(20)
                + self._first_death()
            )

    def tail(self, lines: int) -> str:
        """The last lines of the log, without what a launch says of each process as it ends."""
        return "\n".join([line for line in self._lines() if not _ENDING.search(line)][-lines:])

    def _first_death(self) -> str:
        """What began it: others may have printed much since."""
        died = next((line for line in self._lines() if "process has died" in line), None)
        return "" if died is None else f"\nfirst to die: {died}"

    def _lines(self) -> list[str]:
        return self.log.read_text(errors="replace").splitlines() if self.log.exists() else []


@contextmanager
def terminable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the graph as Ctrl-C does."""

    def interrupt(_: int, __: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
