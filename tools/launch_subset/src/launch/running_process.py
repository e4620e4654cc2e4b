"""A launched process, from its start to its end."""

from __future__ import annotations

import asyncio
import codecs
import signal
from collections.abc import Callable
from logging import Logger

STDOUT, STDERR = 1, 2

#: How long after the end of a process its last words are waited for, s; a child of its own may hold the pipes open.
LAST_WORDS = 0.5


class LineBuffer:
    """Cuts a stream of bytes into lines of text; bytes that are not UTF-8 become replacement characters."""

    def __init__(self) -> None:
        """Begin empty."""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._rest = ""

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now, without their ends."""
        *lines, self._rest = (self._rest + self._decoder.decode(data)).split("\n")
        return [line.removesuffix("\r") for line in lines]

    def finish(self) -> list[str]:
        """What is left at the end of the stream: a line without an end, or nothing."""
        rest, self._rest = self._rest + self._decoder.decode(b"", final=True), ""
        return [rest] if rest else []


class RunningProcess(asyncio.SubprocessProtocol):
    """A process whose output is handed on as it comes, and which can be brought to its end.

    Args:
        name: of the process, for people.
        logger: of the process.
        on_output: called with 1 (standard output) or 2 (standard error) and the bytes.
    """

    def __init__(self, name: str, logger: Logger, on_output: Callable[[int, bytes], None]) -> None:
        """Wait to be started."""
        loop = asyncio.get_running_loop()
        self._name = name
        self._logger = logger
        self._on_output = on_output
        self._exited: asyncio.Future[int] = loop.create_future()
        self._closed: dict[int, asyncio.Future[None]] = {fd: loop.create_future() for fd in (STDOUT, STDERR)}
        self._transport: asyncio.SubprocessTransport | None = None
        self._escalation: list[asyncio.TimerHandle] = []

    async def start(self, cmd: list[str], *, shell: bool, cwd: str | None, env: dict[str, str]) -> None:
        """Start the process in the process group of launch, where Ctrl-C of a terminal reaches it too.

        Args:
            cmd: the program and its arguments.
            shell: the words, joined by blanks, are a command of the shell.
            cwd: the working directory; none means that of launch.
            env: the whole environment.

        Raises:
            OSError: it cannot be started.
        """
        loop = asyncio.get_running_loop()
        if shell:
            await loop.subprocess_shell(lambda: self, " ".join(cmd), cwd=cwd, env=env)
        else:
            await loop.subprocess_exec(lambda: self, *cmd, cwd=cwd, env=env)

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._transport is not None
        pid = self._transport.get_pid()
        assert pid is not None
        return pid

    @property
    def started(self) -> bool:
        """Whether the process was started."""
        return self._transport is not None

    @property
    def running(self) -> bool:
        """Whether the process was started and has not ended."""
        return self.started and not self._exited.done()

    async def wait(self) -> int:
        """Wait for the end and the last words; the exit code, or minus the number of the signal that ended it."""
        code = await self._exited
        for timer in self._escalation:
            timer.cancel()
        await asyncio.wait(self._closed.values(), timeout=LAST_WORDS)
        assert self._transport is not None
        self._transport.close()
        return code

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, if the process runs."""
        if self.running:
            assert self._transport is not None
            self._logger.info(f"sending signal '{number.name}' to process[{self._name}]")
            self._transport.send_signal(number)

    def begin_escalation(self, *, sigterm_after: float, sigkill_after: float) -> None:
        """Send SIGTERM and then SIGKILL, unless the process ends before; a second call changes nothing.

        Args:
            sigterm_after: s, from now to SIGTERM.
            sigkill_after: s, from SIGTERM to SIGKILL.
        """
        if not self.running or self._escalation:
            return
        loop = asyncio.get_running_loop()
        self._escalation = [
            loop.call_later(sigterm_after, self._escalate, signal.SIGINT, sigterm_after, signal.SIGTERM),
            loop.call_later(
                sigterm_after + sigkill_after, self._escalate, signal.SIGTERM, sigkill_after, signal.SIGKILL
            ),
        ]

    def _escalate(self, last: signal.Signals, patience: float, following: signal.Signals) -> None:
        if self.running:
            self._logger.error(
                f"process[{self._name}] failed to terminate '{patience}' seconds after receiving '{last.name}', "
                f"escalating to '{following.name}'"
            )
            self.send_signal(following)

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The process was started; its output may come from now on."""
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """Hand the bytes on."""
        self._on_output(fd, data)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """Nothing more comes from this pipe."""
        if fd in self._closed and not self._closed[fd].done():
            self._closed[fd].set_result(None)

    def process_exited(self) -> None:
        """The process has ended."""
        assert self._transport is not None
        code = self._transport.get_returncode()
        assert code is not None
        self._exited.set_result(code)
