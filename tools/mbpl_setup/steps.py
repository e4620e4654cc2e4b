"""Steps that run once, show that they are alive, and say what to do when they fail."""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds between signs of life: on a terminal the line is rewritten, in a file a new one is written.
TERMINAL_PERIOD = 1.0
FILE_PERIOD = 20.0
TAIL_LINES = 30


class SetupError(Exception):
    """A step failed: what happened, and what the user can do about it."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        """Keep reason and remedy apart; both are shown."""
        super().__init__(reason)
        self.remedy = remedy

    def told(self) -> str:
        """What the user reads."""
        return "\n\n".join([str(self), f"What to do: {self.remedy}"] if self.remedy else [str(self)])


@dataclass(frozen=True)
class Step:
    """A piece of the set-up.

    Attributes:
        name: names its log and its stamp.
        title: what the user reads while it runs.
        inputs: all that its result depends on; it runs again when one of them changes.
        action: does it; is given the log.
        remedy: what to try when it fails.
        product: what it makes; it runs again when that is gone.
        needed: whether the set-up ends when it fails; otherwise that is told, and it runs again the next time.
    """

    name: str
    title: str
    inputs: Sequence[str]
    action: Callable[[Log], None]
    remedy: str = ""
    product: Path | None = None
    needed: bool = True

    def fingerprint(self) -> str:
        """Hash of the inputs."""
        return hashlib.sha256("\0".join(self.inputs).encode()).hexdigest()


class Log:
    """Output of one step in a file, with its last line kept for the progress display."""

    def __init__(self, path: Path) -> None:
        """Start an empty log."""
        self.path = path
        self.last_line = ""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")

    def write(self, line: str) -> None:
        """Append one line."""
        with self.path.open("a") as stream:
            stream.write(line.rstrip("\n") + "\n")
        if line.strip():
            self.last_line = line.strip()

    def run(
        self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Run a command, its output in the log.

        Raises:
            SetupError: it cannot be started, or exits with another code than 0.
        """
        words = [str(word) for word in command]
        self.write(f"$ {shlex.join(words)}")
        try:
            process = subprocess.Popen(
                words,
                env=None if environment is None else dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
        except OSError as error:
            raise SetupError(f"{words[0]} cannot be started: {error}") from error
        assert process.stdout is not None
        try:
            for line in process.stdout:
                self.write(line)
            code = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
        if code != 0:
            raise SetupError(f"{Path(words[0]).name} exited with code {code}: {shlex.join(words)[:200]}")

    def tail(self) -> list[str]:
        """The last lines of the file."""
        return self.path.read_text(errors="replace").splitlines()[-TAIL_LINES:]


class Runner:
    """Runs steps in order, each only when its inputs changed since it last succeeded."""

    def __init__(self, directory: Path) -> None:
        """Stamps and logs live in `directory`."""
        self.directory = directory

    def run(self, steps: Sequence[Step]) -> bool:
        """Run what is due; true when anything was.

        Raises:
            SetupError: a step that is needed failed. Those before it are done and will not run again.
        """
        ran = False
        for number, step in enumerate(steps, start=1):
            # Asked only now, since a step may make later ones due.
            if not self.done(step):
                self._run_one(step, f"[{number}/{len(steps)}] {step.title}")
                ran = True
        return ran

    def done(self, step: Step) -> bool:
        """Whether the step succeeded with the inputs it has now, and its product is still there."""
        if step.product is not None and not step.product.exists():
            return False
        stamp = self._stamp(step.name)
        return stamp.is_file() and stamp.read_text() == step.fingerprint()

    def forget(self) -> None:
        """Make every step due."""
        for stamp in self.directory.glob("*.done"):
            stamp.unlink()

    def _stamp(self, name: str) -> Path:
        return self.directory / f"{name}.done"

    def _run_one(self, step: Step, label: str) -> None:
        log = Log(self.directory / "log" / f"{step.name}.log")
        self._stamp(step.name).unlink(missing_ok=True)
        start = time.monotonic()
        try:
            with _Heartbeat(label, log):
                step.action(log)
        except SetupError as error:
            print(f"{label}: FAILED after {time.monotonic() - start:.0f} s", flush=True)
            explained = SetupError(self._explain(step, log, error), error.remedy or step.remedy)
            if step.needed:
                raise explained from error
            print(explained.told(), file=sys.stderr, flush=True)
            return
        print(f"{label}: done in {time.monotonic() - start:.0f} s", flush=True)
        self._stamp(step.name).write_text(step.fingerprint())

    @staticmethod
    def _explain(step: Step, log: Log, error: SetupError) -> str:
        tail = log.tail()
        shown = [f"The end of {log.path}:", *(f"  | {line}" for line in tail)] if tail else []
        return "\n".join([*shown, f"Step '{step.name}' failed: {error}"])


class _Heartbeat:
    """Shows that a step is alive, from a thread of its own."""

    def __init__(self, label: str, log: Log) -> None:
        self._label = label
        self._log = log
        self._terminal = sys.stdout.isatty()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._start = time.monotonic()

    def __enter__(self) -> _Heartbeat:
        if not self._terminal:
            print(f"{self._label} ...", flush=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._terminal:
            print("\r\033[K", end="", flush=True)

    def _beat(self) -> None:
        while not self._stop.wait(TERMINAL_PERIOD if self._terminal else FILE_PERIOD):
            text = f"{self._label}: {time.monotonic() - self._start:.0f} s  {self._log.last_line}"
            if self._terminal:
                width = os.get_terminal_size().columns - 1
                print(f"\r\033[K{text[:width]}", end="", flush=True)
            else:
                print(text[:160], flush=True)
