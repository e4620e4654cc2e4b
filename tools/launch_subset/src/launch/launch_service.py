"""What carries a launch description out."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from .event import Event
from .events.include_launch_description import IncludeLaunchDescription
from .events.shutdown import Shutdown
from .launch_context import LaunchContext
from .launch_description import LaunchDescription
from .logging import get_logger, set_level
from .some_entities_type import SomeEntitiesType
from .utilities import normalize_to_list_of_entities


class LaunchService:
    """Visits launch descriptions, hands events to their handlers, and ends when all is done.

    Args:
        argv: command line left for the launch descriptions.
        noninteractive: no terminal delivers Ctrl-C to the launched processes, so the service has to.
        debug: show more, among it where an error came from.
    """

    def __init__(self, *, argv: Iterable[str] | None = None, noninteractive: bool = False, debug: bool = False) -> None:
        """Wait to be run."""
        if debug:
            set_level(logging.DEBUG)
        self._context = LaunchContext(argv=argv, noninteractive=noninteractive)
        self._logger = get_logger("launch")
        self._wake: asyncio.Event | None = None
        self._thread: int | None = None
        self._return_code = 0
        self._task: asyncio.Task[Any] | None = None

    @property
    def context(self) -> LaunchContext:
        """The launch context."""
        return self._context

    @property
    def event_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop while the service runs."""
        return self._context.asyncio_loop

    @property
    def task(self) -> asyncio.Task[Any] | None:
        """The task of the service; None before it is run."""
        return self._task

    def include_launch_description(self, launch_description: LaunchDescription) -> None:
        """Visit a launch description, now or as soon as the service runs; from any thread."""
        self.emit_event(IncludeLaunchDescription(launch_description))

    def emit_event(self, event: Event) -> None:
        """Emit an event; from any thread."""
        loop = self._context.asyncio_loop
        if loop is None or threading.get_ident() == self._thread:
            self._context.emit_event_sync(event)
        else:
            loop.call_soon_threadsafe(self._context.emit_event_sync, event)

    def shutdown(self, force_sync: bool = False) -> Coroutine[Any, Any, None] | None:
        """Shut the launched system down; from any thread; without effect when the service does not run.

        Args:
            force_sync: emit the event before returning, also from the thread of the loop.

        Returns:
            In the thread of the loop a coroutine to await, else None.
        """
        if self._context.asyncio_loop is None:
            return None
        event = Shutdown(reason="LaunchService.shutdown() called")
        if threading.get_ident() == self._thread and not force_sync:
            return self._context.emit_event(event)
        self.emit_event(event)
        return None

    def run(self, *, shutdown_when_idle: bool = True) -> int:
        """Run to the end in a loop of its own; 0, or 1 after an error.

        Args:
            shutdown_when_idle: end when nothing is left to do.
        """
        return asyncio.run(self.run_async(shutdown_when_idle=shutdown_when_idle))

    async def run_async(self, *, shutdown_when_idle: bool = True) -> int:
        """Run to the end in the running loop; 0, or 1 after an error.

        Args:
            shutdown_when_idle: end when nothing is left to do.

        Raises:
            RuntimeError: the service runs already.
        """
        context = self._context
        if context.asyncio_loop is not None:
            raise RuntimeError("the launch service runs already")
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        self._thread, self._task, self._return_code = threading.get_ident(), asyncio.current_task(), 0
        context.attach(loop, wake.set)
        context.is_shutdown = False
        try:
            with self._signals(loop):
                while True:
                    wake.clear()
                    while (failure := context.take_failure()) is not None:
                        self._fail(failure)
                    self._serve_events()
                    if not context.pending:
                        if context.is_shutdown:
                            return self._return_code
                        if shutdown_when_idle:
                            context.emit_event_sync(Shutdown(reason="idle"))
                            continue
                    await wake.wait()
        finally:
            context.attach(None, lambda: None)
            self._thread = None

    def _serve_events(self) -> None:
        """Handle the queued events, and those that follow from them."""
        while (event := self._context.take_event()) is not None:
            try:
                self._serve(event)
            except Exception as error:
                self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """Report an error, and shut the launched system down."""
        message = f"Caught exception in launch (see debug for traceback): {error}"
        self._logger.debug("".join(traceback.format_exception(type(error), error, error.__traceback__)))
        self._logger.error(message)
        self._return_code = 1
        self._context.emit_event_sync(Shutdown(reason=message))

    def _serve(self, event: Event) -> None:
        context = self._context
        if isinstance(event, Shutdown):
            if context.is_shutdown:
                return
            context.is_shutdown = True
        elif isinstance(event, IncludeLaunchDescription):
            with context.visiting():
                self._visit(event.launch_description)
        for handler in list(context.event_handlers):
            if handler.matches(event):
                with context.visiting():
                    self._visit(handler.handle(event, context))

    def _visit(self, entities: SomeEntitiesType | None) -> None:
        """Visit depth first."""
        for entity in normalize_to_list_of_entities(entities):
            following = entity.visit(self._context)
            future = entity.get_asyncio_future()
            if future is not None and not future.done():
                self._context.add_completion_future(future)
            self._visit(following)

    @contextmanager
    def _signals(self, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
        """SIGINT and SIGTERM shut the launched system down, where Python lets them: in the main thread."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        interrupted = False

        def interrupt() -> None:
            nonlocal interrupted
            if interrupted:
                self._logger.warning("user interrupted with ctrl-c (SIGINT) again, ignoring...")
                return
            interrupted = True
            self._logger.warning("user interrupted with ctrl-c (SIGINT)")
            self._context.emit_event_sync(Shutdown(reason="ctrl-c (SIGINT)", due_to_sigint=True))

        def terminate() -> None:
            self._logger.warning("asked to end (SIGTERM)")
            self._context.emit_event_sync(Shutdown(reason="SIGTERM"))

        handlers: dict[signal.Signals, Callable[[], None]] = {signal.SIGINT: interrupt, signal.SIGTERM: terminate}
        before = {number: signal.getsignal(number) for number in handlers}
        for number, handler in handlers.items():
            loop.add_signal_handler(number, handler)
        try:
            yield
        finally:
            for number, earlier in before.items():
                loop.remove_signal_handler(number)
                signal.signal(number, earlier)
