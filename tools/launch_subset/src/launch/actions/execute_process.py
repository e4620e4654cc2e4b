"""Running a program."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..action import Action
from ..conditions.evaluate_condition_expression import evaluate_condition_expression
from ..descriptions.executable import Executable
from ..event import Event
from ..event_handler import BaseEventHandler
from ..event_handlers.on_process_exit import OnProcessExit
from ..events.matchers import matches_action
from ..events.process import (
    ProcessExited,
    ProcessStarted,
    ProcessStderr,
    ProcessStdout,
    ProcessTargetedEvent,
    ShutdownProcess,
    SignalProcess,
)
from ..events.shutdown import Shutdown
from ..launch_description_entity import LaunchDescriptionEntity
from ..logging import OutputLogger, get_logger, get_output_loggers
from ..running_process import STDERR, STDOUT, LineBuffer, RunningProcess
from ..some_entities_type import SomeEntitiesType
from ..some_substitutions_type import SomeSubstitutionsType
from ..substitutions.launch_configuration import LaunchConfiguration
from ..utilities import normalize_to_list_of_entities, normalize_to_list_of_substitutions, perform_substitutions

if TYPE_CHECKING:
    from ..launch_context import LaunchContext

#: s, each after the signal before.
SIGTERM_TIMEOUT = LaunchConfiguration("sigterm_timeout", default=5)
SIGKILL_TIMEOUT = LaunchConfiguration("sigkill_timeout", default=5)


class ExecuteProcess(Action):
    """Runs a program, hands on what it writes, and ends it when the launched system is shut down.

    Args:
        cmd: the program and its arguments, each text or substitutions.
        prefix: words before the program, split as a shell does; none means the configuration `launch-prefix`.
        name: of the process, before its number; none means the name of the program.
        cwd: the working directory; none means that of launch.
        env: the whole environment; none means that of launch.
        additional_env: variables on top.
        shell: the words, joined by blanks, are a command of the shell.
        sigterm_timeout: s from SIGINT to SIGTERM at shutdown; by default the configuration of this name, else 5.
        sigkill_timeout: s from SIGTERM to SIGKILL at shutdown; by default the configuration of this name, else 5.
        output: `log` (all to the log file, standard error also to the screen), `screen`, `both`, `own_log`, `full`, or
            destinations by source; the variable OVERRIDE_LAUNCH_PROCESS_OUTPUT goes before it.
        output_format: of a line that is shown or written, with `{line}` and `{this}`, the action.
        cached_output: keep what the process writes for `get_stdout` and `get_stderr`.
        on_exit: entities to visit at the end of the process, or a function of event and context.
        respawn: start the process again when it has ended.
        respawn_delay: s before that.
        respawn_max_retries: how often at most; negative means always.
        options: `condition`, as for all actions.
    """

    def __init__(
        self,
        *,
        cmd: Iterable[SomeSubstitutionsType],
        prefix: SomeSubstitutionsType | None = None,
        name: SomeSubstitutionsType | None = None,
        cwd: SomeSubstitutionsType | None = None,
        env: Mapping[Any, SomeSubstitutionsType] | None = None,
        additional_env: Mapping[Any, SomeSubstitutionsType] | None = None,
        shell: bool = False,
        sigterm_timeout: SomeSubstitutionsType = SIGTERM_TIMEOUT,
        sigkill_timeout: SomeSubstitutionsType = SIGKILL_TIMEOUT,
        output: SomeSubstitutionsType | Mapping[str, Any] = "log",
        output_format: str = "[{this.process_description.final_name}] {line}",
        cached_output: bool = False,
        on_exit: SomeEntitiesType | Callable[[ProcessExited, LaunchContext], SomeEntitiesType | None] | None = None,
        respawn: bool | SomeSubstitutionsType = False,
        respawn_delay: float | None = None,
        respawn_max_retries: int = -1,
        **options: Any,
    ) -> None:
        """Keep what was written."""
        super().__init__(**options)
        self.process_description = Executable(
            cmd=cmd, prefix=prefix, name=name, cwd=cwd, env=env, additional_env=additional_env
        )
        self.shell = shell
        self._timeouts = [normalize_to_list_of_substitutions(part) for part in (sigterm_timeout, sigkill_timeout)]
        self._output = output
        self._output_format = output_format
        self._cached_output = cached_output
        self._on_exit = on_exit
        self._respawn = normalize_to_list_of_substitutions(str(respawn) if isinstance(respawn, bool) else respawn)
        self._respawn_delay = respawn_delay or 0.0
        self._respawn_max_retries = respawn_max_retries
        self._cache = {STDOUT: bytearray(), STDERR: bytearray()}
        self._process: RunningProcess | None = None
        self._done: asyncio.Future[None] | None = None
        self._shutdown = asyncio.Event()
        self._patience: dict[str, float] = {}
        self._return_code: int | None = None

    @property
    def return_code(self) -> int | None:
        """The exit code, or minus the number of the signal that ended the process; None while it has not ended."""
        return self._return_code

    @property
    def process_details(self) -> dict[str, Any] | None:
        """Name, command line, working directory, environment and process id; None before the first start."""
        return None if self._process is None or not self._process.started else self._details()

    def get_stdout(self) -> str:
        """What the process has written to standard output so far; needs `cached_output`."""
        return self._cached(STDOUT)

    def get_stderr(self) -> str:
        """What the process has written to standard error so far; needs `cached_output`."""
        return self._cached(STDERR)

    def get_asyncio_future(self) -> asyncio.Future[None] | None:
        """Done when the process has ended and is not started again."""
        return self._done

    def describe_conditional_sub_entities(self) -> list[tuple[str, Iterable[LaunchDescriptionEntity]]]:
        """The entities to visit at the end of the process."""
        if self._on_exit is None or callable(self._on_exit):
            return []
        return [("when the process exits", normalize_to_list_of_entities(self._on_exit))]

    def prepare(self, context: LaunchContext) -> None:
        """Evaluate the command line; subclasses complete it first."""
        self.process_description.prepare(context)

    def execute(self, context: LaunchContext) -> list[LaunchDescriptionEntity] | None:
        """Evaluate everything now, and start the process as soon as the visit is over.

        Raises:
            RuntimeError: the action was executed before.
            ValueError: there is no such output.
            KeyError: the format of the output names what there is not.
        """
        if self._done is not None:
            raise RuntimeError(f"process[{self.process_description.final_name}] was executed more than once")
        self.prepare(context)
        name = self.process_description.final_name
        sigterm, sigkill = (float(perform_substitutions(context, timeout)) for timeout in self._timeouts)
        self._patience = {"sigterm_after": sigterm, "sigkill_after": sigkill}
        context.register_event_handler(_ProcessShutdown(self))
        if self._on_exit is not None:
            context.register_event_handler(OnProcessExit(target_action=self, on_exit=self._on_exit))
        respawn = evaluate_condition_expression(context, self._respawn)
        output: Any = context.environment.get("OVERRIDE_LAUNCH_PROCESS_OUTPUT") or self._output
        if not isinstance(output, Mapping):
            output = perform_substitutions(context, normalize_to_list_of_substitutions(output))
        loggers = dict(zip((STDOUT, STDERR), get_output_loggers(name, output), strict=True))
        self._output_format.format(line="", this=self)
        assert context.asyncio_loop is not None, "a process is executed by a running launch service only"
        self._done = context.asyncio_loop.create_future()
        task = context.asyncio_loop.create_task(self._run(context, respawn, loggers))
        task.add_done_callback(self._finish)
        context.add_completion_future(task)
        return None

    def begin_shutdown(self, context: LaunchContext, *, interrupt: bool) -> None:
        """End the process, and do not start it again.

        Args:
            context: of the launch service.
            interrupt: send SIGINT, when all that is told of the shutdown knows of it; else the terminal has done so.
        """
        self._shutdown.set()
        if self._process is None or not self._process.running:
            return
        if interrupt:
            context.emit_event_sync(SignalProcess(signal_number=signal.SIGINT, process_matcher=matches_action(self)))
        self._process.begin_escalation(**self._patience)

    async def _run(self, context: LaunchContext, respawn: bool, loggers: Mapping[int, OutputLogger]) -> None:
        starts = 0
        while not self._shutdown.is_set():
            if not await self._run_once(context, loggers):
                break
            starts += 1
            if not respawn or starts > self._respawn_max_retries >= 0:
                break
            try:
                await asyncio.wait_for(self._shutdown.wait(), self._respawn_delay)
            except asyncio.TimeoutError:
                continue

    async def _run_once(self, context: LaunchContext, loggers: Mapping[int, OutputLogger]) -> bool:
        """From start to end; false when the process could not be started."""
        description = self.process_description
        logger = get_logger(description.final_name)
        buffers = {STDOUT: LineBuffer(), STDERR: LineBuffer()}

        def write(fd: int, lines: list[str]) -> None:
            for line in lines:
                loggers[fd].write(self._output_format.format(line=line, this=self))

        def on_output(fd: int, data: bytes) -> None:
            if self._cached_output:
                self._cache[fd] += data
            write(fd, buffers[fd].feed(data))
            event = ProcessStdout if fd == STDOUT else ProcessStderr
            context.emit_event_sync(event(text=data, action=self, **self._details()))

        process = self._process = RunningProcess(description.final_name, logger, on_output)
        try:
            await process.start(
                description.final_cmd, shell=self.shell, cwd=description.final_cwd, env=description.final_env
            )
        except OSError as error:
            self._process = None
            logger.error(f"the process could not be started: {error}; cmd '{' '.join(description.final_cmd)}'")
            return False
        logger.info(f"process started with pid [{process.pid}]")
        context.emit_event_sync(ProcessStarted(action=self, **self._details()))
        if self._shutdown.is_set():
            # The shutdown came while the process was being started, and found nothing to end.
            self.begin_shutdown(context, interrupt=True)
        code = self._return_code = await process.wait()
        for fd, buffer in buffers.items():
            write(fd, buffer.finish())
        if code == 0:
            logger.info(f"process has finished cleanly [pid {process.pid}]")
        else:
            command = " ".join(description.final_cmd)
            logger.error(f"process has died [pid {process.pid}, exit code {code}, cmd '{command}'].")
        context.emit_event_sync(ProcessExited(action=self, returncode=code, **self._details()))
        return True

    def _finish(self, task: asyncio.Task[None]) -> None:
        assert self._done is not None
        self._done.set_result(None)

    def _details(self) -> dict[str, Any]:
        assert self._process is not None
        description = self.process_description
        return {
            "name": description.final_name,
            "cmd": description.final_cmd,
            "cwd": description.final_cwd,
            "env": description.final_env,
            "pid": self._process.pid,
        }

    def _cached(self, fd: int) -> str:
        if not self._cached_output:
            raise RuntimeError("the output of this process is not kept; construct the action with cached_output=True")
        return self._cache[fd].decode(errors="replace")


class _ProcessShutdown(BaseEventHandler):
    """Ends or signals a process when an event says so."""

    def __init__(self, action: ExecuteProcess) -> None:
        def concerns(event: Event) -> bool:
            if isinstance(event, ProcessTargetedEvent):
                return event.process_matcher(action)
            return isinstance(event, Shutdown)

        super().__init__(matcher=concerns)
        self._action = action

    def handle(self, event: Event, context: LaunchContext) -> None:
        if isinstance(event, SignalProcess):
            if self._action._process is not None:
                self._action._process.send_signal(event.signal)
        elif isinstance(event, ShutdownProcess):
            self._action.begin_shutdown(context, interrupt=True)
        elif isinstance(event, Shutdown):
            self._action.begin_shutdown(context, interrupt=context.noninteractive or not event.due_to_sigint)
