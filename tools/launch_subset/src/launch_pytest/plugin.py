"""Running the tests that are marked with `pytest.mark.launch`, beside a launch service or after its end."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest
from launch import LaunchContext, LaunchService

from .fixture import name_and_scope, session_of
from .session import LaunchSession

MARKER = "launch"
WRAPPED = "_launch_collected"
SECOND_HALF = pytest.StashKey[Callable[[], None]]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line(
        "markers",
        "launch(fixture, shutdown=False): run the test beside the launch service of a launch_pytest fixture, "
        "or after its end",
    )


@pytest.fixture
def launch_service(request: pytest.FixtureRequest) -> LaunchService:
    """The launch service of the test."""
    return _requested(request).service


@pytest.fixture
def launch_context(request: pytest.FixtureRequest) -> LaunchContext:
    """The launch context of the test."""
    return _requested(request).service.context


@pytest.fixture
def event_loop(request: pytest.FixtureRequest) -> asyncio.AbstractEventLoop:
    """The loop that the launch service runs in."""
    return _requested(request).loop


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: Any, name: str, obj: Any) -> Any:
    """Let a marked test use its fixture, and let pytest take generators and coroutines for tests."""
    if hasattr(obj, WRAPPED) or not inspect.isfunction(obj) or not collector.istestfunction(obj, name):
        return None
    marks = [mark for mark in getattr(obj, "pytestmark", []) if mark.name == MARKER]
    if not marks:
        return None
    fixture_name, _ = name_and_scope(marks[0].kwargs.get("fixture"))
    if inspect.isgeneratorfunction(obj) or inspect.isasyncgenfunction(obj):
        if marks[0].kwargs.get("shutdown"):
            raise pytest.UsageError(f"{name}: a test that is a generator cannot be marked with shutdown=True")

    @pytest.mark.usefixtures(fixture_name)
    @functools.wraps(obj)
    def collected() -> None:
        """Stands for the test while it is collected only."""

    collected.__signature__ = inspect.signature(obj)
    del collected.__wrapped__
    setattr(collected, WRAPPED, True)
    return collector.ihook.pytest_pycollect_makeitem(collector=collector, name=name, obj=collected)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put what runs after the end of a service behind all that runs beside it, where they share the service."""
    late: dict[pytest.Item, list[pytest.Item]] = {}
    last: dict[Any, pytest.Item] = {}
    for item in items:
        owner = _owner_of_service(item)
        if owner is not None:
            last[owner] = item
    for item in list(items):
        owner = _owner_of_service(item)
        mark = item.get_closest_marker(MARKER)
        if owner is None or mark is None or not isinstance(item, pytest.Function):
            continue
        if mark.kwargs.get("shutdown"):
            late.setdefault(last[owner], []).append(item)
        elif inspect.isgeneratorfunction(item.obj) or inspect.isasyncgenfunction(item.obj):
            late.setdefault(last[owner], []).append(_second_half(item))
    moved = {item for group in late.values() for item in group}
    ordered: list[pytest.Item] = []
    for item in items:
        if item not in moved:
            ordered.append(item)
        ordered.extend(late.get(item, []))
    items[:] = ordered


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run a marked test."""
    mark = pyfuncitem.get_closest_marker(MARKER)
    if mark is None:
        return None
    fixture_name, scope = name_and_scope(mark.kwargs.get("fixture"))
    session = session_of(pyfuncitem.funcargs[fixture_name])
    function = pyfuncitem.obj
    names = [name for name in inspect.signature(function).parameters if name in pyfuncitem.funcargs]
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    if mark.kwargs.get("shutdown"):
        session.shut_down()
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        advance = _stepper(session, function(**arguments))
        if not advance():
            pytest.fail("the test yielded nothing: a launch test that is a generator yields once")

        def finish() -> None:
            session.shut_down()
            if advance():
                pytest.fail("the test yielded twice: a launch test that is a generator yields once")

        if scope == "function":
            finish()
        else:
            pyfuncitem.stash[SECOND_HALF] = finish
    elif inspect.iscoroutinefunction(function):
        session.run(function(**arguments))
    else:
        function(**arguments)
    return True


def _requested(request: pytest.FixtureRequest) -> LaunchSession:
    mark = request.node.get_closest_marker(MARKER)
    if mark is None:
        raise pytest.UsageError(
            f"{request.node.name} asks for {request.fixturename!r}, "
            "but is not marked with pytest.mark.launch(fixture=F)"
        )
    name, _ = name_and_scope(mark.kwargs.get("fixture"))
    return session_of(request.getfixturevalue(name))


def _owner_of_service(item: pytest.Item) -> pytest.Collector | None:
    """The module or class whose tests share the service of this one; None when the test has it for itself."""
    mark = item.get_closest_marker(MARKER)
    if mark is None:
        return None
    _, scope = name_and_scope(mark.kwargs.get("fixture"))
    if scope == "class":
        return item.getparent(pytest.Class) or item.getparent(pytest.Module)
    return item.getparent(pytest.Module) if scope == "module" else None


def _second_half(item: pytest.Function) -> pytest.Item:
    """A test of its own for what a generator does after the end of a service that others still need."""

    def finish() -> None:
        if SECOND_HALF not in item.stash:
            pytest.fail(f"the part of {item.name} before the shutdown did not pass")
        item.stash[SECOND_HALF]()

    assert item.parent is not None
    name = f"{item.name}[shutdown_test]"
    return pytest.Function.from_parent(item.parent, name=name, callobj=finish)


def _stepper(session: LaunchSession, generator: Any) -> Callable[[], bool]:
    """A function that runs a generator, of either kind, to its next yield; false when it has come to its end."""
    if not inspect.isasyncgen(generator):
        return lambda: next(generator, _stepper) is not _stepper

    async def advance() -> bool:
        return await anext(generator, _stepper) is not _stepper

    return lambda: session.run(advance())
