"""A launch service that runs beside tests."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

from launch import LaunchDescription, LaunchDescriptionEntity, LaunchService
from launch.event_handler import EventHandler
from launch_testing.actions.ready import ReadyForTests, ReadyToTest

Result = TypeVar("Result")


class LaunchSession:
    """A launch service in a loop in a thread of its own, from the start of the description to its end.

    Args:
        description: what is launched; where it holds no `ReadyToTest`, one is put at its end.
        shutdown_when_idle: the service ends when nothing is left to do.
        auto_shutdown: end the service when the tests are through; else they wait for it to end by itself.
    """

    def __init__(self, description: LaunchDescription, *, shutdown_when_idle: bool, auto_shutdown: bool) -> None:
        """Launch nothing yet."""
        if not holds_ready_to_test([description]):
            description.add_action(ReadyToTest())
        self.service = LaunchService(noninteractive=True)
        self.service.include_launch_description(description)
        self.loop = asyncio.new_event_loop()
        self._ready: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._shutdown_when_idle = shutdown_when_idle
        self._auto_shutdown = auto_shutdown
        self._thread = threading.Thread(target=self.loop.run_forever, name="launch_pytest", daemon=True)
        self._result: concurrent.futures.Future[int] | None = None

    def start(self) -> None:
        """Launch, and wait until tests may begin.

        Raises:
            RuntimeError: the service ended before.
        """
        self.service.context.register_event_handler(_OnReady(self._ready))
        self._thread.start()
        coroutine = self.service.run_async(shutdown_when_idle=self._shutdown_when_idle)
        self._result = asyncio.run_coroutine_threadsafe(coroutine, self.loop)
        either: list[concurrent.futures.Future[Any]] = [self._ready, self._result]
        concurrent.futures.wait(either, return_when=concurrent.futures.FIRST_COMPLETED)
        if not self._ready.done():
            raise RuntimeError(
                f"the launch service ended with code {self._result.result()} before the tests could begin; "
                "its output says why"
            )

    def run(self, coroutine: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine in the loop of the service."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def shut_down(self) -> None:
        """End the service, and wait for its end; without effect when it has ended."""
        if self._result is None:
            return
        if self._auto_shutdown:
            self.service.shutdown()
        self._result.result()

    def close(self) -> None:
        """End service and loop."""
        if not self._thread.is_alive():
            return
        try:
            self.shut_down()
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()


class _OnReady(EventHandler):
    def __init__(self, ready: concurrent.futures.Future[None]) -> None:
        super().__init__(matcher=lambda event: isinstance(event, ReadyForTests), handle_once=True)
        self._ready = ready

    def handle(self, event: Any, context: Any) -> None:
        super().handle(event, context)
        self._ready.set_result(None)


def holds_ready_to_test(entities: Iterable[LaunchDescriptionEntity]) -> bool:
    """Whether there is a `ReadyToTest` among the entities, or among those that they lead to or may lead to."""
    for entity in entities:
        if isinstance(entity, ReadyToTest) or holds_ready_to_test(entity.describe_sub_entities()):
            return True
        if any(holds_ready_to_test(group) for _, group in entity.describe_conditional_sub_entities()):
            return True
    return False
