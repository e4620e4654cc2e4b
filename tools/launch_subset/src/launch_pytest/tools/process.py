"""Waiting for what launched processes do.

Each function is there twice: to be awaited by tests that are coroutines, and with the ending `_sync` for the others.
All take the launch context, the action of the process and the longest time to wait, s; None means without end. What a
process writes can be waited for when its action has `cached_output=True`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Optional

from launch import LaunchContext
from launch.actions import ExecuteProcess

Check = Callable[[str], bool]
Assertion = Callable[[str], Optional[bool]]  # noqa: UP045

#: How often it is looked, s.
POLL = 0.02


class _Deadline:
    def __init__(self, timeout: float | None) -> None:
        self._end = float("inf") if timeout is None else time.monotonic() + timeout

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._end


async def _wait(condition: Callable[[], bool], timeout: float | None) -> bool:
    deadline = _Deadline(timeout)
    while not condition():
        if deadline.over:
            return False
        await asyncio.sleep(POLL)
    return True


def _wait_sync(condition: Callable[[], bool], timeout: float | None) -> bool:
    deadline = _Deadline(timeout)
    while not condition():
        if deadline.over:
            return False
        time.sleep(POLL)
    return True


def _satisfied(validate_output: Assertion, output: str) -> bool:
    """Whether a check passes that asserts something, or returns false when it does not."""
    try:
        return validate_output(output) is not False
    except AssertionError:
        return False


def _insist(validate_output: Assertion, output: str) -> None:
    """Let a check that does not pass say so."""
    assert validate_output(output) is not False, f"the output does not pass the check:\n{output}"


async def wait_for_start(
    launch_context: LaunchContext, execute_process_action: ExecuteProcess, timeout: float | None = None
) -> bool:
    """Whether the process has started in time."""
    return await _wait(lambda: execute_process_action.process_details is not None, timeout)


def wait_for_start_sync(
    launch_context: LaunchContext, execute_process_action: ExecuteProcess, timeout: float | None = None
) -> bool:
    """Whether the process has started in time."""
    return _wait_sync(lambda: execute_process_action.process_details is not None, timeout)


async def wait_for_exit(
    launch_context: LaunchContext, execute_process_action: ExecuteProcess, timeout: float | None = None
) -> bool:
    """Whether the process has ended in time."""
    return await _wait(lambda: execute_process_action.return_code is not None, timeout)


def wait_for_exit_sync(
    launch_context: LaunchContext, execute_process_action: ExecuteProcess, timeout: float | None = None
) -> bool:
    """Whether the process has ended in time."""
    return _wait_sync(lambda: execute_process_action.return_code is not None, timeout)


async def wait_for_output(
    launch_context: LaunchContext,
    execute_process_action: ExecuteProcess,
    validate_output: Check,
    timeout: float | None = None,
) -> bool:
    """Whether the check of all standard output so far is true in time; what it raises is not caught."""
    return await _wait(lambda: bool(validate_output(execute_process_action.get_stdout())), timeout)


def wait_for_output_sync(
    launch_context: LaunchContext,
    execute_process_action: ExecuteProcess,
    validate_output: Check,
    timeout: float | None = None,
) -> bool:
    """Whether the check of all standard output so far is true in time; what it raises is not caught."""
    return _wait_sync(lambda: bool(validate_output(execute_process_action.get_stdout())), timeout)


async def assert_output(
    launch_context: LaunchContext,
    execute_process_action: ExecuteProcess,
    validate_output: Assertion,
    timeout: float | None = None,
) -> None:
    """Raise `AssertionError` unless the check of all standard output so far passes in time."""
    if not await _wait(lambda: _satisfied(validate_output, execute_process_action.get_stdout()), timeout):
        _insist(validate_output, execute_process_action.get_stdout())


def assert_output_sync(
    launch_context: LaunchContext,
    execute_process_action: ExecuteProcess,
    validate_output: Assertion,
    timeout: float | None = None,
) -> None:
    """Raise `AssertionError` unless the check of all standard output so far passes in time."""
    if not _wait_sync(lambda: _satisfied(validate_output, execute_process_action.get_stdout()), timeout):
        _insist(validate_output, execute_process_action.get_stdout())


async def wait_for_stderr(
    launch_context: LaunchContext,
    execute_process_action: ExecuteProcess,
    validate_output: Check,
    timeout: float | None = None,
) -> bool:
    """Whether the check of all standard error so far is true in time; what it raises is not caught."""
    return await _wait(lambda: bool(validate_output(execute_process_action.get_stderr())), timeout)


def wait_for_stderr_sync(
    launch_context: LaunchContext,
    execute_process_action: ExecuteProcess,
    validate_output: Check,
    timeout: float | None = None,
) -> bool:
    """Whether the check of all standard error so far is true in time; what it raises is not caught."""
    return _wait_sync(lambda: bool(validate_output(execute_process_action.get_stderr())), timeout)


async def assert_stderr(
    launch_context: LaunchContext,
    execute_process_action: ExecuteProcess,
    validate_output: Assertion,
    timeout: float | None = None,
) -> None:
    """Raise `AssertionError` unless the check of all standard error so far passes in time."""
    if not await _wait(lambda: _satisfied(validate_output, execute_process_action.get_stderr()), timeout):
        _insist(validate_output, execute_process_action.get_stderr())


def assert_stderr_sync(
    launch_context: LaunchContext,
    execute_process_action: ExecuteProcess,
    validate_output: Assertion,
    timeout: float | None = None,
) -> None:
    """Raise `AssertionError` unless the check of all standard error so far passes in time."""
    if not _wait_sync(lambda: _satisfied(validate_output, execute_process_action.get_stderr()), timeout):
        _insist(validate_output, execute_process_action.get_stderr())
