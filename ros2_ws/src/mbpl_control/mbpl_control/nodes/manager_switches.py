"""Requests to switch that the controller manager has not answered yet."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf

from mbpl_msgs.srv import SwitchController
from rclpy.node import Node
from rclpy.task import Future

from mbpl_control.core import MbplError, RefusedError
from mbpl_control.runtime import ManagerCore, PendingSwitch, Strictness, SwitchRequest


def switch_request(message: SwitchController.Request) -> SwitchRequest:
    """A request of the service as the core takes it.

    Raises:
        RefusedError: there is no such strictness, or the time is below zero.
    """
    known = {0: Strictness.STRICT, **{int(s): s for s in Strictness}}
    if message.strictness not in known:
        names = ", ".join(f"{int(s)} ({s.name.lower().replace('_', ' ')})" for s in Strictness)
        raise RefusedError(f"strictness {message.strictness}; must be {names}, or 0 for strict")
    timeout = message.timeout.sec + 1e-9 * message.timeout.nanosec
    if timeout < 0.0:
        raise RefusedError(f"timeout {timeout:g} s; must be above 0 s, or 0 to wait as long as it takes")
    return SwitchRequest(
        tuple(message.activate_controllers),
        tuple(message.deactivate_controllers),
        known[message.strictness],
        message.activate_asap,
        timeout or inf,
    )


class Switches:
    """Carries out requests to switch; at most one waits, and a newer one takes its place.

    Args:
        node: whose executor the requests come from.
        core: the manager.
        changed: called when a request begins to wait, and when it ends.
    """

    def __init__(self, node: Node, core: ManagerCore, changed: Callable[[], None]) -> None:
        """Wait for nothing."""
        self._node, self._core, self._changed = node, core, changed
        self._pending: tuple[PendingSwitch, Future] | None = None

    @property
    def waits_for(self) -> str:
        """What the request that waits lacks; empty when none waits."""
        return "" if self._pending is None else self._pending[0].waits_for

    async def carry_out(self, request: SwitchRequest) -> str:
        """What was done, in words, as soon as it is.

        Raises:
            RefusedError: it cannot happen, its time is over, or another request came.
        """
        self.cancel("another request to switch came")
        switch = PendingSwitch(self._core, request, time.monotonic_ns())
        account = switch.advance(time.monotonic_ns())
        if account is not None:
            return account
        answer: Future = Future(executor=self._node.executor)
        self._pending = switch, answer
        self._changed()
        return await answer

    def advance(self) -> None:
        """Try the request that waits once more; called whenever something may have come that it waits for."""
        if self._pending is None:
            return
        switch, answer = self._pending
        try:
            account = switch.advance(time.monotonic_ns())
            if account is None:
                return
            self._pending = None
            answer.set_result(account)
        except MbplError as error:
            self._pending = None
            answer.set_exception(error)
        self._ended()

    def cancel(self, reason: str) -> None:
        """Refuse the request that waits, if one does."""
        if self._pending is None:
            return
        (switch, answer), self._pending = self._pending, None
        answer.set_exception(RefusedError(f"{reason} while it waited: {switch.waits_for}"))
        self._ended()

    def _ended(self) -> None:
        self._changed()
        if self._node.executor is not None:
            self._node.executor.wake()
