"""What actions and substitutions know while launching."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from .event import Event
from .event_handler import BaseEventHandler
from .substitution import Substitution


class LaunchContext:
    """Launch configurations, environment, event handlers and the queue of events.

    Args:
        argv: command line left for the launch description.
        noninteractive: no terminal delivers Ctrl-C to the launched processes, so launch has to.
    """

    def __init__(self, *, argv: Iterable[str] | None = None, noninteractive: bool = False) -> None:
        """Begin without configurations; the environment is that of this process."""
        self.argv = list(argv or [])
        self.noninteractive = noninteractive
        self.launch_configurations: dict[str, Any] = {}
        self.event_handlers: list[BaseEventHandler] = []
        self.is_shutdown = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._events: deque[Event] = deque()
        self._wake: Callable[[], None] = lambda: None
        self._failures: deque[BaseException] = deque()
        self._completions: list[asyncio.Future[Any]] = []
        self._globals: dict[str, Any] = {}
        self._locals: list[dict[str, Any]] = []
        self._scopes: list[tuple[dict[str, Any], dict[str, str]]] = []

    @property
    def environment(self) -> MutableMapping[str, str]:
        """The environment that launched processes inherit: the one of this process."""
        return os.environ

    @property
    def asyncio_loop(self) -> asyncio.AbstractEventLoop | None:
        """The loop of the running launch service."""
        return self._loop

    def attach(self, loop: asyncio.AbstractEventLoop | None, wake: Callable[[], None]) -> None:
        """Tell which loop serves the events, and what to call when there is one."""
        self._loop = loop
        self._wake = wake

    # Events

    def emit_event_sync(self, event: Event) -> None:
        """Queue an event, from the thread of the loop."""
        self._events.append(event)
        self._wake()

    async def emit_event(self, event: Event) -> None:
        """Queue an event, from a coroutine."""
        self.emit_event_sync(event)

    def take_event(self) -> Event | None:
        """The oldest queued event, if any."""
        return self._events.popleft() if self._events else None

    def register_event_handler(self, event_handler: BaseEventHandler, append: bool = False) -> None:
        """Register; the newest handler is asked first, unless it is appended."""
        if append:
            self.event_handlers.append(event_handler)
        else:
            self.event_handlers.insert(0, event_handler)

    def unregister_event_handler(self, event_handler: BaseEventHandler) -> None:
        """Unregister.

        Raises:
            ValueError: the handler was not registered.
        """
        self.event_handlers.remove(event_handler)

    def add_completion_future(self, completion_future: asyncio.Future[Any]) -> None:
        """Keep the service from being idle until the future is done; an exception in it is one of the launch."""

        def done(future: asyncio.Future[Any]) -> None:
            error = None if future.cancelled() else future.exception()
            if error is not None:
                self._failures.append(error)
            self._wake()

        self._completions.append(completion_future)
        completion_future.add_done_callback(done)

    def take_failure(self) -> BaseException | None:
        """The oldest exception of a completion future that was not taken yet, if any."""
        return self._failures.popleft() if self._failures else None

    @property
    def pending(self) -> list[asyncio.Future[Any]]:
        """The completion futures that are not done."""
        self._completions = [future for future in self._completions if not future.done()]
        return self._completions

    # Values

    def perform_substitution(self, substitution: Substitution) -> str:
        """The text of a substitution here and now."""
        return substitution.perform(self)

    @property
    def locals(self) -> SimpleNamespace:
        """Values for the entities being visited, such as `event`."""
        return SimpleNamespace(**self.get_locals_as_dict())

    def get_locals_as_dict(self) -> dict[str, Any]:
        """The same as a dictionary: globals, then outer to inner locals."""
        merged = dict(self._globals)
        for level in self._locals:
            merged.update(level)
        return merged

    def extend_globals(self, extensions: dict[str, Any]) -> None:
        """Add values for all entities."""
        self._globals.update(extensions)

    def extend_locals(self, extensions: dict[str, Any]) -> None:
        """Add values for the entities being visited."""
        if not self._locals:
            raise RuntimeError("locals can be extended only while entities are visited")
        self._locals[-1].update(extensions)

    @contextmanager
    def visiting(self) -> Iterator[None]:
        """A level of locals; scopes that an error left open are closed at its end."""
        self._locals.append({})
        depth = len(self._scopes)
        try:
            yield
        finally:
            self._locals.pop()
            while len(self._scopes) > depth:
                self.pop_scope()

    def push_scope(self) -> None:
        """Remember configurations and environment."""
        self._scopes.append((dict(self.launch_configurations), dict(self.environment)))

    def pop_scope(self) -> None:
        """Restore configurations and environment as they were at the last push."""
        configurations, environment = self._scopes.pop()
        self.launch_configurations.clear()
        self.launch_configurations.update(configurations)
        self.environment.clear()
        self.environment.update(environment)
