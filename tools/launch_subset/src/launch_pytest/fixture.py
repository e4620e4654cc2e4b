"""Fixtures that launch."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from launch import LaunchDescription

from .session import LaunchSession

#: By the launch description that a fixture has returned.
_sessions: dict[int, LaunchSession] = {}

#: Where a fixture says what it is.
MARK = "_launch_fixture"


def fixture(
    decorated: Callable[..., Any] | None = None,
    *,
    shutdown_when_idle: bool = True,
    auto_shutdown: bool = True,
    **options: Any,
) -> Any:
    """Make a pytest fixture of a function that returns a launch description, or a sequence with one in front.

    The description is launched for the tests marked with `@pytest.mark.launch(fixture=...)`.

    Args:
        decorated: the function, when the decorator is used without brackets.
        shutdown_when_idle: the service ends when nothing is left to do.
        auto_shutdown: end the service when the tests are through; else they wait for it to end by itself.
        options: of `pytest.fixture`, such as `scope`, which may be function, class or module.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        def launched(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with _returned(function, args, kwargs) as value:
                description = _description(function.__name__, value)
                session = LaunchSession(description, shutdown_when_idle=shutdown_when_idle, auto_shutdown=auto_shutdown)
                _sessions[id(description)] = session
                try:
                    session.start()
                    yield value
                finally:
                    session.close()
                    del _sessions[id(description)]

        # Not functools.wraps: pytest would look through to a function that is no generator.
        launched.__name__, launched.__doc__, launched.__module__ = (
            function.__name__,
            function.__doc__,
            function.__module__,
        )
        launched.__signature__ = inspect.signature(function)  # type: ignore[attr-defined]
        definition = pytest.fixture(**options)(launched)
        setattr(definition, MARK, (options.get("name") or function.__name__, options.get("scope", "function")))
        return definition

    return decorate if decorated is None else decorate(decorated)


def name_and_scope(definition: Any) -> tuple[str, str]:
    """Name and scope of a fixture that launches.

    Raises:
        pytest.UsageError: it is something else.
    """
    found = getattr(definition, MARK, None)
    if found is None:
        raise pytest.UsageError(
            f"pytest.mark.launch needs fixture=F with F made by @launch_pytest.fixture, got {definition!r}"
        )
    name, scope = found
    return str(name), str(scope)


def session_of(value: Any) -> LaunchSession:
    """The running session of the value of a fixture."""
    return _sessions[id(_description("launch", value))]


def _description(name: str, value: Any) -> LaunchDescription:
    first = value[0] if isinstance(value, Sequence) and value else value
    if not isinstance(first, LaunchDescription):
        raise pytest.UsageError(
            f"the launch_pytest fixture {name!r} has to return a launch description, or a sequence with one in front; "
            f"got {value!r}"
        )
    return first


@contextmanager
def _returned(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[Any]:
    """What the function returns, or yields once."""
    if inspect.isgeneratorfunction(function):
        with contextmanager(functools.partial(function, *args, **kwargs))() as value:
            yield value
    else:
        yield function(*args, **kwargs)
